"""The private PostgreSQL server starts, stops, can be suspended, and leaves nothing."""

import shutil
import socket

import pytest

from . import postgres_process as module
from .postgres_process import NoPostgres, PostgresProcess, find_programs


def test_where_none_is_installed_it_says_so(monkeypatch):
    monkeypatch.setattr(module, "PROGRAMS", "/nowhere/*/bin")
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(NoPostgres, match="no PostgreSQL is installed"):
        PostgresProcess()


def test_one_that_cannot_start_says_why_and_leaves_nothing(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "find_programs", lambda: tmp_path)
    monkeypatch.setattr(module.tempfile, "mkdtemp", lambda **_: str(tmp_path / "made"))
    (tmp_path / "made").mkdir()
    with pytest.raises(NoPostgres, match="could not be started"):
        PostgresProcess()
    assert not (tmp_path / "made").exists()


def test_it_has_what_it_had_after_it_was_stopped_and_nothing_of_it_stays(postgres_process):
    assert (find_programs() / "postgres").exists()
    with PostgresProcess() as own:
        folder, pid = own.folder, own.pid
        assert own.port != postgres_process.port
        own.sql("CREATE TABLE t AS SELECT 7 AS x")
        own.stop("immediate")
        own.start()
        assert own.sql("SELECT x FROM t") == "7"
        own.freeze()
        own.thaw()
        assert own.pid != pid
        port = own.port
    assert not folder.exists()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
