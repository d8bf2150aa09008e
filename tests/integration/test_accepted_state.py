"""Reservations, charging profiles and local lists through real sockets and commands, over a restart of the server."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import gevent

from chargehand import v16
from chargehand.simulator import ChargePoint

from .conftest import StartServer
from .process import until
from .server import Finished, Server, chargehand

PROFILE = {
    "chargingProfileId": 1,
    "stackLevel": 0,
    "chargingProfilePurpose": "TxProfile",
    "chargingProfileKind": "Relative",
    "chargingSchedule": {
        "chargingRateUnit": "A",
        "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 16.1}],
    },
}
DEFAULT = PROFILE | {"chargingProfileId": 2, "chargingProfilePurpose": "TxDefaultProfile"}


def beside(function: Callable[..., Any], *arguments: Any, **more: Any) -> Any:
    """Run a blocking function in another native thread: the charge points live in the hub of this one."""
    return gevent.get_hub().threadpool.apply(function, arguments, more)


def run(server: Server, *command: str) -> Finished:
    """Run a command against that server; it must succeed."""
    done: Finished = beside(chargehand, *command, "--data", str(server.data))
    assert done.status == 0, done.output
    return done


NAMES = {"reservations": "reservations", "profiles": "charging_profiles"}
"""Names of the commands' lists."""


def rows(server: Server, what: str) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = json.loads(run(server, what, "list", "--json").output)[NAMES[what]]
    return listed


def hour(hours: int = 1) -> str:
    return (datetime.now(UTC) + timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%SZ")


def reserve(server: Server, number: int, connector: int, id_tag: str) -> None:
    asked = {"reservationId": number, "connectorId": connector, "idTag": id_tag, "expiryDate": hour()}
    assert beside(server.command, "CP1", "ReserveNow", asked).json["response"] == {"status": "Accepted"}


def states(server: Server) -> dict[int, str]:
    return {row["reservation_id"]: row["state"] for row in rows(server, "reservations")}


def test_accepted_state_outlives_the_server_and_ends_with_its_transaction(
    start_server: StartServer,
) -> None:
    server = beside(start_server, "--store", "sqlite")
    with ChargePoint(server.ws, "CP1", connectors=3) as charge_point:
        for connector in (1, 2, 3):
            reserve(server, connector, connector, f"T{connector}")
        assert beside(server.command, "CP1", "CancelReservation", {"reservationId": 3}).status == 200
        asked = {"connectorId": 0, "csChargingProfiles": DEFAULT}
        assert beside(server.command, "CP1", "SetChargingProfile", asked).json["response"] == {
            "status": "Accepted"
        }
        charge_point.plug_in(1)
        first = charge_point.start("T1", 1)
        asked = {"connectorId": 1, "csChargingProfiles": PROFILE}
        assert beside(server.command, "CP1", "SetChargingProfile", asked).json["response"] == {
            "status": "Accepted"
        }
        assert len(rows(server, "profiles")) == 2
        beside(server.stop)

        again = beside(start_server, "--store", "sqlite", data=server.data)
        assert states(again) == {1: "used", 2: "active", 3: "cancelled"}
        shown = {row["charging_profile_id"]: row for row in rows(again, "profiles")}
        assert shown[1]["transaction_id"] == first.id
        assert shown[1]["profile"] == PROFILE
        assert "TxDefaultProfile" in run(again, "profiles", "list", "--charge-point", "CP1").output

    with ChargePoint(again.ws, "CP1", connectors=3) as charge_point:
        stop = v16.StopTransaction(
            transaction_id=first.id or 0, meter_stop=500, timestamp=datetime.now(UTC), id_tag="T1"
        )
        charge_point.send(stop)
        assert [row["charging_profile_id"] for row in rows(again, "profiles")] == [2]
        start = v16.StartTransaction(
            connector_id=2, id_tag="T2", meter_start=0, timestamp=datetime.now(UTC), reservation_id=2
        )
        number = charge_point.send(start).transaction_id
        doubtful = charge_point.send(
            v16.StartTransaction(
                connector_id=3, id_tag="T9", meter_start=0, timestamp=datetime.now(UTC), reservation_id=9
            )
        ).transaction_id
    beside(again.stop)

    last = beside(start_server, "--store", "sqlite", data=server.data)
    assert states(last) == {1: "used", 2: "used", 3: "cancelled"}
    flags = {
        row["transaction_id"]: [flag["text"] for flag in row["flags"]]
        for row in beside(last.ask, "GET", "/api/v1/transactions").json["transactions"]
    }
    assert (flags[number], flags[doubtful]) == ([], ["reservation 9 is not known"])


def test_a_remote_start_brings_its_profile_and_its_stop_ends_it(start_server: StartServer) -> None:
    server = beside(start_server, "--store", "sqlite")
    with ChargePoint(server.ws, "CP1") as charge_point:
        asked = {"idTag": "T1", "connectorId": 1, "chargingProfile": PROFILE}
        reply = beside(server.command, "CP1", "RemoteStartTransaction", asked, until_effect=1)
        assert reply.json["effect"] == "done"
        # The effect is known before its message is answered.
        beside(until, lambda: charge_point.connectors[1].transaction is not None, "it has no answer")
        running = charge_point.connectors[1].transaction
        assert running is not None
        assert [row["transaction_id"] for row in rows(server, "profiles")] == [running.id]
        charge_point.stop()
        assert rows(server, "profiles") == []


def test_a_local_list_is_pushed_and_after_a_restart_only_what_changed(start_server: StartServer) -> None:
    server = beside(start_server, "--store", "sqlite", config="[back_office]\nlocal_list_limit = 40\n")
    for number in range(100):
        beside(server.ask, "PUT", f"/api/v1/tags/T{number}", {})
    with ChargePoint(server.ws, "CP1") as charge_point:
        assert charge_point.charging.authorization.list.tags == {}  # nothing comes unasked
        told = run(server, "tags", "push", "CP1", "--clear-cache").output
        assert told == "CP1 has version 3: 100 sent, all tags\nit took 3 messages\nits cache is cleared\n"
        there = charge_point.charging.authorization.list
        assert len(there.tags) == 100
        beside(server.stop)
        again = beside(start_server, "--store", "sqlite", data=server.data)
        assert run(again, "tags", "add", "T7", "--status", "Blocked").status == 0
        run(again, "tags", "remove", "T8")
        charge_point.close()
        charge_point.url = f"{again.ws}CP1"
        charge_point.connect()
        charge_point.boot()
        assert run(again, "tags", "push", "CP1").output == "CP1 has version 4: 2 sent, changes\n"
        assert (there.tags["T7"].status, "T8" in there.tags) == ("Blocked", False)
        assert run(again, "tags", "push", "CP1").output == "CP1 has version 4: nothing to do\n"
        believed = beside(again.ask, "GET", "/api/v1/charge-points/CP1/local-list").json
        assert (believed["version"], believed["certain"], len(believed["tags"])) == (4, True, 99)
        assert run(again, "tags", "push", "CP1", "--full").output.startswith("CP1 has version 5: 99 sent")
    done = beside(chargehand, "tags", "push", "CP1", "--full", "--data", str(again.data))
    assert (done.status, "Not connected" in done.output) == (1, True)
