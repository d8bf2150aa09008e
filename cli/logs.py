"""Standard logging as the program wants it: text or JSON, levels, standard error and a rotated file.

One rule: one record is one line, but for a traceback in text, and nothing that a charge point sends can
forge another. Times are UTC. Never used by the library: an embedder configures logging in the usual way.
"""

import json
import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from ..config.settings import LogSettings
from ..protocol.text import escaped
from .rotation import RotatingHandler

AUDIT = "chargehand.audit"
"""Logger of changes over HTTP."""
_MARK = "chargehand."
"""Begins the names of the handlers that `configure` puts in, so that it can take them out again."""


def configure(
    settings: LogSettings,
    *,
    stream: TextIO | None = None,
    clock: Callable[[], float] = time.time,
    worker: int = 0,
    workers: int = 1,
    least_free_bytes: int = 0,
) -> None:
    """Send the root logger's records to `stream` (standard error), and to `settings.file` when it is given.

    A second call replaces the handlers of the first; other handlers stay. `clock` is the log file's. Worker number
    `worker` of several `workers` says so in each line, and has a file of its own, `settings.file` with the number
    behind it: a file has one writer. All of them, and their parent, share the bytes that are allowed. With
    less than `least_free_bytes` free, that file lacks lines below WARNING; the audit log lacks none.
    """
    remove()
    formatter = JsonFormatter(worker) if settings.format == "json" else TextFormatter(worker)
    handlers: dict[str, logging.Handler] = {"stderr": logging.StreamHandler(stream or sys.stderr)}

    def rotating(path: str, least_free_bytes: int = 0) -> RotatingHandler:
        return RotatingHandler(
            _file_of(path, worker),
            period=settings.rotate_when,
            rotate_bytes=settings.rotate_bytes,
            keep_files=settings.keep_files,
            # Less than one byte would be no limit at all.
            disk_limit_bytes=settings.disk_limit_bytes
            if workers == 1
            else -(-settings.disk_limit_bytes // (workers + 1)),
            least_free_bytes=least_free_bytes,
            clock=clock,
            report=stream,
        )

    if settings.file:
        handlers["file"] = rotating(settings.file, least_free_bytes)
    root = logging.getLogger()
    for name, handler in handlers.items():
        handler.set_name(_MARK + name)
        handler.setFormatter(formatter)
        root.addHandler(handler)
    if settings.audit_file:
        audit = rotating(settings.audit_file)
        audit.set_name(_MARK + "audit")
        audit.setFormatter(JsonFormatter(worker))
        logging.getLogger(AUDIT).addHandler(audit)
    root.setLevel(settings.level)
    for logger, level in settings.levels.items():
        logging.getLogger(logger).setLevel(level)


def _file_of(path: str, worker: int) -> str:
    """Return the path of a log file; a device or a link is never rotated, and may have several writers."""
    there = Path(path)
    one_for_all = there.is_symlink() or (there.exists() and not there.is_file())
    return path if one_for_all or not worker else f"{path}.{worker}"


def remove() -> None:
    """Remove and close the handlers of `configure`."""
    for logger in (logging.getLogger(), logging.getLogger(AUDIT)):
        for handler in [handler for handler in logger.handlers if (handler.name or "").startswith(_MARK)]:
            logger.removeHandler(handler)
            handler.close()


def _time(record: logging.LogRecord) -> str:
    seconds, fraction = divmod(record.created, 1)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{int(fraction * 1000):03}Z"


class TextFormatter(logging.Formatter):
    """`2026-11-22T05:42:00.123Z WARNING chargehand.transport: text`; a traceback follows, indented.

    Worker 2 has `[2]` behind the level. Control characters in the text are shown escaped: a charge point's line end
    must not look like a record.
    """

    def __init__(self, worker: int = 0) -> None:
        super().__init__()
        self._worker = f"[{worker}] " if worker else ""

    def format(self, record: logging.LogRecord) -> str:
        """Format a record as text."""
        head = f"{_time(record)} {record.levelname:<7} {self._worker}{record.name}"
        lines = [f"{head}: {escaped(record.getMessage())}"]
        below = self.formatException(record.exc_info) if record.exc_info else ""
        if record.stack_info:
            below += f"\n{self.formatStack(record.stack_info)}"
        lines += [f"    {escaped(line)}" for line in below.split("\n") if line]
        return "\n".join(lines)


class JsonFormatter(logging.Formatter):
    """JSON formatter, one object a line: time, level, logger, message and, with a traceback, exception. ASCII only.

    That of a worker has its number, too, and a record with `fields` has those.
    """

    def __init__(self, worker: int = 0) -> None:
        super().__init__()
        self._worker = worker

    def format(self, record: logging.LogRecord) -> str:
        """Format a record as a JSON object."""
        entry: dict[str, str | int] = {
            "time": _time(record),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if self._worker:
            entry["worker"] = self._worker
        entry |= getattr(record, "fields", {})
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            entry["stack"] = self.formatStack(record.stack_info)
        return json.dumps(entry)
