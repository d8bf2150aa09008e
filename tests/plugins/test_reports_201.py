"""Reports of stations of OCPP 2.0.1: parts in any order, again, too many, without a question, and over a restart."""

import datetime as dt
import itertools
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chargehand import ReportCollector, v201
from chargehand.plugins.reports_201 import Reports201
from chargehand.protocol.session import SessionRules
from chargehand.store.reports import CUT, REPEATED
from chargehand.system.reports import Reports
from chargehand.testing import Stage, StubStore

WAIT_S = 60.0


def at(minutes=0):
    return f"2026-01-01T00:{minutes:02}:00Z"


def variable(name, value="1"):
    return {
        "component": {"name": "OCPPCommCtrlr"},
        "variable": {"name": name},
        "variableAttribute": [{"value": value}],
    }


def part(seq, *, tbc=True, request_id=7, minutes=0, **more):
    payload = {"requestId": request_id, "generatedAt": at(minutes), "seqNo": seq, **more}
    return {**payload, "tbc": True} if tbc else payload


@pytest.fixture
def store():
    return StubStore()


@pytest.fixture
def make(store, clock):
    stages = []

    def make(**options):
        spec = Reports201.spec(store, **{"wait_s": WAIT_S, **options})
        stage = Stage(spec, store=store, clock=clock, rules=SessionRules(version=v201.VERSION))
        stage.start()
        stages.append(stage)
        return stage

    yield make
    for stage in stages:
        stage.stop()


@pytest.fixture
def stage(make):
    return make()


@pytest.fixture
def station(stage):
    return stage.connect("CP1")


@pytest.fixture
def reports(store, now):
    """Return the reports of CP1, newest first."""
    return lambda **narrowed: Reports(store, wait_s=WAIT_S, now=now).of("CP1", **narrowed)


def send(station, payload, action="NotifyReport"):
    kind, _, answer = station.call(action, payload)
    assert (kind, answer) == (3, {})


def states(reports):
    return [report.state for report in reports()]


def test_a_report_is_open_until_its_last_part_has_come(station, reports):
    send(station, part(0))
    assert states(reports) == ["open"]
    send(station, part(1, tbc=False))
    (report,) = reports()
    assert (report.state, report.action, report.request_id, len(report.parts)) == (
        "complete",
        "NotifyReport",
        7,
        2,
    )


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_parts_may_come_in_any_order_and_begin_with_zero_or_one(station, reports, order, first):
    for place in order:
        send(station, part(first + place, tbc=place != 2))
    assert states(reports) == ["complete"]


def test_a_hole_is_named_and_makes_a_report_partial_when_its_time_is_over(station, reports, clock):
    for seq in (0, 2, 5):
        send(station, part(seq, tbc=seq != 5))
    (report,) = reports()
    assert (report.state, report.missing) == ("open", (1, 3, 4))
    clock.advance(WAIT_S + 1)
    assert states(reports) == ["partial"]


def test_a_late_part_fills_the_hole_of_a_partial_report(station, reports, stage):
    send(station, part(0))
    send(station, part(2, tbc=False))
    stage.advance(10 * WAIT_S)
    assert states(reports) == ["partial"]
    send(station, part(1))
    assert states(reports) == ["complete"]


def test_a_part_that_comes_again_is_stored_once_whatever_its_time(station, reports):
    for minutes in range(3):
        send(station, part(0, minutes=minutes, reportData=[variable("A")]))
    send(station, part(1, tbc=False))
    send(station, part(1, tbc=False, minutes=5))
    (report,) = reports()
    assert (report.state, len(report.parts), report.flags) == ("complete", 2, ())


def test_one_number_for_all_parts_makes_a_report_partial_and_flagged(station, reports, stage):
    for name in "ABC":
        send(station, part(0, reportData=[variable(name)]))
    send(station, part(0, tbc=False, reportData=[variable("D")]))
    stage.advance(2 * WAIT_S)
    (report,) = reports()
    assert (report.state, len(report.parts), report.flags) == ("partial", 4, (REPEATED,))


def test_a_new_report_ends_the_one_that_is_not_whole(station, reports):
    send(station, part(0))
    send(station, part(0, request_id=8))
    assert [(one.request_id, one.state) for one in reports()] == [(8, "open"), (7, "partial")]
    send(station, part(1, tbc=False))  # its late last part
    assert [(one.request_id, one.state) for one in reports()] == [(8, "open"), (7, "complete")]


def test_a_station_that_uses_one_request_id_for_ever_has_many_reports(station, reports, stage):
    for day in range(3):
        send(station, part(0, reportData=[variable("A", str(day))]))
        send(station, part(1, tbc=False, reportData=[variable("B", str(day))]))
        stage.advance(86400)
    assert states(reports) == ["complete"] * 3
    assert len({one.number for one in reports()}) == 3


def test_of_more_reports_than_are_kept_the_oldest_are_dropped(make, reports):
    station = make(kept=2).connect("CP1")
    for request_id in range(4):
        send(station, part(0, tbc=False, request_id=request_id))
        send(station, {"requestId": request_id, "tbc": False}, "NotifyDisplayMessages")
    assert [one.request_id for one in reports(action="NotifyReport")] == [3, 2]
    assert [one.request_id for one in reports(action="NotifyDisplayMessages")] == [3, 2]


def test_a_report_larger_than_its_limit_is_cut_and_partial(make, reports, store):
    station = make(size_bytes=2048).connect("CP1")
    for seq in range(10):
        send(station, part(seq, tbc=seq != 9, reportData=[variable("A" * 40, str(seq))]))
    (report,) = reports()
    assert (report.state, report.flags) == ("partial", (CUT,))
    assert len(report.parts) < 10
    assert sum(len(one.payload) for one in store.reports.parts("CP1", report.number)) <= 2048


def test_contents_are_the_bytes_that_were_sent(station, reports, store, now):
    payload = part(
        0, tbc=False, reportData=[variable("A", "\u20ac")], customData={"vendorId": "x", "n": 1.50}
    )
    send(station, payload)
    report = Reports(store, wait_s=WAIT_S, now=now).get("CP1", reports()[0].number)
    assert json.loads(report.parts[0].payload) == payload


@pytest.mark.parametrize(
    ("action", "more"),
    [
        ("NotifyReport", {"seqNo": 0, "generatedAt": at()}),
        ("NotifyMonitoringReport", {"seqNo": 0, "generatedAt": at()}),
        ("NotifyCustomerInformation", {"seqNo": 0, "generatedAt": at(), "data": "x"}),
        ("NotifyDisplayMessages", {}),
        ("ReportChargingProfiles", {"chargingLimitSource": "CSO", "evseId": 1, "chargingProfile": []}),
    ],
)
def test_every_kind_of_report_is_put_together(station, reports, store, action, more):
    send(station, {"requestId": 3, **more}, action)
    (report,) = reports()
    assert (report.action, report.request_id, report.state) == (action, 3, "complete")
    (event,) = store.events(kind="report")
    assert (event.data["action"], event.data["requestId"]) == (action, 3)


def test_a_report_without_numbers_is_whole_with_its_last_part(station, reports):
    message = {"id": 1, "priority": "AlwaysFront", "message": {"format": "UTF8", "content": "hello"}}
    send(station, {"requestId": 3, "tbc": True, "messageInfo": [message]}, "NotifyDisplayMessages")
    assert states(reports) == ["open"]
    send(station, {"requestId": 3, "messageInfo": [{**message, "id": 2}]}, "NotifyDisplayMessages")
    assert [(one.state, len(one.parts)) for one in reports()] == [("complete", 2)]


def test_a_missing_number_is_no_number_zero(station, reports):
    for seq in range(2):
        payload = part(seq, tbc=seq == 0)
        del payload["seqNo"]
        send(station, payload)
    (report,) = reports()
    assert (report.state, [one.seq_no for one in report.parts]) == ("complete", [None, None])


def test_a_report_goes_on_after_a_restart_of_the_plugin(make, reports):
    first = make()
    send(first.connect("CP1"), part(0))
    first.stop()
    send(make().connect("CP1"), part(1, tbc=False))
    assert states(reports) == ["complete"]


def test_what_is_known_of_a_customer_is_in_no_event(station, store, reports):
    data = {"data": "secret", "seqNo": 0, "requestId": 7, "generatedAt": at()}
    send(station, data, "NotifyCustomerInformation")
    assert "secret" not in repr(store.events())
    assert states(reports) == ["complete"]


@given(
    st.integers(0, 1),
    st.integers(1, 6),
    st.sets(st.integers(0, 5)),
    st.randoms(use_true_random=False),
    st.lists(st.integers(0, 5), max_size=4),
)
@settings(max_examples=60, deadline=None)
def test_a_report_is_whole_if_and_only_if_no_part_is_lost(first, number, lost, random, again):
    now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    store = StubStore()
    order = [place for place in range(number) if place not in lost] + [
        place for place in again if place < number and place not in lost
    ]
    random.shuffle(order)
    collector = ReportCollector(store.reports, size_bytes=10**6, kept=2, wait_s=WAIT_S)
    for place in order:
        collector.take(
            b"{}",
            charge_point_id="CP1",
            version="2.0.1",
            action="NotifyReport",
            request_id=1,
            seq_no=first + place,
            last=place == number - 1,
            received_at=now,
            digest=str(place),
            connection=1,
        )
    found = Reports(store, wait_s=WAIT_S, now=lambda: now).of("CP1")
    came = set(order)
    missing = set(range(number)) - came
    # A first part that is lost is no hole when the next one has the number 1.
    whole = not missing or (missing == {0} and first == 0 and number > 1)
    assert [one.state for one in found] == ([] if not came else ["complete" if whole else "open"])
