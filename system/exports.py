"""Files of exported records: CSV, compressed, one for each kind of records and day, complete before it has its name.

A file is written as `NAME.part`. When it is complete and on the disk it is `NAME.exported`: its records may be deleted.
When they are, it is `NAME`. So a crash leaves no doubt: a `.part` stands for nothing, and the deletion of the records
of an `.exported` file goes on, with the numbers that stand in it.
"""

from __future__ import annotations

import csv
import fcntl
import gzip
import io
import itertools
import os
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gevent import get_hub

from ..config.errors import ChargehandError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

SUFFIX = ".csv.gz"
PART, EXPORTED = ".part", ".exported"
LOCK_FILE = ".lock"
LEVEL = 6
"""Level of compression: the usual one."""


class ExportsInUse(ChargehandError):
    """Another process of this machine exports into the folder."""


class ExportFolder:
    """Folder of exported records; it is made when it is first needed. Its methods may switch greenlets."""

    def __init__(self, path: str) -> None:
        self.path = Path(path)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the folder against other processes. Raises `ExportsInUse`, and OSError if it cannot be made."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(self.path / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise ExportsInUse(f"{self.path} is in use by another process") from error
            yield
        finally:
            os.close(lock)

    def clear(self) -> None:
        """Remove what a process that was killed has written in part."""
        for path in self.path.glob(f"*{SUFFIX}{PART}"):
            path.unlink(missing_ok=True)

    def exported(self) -> list[Path]:
        """Return the files whose records are not all deleted, in the order of their names."""
        return sorted(self.path.glob(f"*{SUFFIX}{EXPORTED}"))

    def new(self, kind: str, day: str, head: Sequence[str]) -> ExportFile:
        """Begin the file of a kind and a day: a further one, if there is one already."""
        for number in itertools.count(1):
            name = f"{kind}-{day}{f'.{number}' if number > 1 else ''}{SUFFIX}"
            if not any((self.path / f"{name}{end}").exists() for end in ("", EXPORTED)):
                break
        return ExportFile(self.path / name, head)

    def deleted(self, path: Path) -> Path:
        """Give the file of records that are deleted now its name."""
        done = path.with_name(path.name.removesuffix(EXPORTED))
        path.rename(done)
        get_hub().threadpool.apply(_sync_folder, (self.path,))
        return done


class ExportFile:
    """File that is being written; natives compress and write."""

    def __init__(self, path: Path, head: Sequence[str]) -> None:
        self._path = path
        self._part = path.with_name(f"{path.name}{PART}")
        self.rows = 0
        descriptor = os.open(self._part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        self._file = os.fdopen(descriptor, "wb")
        # Without a name and a time: the same records give the same bytes.
        self._gzip = gzip.GzipFile("", "wb", LEVEL, self._file, mtime=0)
        self._write([head])

    def write(self, rows: Sequence[Sequence[Any]]) -> None:
        """Write rows; switches greenlets."""
        get_hub().threadpool.apply(self._write, (rows,))
        self.rows += len(rows)

    def finish(self) -> Path:
        """Put the whole file on the disk, and return its path; switches greenlets."""
        exported: Path = get_hub().threadpool.apply(self._finish)
        return exported

    def give_up(self) -> None:
        """Close and remove the file."""
        with suppress(OSError):
            self._gzip.close()
        with suppress(OSError):
            self._file.close()
        self._part.unlink(missing_ok=True)

    def _write(self, rows: Iterable[Sequence[Any]]) -> None:
        text = io.StringIO(newline="")
        csv.writer(text).writerows(rows)
        self._gzip.write(text.getvalue().encode("utf-8", "backslashreplace"))

    def _finish(self) -> Path:
        self._gzip.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        exported = self._path.with_name(f"{self._path.name}{EXPORTED}")
        self._part.rename(exported)
        _sync_folder(exported.parent)
        return exported


class ExportReader:
    """Rows of an exported file, some at a time; natives read and decompress."""

    def __init__(self, path: Path) -> None:
        self._file = gzip.open(path, "rt", encoding="utf-8", newline="")  # noqa: SIM115 - closed by `close`
        self._rows = csv.reader(self._file)
        self.head: list[str] = next(self._rows, [])

    def read(self, size: int) -> list[list[str]]:
        """Return the next rows, none at the end; switches greenlets."""
        rows: list[list[str]] = get_hub().threadpool.apply(lambda: list(itertools.islice(self._rows, size)))
        return rows

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _sync_folder(path: Path) -> None:
    """Put the names in a folder on the disk."""
    folder = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
