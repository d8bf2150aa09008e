"""Transactions of OCPP 2.0.1 with a real server: a whole session of a foreign station, and a server that is killed."""

import contextlib
import random
import signal
from pathlib import Path

import pytest

from .conftest import StartServer
from .process import StepProcess, until
from .rawsocket import RawSocket
from .server import Server

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


@pytest.mark.parametrize("transport", ["reactor", "greenlet"])
def test_a_session_of_a_station_that_is_not_ours(transport: str, start_server: StartServer) -> None:
    server = start_server("--transport", transport, "--store", "sqlite")
    station = StepProcess(str(STATION), f"{server.ws}/CP1")
    try:
        station.wait_for("ended")
        assert (station.of("authorized")[0]["status"], station.of("started")[0]["status"]) == (
            "Accepted",
            "Accepted",
        )
        station.wait_for("asked")  # for the event that never came, 2 s after the end
        (known,) = transactions(server)
        assert (known["remote_id"], known["evse_id"], known["version"]) == ("tx-1", 1, "2.0.1")
        assert (known["open"], known["energy_wh"], known["stop_reason"]) == (False, 1500, "EVDisconnected")
        assert [flag["code"] for flag in known["flags"]] == ["events_missing"]  # type: ignore[attr-defined]
        shown = server.ask("GET", f"/api/v1/transactions/{known['transaction_id']}").json
        assert len(shown["meter_readings"]) == 12  # each event once

        verb = "/api/v1/charge-points/CP1/verbs/start_charging?until_effect=1"
        started = server.ask("POST", verb, {"id_tag": "T2", "evse": 1})
        assert started.status == 200, started.text
        station.wait_for("started remotely")
        (running,) = transactions(server, open="1")
        assert (running["id_tag"], running["charging_state"]) == ("T2", "Charging")
        verb = "/api/v1/charge-points/CP1/verbs/stop_charging"
        stopped = server.ask("POST", verb, {"transaction_id": running["transaction_id"]})
        assert stopped.status == 200, stopped.text
        station.wait_for("stopped remotely")
        assert station.of("stop")[0]["transaction"] == "tx-2"
        until(lambda: not transactions(server, open="1"), "the end of the second transaction")
        assert transactions(server)[0]["energy_wh"] == 700
    finally:
        station.close()


def test_a_station_of_1_6_stands_in_the_same_list(start_server: StartServer) -> None:
    server = start_server()
    with RawSocket.open(f"{server.ws}/OLD").boot() as old, opened(f"{server.ws}/NEW") as new:
        start = {"connectorId": 1, "idTag": "T1", "meterStart": 0, "timestamp": TIME.format(0)}
        assert old.call("StartTransaction", start)[0] == 3
        assert new.call("TransactionEvent", event("tx", "Started", 0, 0))[0] == 3
        found = {one["charge_point"]: (one["version"], one["remote_id"]) for one in transactions(server)}
        assert found == {"OLD": ("1.6", ""), "NEW": ("2.0.1", "tx")}


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


def test_nothing_acknowledged_is_lost_or_doubled_when_the_server_is_killed(
    start_server: StartServer, tmp_path: Path
) -> None:
    chance = random.Random(7)
    data = tmp_path / "data"
    waiting = [
        event(f"tx-{number}", kind, seq, 1000 + 100 * seq)
        for number in range(40)
        for seq, kind in enumerate(("Started", "Updated", "Updated", "Ended"))
    ]
    acknowledged: list[dict[str, object]] = []
    kills = 4
    for life in range(kills + 1):
        server = start_server("--store", "sqlite", data=data)
        kill_at = len(waiting) if life == kills else chance.randrange(15, 35)
        with (
            contextlib.suppress(ConnectionError, EOFError, OSError, AssertionError),
            opened(f"{server.ws}/CP1") as station,
        ):
            for index in range(kill_at):
                if not waiting:
                    break
                for _ in range(chance.randrange(1, 4)):  # with new message ids
                    assert station.call("TransactionEvent", waiting[0])[0] == 3
                acknowledged.append(waiting.pop(0))
                if index == kill_at - 2 and life < kills:
                    for one in waiting[:5]:  # on the way while it dies
                        station.send_call("TransactionEvent", one)
                    server.process.send_signal(signal.SIGKILL)
                    server.process.wait(10)
                    break
        if life < kills:
            assert not server.alive
    assert not waiting
    assert len(acknowledged) == 160
    found = transactions(server)
    assert len(found) == len({one["remote_id"] for one in found}) == 40
    assert {(one["energy_wh"], one["open"]) for one in found} == {(300, False)}
    for one in found:
        shown = server.ask("GET", f"/api/v1/transactions/{one['transaction_id']}").json
        assert len(shown["meter_readings"]) == 4
        assert one["flags"] == []
