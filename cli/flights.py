"""`chargehand record` and `chargehand replay`: the flight recorder of a charge point, read, and flown again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..testing.replay import NotARecording, Replay
from .api import OK, why
from .escape import as_json, escaped_json
from .failures import CommandFailed, CommandMisused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .api import Api


def record(api: Api, charge_point: str) -> str:
    """The record of a charge point, as lines of JSON. Raises `CommandFailed`."""
    reply = api.ask("GET", "charge-points", charge_point, "recording")
    if reply.status != OK:
        raise CommandFailed(why(reply.status, reply.json))
    return escaped_json(reply.text)


def replay(lines: Iterable[str], say: Callable[[str], object]) -> bool:
    """Feed a record to a fresh session and say what it sends differently; true if nothing.

    Raises `CommandMisused` for lines that are no record.
    """
    try:
        differences = Replay(lines).fly()
    except (NotARecording, UnicodeDecodeError) as error:
        raise CommandMisused(str(error)) from error
    for difference in differences:
        say(f"at {difference.at:.6f}")
        say(f"  then  {_shown(difference.recorded)}")
        say(f"  now   {_shown(difference.sent)}")
    return not differences


def _shown(frame: Any) -> str:
    return "nothing" if frame is None else as_json(frame)
