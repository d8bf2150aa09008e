"""`chargehand simulate --stations N`: a fleet of simulated charge points, a line of progress, one summary.

One rule: the summary is the only thing on standard output.
"""

from __future__ import annotations

import datetime as dt
import sys
import time
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import gevent

from ..protocol.handshake import HandshakeError
from ..simulator import HandshakeRefused
from ..simulator.fleet import Fleet, Session
from .escape import as_json
from .failures import CommandFailed, CommandMisused
from .open_files import make_room
from .output import echo_json, show_facts
from .stop_signals import ended_by_signals

if TYPE_CHECKING:
    from collections.abc import Iterator

CONNECTIONS_EACH = 2
SHOWN_S = 1.0
"""Seconds between two lines of progress on a terminal."""
LOGGED_S = 30.0
"""Seconds between two of them elsewhere."""


def run_fleet(url: str, *, json: bool, sessions: str | None, **options: Any) -> None:
    """Run a fleet until its days are over, or a signal comes; print its summary. Raises `CommandFailed`."""
    # Some misbehave by leaving connections half-open, and make others.
    make_room(options["stations"] * CONNECTIONS_EACH, "--stations")
    with ExitStack() as undo:
        if sessions is not None:
            try:
                file = undo.enter_context(Path(sessions).open("w", encoding="utf-8"))
            except OSError as error:
                raise CommandMisused(
                    f"{sessions} cannot be written: {error.strerror}", "name another file with --sessions"
                ) from error
            options["on_session"] = lambda session: file.write(f"{as_json(_row(session))}\n")
        try:
            fleet = Fleet(url, **options)
        except OSError as error:
            raise CommandMisused(
                f"{options['cafile']} cannot be used: {error.strerror or error}",
                "name a file in PEM with --cafile",
            ) from error
        _try_first(fleet)
        telling = gevent.spawn(_tell, fleet)
        try:
            with ended_by_signals(fleet.stop):
                summary = fleet.run()
        finally:
            telling.kill()
    if json:
        echo_json(summary)
    else:
        show_facts(list(_facts(summary)))
    if summary["undelivered"]:
        raise CommandFailed(
            f"{summary['undelivered']} messages of transactions were not delivered",
            "see the server's log",
        )


def _row(session: Session) -> dict[str, Any]:
    return {
        name: value.isoformat() if isinstance(value, dt.datetime) else value
        for name, value in asdict(session).items()
    }


def _try_first(fleet: Fleet) -> None:
    """Connect with the first charge point, and leave: what is wrong with all of them is said at once."""
    core = fleet.members[0].charge_point.core
    try:
        core.dial().cut(reset=False)
    except HandshakeRefused as error:
        raise CommandFailed(
            f"the central system refuses {core.identity}: {error}",
            "see the server's log; 401 needs another --password, 404 another path in --url",
        ) from error
    except ValueError as error:
        raise CommandMisused(str(error), "correct CP or --url") from error
    except (OSError, HandshakeError) as error:
        text = getattr(error, "strerror", None) or error
        raise CommandFailed(
            f"no central system at {core.url}: {text}",
            "start one with `chargehand serve`, or name another with --url or --data",
        ) from error


def _tell(fleet: Fleet) -> None:
    terminal = sys.stderr.isatty()
    before, since = 0, time.monotonic()
    while True:
        gevent.sleep(SHOWN_S if terminal else LOGGED_S)
        sent, now = fleet.messages["sent"], time.monotonic()
        at = dt.datetime.fromtimestamp(fleet.pace.now, dt.UTC)
        line = (
            f"{at:%Y-%m-%d %H:%M}Z  {fleet.online} online  {fleet.charging} charging  {fleet.sessions} sessions  "
            f"{fleet.energy_wh / 1000:.0f} kWh  {(sent - before) / (now - since):.0f} messages/s"
        )
        before, since = sent, now
        click.echo(f"\r\x1b[K{line}" if terminal else line, err=True, nl=not terminal)


def _facts(summary: dict[str, Any]) -> Iterator[tuple[str, object]]:
    """Yield the names and figures that are shown; what has not happened is left out, if it is a fault."""
    days, real_s = summary["simulated_s"] / 86_400, summary["real_s"]
    speed = summary["simulated_s"] / real_s if real_s else 0
    yield "time", f"{days:.1f} days in {real_s:.0f} s, {speed:.0f} times as fast as real time"
    for name in ("stations", "sessions"):
        yield name, summary[name]
    yield "energy", f"{summary['energy_wh']} Wh"
    for name in ("messages", "commands", "reconnects"):
        yield name, summary[name]
    for name in ("refused_messages", "refused_tags", "refused_connections", "undelivered"):
        if summary[name]:
            yield name.replace("_", " "), summary[name]
    for name, times in sorted(summary["failed"].items()):
        yield f"failed: {name}", times
    for name, times in sorted(summary["misbehaviour"].items()):
        if times:
            yield f"misbehaviour: {name}", times
