"""Charge points to talk to, from the same protocol core as the server: for tests, chaos and benches.

    with ChargePoint("ws://127.0.0.1:9000/ocpp", "CP1") as charge_point:
        charge_point.charge("TAG1")

They speak OCPP 1.6; stations of OCPP 2.0.1 are `simulator.v201.Station`, fleets of both `simulator.fleet.Fleet`.
Hundreds of them live in one process: each is one greenlet, and a few more for as long as it does something.
"""

from .answers import Answer, Answerer, delayed, refusing, silent
from .charge_point import ChargePoint
from .client import Client, client_context
from .connection import Backoff
from .errors import (
    CallDeclined,
    CallFailed,
    Disconnected,
    HandshakeRefused,
    InvalidAnswer,
    NoAnswer,
    NotPossible,
)
from .message_log import Entry, Kind
from .transactions import Transaction

__all__ = [  # noqa: RUF022 - in groups, for people to read
    # The charge point
    "Backoff",
    "ChargePoint",
    "Transaction",
    # How it answers
    "Answer",
    "Answerer",
    "delayed",
    "refusing",
    "silent",
    # Log of messages
    "Entry",
    "Kind",
    # Errors
    "CallDeclined",
    "CallFailed",
    "Disconnected",
    "HandshakeRefused",
    "InvalidAnswer",
    "NoAnswer",
    "NotPossible",
    # A bare WebSocket
    "Client",
    "client_context",
]
