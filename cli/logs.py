"""Standard logging as the program wants it: text or JSON, levels, standard error and a rotated file.

One rule: one record is one line, but for a traceback in text, and nothing that a charge point sends can
forge another. Times are UTC. Never used by the library: an embedder configures logging in the usual way.
"""

import json
import logging
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

from ..config.settings import LogSettings
from ..protocol.log_fields import CONTEXT
from ..protocol.text import escaped
from ..system.log_context import fields_of
from .log_levels import Levels
from .rotation import RotatingHandler, TornLine, write_now

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
) -> Levels:
    """Send the root logger's records to `stream` (standard error), and to `settings.file` when it is given.

    A second call replaces the handlers of the first; other handlers stay. `clock` is the log file's. Worker number
    `worker` of several `workers` says so in each line, and has a file of its own, `settings.file` with the number
    behind it: a file has one writer. All of them, and their parent, share the bytes that are allowed. With
    less than `least_free_bytes` free, that file lacks lines below WARNING; the audit log lacks none.

    Records have fields that say what they are about. Returns the levels, which charge points may have of their own.
    """
    remove()
    levels = Levels(settings)
    context = Context(levels)
    formatter = JsonFormatter(worker) if settings.format == "json" else TextFormatter(worker)
    handlers: dict[str, logging.Handler] = {"stderr": StderrHandler(stream or sys.stderr)}

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
        handler.addFilter(context)
        root.addHandler(handler)
    if settings.audit_file:
        audit = rotating(settings.audit_file)
        audit.set_name(_MARK + "audit")
        audit.setFormatter(JsonFormatter(worker))
        logging.getLogger(AUDIT).addHandler(audit)
    root.setLevel(settings.level)
    for logger, level in settings.levels.items():
        logging.getLogger(logger).setLevel(level)
    return levels


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


class Context(logging.Filter):
    """Filter that gives each record the fields of what it is about, once, and asks the levels whether it is written."""

    def __init__(self, levels: Levels) -> None:
        super().__init__()
        self._levels = levels

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record is written."""
        fields: Any = getattr(record, CONTEXT_FOUND, None)
        if fields is None:
            fields = fields_of(record)
            setattr(record, CONTEXT_FOUND, fields)
            record.fields = fields
        return self._levels.passes(record, fields)


CONTEXT_FOUND = "context_found"
"""Attribute of a record whose fields are complete."""


class StderrHandler(logging.Handler):
    """Handler that writes to a stream, each line at once.

    One that cannot be written, as on a full disk, is lost and counted; the number stands before the next one that can.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream
        self._lost = 0
        self._torn = ""
        """Line end that is due: the last line was written in part."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        try:
            line = self.format(record) + "\n"
        except Exception:  # noqa: BLE001 - whatever a record's own arguments raise
            self.handleError(record)
            return
        try:
            if self._lost:
                told = (
                    f"{self._torn}{_now()} WARNING {__name__}: {self._lost} lines before this one were lost\n"
                )
                write_now(self._stream, told)
                self._lost, self._torn = 0, ""
            write_now(self._stream, line)
        except (OSError, ValueError) as error:  # a stream that is closed raises the latter
            self._lost += 1
            if isinstance(error, TornLine):
                self._torn = "\n"


def _now() -> str:
    return _time(logging.LogRecord("", 0, "", 0, "", None, None))


class TextFormatter(logging.Formatter):
    """`2026-11-22T05:42:00.123Z WARNING chargehand.transport: text [charge_point=CP1]`; a traceback follows, indented.

    The fields behind the text say what the line is about. Worker 2 has `[2]` behind the level. Control characters in
    the text are shown escaped: a charge point's line end must not look like a record.
    """

    def __init__(self, worker: int = 0) -> None:
        super().__init__()
        self._worker = f"[{worker}] " if worker else ""

    def format(self, record: logging.LogRecord) -> str:
        """Format a record as text."""
        head = f"{_time(record)} {record.levelname:<7} {self._worker}{record.name}"
        lines = [f"{head}: {escaped(record.getMessage())}{_shown(record)}"]
        below = self.formatException(record.exc_info) if record.exc_info else ""
        if record.stack_info:
            below += f"\n{self.formatStack(record.stack_info)}"
        lines += [f"    {escaped(line)}" for line in below.split("\n") if line]
        return "\n".join(lines)


def _shown(record: logging.LogRecord) -> str:
    """Write the context of a record behind its text; a value with blanks is quoted."""
    fields: dict[str, Any] = getattr(record, "fields", {})
    found = [
        f"{name}={value if value and not PLAIN.search(value) else json.dumps(value)}"
        for name in CONTEXT
        if name in fields
        for value in (escaped(str(fields[name])),)
    ]
    return f" [{' '.join(found)}]" if found else ""


PLAIN = re.compile(r"[\s\"\[\]=]")
"""Characters for which a value is quoted."""


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
        entry |= {name: value for name, value in getattr(record, "fields", {}).items() if name not in entry}
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            entry["stack"] = self.formatStack(record.stack_info)
        return json.dumps(entry)
