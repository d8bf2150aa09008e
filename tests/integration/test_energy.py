"""Records of charge points with odd figures, as an operator sees them by HTTP and command line, on every store."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from .conftest import ON_EACH_STORE
from .rawsocket import RawSocket
from .server import Server, chargehand

pytestmark = ON_EACH_STORE

REGISTER = "Energy.Active.Import.Register"


def minutes_ago(minutes: float) -> str:
    return (datetime.now(UTC) - timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")


class ChargePoint:
    """Charge point that sends scripted messages."""

    def __init__(self, server: Server, name: str) -> None:
        self.name = name
        self._server = server
        self._raw = RawSocket.open(server.ws + name).boot()

    def close(self) -> None:
        self._raw.__exit__(None, None, None)

    def start(self, connector: int, meter: int, at: str, id_tag: str = "T1") -> int:
        told = {"connectorId": connector, "idTag": id_tag, "meterStart": meter, "timestamp": at}
        number: int = self._raw.call("StartTransaction", told)[2]["transactionId"]
        return number

    def stop(self, number: int, meter: int, at: str, **more: Any) -> None:
        told = {"transactionId": number, "meterStop": meter, "timestamp": at}
        assert self._raw.call("StopTransaction", told | more)[0] == 3

    def meter(self, connector: int, number: int | None, at: str, *sampled: dict[str, str]) -> None:
        told: dict[str, Any] = {
            "connectorId": connector,
            "meterValue": [{"timestamp": at, "sampledValue": sampled}],
        }
        told |= {} if number is None else {"transactionId": number}
        assert self._raw.call("MeterValues", told)[0] == 3

    def shown(self, number: int) -> dict[str, Any]:
        shown: dict[str, Any] = self._server.ask("GET", f"/api/v1/transactions/{number}").json
        return shown

    def codes(self, number: int) -> list[str]:
        return [flag["code"] for flag in self.shown(number)["flags"]]


@pytest.fixture
def charge_point(server: Server, request: pytest.FixtureRequest) -> Any:
    made = ChargePoint(server, f"E{abs(hash(request.node.name)) % 10**8}")
    yield made
    made.close()


def run(server: Server, *command: str) -> str:
    done = chargehand(*command, "--data", str(server.data))
    assert done.status == 0, done.output
    return done.output


def test_what_came_from_a_queue_has_the_charge_points_own_times(
    server: Server, charge_point: ChargePoint
) -> None:
    began, ended = minutes_ago(300), minutes_ago(240)
    number = charge_point.start(1, 2000, began)
    charge_point.stop(number, 9500, ended)
    line = run(server, "transactions", "list", "--charge-point", charge_point.name)
    for time in (began, ended):
        assert time.replace("T", " ") in line
    shown = charge_point.shown(number)
    assert (shown["energy_wh"], shown["duration_s"], shown["flags"]) == (7500, 3600, [])


def test_energy_of_what_still_charges_is_that_of_its_readings(
    server: Server, charge_point: ChargePoint
) -> None:
    number = charge_point.start(1, 2000, minutes_ago(60))
    late = {"value": "9.25", "unit": "kWh", "measurand": REGISTER}
    power = {"value": "11", "unit": "kW", "measurand": "Power.Active.Import"}
    charge_point.meter(1, number, minutes_ago(10), late, power)
    phases = [{"value": "1500", "phase": f"L{phase}"} for phase in (1, 2, 3)]
    charge_point.meter(1, number, minutes_ago(40), *phases)
    shown = charge_point.shown(number)
    assert (shown["energy_wh"], shown["energy_source"], shown["peak_w"]) == (7250, "register_readings", 11000)
    assert (shown["first_reading"]["wh"], shown["flags"], shown["open"]) == (4500, [], True)
    told = run(server, "transactions", "export", "--charge-point", charge_point.name)
    (row,) = csv.DictReader(io.StringIO(told))
    assert (row["energy_wh"], row["supported_energy_wh"]) == ("7250", "7250")


def test_suspicions_are_flagged_and_change_no_figure(server: Server, charge_point: ChargePoint) -> None:
    falls = charge_point.start(1, 40_000, minutes_ago(60))
    for minutes, wh in ((50, 42_000), (40, 10), (30, 900)):
        charge_point.meter(1, falls, minutes_ago(minutes), {"value": str(wh)})
    charge_point.stop(falls, 41_000, minutes_ago(20))
    unset = charge_point.start(2, 0, "1970-01-01T00:07:00Z")
    jumps = charge_point.start(3, 0, minutes_ago(60))
    charge_point.stop(jumps, 3_000_000, minutes_ago(50))
    assert set(charge_point.codes(falls)) == {"register_falls", "energy_contradicts_readings"}
    assert (charge_point.shown(falls)["energy_wh"], charge_point.shown(falls)["supported_energy_wh"]) == (
        1000,
        2890,
    )
    assert charge_point.codes(unset) == ["clock_behind"]
    assert "register_jumps" in charge_point.codes(jumps)
    listed = run(server, "transactions", "list", "--doubtful", "--json", "--charge-point", charge_point.name)
    assert [row["transaction_id"] for row in json.loads(listed)["transactions"]] == [jumps, unset, falls]


def test_readings_of_nothing_that_charges_are_listed(server: Server, charge_point: ChargePoint) -> None:
    charge_point.meter(0, None, minutes_ago(1), {"value": "4711001", "context": "Sample.Clock"})
    charge_point.meter(2, 0, minutes_ago(1), {"value": "4711002"})
    shown = run(server, "charge-points", "readings", charge_point.name)
    assert "4711001" in shown
    assert "4711002" in shown
    path = f"/api/v1/charge-points/{charge_point.name}/meter-readings?connector=0"
    (reading,) = server.ask("GET", path).json["meter_readings"]
    assert reading["payload"]["meterValue"] == reading["values"]


def test_cells_of_an_export_are_nothing_that_a_spreadsheet_runs(
    server: Server, charge_point: ChargePoint
) -> None:
    number = charge_point.start(1, 0, minutes_ago(5), "@SUM(1)")
    charge_point.stop(number, 1, minutes_ago(4), idTag="-1+2")
    command = ("transactions", "export", "--charge-point", charge_point.name)
    (row,) = csv.DictReader(io.StringIO(run(server, *command)))
    assert (row["id_tag"], row["stop_id_tag"]) == ("'@SUM(1)", "'-1+2")
    (row,) = csv.DictReader(io.StringIO(run(server, *command, "--raw")))
    assert (row["id_tag"], row["stop_id_tag"]) == ("@SUM(1)", "-1+2")


def test_what_will_never_be_stopped_is_closed_by_hand(server: Server, charge_point: ChargePoint) -> None:
    number = charge_point.start(1, 500, minutes_ago(30))
    run(
        server,
        "transactions",
        "close",
        str(number),
        "--meter-stop",
        "1500",
        "--reason",
        "Scrapped",
        "--by",
        "ann",
    )
    charge_point.stop(number, 1700, minutes_ago(1))
    shown = charge_point.shown(number)
    assert (shown["open"], shown["energy_wh"], shown["closed_by"]) == (False, 1000, "ann")
    assert [other["meter_stop"] for other in shown["other_stops"]] == [1700]
    assert charge_point.codes(number) == ["stop_after_closing"]
