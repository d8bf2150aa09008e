"""OCPP 0.0: a version for tests, with three actions, that no module of the package knows.

`Hello` registers, `Sold` is a transaction message, `Open` is a command whose effect is a `Sold`.
`CentralSystem(versions=VERSIONS)` speaks it.
"""

import sys
from datetime import datetime
from enum import StrEnum
from typing import Annotated

from chargehand.protocol.actions import Needs, Request, Sender, Version, request
from chargehand.protocol.effects import Effect, Pair
from chargehand.protocol.errors import ErrorCode
from chargehand.protocol.message import Message
from chargehand.protocol.rules import Text


class Block(StrEnum):
    """Only block of this version."""

    ALL = "All"


class HelloResponse(Message):
    """Registration of a charge point."""

    status: Annotated[str, Text(20)]
    now: datetime


@request("Hello", Block.ALL, Sender.CHARGE_POINT, registers=True, needs=Needs.NONE)
class Hello(Request[HelloResponse]):
    """Request for registration."""

    model: Annotated[str, Text(10)]


class SoldResponse(Message):
    """Acknowledgement of a sale."""


@request("Sold", Block.ALL, Sender.CHARGE_POINT, transaction=True, transaction_of=lambda sold: sold.sale)
class Sold(Request[SoldResponse]):
    """Sale, a transaction message."""

    sale: Annotated[str, Text(36)]
    door: int
    units: int


class OpenResponse(Message):
    """Answer of a door."""

    status: Annotated[str, Text(20)]


def _same_door(command: "Open", sold: Sold) -> Effect | None:
    return Effect.DONE if sold.door == command.door else None


@request(
    "Open",
    Block.ALL,
    Sender.CENTRAL_SYSTEM,
    urgent=True,
    needs=Needs.ACCEPTED,
    supersede_key=lambda command: command.door,
    effect=lambda _: Pair({"Sold": _same_door}),
)
class Open(Request[OpenResponse]):
    """Command to open a door."""

    door: int


VERSION = Version.gather(
    "0.0",
    "ocpp0.0",
    [sys.modules[__name__]],
    {ErrorCode.FORMATION_VIOLATION: "FormatViolation"},
)
VERSIONS = {VERSION.subprotocol: VERSION}
