"""Station made with PyPI `ocpp` (2.0.1) on asyncio and `websockets`: it sends every message, and answers every command.

Rule: it shares no line with chargehand, so that a mistake of chargehand is not made twice; `ocpp` judges what is
received against the official schemas.

    python client201.py ws://127.0.0.1:9000/ocpp/CP1
    python client201.py wss://127.0.0.1:9001/ocpp/CP1 certificate.pem
"""

import asyncio
import json
import ssl
import sys
from collections.abc import Awaitable, Callable
from typing import Any, cast

from ocpp.charge_point import camel_to_snake_case
from ocpp.routing import on
from ocpp.v201 import ChargePoint, call, call_result
from ocpp.v201.enums import Action
from smallest import SENT, smallest_payload
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol


def say(step: str, **facts: Any) -> None:
    """Print a step as a line of JSON."""
    print(json.dumps({"step": step, **facts}), flush=True)  # noqa: T201


def made(module: Any, action: str, name: str) -> Any:
    """Make the smallest message of an action."""
    return getattr(module, action)(**camel_to_snake_case(smallest_payload(name)))


class Station(ChargePoint):  # type: ignore[misc]
    """Station that answers every command: those without a handler in a class of its own by the smallest answer."""

    def __init__(self, identity: str, connection: Any) -> None:
        for action in Action:  # before `ocpp` looks for its handlers
            ours = action.value not in SENT or action.value == "DataTransfer"
            if ours and not hasattr(self, action.name):
                setattr(self, action.name, self.handler(action))
        super().__init__(identity, connection)

    def handler(self, action: Action) -> Callable[..., Any]:
        """Return a handler of `ocpp` that answers with the smallest response."""

        def handle(**_: Any) -> Any:
            say("command", action=action.value)
            return made(call_result, action.value, f"{action.value}Response")

        handle.__name__ = action.name  # `ocpp` looks for its handlers under the names that `on` has seen
        return cast("Callable[..., Any]", on(action)(handle))


async def send_everything(station: Station) -> None:
    """Send every message; a CALLERROR or a wrong answer raises."""
    for action in SENT:
        await station.call(made(call, action, f"{action}Request"), suppress=False)
        say("sent", action=action)
    say("ready")
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)


async def run(
    station: Callable[[str, Any], Any], play: Callable[[Any], Awaitable[None]], url: str, *trusted: str
) -> None:
    """Connect and play; an unexpected end of the connection raises."""
    trust = ssl.create_default_context(cafile=trusted[0]) if trusted else None
    protocols = [Subprotocol("ocpp2.0.1")]
    async with connect(url, subprotocols=protocols, ssl=trust, proxy=None) as connection:
        one = station(url.rsplit("/", 1)[-1], connection)
        listening = asyncio.create_task(one.start())
        playing = asyncio.ensure_future(play(one))
        await asyncio.wait((listening, playing), return_when=asyncio.FIRST_COMPLETED)
        listening.cancel()
        await playing


if __name__ == "__main__":
    asyncio.run(run(Station, send_everything, *sys.argv[1:]))
