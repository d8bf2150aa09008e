"""Session of a station made with PyPI `ocpp` (2.0.1): a transaction by token, and one by RequestStart and RequestStop.

Rule: it shares no line with chargehand; `ocpp` judges what it receives against the official schemas.

    python session201.py ws://127.0.0.1:9000/ocpp/CP1
"""

import asyncio
import json
import sys
from typing import Any

from ocpp.routing import after, on
from ocpp.v201 import ChargePoint, call, call_result
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

TOKEN = {"id_token": "T1", "type": "ISO14443"}
TIME = "2026-11-28T12:{:02}:00Z"


def say(step: str, **facts: Any) -> None:
    """Print a step as a line of JSON."""
    print(json.dumps({"step": step, **facts}), flush=True)  # noqa: T201


class Station(ChargePoint):  # type: ignore[misc]
    """Station with one EVSE, which counts the energy of a transaction by its events."""

    async def event(self, name: str, kind: str, seq: int, reason: str, wh: int, **more: Any) -> Any:
        """Send an event with a reading; a CALLERROR or a wrong answer raises."""
        context = {"Started": "Transaction.Begin", "Ended": "Transaction.End"}.get(kind, "Sample.Periodic")
        info = {"transaction_id": name, **more.pop("info", {})}
        value = {"timestamp": TIME.format(seq), "sampled_value": [{"value": wh, "context": context}]}
        request = call.TransactionEvent(
            event_type=kind,
            timestamp=TIME.format(seq),
            trigger_reason=reason,
            seq_no=seq,
            transaction_info=info,
            meter_value=[value],
            **more,
        )
        return await self.call(request, suppress=False)

    @on("RequestStartTransaction")
    def start_requested(self, **_: Any) -> Any:
        """Accept it."""
        return call_result.RequestStartTransaction(status="Accepted")

    @after("RequestStartTransaction")
    async def start_remotely(self, remote_start_id: int, id_token: Any, **_: Any) -> None:
        """Start the transaction that was asked for."""
        info = {"remote_start_id": remote_start_id}
        await self.event(
            "tx-2", "Started", 0, "RemoteStart", 5000, info=info, id_token=id_token, evse={"id": 1}
        )
        await self.event(
            "tx-2", "Updated", 1, "ChargingStateChanged", 5200, info={"charging_state": "Charging"}
        )
        say("started remotely")

    @on("RequestStopTransaction")
    def stop_requested(self, transaction_id: str) -> Any:
        """Accept it."""
        say("stop", transaction=transaction_id)
        return call_result.RequestStopTransaction(status="Accepted")

    @after("RequestStopTransaction")
    async def stop_remotely(self, transaction_id: str) -> None:
        """Stop the transaction."""
        info = {"stopped_reason": "Remote"}
        await self.event(transaction_id, "Ended", 2, "RemoteStop", 5700, info=info)
        say("stopped remotely")

    @on("GetTransactionStatus")
    def asked(self, transaction_id: str, **_: Any) -> Any:
        """Tell that no message waits: what is missing is gone."""
        say("asked", transaction=transaction_id)
        return call_result.GetTransactionStatus(messages_in_queue=False)


async def play(station: Station) -> None:
    """Boot, and make a transaction with repeats and a hole."""
    model = {"model": "M", "vendor_name": "V"}
    boot = await station.call(call.BootNotification(charging_station=model, reason="PowerUp"), suppress=False)
    assert boot.status == "Accepted"
    status = call.StatusNotification(
        timestamp=TIME.format(0), connector_status="Occupied", evse_id=1, connector_id=1
    )
    await station.call(status, suppress=False)
    verdict = await station.call(call.Authorize(id_token=TOKEN), suppress=False)
    say("authorized", status=verdict.id_token_info["status"])
    answer = await station.event("tx-1", "Started", 0, "Authorized", 1000, id_token=TOKEN, evse={"id": 1})
    say("started", status=answer.id_token_info["status"])
    for seq in range(1, 12):
        if seq == 6:  # the hole
            continue
        for _ in range(1 + seq % 3):  # each with a message id of its own
            await station.event("tx-1", "Updated", seq, "MeterValuePeriodic", 1000 + 100 * seq)
    await station.event("tx-1", "Ended", 12, "EVDeparted", 2500, info={"stopped_reason": "EVDisconnected"})
    say("ended")
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)


async def run(url: str) -> None:
    """Connect and play; an unexpected end of the connection raises."""
    async with connect(url, subprotocols=[Subprotocol("ocpp2.0.1")], proxy=None) as connection:
        station = Station(url.rsplit("/", 1)[-1], connection)
        listening = asyncio.create_task(station.start())
        playing = asyncio.create_task(play(station))
        await asyncio.wait((listening, playing), return_when=asyncio.FIRST_COMPLETED)
        listening.cancel()
        await playing


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1]))
