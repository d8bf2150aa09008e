"""Reports of stations over HTTP."""

import datetime as dt

import pytest

from chargehand import ReportPart

PATH = "/api/v1/charge-points/CP1/reports"


@pytest.fixture
def add(system):
    def add(number, seq, *, last=False, action="NotifyReport", payload=b'{"n":1.50}', **facts):
        system.store.reports.add(
            ReportPart(
                charge_point_id="CP1",
                number=number,
                action=action,
                request_id=number,
                seq_no=seq,
                last=last,
                received_at=dt.datetime.now(dt.UTC),
                version="2.0.1",
                size_bytes=600,
                digest=f"d{seq}",
                payload=payload,
                **facts,
            )
        )

    return add


def test_reports_are_listed_newest_first_without_their_contents(client, add):
    add(1, 0)
    add(2, 0)
    add(2, 2, last=True)
    first, second = client.simulate_get(PATH).json["reports"]
    assert (first["number"], first["state"], first["missing"], first["parts"]) == (2, "open", [1], 2)
    assert (second["number"], second["state"]) == (1, "partial")
    assert client.simulate_get(PATH, params={"request_id": "1"}).json["reports"] == [second]
    assert (
        client.simulate_get(PATH, params={"action": "NotifyDisplayMessages"}).json["title"]
        == "Unknown charge point"
    )


def test_a_report_is_shown_with_its_contents_in_order_as_they_were_sent(client, add):
    add(1, 1, last=True)
    add(1, 0, payload=b"", cut=True)
    answer = client.simulate_get(f"{PATH}/1")
    assert b'{"n":1.50}' in answer.content
    assert [(one["seq_no"], one["payload"]) for one in answer.json["parts"]] == [(0, None), (1, {"n": 1.5})]


def test_a_report_is_forgotten(client, add):
    add(1, 0)
    assert client.simulate_delete(f"{PATH}/1").json["number"] == 1
    for path in (f"{PATH}/1", f"{PATH}/x", f"{PATH}/{'9' * 30}"):
        assert client.simulate_get(path).status_code == 404
        assert client.simulate_delete(path).status_code == 404


def test_reports_of_a_charge_point_that_is_not_known_are_a_problem(client):
    assert client.simulate_get(PATH).status_code == 404
