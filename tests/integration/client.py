"""Charge point made with PyPI `ocpp` on asyncio and `websockets`, a program of its own.

Rule: it shares no line with chargehand, so that a mistake of chargehand is not made twice; `ocpp` judges
every answer by its own JSON schemas. It prints one JSON object a line, `{"step": …}`, so that a test can wait
for a step, and ends with status 1 and a `failed` step at the first fault.

    python client.py --url ws://127.0.0.1:9000/ocpp/CP1 --scenario session
"""

import argparse
import asyncio
import base64
import json
import ssl
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, cast

from ocpp.routing import after, on
from ocpp.v16 import ChargePoint, call, call_result
from ocpp.v16.enums import (
    Action,
    AuthorizationStatus,
    AvailabilityStatus,
    CancelReservationStatus,
    CertificateSignedStatus,
    CertificateStatus,
    ChargePointErrorCode,
    ChargePointStatus,
    ChargingProfileStatus,
    ClearCacheStatus,
    ClearChargingProfileStatus,
    ConfigurationStatus,
    DataTransferStatus,
    DeleteCertificateStatus,
    GetCompositeScheduleStatus,
    GetInstalledCertificateStatus,
    LogStatus,
    Reason,
    RegistrationStatus,
    RemoteStartStopStatus,
    ReservationStatus,
    ResetStatus,
    TriggerMessageStatus,
    UnlockStatus,
    UpdateFirmwareStatus,
    UpdateStatus,
)
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

METER_VALUES = 10
METER_START_WH = 1_000
METER_STEP_WH = 250
METER_STOP_WH = METER_START_WH + METER_VALUES * METER_STEP_WH


def now() -> str:
    """Return the time as OCPP writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def say(step: str, **more: Any) -> None:
    """Print a line for the test that waits."""
    sys.stdout.write(json.dumps({"step": step, **more}) + "\n")
    sys.stdout.flush()


def composite_schedule(payload: dict[str, Any]) -> call_result.GetCompositeSchedule:
    """Answer with 16.1 A on three phases for the duration of the request."""
    period = {"start_period": 0, "limit": 16.1, "number_phases": 3}
    schedule = {
        "duration": payload["duration"],
        "charging_rate_unit": "A",
        "charging_schedule_period": [period],
    }
    return call_result.GetCompositeSchedule(
        GetCompositeScheduleStatus.accepted, payload["connector_id"], now(), schedule
    )


def configuration(payload: dict[str, Any]) -> call_result.GetConfiguration:
    """Answer with one known key."""
    known = [{"key": "HeartbeatInterval", "readonly": False, "value": "300"}]
    unknown = [key for key in payload.get("key", ()) if key != "HeartbeatInterval"]
    return call_result.GetConfiguration(known, unknown)


# Of the 26 commands (19 of OCPP 1.6, 7 of the security extension): those with one answer to everything, and
# those whose answer depends on what was asked. RemoteStopTransaction is below: it depends on the session.
READY: dict[Action, Any] = {
    Action.cancel_reservation: call_result.CancelReservation(CancelReservationStatus.accepted),
    Action.change_availability: call_result.ChangeAvailability(AvailabilityStatus.scheduled),
    Action.change_configuration: call_result.ChangeConfiguration(ConfigurationStatus.reboot_required),
    Action.clear_cache: call_result.ClearCache(ClearCacheStatus.accepted),
    Action.clear_charging_profile: call_result.ClearChargingProfile(ClearChargingProfileStatus.unknown),
    Action.get_diagnostics: call_result.GetDiagnostics("diagnostics.log"),
    Action.get_local_list_version: call_result.GetLocalListVersion(7),
    Action.remote_start_transaction: call_result.RemoteStartTransaction(RemoteStartStopStatus.accepted),
    Action.reserve_now: call_result.ReserveNow(ReservationStatus.occupied),
    Action.reset: call_result.Reset(ResetStatus.accepted),
    Action.send_local_list: call_result.SendLocalList(UpdateStatus.accepted),
    Action.set_charging_profile: call_result.SetChargingProfile(ChargingProfileStatus.accepted),
    Action.trigger_message: call_result.TriggerMessage(TriggerMessageStatus.not_implemented),
    Action.unlock_connector: call_result.UnlockConnector(UnlockStatus.unlocked),
    Action.update_firmware: call_result.UpdateFirmware(),
    Action.certificate_signed: call_result.CertificateSigned(CertificateSignedStatus.accepted),
    Action.delete_certificate: call_result.DeleteCertificate(DeleteCertificateStatus.not_found),
    Action.extended_trigger_message: call_result.ExtendedTriggerMessage(TriggerMessageStatus.accepted),
    Action.get_installed_certificate_ids: call_result.GetInstalledCertificateIds(
        GetInstalledCertificateStatus.accepted,
        [
            {
                "hash_algorithm": "SHA256",
                "issuer_name_hash": "aa",
                "issuer_key_hash": "bb",
                "serial_number": "01",
            }
        ],
    ),
    Action.get_log: call_result.GetLog(LogStatus.accepted, "security.log"),
    Action.install_certificate: call_result.InstallCertificate(CertificateStatus.accepted),
    Action.signed_update_firmware: call_result.SignedUpdateFirmware(UpdateFirmwareStatus.accepted),
}
COMPUTED: dict[Action, Callable[[dict[str, Any]], Any]] = {
    Action.data_transfer: lambda asked: call_result.DataTransfer(
        DataTransferStatus.accepted, asked.get("data")
    ),
    Action.get_composite_schedule: composite_schedule,
    Action.get_configuration: configuration,
}


def told(action: Action, payload: dict[str, Any]) -> None:
    """Report that a command came. `ocpp` makes decimals of some numbers."""
    say("command", action=action.value, payload=json.loads(json.dumps(payload, default=float)))


class Client(ChargePoint):  # type: ignore[misc]
    """Charge point with one connector that accepts every command of 1.6 and of the security extension."""

    def __init__(self, identity: str, connection: ClientConnection) -> None:
        for action in (*READY, *COMPUTED):  # before `ocpp` looks for its handlers
            setattr(self, action.name, self.handler(action))
        super().__init__(identity, connection)
        self.stopped = asyncio.Event()
        self.transaction_id: int | None = None

    def handler(self, action: Action) -> Callable[..., Any]:
        """Return the row of a table as a handler of `ocpp`."""

        def handle(**payload: Any) -> Any:
            told(action, payload)
            return READY[action] if action in READY else COMPUTED[action](payload)

        handle.__name__ = action.name  # `ocpp` looks for its handlers under the names that `on` has seen
        return cast("Callable[..., Any]", on(action)(handle))

    @on(Action.remote_stop_transaction)  # type: ignore[untyped-decorator]
    def remote_stop(self, transaction_id: int) -> call_result.RemoteStopTransaction:
        """Stop the running transaction only; with none, accept any."""
        told(Action.remote_stop_transaction, {"transaction_id": transaction_id})
        known = self.transaction_id in (None, transaction_id)
        status = RemoteStartStopStatus.accepted if known else RemoteStartStopStatus.rejected
        return call_result.RemoteStopTransaction(status)

    @after(Action.remote_stop_transaction)  # type: ignore[untyped-decorator]
    def remote_stop_answered(self, transaction_id: int) -> None:
        """Go on with the session after the answer has been sent."""
        if self.transaction_id == transaction_id:
            self.stopped.set()

    async def ask(self, request: Any) -> Any:
        """Send a CALL; a CALLERROR, a wrong answer or 30 s of silence raise."""
        return await self.call(request, suppress=False)

    async def boot(self) -> None:
        """Boot and say so; a charge point that is not accepted has nothing more to do here."""
        answer = await self.ask(call.BootNotification("Wallbox 22", "Acme", firmware_version="1.4.2"))
        say("boot", status=answer.status, interval=answer.interval)
        if answer.status != RegistrationStatus.accepted:
            raise RuntimeError(f"boot was {answer.status}")

    async def status(self, status: ChargePointStatus) -> None:
        """Report the connector."""
        await self.ask(call.StatusNotification(1, ChargePointErrorCode.no_error, status, timestamp=now()))
        say("status", status=status)

    async def charge(self, id_tag: str) -> None:
        """From the tag to the tenth meter value."""
        await self.status(ChargePointStatus.preparing)
        authorized = await self.ask(call.Authorize(id_tag))
        say("authorize", status=authorized.id_tag_info["status"])
        if authorized.id_tag_info["status"] != AuthorizationStatus.accepted:
            raise RuntimeError("the tag was refused")
        started = await self.ask(call.StartTransaction(1, id_tag, METER_START_WH, now()))
        self.transaction_id = started.transaction_id
        say("start", transactionId=started.transaction_id, status=started.id_tag_info["status"])
        await self.status(ChargePointStatus.charging)
        for number in range(1, METER_VALUES + 1):
            energy = {
                "value": str(METER_START_WH + number * METER_STEP_WH),
                "measurand": "Energy.Active.Import.Register",
                "unit": "Wh",
            }
            power = {"value": "11040.5", "measurand": "Power.Active.Import", "unit": "W"}
            samples = [{"timestamp": now(), "sampled_value": [energy, power]}]
            await self.ask(call.MeterValues(1, samples, self.transaction_id))
            say("meter", number=number)

    async def stop_charging(self, id_tag: str) -> None:
        """From the remote stop to the last heartbeat."""
        await self.ask(call.StopTransaction(METER_STOP_WH, now(), self.transaction_id, Reason.remote, id_tag))
        say("stop", transactionId=self.transaction_id)
        await self.status(ChargePointStatus.available)
        answer = await self.ask(call.Heartbeat())
        say("heartbeat", currentTime=answer.current_time)


async def session(client: Client, id_tag: str) -> None:
    """The whole charging session; the central system ends it."""
    await client.boot()
    await client.status(ChargePointStatus.available)
    await client.charge(id_tag)
    say("waiting", transactionId=client.transaction_id)
    await client.stopped.wait()
    await client.stop_charging(id_tag)


async def commands(client: Client, _id_tag: str) -> None:
    """Boot, then answer commands until a line or the end of standard input."""
    await client.boot()
    say("ready")
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    await client.ask(call.Heartbeat())


SCENARIOS = {"session": session, "commands": commands}


async def run(options: argparse.Namespace) -> None:
    """Connect and play; an unexpected end of the connection raises."""
    headers = {}
    if options.user is not None:
        basic = base64.b64encode(f"{options.user}:{options.password}".encode()).decode()
        headers["Authorization"] = f"Basic {basic}"
    trust = ssl.create_default_context(cafile=options.cafile) if options.cafile else None
    async with connect(
        options.url, subprotocols=[Subprotocol("ocpp1.6")], additional_headers=headers, ssl=trust, proxy=None
    ) as connection:
        say("connected", subprotocol=connection.subprotocol)
        client = Client(options.url.rsplit("/", 1)[-1], connection)
        listening = asyncio.create_task(client.start())
        playing = asyncio.create_task(SCENARIOS[options.scenario](client, options.tag))
        await asyncio.wait((listening, playing), return_when=asyncio.FIRST_COMPLETED)
        if not playing.done():
            playing.cancel()
            await listening
        await playing
        listening.cancel()
    say("done")


def main() -> int:
    """Run the scenario; return 0 when it went to its end."""
    parser = argparse.ArgumentParser(description="a charge point made with the PyPI package ocpp")
    parser.add_argument("--url", required=True, help="with the charge point's id")
    parser.add_argument("--scenario", choices=sorted(SCENARIOS), default="session")
    parser.add_argument("--tag", default="TAG1", help="the id tag that charges")
    parser.add_argument("--cafile", help="whom to trust with wss")
    parser.add_argument("--user")
    parser.add_argument("--password", default="")
    try:
        asyncio.run(run(parser.parse_args()))
    except Exception as error:  # noqa: BLE001 (the test reads it)
        say("failed", error=f"{type(error).__name__}: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
