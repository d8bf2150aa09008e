"""A backup over HTTP: a complete store, one at a time, and without leftovers in every case."""

import dataclasses
import sqlite3
from pathlib import Path

import falcon
import gevent
import pytest

from chargehand import CentralSystem, HttpSettings, Settings, StoreError, serve_http
from chargehand.web.storage import COPY_FILE, SQLITE, CopyStream

PATH = "/api/v1/backup"


@pytest.fixture
def settings(tmp_path):
    return Settings(port=0, store="sqlite", data=str(tmp_path / "data"))


@pytest.fixture
def system(settings):
    with CentralSystem(settings, http=serve_http) as running:
        running.store.register("CP1", "Accepted").wait(60)
        yield running


def copies(settings):
    return [path.name for path in Path(settings.data).glob(f"{COPY_FILE}*")]


def test_it_is_the_whole_store_and_no_copy_stays_in_the_folder(client, settings, tmp_path):
    reply = client.simulate_post(PATH)
    assert (reply.status, reply.headers["Content-Type"]) == (falcon.HTTP_200, SQLITE)
    assert int(reply.headers["Content-Length"]) == len(reply.content)
    (tmp_path / "copy").write_bytes(reply.content)
    connection = sqlite3.connect(tmp_path / "copy")
    assert connection.execute("SELECT id, registration FROM charge_points").fetchall() == [
        ("CP1", "Accepted")
    ]
    connection.close()
    assert copies(settings) == []
    assert client.simulate_post(PATH).status == falcon.HTTP_200


def test_the_copy_of_a_process_that_was_killed_is_gone_when_the_next_one_starts(settings, client_of):
    folder = Path(settings.data)
    folder.mkdir()
    for name in (COPY_FILE, f"{COPY_FILE}-journal"):
        (folder / name).write_text("left behind")
    http = HttpSettings(enabled=True, port=0)
    with CentralSystem(dataclasses.replace(settings, http=http), http=serve_http) as system:
        assert copies(settings) == []
        assert client_of(system).simulate_post(PATH).status == falcon.HTTP_200


def test_while_one_is_made_another_is_409(client, system, monkeypatch, wait_until):
    begun, go_on = gevent.event.Event(), gevent.event.Event()
    backup = system.store.backup

    def slow(path):
        begun.set()
        go_on.wait(60)
        backup(path)

    monkeypatch.setattr(system.store, "backup", slow)
    first = gevent.spawn(client.simulate_post, PATH)
    wait_until(begun.is_set, "the first is being made")
    assert client.simulate_post(PATH).status == falcon.HTTP_409
    go_on.set()
    assert first.get(timeout=60).status == falcon.HTTP_200
    assert client.simulate_post(PATH).status == falcon.HTTP_200


def test_a_store_in_memory_is_409_and_says_why(client_of):
    with CentralSystem(Settings(port=0), http=serve_http) as system:
        reply = client_of(system).simulate_post(PATH)
    assert reply.status == falcon.HTTP_409
    assert "memory" in reply.json["description"]


def test_one_that_fails_is_507_and_the_next_one_may_be_made(client, system, settings, monkeypatch):
    def fail(_path):
        raise StoreError("no copy was made: database or disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(system.store, "backup", fail)
        reply = client.simulate_post(PATH)
    assert (reply.status_code, "full" in reply.json["description"]) == (507, True)
    assert copies(settings) == []
    assert client.simulate_post(PATH).status == falcon.HTTP_200


def test_a_copy_that_cannot_be_read_leaves_nothing_behind(client, settings, monkeypatch):
    def fail(*_):
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patched:
        patched.setattr(CopyStream, "__init__", fail)
        assert client.simulate_post(PATH).status_code == 507
    assert copies(settings) == []
    assert client.simulate_post(PATH).status == falcon.HTTP_200


def test_it_is_given_up_when_the_endpoint_stops(client, system, stop, monkeypatch, wait_until):
    begun = gevent.event.Event()

    def endless(_path):
        begun.set()
        gevent.event.Event().wait()

    monkeypatch.setattr(system.store, "backup", endless)
    asking = gevent.spawn(client.simulate_post, PATH)
    wait_until(begun.is_set, "it is being made")
    stop.begin()
    assert asking.get(timeout=60).status == falcon.HTTP_503


def test_a_receiver_that_goes_away_in_the_middle_leaves_nothing_open(tmp_path):
    path, over = tmp_path / "copy", []
    path.write_bytes(b"x" * 1_000_000)
    stream = CopyStream(path, lambda: over.append(True))
    path.unlink()
    pieces = iter(stream)
    assert len(next(pieces)) < stream.length == 1_000_000
    stream.close()
    assert stream._file.closed
    assert over == [True]


def test_a_disk_that_is_nearly_full_gets_no_copy(client, system, settings):
    system.watermarks.disk_is_low = True
    reply = client.simulate_post(PATH)
    assert (reply.status_code, "resources.disk_free_bytes" in reply.json["description"]) == (507, True)
    assert copies(settings) == []
