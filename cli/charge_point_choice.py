"""Choice of charge points on the command line: the filters of `charge-points` and of commands to many.

The one rule: an option is a parameter of `GET /api/v1/charge-points`, and means what that means.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from .api import Api

PAGE = 10_000
"""Charge points that the server is asked for at a time."""
FLAGS = ("deviations", "ignored", "paused", "breaker_open")
DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd]?)")
UNITS_S = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
WHERE = (
    "id", "vendor", "model", "firmware", "firmware_below", "version", "status", "registration", "flag", "silent_s",
    "node", "worker", "q",
)  # fmt: skip
"""Filters by the names of their parameters."""


def seconds(text: str) -> str:
    """Read a duration such as 90, 90s, 10m, 2h or 1d. Raises `click.BadParameter`."""
    found = DURATION.fullmatch(text.strip())
    if found is None or not float(found[1]):
        raise click.BadParameter(f"{text!r} is no duration like 90s, 10m, 2h or 1d")
    return f"{float(found[1]) * UNITS_S[found[2]]:g}"


OPTIONS = (
    click.option(
        "--status",
        multiple=True,
        metavar="STATUS",
        help="Only those with a connector in this status, as faulted; repeatable.",
    ),
    click.option("--id", metavar="PATTERN", help="Only ids that this fits, as DE-*."),
    click.option("--vendor", metavar="PATTERN", help="Only vendors that this fits."),
    click.option("--model", metavar="PATTERN", help="Only models that this fits."),
    click.option("--firmware", metavar="PATTERN", help="Only firmware that this fits."),
    click.option("--firmware-below", metavar="VERSION", help="Only firmware that is older than this."),
    click.option(
        "--version", multiple=True, metavar="OCPP", help="Only this version of OCPP, as 1.6; repeatable."
    ),
    click.option("--registration", metavar="STATUS", help="Only this registration, as Pending."),
    click.option(
        "--flag", multiple=True, type=click.Choice(FLAGS), help="Only those with this oddity; repeatable."
    ),
    click.option(
        "--silent",
        "silent_s",
        type=seconds,
        metavar="DURATION",
        help="Only those that have sent nothing for so long: 90s, 10m, 2h, 1d.",
    ),
    click.option("--node", metavar="NODE", help="Only those at this node."),
    click.option("--worker", type=click.IntRange(0), metavar="N", help="Only those at this worker process."),
    click.option(
        "--search", "q", metavar="TEXT", help="Only those with this text in their id or boot facts."
    ),
)


def narrows(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the filters; the command has those that are given as `chosen`, parameters of the API."""

    @functools.wraps(command)
    def run(*args: Any, **options: Any) -> Any:
        given = {name: options.pop(name) for name in WHERE}
        chosen = {
            name: ",".join(value) if isinstance(value, tuple) else str(value)
            for name, value in given.items()
            if value not in (None, ())
        }
        return command(*args, chosen=chosen, **options)

    for option in reversed(OPTIONS):
        run = option(run)
    return run


def pages(api: Api, chosen: Mapping[str, str], *, limit: int | None = None) -> Iterator[dict[str, Any]]:
    """Yield pages of the chosen charge points, up to `limit` rows, as the API tells them."""
    after: dict[str, str] | None = {}
    left = limit
    while after is not None:
        page = api.get("charge-points", **chosen, limit=str(min(PAGE, left or PAGE)), **after)
        yield page
        left = None if left is None else left - len(page["charge_points"])
        goes_on = page.get("more") and page.get("next") is not None and left != 0
        after = {"after": page["next"]} if goes_on else None
