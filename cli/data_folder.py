"""The folder a server writes into: one server at a time, and a note of where it listens.

`lock` is held for as long as the server lives, however it ends; `run.json` is there while it serves.
"""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from ..config.errors import ChargehandError
from ..web.token import TOKEN_FILE, make_private_folder, write_private

if TYPE_CHECKING:
    from collections.abc import Mapping

LOCK_FILE = "lock"
RUN_FILE = "run.json"


class FolderInUse(ChargehandError):
    """Another server has the folder."""


class DataFolder:
    """Use it with `with`: raises `FolderInUse`, or OSError if the folder cannot be made or written."""

    def __init__(self, path: str) -> None:
        self.path = Path(path)
        self.abandoned = False  # whether an earlier server was killed before it removed its run file
        self._lock: int | None = None

    def __enter__(self) -> Self:
        make_private_folder(self.path)
        lock = os.open(self.path / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            owner = os.read(lock, 20).decode("ascii", "replace").strip()
            os.close(lock)
            raise FolderInUse(
                f"{self.path} is in use by another server{owner and f', process {owner}'}"
            ) from error
        os.ftruncate(lock, 0)
        os.write(lock, f"{os.getpid()}\n".encode())
        self._lock = lock
        self.abandoned = (self.path / RUN_FILE).exists()
        self.remove_run()  # one that was killed has left it
        return self

    def __exit__(self, *_: object) -> None:
        if self._lock is not None:
            self.remove_run()
            os.close(self._lock)  # the file stays: were it removed, two servers could hold two of that name
            self._lock = None

    def write_run(self, addresses: Mapping[str, Any]) -> None:
        """Tell where this process listens, and with which certificates."""
        write_private(self.path / RUN_FILE, json.dumps({"pid": os.getpid(), **addresses}) + "\n")

    def remove_run(self) -> None:
        """Tell that it does not any more."""
        (self.path / RUN_FILE).unlink(missing_ok=True)

    def read_run(self) -> Mapping[str, Any]:
        """Read the run file of the server that uses the folder; empty without one. Needs no lock."""
        with suppress(OSError, ValueError):
            told = json.loads((self.path / RUN_FILE).read_text(encoding="utf-8"))
            if isinstance(told, dict):
                return told
        return {}

    def read_token(self) -> str:
        """Return the token of that server; empty if there is none."""
        with suppress(OSError, ValueError):
            return (self.path / TOKEN_FILE).read_text(encoding="utf-8").strip()
        return ""
