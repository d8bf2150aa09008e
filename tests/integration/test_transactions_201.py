"""Transactions of OCPP 2.0.1 with a real server: a whole session of a foreign station, and a server that is killed."""

import contextlib
import json
import signal
from pathlib import Path

import pytest

from ..certificates import make_certificate
from .conftest import StartClient, StartServer
from .process import StepProcess, until
from .rawsocket import RawSocket
from .server import Server
from .smallest import COMMANDS, smallest_payload

STATION = Path(__file__).parent / "session201.py"
HEADER = "Sec-WebSocket-Protocol: ocpp2.0.1, ocpp1.6"
TIME = "2026-11-28T12:{:02}:00Z"


def opened(url: str) -> RawSocket:
    """Connect a station that would rather speak 2.0.1."""
    raw = RawSocket(url)
    answer = raw.handshake(raw.path, HEADER)
    assert answer.status == 101, answer
    return raw


def transactions(server: Server, **query: str) -> list[dict[str, object]]:
    more = "&".join(f"{name}={value}" for name, value in {"limit": "1000", **query}.items())
    found: list[dict[str, object]] = server.ask("GET", f"/api/v1/transactions?{more}").json["transactions"]
    return found


@pytest.mark.parametrize("scheme", ["ws", "wss"])
@pytest.mark.parametrize("transport", ["reactor", "greenlet"])
def test_whole_sessions_of_stations_of_both_versions_that_are_not_ours(
    transport: str, scheme: str, start_server: StartServer, start_client: StartClient, tmp_path: Path
) -> None:
    chain, key = make_certificate(tmp_path, "server")
    config = f"[tls]\ncertificate = '{chain}'\nkey = '{key}'\nport = 0\n"
    server = start_server("--transport", transport, "--store", "sqlite", config=config)
    assert server.wss is not None
    url, trusted = (server.ws, ()) if scheme == "ws" else (server.wss, (str(chain),))
    older = start_client(f"{url}/OLD", "session", *(f"--cafile={one}" for one in trusted))
    station = StepProcess(str(STATION), f"{url}/CP1", *trusted)
    try:
        station.wait_for("ended")
        assert (station.of("authorized")[0]["status"], station.of("started")[0]["status"]) == (
            "Accepted",
            "Accepted",
        )
        station.wait_for("asked")  # for the event that never came, 2 s after the end
        (known,) = transactions(server, charge_point="CP1")
        assert (known["remote_id"], known["evse_id"], known["version"]) == ("tx-1", 1, "2.0.1")
        assert (known["open"], known["energy_wh"], known["stop_reason"]) == (False, 1500, "EVDisconnected")
        assert [flag["code"] for flag in known["flags"]] == ["events_missing"]  # type: ignore[attr-defined]
        shown = server.ask("GET", f"/api/v1/transactions/{known['transaction_id']}").json
        assert len(shown["meter_readings"]) == 12  # each event once

        verb = "/api/v1/charge-points/CP1/verbs/start_charging?until_effect=1"
        started = server.ask("POST", verb, {"id_tag": "T2", "evse": 1})
        assert started.status == 200, started.text
        remote_id = station.wait_for("started remotely")["transaction"]
        (running,) = transactions(server, charge_point="CP1", open="1")
        assert (running["id_tag"], running["charging_state"]) == ("T2", "Charging")
        verb = "/api/v1/charge-points/CP1/verbs/stop_charging"
        stopped = server.ask("POST", verb, {"transaction_id": running["transaction_id"]})
        assert stopped.status == 200, stopped.text
        assert station.wait_for("stopped remotely")["transaction"] == remote_id
        assert ended(server, remote_id)["energy_wh"] == 700

        every_command_is_answered(server, station)
        still = older.wait_for("waiting")["transactionId"]
        assert server.command("OLD", "RemoteStopTransaction", {"transactionId": still}).status == 200
        older.wait_for("done")
        found = {
            (one["charge_point"], one["version"], one["energy_wh"], one["open"])
            for one in transactions(server)
        }
        assert found == {
            ("CP1", "2.0.1", 1500, False),
            ("CP1", "2.0.1", 700, False),
            ("OLD", "1.6", 2500, False),
        }
        assert not server.ask("GET", "/api/v1/spool").json["dead_letters"]
        assert "Traceback" not in server.output
    finally:
        station.close()


def ended(server: Server, remote_id: object) -> dict[str, object]:
    """Return a transaction of CP1 once it has ended."""
    return until(
        lambda: next((one for one in transactions(server, open="0") if one["remote_id"] == remote_id), None),
        f"the end of transaction {remote_id}",
    )


def every_command_is_answered(server: Server, station: StepProcess) -> None:
    """Send the smallest payload of each command over HTTP; start and stop make a transaction again."""
    remote_id = ""
    first = len(station.of("command"))
    assert len(COMMANDS) == 40  # those of the central system alone, and DataTransfer
    for action in COMMANDS:
        payload = smallest_payload(f"{action}Request")
        if action == "RequestStopTransaction":
            payload["transactionId"] = remote_id
        reply = server.command("CP1", action, payload)
        assert reply.status == 200, (action, reply.text)
        assert reply.json["state"] == "answered"
        assert "deviations" not in reply.json, (action, reply.text)
        if action == "RequestStartTransaction":
            remote_id = station.wait_for("started remotely")["transaction"]
        elif action == "RequestStopTransaction":
            assert station.wait_for("stopped remotely")["transaction"] == remote_id
            ended(server, remote_id)
        elif action != "GetTransactionStatus":
            station.wait_for("command")
    commands = [one["action"] for one in station.of("command")[first:]]
    assert commands == [action for action in COMMANDS if action != "GetTransactionStatus"]


def test_a_charge_point_may_be_held_to_one_version(start_server: StartServer) -> None:
    server = start_server(config='[sessions.versions_of]\nCP1 = "1.6"\n')
    for charge_point, version in (("CP1", "1.6"), ("CP2", "2.0.1")):
        with opened(f"{server.ws}/{charge_point}"):
            shown = until(
                lambda name=charge_point: (
                    server.connected(name)  # type: ignore[misc]
                    and server.ask("GET", f"/api/v1/charge-points/{name}").json
                ),
                "the connection",
            )
            assert shown["version"] == version


def event(name: str, kind: str, seq: int, wh: int) -> dict[str, object]:
    context = {"Started": "Transaction.Begin", "Ended": "Transaction.End"}.get(kind, "Sample.Periodic")
    value = {"timestamp": TIME.format(seq), "sampledValue": [{"value": wh, "context": context}]}
    return {
        "eventType": kind,
        "timestamp": TIME.format(seq),
        "triggerReason": "MeterValuePeriodic",
        "seqNo": seq,
        "transactionInfo": {"transactionId": name},
        "meterValue": [value],
        **({"evse": {"id": 1}, "idToken": {"idToken": "T1", "type": "Central"}} if seq == 0 else {}),
    }


def test_a_server_that_is_killed_asks_for_missing_events_after_its_restart(
    start_server: StartServer, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    server = start_server("--store", "sqlite", data=data)
    with contextlib.suppress(ConnectionError, EOFError, OSError), opened(f"{server.ws}/CP1") as station:
        for seq, kind in ((0, "Started"), (3, "Ended")):
            assert station.call("TransactionEvent", event("tx", kind, seq, 1000 + seq))[0] == 3
        server.process.send_signal(signal.SIGKILL)
        server.process.wait(60)
    server = start_server("--store", "sqlite", data=data)
    with opened(f"{server.ws}/CP1") as station:
        kind, unique_id, *asked = json.loads(station.text())
        assert (kind, asked) == (2, ["GetTransactionStatus", {"transactionId": "tx"}])
        station.send(json.dumps([3, unique_id, {"messagesInQueue": False}]))
