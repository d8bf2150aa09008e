"""The commands `recording` and `replay`: read a flight recorder; feed a recording to a fresh session."""

from __future__ import annotations

import sys
from typing import IO, TYPE_CHECKING, Any

import click

from ..testing.recording import NotARecording
from ..testing.replay import Replay
from .api import OK, asks_server, refused
from .escape import as_json, escaped_json
from .failures import FAILED, CommandMisused
from .options import CP

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .api import Api


def read(api: Api, charge_point: str) -> str:
    """Ask for the recording of a charge point, as lines of JSON. Raises `CommandFailed`."""
    reply = api.ask("GET", "charge-points", charge_point, "recording")
    if reply.status != OK:
        raise refused(reply.status, reply.json)
    return escaped_json(reply.text)


def fly(lines: Iterable[str], say: Callable[[str], object]) -> bool:
    """Feed a recording to a fresh session and print the differences; return true if there are none.

    Raises `CommandMisused` for lines that are no recording.
    """
    try:
        differences = Replay(lines).fly()
    except (NotARecording, UnicodeDecodeError) as error:
        raise CommandMisused(str(error), "make one: `chargehand recording CP > FILE`") from error
    for difference in differences:
        say(f"at {difference.at:.6f}")
        say(f"  then  {_shown(difference.recorded)}")
        say(f"  now   {_shown(difference.sent)}")
    return not differences


def _shown(frame: Any) -> str:
    return "nothing" if frame is None else as_json(frame)


@click.command()
@CP
@asks_server
def recording(api: Api, charge_point: str) -> None:
    """Print the last frames and events of the charge point CP, without its secrets, as lines of JSON."""
    click.echo(read(api, charge_point), nl=False)


@click.command()
@click.argument("file", type=click.File(encoding="utf-8"))
def replay(file: IO[str]) -> None:
    """Feed a recording to a fresh session, and show the differences; - reads standard input.

    No server is needed. The exit status is 0 if nothing differs, 1 if something does, and 2 if FILE is no recording.
    """
    sys.exit(0 if fly(file, click.echo) else FAILED)
