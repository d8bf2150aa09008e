"""Session of a station made with PyPI `ocpp` (2.0.1): a transaction by token, and one by RequestStart and RequestStop.

Rule: it shares no line with chargehand; `ocpp` judges what it receives against the official schemas.

    python session201.py ws://127.0.0.1:9000/ocpp/CP1 [certificate.pem]

It answers every other command, too.
"""

import asyncio
import sys
from typing import Any

from client201 import Station, run, say
from ocpp.routing import after, on
from ocpp.v201 import call, call_result

TOKEN = {"id_token": "T1", "type": "ISO14443"}
TIME = "2026-11-28T12:{:02}:00Z"


class Charger(Station):
    """Station with one EVSE, which counts the energy of a transaction by its events."""

    running = ""

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

    @on("RequestStartTransaction")  # type: ignore[untyped-decorator]
    def request_start_transaction(self, **_: Any) -> Any:
        """Accept it."""
        say("command", action="RequestStartTransaction")
        return call_result.RequestStartTransaction(status="Accepted")

    @after("RequestStartTransaction")  # type: ignore[untyped-decorator]
    async def start_remotely(self, remote_start_id: int, id_token: Any, **_: Any) -> None:
        """Start the transaction that was asked for."""
        self.running = name = f"remote-{remote_start_id}"
        info = {"remote_start_id": remote_start_id}
        await self.event(
            name, "Started", 0, "RemoteStart", 5000, info=info, id_token=id_token, evse={"id": 1}
        )
        await self.event(
            name, "Updated", 1, "ChargingStateChanged", 5200, info={"charging_state": "Charging"}
        )
        say("started remotely", transaction=name)

    @on("RequestStopTransaction")  # type: ignore[untyped-decorator]
    def request_stop_transaction(self, transaction_id: str) -> Any:
        """Accept it for the transaction that is running."""
        say("command", action="RequestStopTransaction")
        status = "Accepted" if transaction_id == self.running else "Rejected"
        return call_result.RequestStopTransaction(status=status)

    @after("RequestStopTransaction")  # type: ignore[untyped-decorator]
    async def stop_remotely(self, transaction_id: str) -> None:
        """Stop the transaction."""
        if transaction_id == self.running:
            info = {"stopped_reason": "Remote"}
            await self.event(transaction_id, "Ended", 2, "RemoteStop", 5700, info=info)
            say("stopped remotely", transaction=transaction_id)

    @on("GetTransactionStatus")  # type: ignore[untyped-decorator]
    def get_transaction_status(self, transaction_id: str = "", **_: Any) -> Any:
        """Tell that no message waits: what is missing is gone."""
        say("asked", transaction=transaction_id)
        return call_result.GetTransactionStatus(messages_in_queue=False)


async def play(station: Charger) -> None:
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


if __name__ == "__main__":
    asyncio.run(run(Charger, play, *sys.argv[1:]))
