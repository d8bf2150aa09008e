"""Transactions over HTTP: page by page, filtered, and one with its meter readings; and dead letters."""

import datetime as dt

import falcon
import pytest

from chargehand import MeterReading, Transaction

PATH = "/api/v1/transactions"
NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def keep(system, number, **more):
    given = {
        "id": number, "charge_point_id": "CP1", "connector_id": 1, "id_tag": "T1", "meter_start": 100,
        "started_at": NOW, "start_received_at": NOW + dt.timedelta(days=number),
    }  # fmt: skip
    system.store.start_transaction(Transaction(**(given | more))).wait()


def ids(reply):
    assert reply.status_code == 200, reply.text
    return [row["transaction_id"] for row in reply.json["transactions"]]


def test_pages_put_together_are_all_of_them(client, system):
    for number in range(1, 501):
        keep(system, number)
    found, place = [], {}
    while True:
        reply = client.simulate_get(PATH, params=place | {"limit": 230})
        found += ids(reply)
        assert reply.json["more"] is (reply.json["next"] is not None)
        if not reply.json["more"]:
            break
        place = {"before": reply.json["next"]}
    assert found == list(range(500, 0, -1))


def test_transactions_are_listed_by_receipt_and_not_by_number(client, system):
    for number, day in ((1, 3), (2, 1), (1001, 2)):
        keep(system, number, start_received_at=NOW + dt.timedelta(days=day))
    assert ids(client.simulate_get(PATH)) == [1, 1001, 2]


def test_times_of_a_charge_point_in_another_zone_are_shown_in_utc(client, system):
    keep(system, 7, started_at=NOW.astimezone(dt.timezone(dt.timedelta(hours=2))))
    for path in (PATH, f"{PATH}/7"):
        assert '"started_at":"2026-01-01T00:00:00Z"' in client.simulate_get(path).text
    keep(system, 8, started_at=dt.datetime(1, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=2))))
    assert client.simulate_get(f"{PATH}/8").json["started_at"] == "0001-01-01T00:00:00+02:00"


def test_a_transaction_has_energy_source_and_findings_in_lists_and_alone(client, system):
    keep(system, 7, started_at=dt.datetime(1970, 1, 1, tzinfo=dt.UTC))
    for minutes, wh in ((5, 900), (10, 400), (15, 1400)):
        payload = (
            b'{"connectorId":1,"transactionId":7,"meterValue":[{"timestamp":"2026-01-08T00:%02d:00Z",'
            b'"sampledValue":[{"value":"%d"},{"value":"7.2","unit":"kW","measurand":"Power.Active.Import"}]}]}'
        )
        reading = MeterReading(
            charge_point_id="CP1",
            connector_id=1,
            transaction_id=7,
            received_at=NOW + dt.timedelta(days=7, minutes=minutes),
            values=payload % (minutes, wh),
            flags=("odd",),
        )
        system.store.add_meter_reading(reading).wait()
    (listed,) = client.simulate_get(PATH).json["transactions"]
    one = client.simulate_get(f"{PATH}/7").json
    for shown in (listed, one):
        assert (shown["energy_wh"], shown["energy_source"]) == (1300, "register_readings")
        assert shown["supported_energy_wh"] == 1300
        assert shown["doubtful_times"] == ["started_at"]
        assert [flag["code"] for flag in shown["flags"]] == ["clock_behind", "register_falls"]
    assert one["first_reading"] == {"at": "2026-01-08T00:05:00Z", "wh": 900}
    assert (one["last_reading"]["wh"], one["peak_w"], one["duration_s"]) == (1400, 7200, 900)
    reading = one["meter_readings"][0]
    assert (reading["payload"]["transactionId"], reading["flags"]) == (7, ["odd"])
    assert reading["values"][0]["sampledValue"][0] == {"value": "900"}


def test_a_closed_transaction_has_the_energy_of_its_figures(client, system):
    keep(
        system,
        7,
        meter_stop=2100,
        stopped_at=NOW + dt.timedelta(hours=1),
        stop_received_at=NOW + dt.timedelta(days=8),
    )
    one = client.simulate_get(f"{PATH}/7").json
    assert (one["energy_wh"], one["energy_source"], one["supported_energy_wh"]) == (
        2000,
        "meter_start_stop",
        None,
    )
    assert (one["duration_s"], one["flags"], one["open"]) == (3600, [], False)


def test_an_orphaned_transaction_says_why(client, system):
    keep(system, 3)
    system.store.transaction_over("CP1", None, NOW + dt.timedelta(days=4), "BootNotification").wait()
    one = client.simulate_get(f"{PATH}/3").json
    assert (one["orphaned"], one["flags"][0]["code"]) == (True, "orphaned")
    assert one["flags"][0]["text"] == "BootNotification came after its last sign of life"


def test_readings_of_its_connector_meanwhile_stand_in_the_view_of_a_transaction(client, system):
    keep(system, 3, meter_stop=200, stopped_at=NOW, stop_received_at=NOW + dt.timedelta(days=5))
    for hours, connector, number in (
        (71, 1, 0),
        (73, 1, 0),
        (74, 1, 77),
        (75, 2, 0),
        (76, 1, 3),
        (121, 1, 0),
    ):
        reading = MeterReading(
            charge_point_id="CP1",
            connector_id=connector,
            transaction_id=number,
            received_at=NOW + dt.timedelta(hours=hours),
            values=b'{"meterValue":[],"n":%d}' % hours,
        )
        system.store.add_meter_reading(reading).wait()
    one = client.simulate_get(f"{PATH}/3").json
    assert [row["transaction_id"] for row in one["meter_readings"]] == [3]
    assert [row["transaction_id"] for row in one["connector_readings"]] == [77, 0]
    assert one["more_connector_readings"] is False


def test_dead_letters_of_a_transaction_stand_in_its_view(client, system):
    keep(system, 7)
    for number, payload in ((7, b'{"a": "\\u0000"}'), (7, b"\x00no JSON"), (8, b"{}")):
        system.store.spool(
            version="1.6", charge_point_id="CP1", action="MeterValues", unique_id="1", payload=payload,
            transaction_id=number, received_at=NOW, why="no readable timestamp", redeliver=False,
        ).wait()  # fmt: skip
    one = client.simulate_get(f"{PATH}/7").json
    assert [letter["payload"] for letter in one["dead_letters"]] == [{"a": "\u0000"}, "\x00no JSON"]
    assert one["more_dead_letters"] is False


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("flagged=1", [3, 2]),
        ("orphans=1", [3]),
        ("since=2026-01-03", [4, 3, 2]),
        ("until=2026-01-03T00:00:00Z", [1]),
        ("since=2026-01-03T01:00:00%2B01:00&until=2026-01-04", [2]),
        ("since=2026-01-03T00:00:00.000001", [4, 3]),
        ("before=2026-01-04T00:00:00%2B00:00_3", [2, 1]),
        ("before=2026-01-04T00:00:00+00:00_3&flagged=1", [2]),
        ("before=3", [2, 1]),
        ("connector=2", []),
    ],
)
def test_they_are_narrowed_by_the_query(client, system, query, wanted):
    keep(system, 1)
    keep(system, 2, flags=("the meter ran backwards",))
    keep(system, 3, connector_id=3)
    system.store.transaction_over("CP1", 3, NOW + dt.timedelta(days=3, hours=1), "BootNotification").wait()
    keep(system, 4)
    assert ids(client.simulate_get(f"{PATH}?{query}")) == wanted


@pytest.mark.parametrize(
    "query", [
        "since=yesterday", "until=2026-13-01", "before=0", "before=5", "before=2026-01-04_", "connector=x",
        "connector=0", "before=2026-01-04T00:00:00_3", "before=1e3", "flagged=2", "since=0001-01-01T00:00:00%2B23:00",
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_400(client, query):
    assert client.simulate_get(f"{PATH}?{query}").status == falcon.HTTP_400


def test_one_has_its_meter_readings_in_order_and_says_if_there_are_more(client, system):
    keep(system, 7)
    for number in range(3):
        system.store.add_meter_reading(
            MeterReading(
                charge_point_id="CP1",
                connector_id=1,
                transaction_id=7,
                received_at=NOW,
                values=b'[{"timestamp": "2026-01-01T00:00:00Z", "sampledValue": [{"value": "%d"}]}]' % number,
            )
        ).wait()
    one = client.simulate_get(f"{PATH}/7").json
    assert one["charge_point"] == "CP1"
    assert one["more_readings"] is False
    assert [reading["values"][0]["sampledValue"] for reading in one["meter_readings"]] == [
        [{"value": "0"}], [{"value": "1"}], [{"value": "2"}],
    ]  # fmt: skip
    assert one["meter_readings"][0]["received_at"] == "2026-01-01T00:00:00Z"
    some = client.simulate_get(f"{PATH}/7?limit=2").json
    assert (len(some["meter_readings"]), some["more_readings"]) == (2, True)


@pytest.mark.parametrize("number", ["8", "0", "-1", "x", "%D9%A3", "99999999999", "2147483648", "+7", "7.0"])
def test_one_that_is_not_there_is_404(client, system, number):
    keep(system, 7)
    assert client.simulate_get(f"{PATH}/{number}").status == falcon.HTTP_404


def test_dead_letters_are_paged(client, system):
    for number in range(3):
        system.store.spool(
            version="1.6",
            charge_point_id="CP1", action="StopTransaction", unique_id=str(number), payload=b"{}",
            transaction_id=None, received_at=NOW, why="unknown", redeliver=False,
        ).wait()  # fmt: skip
    page = client.simulate_get("/api/v1/spool?limit=1").json
    first = page["dead_letters"][0]["number"]
    assert (len(page["dead_letters"]), page["more"], page["next"]) == (1, True, first)
    rest = client.simulate_get(f"/api/v1/spool?after={first}").json["dead_letters"]
    assert [row["unique_id"] for row in rest] == ["1", "2"]
    assert client.simulate_get("/api/v1/spool?after=-1").status == falcon.HTTP_400
