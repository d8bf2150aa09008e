"""A log file rotated by time and size; its old files are limited in number and bytes.

One rule: logging never stops and never raises. A full disk, a folder taken away or a rename refused costs
lines or a rotation, is reported once on standard error, and ends with its cause. Never touches a file of another
name.
"""

import logging
import os
import re
import stat
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Literal, TextIO

Period = Literal["midnight", "hour", "never"]

_RETRY_S = 60.0
LOOK_S = 1.0
"""Seconds between two looks at the free bytes of the disk."""
_LABELS = {"midnight": "%Y-%m-%d", "hour": "%Y-%m-%dT%H", "never": "%Y-%m-%d"}
_OLD = re.compile(r"\.(\d{4}-\d\d-\d\d(?:T\d\d)?)(?:\.(\d+))?")


def _free_bytes(folder: Path) -> int | None:
    """Return the free bytes of the disk with a folder; None if it cannot be looked at."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return None
    return found.f_bavail * found.f_frsize


def write_now(stream: TextIO, text: str) -> None:
    """Write a text past the buffer of a stream, which would keep what cannot be written and fail again at the end.

    Raises OSError, `TornLine` if a part of it is written, and ValueError for a stream that is closed.
    """
    try:
        descriptor = stream.fileno()
    except (OSError, AttributeError):  # none of the operating system's
        stream.write(text)
        stream.flush()
        return
    data = text.encode("utf-8", "backslashreplace")
    rest = memoryview(data)
    try:
        while rest:
            rest = rest[os.write(descriptor, rest) :]
    except OSError as error:
        if len(rest) < len(data):
            raise TornLine(error.errno, error.strerror) from error
        raise


class TornLine(OSError):
    """Error: a line was written in part, as the disk was full then."""


class RotatingHandler(logging.Handler):
    """Writes to `path`; older files stand beside it as `path.2026-11-22`, `path.2026-11-22.2` and so on.

    The label is the day or the hour (UTC) in which the file was last written. A new file is begun when the
    `period` is over, or before a line that would make the file longer than `rotate_bytes`. At most
    `keep_files` old files are kept, and all files together take at most `disk_limit_bytes`: the oldest goes
    first, and no file grows beyond half of that, so that there is an older one to read. 0 sets no limit for
    either size; a single line is never cut. A link or a device (`/dev/stdout`) is written and never rotated.
    Lines are UTF-8.

    While less than `least_free_bytes` of the disk are free, lines below WARNING are left out; 0 sets no limit.
    `clock` gives seconds since the epoch. `report` is where faults are told.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        period: Period = "midnight",
        rotate_bytes: int = 0,
        keep_files: int = 14,
        disk_limit_bytes: int = 0,
        least_free_bytes: int = 0,
        free_bytes: Callable[[Path], int | None] = _free_bytes,
        clock: Callable[[], float] = time.time,
        report: TextIO | None = None,
    ) -> None:
        super().__init__()
        self.path = Path(path).absolute()
        self._period = period
        limits = [limit for limit in (rotate_bytes, disk_limit_bytes // 2) if limit]
        self._longest = min(limits, default=0)
        self._keep_files = keep_files
        self._disk_limit = disk_limit_bytes
        self._least_free = least_free_bytes
        self._free_bytes = free_bytes
        self._looked_at = 0.0
        self._disk_is_low = False
        self._left_out = 0
        self._clock = clock
        self._report = report
        self._file: _LogFile | None = None
        self._retry_at = 0.0
        self._rotation_failed = False
        self._lost = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record. A fault of the disk loses the line, nothing else."""
        if self._least_free and self._is_left_out(record):
            return
        try:
            line = (self.format(record) + "\n").encode("utf-8", "backslashreplace")
        except Exception:  # noqa: BLE001 - whatever a record's own arguments raise
            self.handleError(record)
            return
        try:
            self._write(line)
        except OSError as error:
            self._lost += 1
            if self._lost == 1:
                self._tell(f"cannot be written: {error}; lines are lost until it can")
        else:
            if self._lost:
                self._tell(f"is written again; {self._lost} lines were lost")
                self._lost = 0

    def _is_left_out(self, record: logging.LogRecord) -> bool:
        """Return whether a line is left out, for the disk is nearly full; look at that once a second."""
        now = self._clock()
        if abs(now - self._looked_at) >= LOOK_S:  # the clock may have been set back
            self._looked_at = now
            free = self._free_bytes(self.path.parent)
            low = free is not None and free < self._least_free
            if low != self._disk_is_low:
                self._disk_is_low = low
                least = f"{self._least_free} bytes of the disk (resources.disk_free_bytes)"
                if low:
                    self._tell(f"has less than {least}; lines below WARNING are left out")
                else:
                    self._tell(f"has {least} again; {self._left_out} lines were left out")
                self._left_out = 0
        if self._disk_is_low and record.levelno < logging.WARNING:
            self._left_out += 1
            return True
        return False

    def close(self) -> None:
        """Close the file. A later record opens it again."""
        self.acquire()
        try:
            file, self._file = self._file, None
            if file:
                with suppress(OSError):
                    file.close()
        finally:
            self.release()
        super().close()

    def _write(self, line: bytes) -> None:
        now = self._clock()
        if self._file is None:
            self._file = _LogFile(self.path, now)
            self._prune(self._file.size_bytes)
        file = self._file
        due = self._period != "never" and self._label(now) > self._label(file.written_at)
        too_long = self._longest and file.size_bytes + len(line) > self._longest
        if file.rotates and file.size_bytes and (due or too_long) and now >= self._retry_at:
            file = self._rotate(file, now)
        file.write(line)
        file.written_at = now

    def _rotate(self, file: "_LogFile", now: float) -> "_LogFile":
        """Put the file aside and begin a new one; when that fails, go on with the old one for a while."""
        label = self._label(file.written_at)
        try:
            number = max((number for _, (day, number) in self._old_files() if day == label), default=0) + 1
            self.path.rename(f"{self.path}.{label}{f'.{number}' if number > 1 else ''}")
        except OSError as error:
            self._retry_at = now + _RETRY_S
            if not self._rotation_failed:
                self._rotation_failed = True
                self._tell(f"cannot be rotated: {error}; it grows on")
            return file
        self._rotation_failed = False
        # Should closing or opening fail, the next line tries again.
        self._file = None
        file.close()
        self._file = _LogFile(self.path, now)
        self._prune(0)
        return self._file

    def _prune(self, current_bytes: int) -> None:
        """Delete old files until the rest, and the current file at its longest, are within the limits."""
        try:
            old = [(path, path.stat().st_size) for path, _ in self._old_files()]
            room = self._disk_limit - max(current_bytes, self._longest)
            while old and (
                len(old) > self._keep_files or (self._disk_limit and sum(s for _, s in old) > room)
            ):
                old.pop(0)[0].unlink(missing_ok=True)
        except OSError as error:
            self._tell(f"old files cannot be deleted: {error}")

    def _old_files(self) -> list[tuple[Path, tuple[str, int]]]:
        """List the old files, the oldest first, each with its label and number."""
        found = []
        for path in self.path.parent.iterdir():
            rest = path.name.removeprefix(self.path.name)
            if path.name.startswith(self.path.name) and (match := _OLD.fullmatch(rest)):
                found.append((path, (match[1], int(match[2] or 1))))
        return sorted(found, key=lambda entry: entry[1])

    def _label(self, moment: float) -> str:
        return time.strftime(_LABELS[self._period], time.gmtime(moment))

    def _tell(self, text: str) -> None:
        # A closed or full standard error must not stop the program either.
        with suppress(OSError, ValueError):
            write_now(self._report or sys.stderr, f"log file {self.path} {text}\n")


class _LogFile:
    """File being written, unbuffered: accepted lines are with the operating system."""

    def __init__(self, path: Path, now: float) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._raw = open(path, "ab", buffering=0, opener=_private)  # noqa: SIM115 - closed by close()
        found = os.fstat(self._raw.fileno())
        # To rename a link or a device would put aside something of another's.
        self.rotates = stat.S_ISREG(found.st_mode) and not path.is_symlink()
        self.size_bytes = found.st_size
        # A file left by an earlier run belongs to the period in which it was last written.
        self.written_at = found.st_mtime if self.size_bytes else now
        self._torn = False

    def write(self, line: bytes) -> None:
        """Write a whole line, or raise `OSError`; after a torn one the next begins on a line of its own."""
        rest = memoryview(b"\n" + line if self._torn else line)
        while rest:
            written = self._raw.write(rest)
            self.size_bytes += written
            rest = rest[written:]
            self._torn = bool(rest)

    def close(self) -> None:
        self._raw.close()


def _private(path: str, flags: int) -> int:
    """Open for the owner and the group only: id tags stand in a log."""
    return os.open(path, flags, 0o640)
