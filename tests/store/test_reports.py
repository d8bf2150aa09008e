"""Parts of reports: stored once as sent, read with and without their payloads, and forgotten, in every store."""

import datetime as dt

import pytest

from chargehand import ReportPart
from chargehand.store.reports import MemoryReports

NOW = dt.datetime(2026, 1, 1, 12, 0, 0, 5, tzinfo=dt.UTC)


def part(seq=0, number=1_700_000_000_000_000, charge_point_id="CP1", **facts):
    given = {
        "charge_point_id": charge_point_id,
        "number": number,
        "action": "NotifyReport",
        "request_id": 7,
        "seq_no": seq,
        "last": False,
        "received_at": NOW,
        "version": "2.0.1",
        "size_bytes": 600,
        "digest": f"d{seq}",
        "payload": b'{"seqNo":1,"x":"\\u0000\xe2\x82\xac"}',
    }
    return ReportPart(**(given | facts))


def bare(one):
    return ReportPart(**{name: getattr(one, name) for name in one.__struct_fields__ if name != "payload"})


def test_a_part_is_stored_as_it_was_sent_and_once(any_store):
    parts = [
        part(0),
        part(1, last=True),
        part(None, digest="x"),
        part(2**70, request_id=2**65, cut=True, payload=b""),
    ]
    for one in [*parts, *parts]:
        any_store.reports.add(one).wait(60)
    assert list(any_store.reports.parts("CP1", parts[0].number)) == parts
    assert [bare(one) for one in any_store.reports.parts("CP1")] == [bare(one) for one in parts]
    assert list(any_store.reports.parts("CP2")) == []


def test_reports_are_forgotten_by_charge_point_and_number(any_store):
    for charge_point_id in ("CP1", "CP2"):
        for number in (1, 2, 3):
            any_store.reports.add(part(number=number, charge_point_id=charge_point_id))
    any_store.reports.forget("CP1", [1, 3]).wait(60)
    assert [one.number for one in any_store.reports.parts("CP1")] == [2]
    assert [one.number for one in any_store.reports.parts("CP2")] == [1, 2, 3]


def test_a_report_is_there_after_a_restart(opened):
    opened().reports.add(part()).wait(60)
    assert list(opened().reports.parts("CP1", part().number)) == [part()]


@pytest.mark.parametrize("limit", [1, 3])
def test_a_store_in_memory_drops_reports_over_its_limit(limit):
    reports = MemoryReports(lambda append: append(), limit)
    for number in range(5):
        reports.add(part(number=number))
    assert len(reports.parts("CP1")) == limit
