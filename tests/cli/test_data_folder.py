"""The data folder: one server at a time, and the files that it writes for other commands."""

import json
import os
import stat
import subprocess
import sys

import pytest

from chargehand.cli.data_folder import DataFolder, FolderInUse

ADDRESSES = {"ws": "ws://127.0.0.1:1/ocpp/", "wss": None, "http": None}


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_the_folder_is_made_for_its_owner_only(tmp_path):
    with DataFolder(str(tmp_path / "a" / "data")) as folder:
        assert mode(folder.path) == 0o700
        assert mode(folder.path / "lock") == 0o600


def test_a_second_server_is_refused_and_told_which_process_has_it(tmp_path):
    with DataFolder(str(tmp_path)) as first:
        first.write_run(ADDRESSES)
        with pytest.raises(
            FolderInUse, match=f"{tmp_path} is in use by another server, process {os.getpid()}"
        ):
            DataFolder(str(tmp_path)).__enter__()
        assert first.read_run()  # the refused one has touched nothing
    with DataFolder(str(tmp_path)):
        pass


def test_the_lock_goes_with_its_process_however_that_ends(tmp_path):
    code = (
        "import os, sys\nfrom chargehand.cli.data_folder import DataFolder\n"
        f"folder = DataFolder({str(tmp_path)!r}).__enter__()\nfolder.write_run({ADDRESSES!r})\nos.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    assert (tmp_path / "run.json").exists()
    with DataFolder(str(tmp_path)) as folder:
        assert folder.read_run() == {}  # what the dead one said is not believed any more


def test_a_child_process_does_not_keep_the_lock(tmp_path):
    code = "print('runs', flush=True); input()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with DataFolder(str(tmp_path)):
        child = subprocess.Popen([sys.executable, "-c", code], close_fds=False, **pipes)
        assert child.stdout.readline() == b"runs\n"
    try:
        with DataFolder(str(tmp_path)):
            pass
    finally:
        child.communicate(b"\n")


def test_where_it_listens_is_told_to_its_owner_while_it_serves(tmp_path):
    with DataFolder(str(tmp_path)) as folder:
        folder.write_run(ADDRESSES)
        told = json.loads((tmp_path / "run.json").read_text())
        assert told == {"pid": os.getpid(), **ADDRESSES}
        assert mode(tmp_path / "run.json") == 0o600
        assert DataFolder(str(tmp_path)).read_run() == told
    assert not (tmp_path / "run.json").exists()


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"\xff"])
def test_what_cannot_be_read_says_nothing(tmp_path, text):
    (tmp_path / "run.json").write_bytes(text)
    assert DataFolder(str(tmp_path)).read_run() == {}


def test_the_token_is_read_without_its_line_end(tmp_path):
    assert DataFolder(str(tmp_path)).read_token() == ""
    (tmp_path / "token").write_text("secret\n")
    assert DataFolder(str(tmp_path)).read_token() == "secret"


def test_a_folder_that_cannot_be_made_is_an_os_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        DataFolder(str(tmp_path / "file")).__enter__()
