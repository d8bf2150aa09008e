"""Messages sent wrongly or twice to a real server: none is lost or mixed up, over a restart too."""

import itertools
import json
from typing import Any

from .conftest import StartServer
from .rawsocket import SUBPROTOCOL, RawSocket
from .server import Server, chargehand

TIME = "2026-05-04T12:00:00Z"
BOOT = {"chargePointVendor": "V", "chargePointModel": "M"}
START = {"connectorId": 1, "idTag": "T1", "meterStart": 100, "timestamp": TIME}
STOP = {"idTag": "T1", "meterStop": 900, "timestamp": "2026-05-04T13:00:00Z"}
ELEMENT = {"timestamp": TIME, "sampledValue": [{"value": "500"}]}
IDS = itertools.count(1)


def tell(socket: RawSocket, action: str, payload: dict[str, Any]) -> Any:
    socket.send(json.dumps([2, str(next(IDS)), action, payload]))
    answer = json.loads(socket.text())
    assert answer[0] == 3, answer
    return answer[2]


def shown(server: Server, number: int) -> Any:
    return server.ask("GET", f"/api/v1/transactions/{number}").json


def codes(server: Server, number: int) -> list[str]:
    return [flag["code"] for flag in shown(server, number)["flags"]]


def dead_letters(server: Server) -> list[Any]:
    found: list[Any] = server.ask("GET", "/api/v1/spool").json["dead_letters"]
    return found


def test_doubtful_messages_are_kept_flagged_and_found_over_a_restart(start_server: StartServer) -> None:
    server = start_server("--store", "sqlite")
    with (
        RawSocket.open(f"{server.ws}/A", SUBPROTOCOL) as one,
        RawSocket.open(f"{server.ws}/B", SUBPROTOCOL) as two,
    ):
        tell(one, "BootNotification", BOOT)
        tell(two, "BootNotification", BOOT)
        first = tell(one, "StartTransaction", START)["transactionId"]
        tell(one, "BootNotification", BOOT)
        assert shown(server, first)["orphaned"]
        tell(two, "MeterValues", {"connectorId": 1, "transactionId": first, "meterValue": [ELEMENT]})
        (foreign,) = dead_letters(server)
        assert (foreign["charge_point"], foreign["why"]) == ("B", f"transaction {first} is one of A")
    server.stop()

    server = start_server("--store", "sqlite", data=server.data)
    with RawSocket.open(f"{server.ws}/A", SUBPROTOCOL) as one:
        assert shown(server, first)["orphaned"]
        readings = {"connectorId": 1, "transactionId": first, "meterValue": [{"sampledValue": []}, ELEMENT]}
        tell(one, "MeterValues", readings)
        view = shown(server, first)
        assert not view["orphaned"]
        assert view["meter_readings"][0]["payload"] == readings
        assert "meterValue[0]" in view["dead_letters"][0]["why"]

        assert (
            tell(one, "StopTransaction", {**STOP, "transactionId": -1})["idTagInfo"]["status"] == "Accepted"
        )
        tell(one, "StopTransaction", {**STOP, "transactionId": -1})
        tell(one, "StopTransaction", {**STOP, "transactionId": first, "meterStop": 950})
        view = shown(server, first)
        assert (view["open"], view["meter_stop"]) == (False, 900)
        assert {"stop_matched", "stop_differs"} <= set(codes(server, first))
        assert [stop["meter_stop"] for stop in view["other_stops"]] == [950]

        second = tell(one, "StartTransaction", {**START, "meterStart": 900})["transactionId"]
        tell(one, "StartTransaction", {**START, "meterStart": 900, "connectorId": 2})
        tell(one, "StopTransaction", {**STOP, "transactionId": 0})
        assert f"open: {second + 1} (meter 900 at its start), {second}" in dead_letters(server)[-1]["why"]

        closing = {"by": "ann", "reason": "scrapped", "meter_stop": 1000}
        assert server.ask("POST", f"/api/v1/transactions/{second}/close", closing).status == 200
        tell(one, "StopTransaction", {**STOP, "transactionId": second, "meterStop": 1200})
        view = shown(server, second)
        assert (view["meter_stop"], view["closed_by"]) == (1000, "ann")
        assert [stop["meter_stop"] for stop in view["other_stops"]] == [1200]
        assert "stop_after_closing" in codes(server, second)

    path = f"/api/v1/spool/dead-letters/{foreign['number']}/reattach"
    assert server.ask("POST", path, {"transaction_id": first, "by": "ann"}).status == 200
    assert len(shown(server, first)["meter_readings"]) == 2
    events = server.ask("GET", "/api/v1/charge-points/A/events?kind=by_hand").json["events"]
    assert [event["data"]["what"] for event in events] == ["reattach", "close_transaction"]
    server.stop()
    done = chargehand("check-store", "--data", str(server.data))
    assert done.status == 0, done.output


def test_what_is_closed_by_hand_is_closed_in_every_worker_process(start_server: StartServer) -> None:
    server = start_server("--store", "sqlite", "--workers", "3")
    for name in ("A", "B", "C", "D"):
        with RawSocket.open(f"{server.ws}/{name}", SUBPROTOCOL) as socket:
            number = tell(socket, "StartTransaction", START)["transactionId"]
            closing = {"by": "ann", "reason": "scrapped"}
            assert server.ask("POST", f"/api/v1/transactions/{number}/close", closing).status == 200
            tell(socket, "StopTransaction", {**STOP, "transactionId": number})
            view = shown(server, number)
            assert (view["open"], view["closed_by"], view["meter_stop"]) == (False, "ann", None)
            assert [stop["meter_stop"] for stop in view["other_stops"]] == [900]
