"""Central system made with the PyPI packages `ocpp` and `websockets`: the reference of the comparison.

It speaks OCPP 1.6 and 2.0.1, as a charge point offers.

Rule: it is written as those packages' documentation shows, with their default validation, so that the ratio is
against a server that a user would run. It does no more than answer the mix of `cpload`.

    python bench/peer_ocpp.py PORT
"""

import asyncio
import itertools
import sys
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from ocpp.routing import on
from ocpp.v16 import ChargePoint, call_result
from ocpp.v16.datatypes import IdTagInfo
from ocpp.v16.enums import Action, AuthorizationStatus, RegistrationStatus
from ocpp.v201 import ChargePoint as Station
from ocpp.v201 import call_result as result_201
from ocpp.v201.datatypes import IdTokenInfoType
from ocpp.v201.enums import Action as Action201
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

TRANSACTION_IDS = itertools.count(1)


def now() -> str:
    """The time as OCPP writes it, in UTC and without a fraction."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Peer(ChargePoint):  # type: ignore[misc]
    """Connected charge point. It keeps nothing: a real one would only be slower."""

    @on(Action.boot_notification)  # type: ignore[untyped-decorator]
    def boot_notification(self, **_: Any) -> call_result.BootNotification:
        """Accept every charge point."""
        return call_result.BootNotification(now(), 300, RegistrationStatus.accepted)

    @on(Action.heartbeat)  # type: ignore[untyped-decorator]
    def heartbeat(self) -> call_result.Heartbeat:
        """Answer with the time."""
        return call_result.Heartbeat(now())

    @on(Action.status_notification)  # type: ignore[untyped-decorator]
    def status_notification(self, **_: Any) -> call_result.StatusNotification:
        """Acknowledge."""
        return call_result.StatusNotification()

    @on(Action.meter_values)  # type: ignore[untyped-decorator]
    def meter_values(self, **_: Any) -> call_result.MeterValues:
        """Acknowledge."""
        return call_result.MeterValues()

    @on(Action.authorize)  # type: ignore[untyped-decorator]
    def authorize(self, **_: Any) -> call_result.Authorize:
        """Accept every tag."""
        return call_result.Authorize(IdTagInfo(status=AuthorizationStatus.accepted))

    @on(Action.start_transaction)  # type: ignore[untyped-decorator]
    def start_transaction(self, **_: Any) -> call_result.StartTransaction:
        """Allot the next transaction id."""
        return call_result.StartTransaction(
            next(TRANSACTION_IDS), IdTagInfo(status=AuthorizationStatus.accepted)
        )

    @on(Action.stop_transaction)  # type: ignore[untyped-decorator]
    def stop_transaction(self, **_: Any) -> call_result.StopTransaction:
        """Acknowledge."""
        return call_result.StopTransaction()


class Peer201(Station):  # type: ignore[misc]
    """Connected station of OCPP 2.0.1. It keeps nothing."""

    @on(Action201.boot_notification)  # type: ignore[untyped-decorator]
    def boot_notification(self, **_: Any) -> result_201.BootNotification:
        """Accept every station."""
        return result_201.BootNotification(now(), 300, "Accepted")

    @on(Action201.heartbeat)  # type: ignore[untyped-decorator]
    def heartbeat(self) -> result_201.Heartbeat:
        """Answer with the time."""
        return result_201.Heartbeat(now())

    @on(Action201.status_notification)  # type: ignore[untyped-decorator]
    def status_notification(self, **_: Any) -> result_201.StatusNotification:
        """Acknowledge."""
        return result_201.StatusNotification()

    @on(Action201.meter_values)  # type: ignore[untyped-decorator]
    def meter_values(self, **_: Any) -> result_201.MeterValues:
        """Acknowledge."""
        return result_201.MeterValues()

    @on(Action201.transaction_event)  # type: ignore[untyped-decorator]
    def transaction_event(self, id_token: Any = None, **_: Any) -> result_201.TransactionEvent:
        """Acknowledge, and accept every token."""
        if id_token is None:
            return result_201.TransactionEvent()
        return result_201.TransactionEvent(id_token_info=IdTokenInfoType(status="Accepted"))


SPOKEN = {"ocpp1.6": Peer, "ocpp2.0.1": Peer201}
SUBPROTOCOLS = [Subprotocol(name) for name in SPOKEN]


async def handle(connection: ServerConnection) -> None:
    """Serve one connection until it ends."""
    path = connection.request.path if connection.request else "/"
    with suppress(ConnectionClosed):
        await SPOKEN[str(connection.subprotocol)](path.rsplit("/", 1)[-1], connection).start()


async def main(port: int) -> None:
    """Listen until killed."""
    async with serve(handle, "127.0.0.1", port, subprotocols=SUBPROTOCOLS) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
