"""Retention over HTTP and on the command line: what is too old is told, and goes when that is asked for."""

import datetime as dt

import falcon
import pytest

from chargehand import CentralSystem, Event, RetentionSettings, Settings, serve_http
from chargehand.store.records import StoreSize

OLD = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
PATH = "/api/v1/store"


@pytest.fixture
def settings(tmp_path):
    retention = RetentionSettings(status_days=30)
    return Settings(port=0, store="sqlite", data=str(tmp_path / "data"), retention=retention)


@pytest.fixture
def system(settings):
    with CentralSystem(settings, http=serve_http) as running:
        event = Event(charge_point_id="CP1", kind="status", received_at=OLD, data={})
        running.store.add_event(event).wait(60)
        yield running


def test_what_is_too_old_is_told_and_goes_only_when_that_is_asked_for(client, system):
    told = client.simulate_get(PATH).json
    assert [(one["kind"], one["days"], one["due"]) for one in told["kinds"]] == [("status", 30.0, 1)]
    assert told["last"] is None
    assert len(system.store.events()) == 1
    assert client.simulate_post(f"{PATH}/prune").json["deleted"] == {"status": 1}
    assert system.store.events() == []
    again = client.simulate_get(PATH).json
    assert (again["kinds"][0]["due"], again["last"]["deleted"]) == (0, {"status": 1})


def test_while_another_process_does_it_the_answer_is_409(client, system):
    with system.upkeep.retention.folder.held():
        assert client.simulate_post(f"{PATH}/prune").status == falcon.HTTP_409


def test_a_file_that_cannot_be_written_is_507_and_nothing_is_deleted(client, system, tmp_path):
    (tmp_path / "data" / "exports").write_text("no folder")
    assert client.simulate_post(f"{PATH}/prune").status == falcon.HTTP_507
    assert len(system.store.events()) == 1


def test_the_size_of_the_store_is_told_with_its_growth_and_the_day_it_is_full(client, system):
    assert client.simulate_get(PATH).json["size"] is None
    system.store_sizes.look()
    first = client.simulate_get(PATH).json["size"]
    assert (first["growth_bytes_per_day"], first["full_in_days"]) == (None, None)
    assert {one["kind"]: one["rows"] for one in first["kinds"]}["status"] == 1
    before = StoreSize(at=dt.datetime.now(dt.UTC) - dt.timedelta(days=1), size_bytes=1)
    system.store.collections.store_sizes.put(before).wait(60)
    grown = client.simulate_get(PATH).json["size"]
    assert 0 < grown["growth_bytes_per_day"] <= first["bytes"]
    assert grown["full_in_days"] > 0
    assert grown["room_bytes"] > grown["growth_bytes_per_day"]
    metrics = client.simulate_get("/metrics").text
    assert 'chargehand_store_kind_bytes{kind="readings"}' in metrics
    assert "\nchargehand_store_full_seconds " in metrics
