"""Retention over HTTP and on the command line: what is too old is told, and goes when that is asked for."""

import datetime as dt

import falcon
import pytest

from chargehand import CentralSystem, Event, RetentionSettings, Settings, serve_http

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
