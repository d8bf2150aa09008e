"""Rows of a dump of MySQL or MariaDB, as `mysqldump` and `mariadb-dump` write it, read as a stream.

One rule: one statement at a time is in memory, and a row that cannot be read is refused with its reason, never skipped.
"""

from __future__ import annotations

import gzip
import re
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from ..config.errors import ChargehandError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

Value = str | bytes | None
Row = dict[str, Value]

CHUNK_BYTES = 1 << 20
HEAD_BYTES = 1 << 14
"""Beginning of a dump with its comments and settings."""
STATEMENT_BYTES = 1 << 28
"""Size of the longest statement that is read."""

_DELIMITER = re.compile(rb"\s*DELIMITER[ \t]+(\S+)[^\n]*\n", re.IGNORECASE)
_OPAQUE = (
    rb"'(?:[^'\\]++|\\.|'')*+'|\"(?:[^\"\\]++|\\.|\"\")*+\"|`(?:[^`]++|``)*+`"
    rb"|/\*.*?\*/|--(?=\s)[^\n]*\n|#[^\n]*\n"
)
_BLANK = re.compile(rb"(?:\s+|/\*(?!!).*?\*/|--(?=\s)[^\n]*\n|#[^\n]*\n)*", re.DOTALL)
_CREATE = re.compile(
    rb"CREATE\s+TABLE\s+(?:IF\s+NOT\s+EXISTS\s+)?(?:`[^`]+`\.)?`?([^`\s(]+)`?\s*\(", re.IGNORECASE
)
_COLUMN = re.compile(rb"^\s*`([^`]+)`\s", re.MULTILINE)
_INSERT = re.compile(
    rb"(?:INSERT|REPLACE)\s+(?:IGNORE\s+)?INTO\s+(?:`[^`]+`\.)?`?([^`\s(]+)`?\s*(?:\(([^)]*)\)\s*)?VALUES?\s*",
    re.IGNORECASE,
)
_VALUE = re.compile(
    rb"\s*(?:(?:_[a-z]\w*\s*)?'((?:[^'\\]++|\\.|'')*+)'|\"((?:[^\"\\]++|\\.|\"\")*+)\"|(NULL)\b"
    rb"|(?:_[a-z]\w*\s+)?(?:0x([0-9a-f]+)\b|x'([0-9a-f]*)')|b'([01]*)'|([-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[-+]?\d+)?)|(TRUE|FALSE)\b)\s*",
    re.IGNORECASE | re.DOTALL,
)
_IN_UTC = re.compile(rb"SET\s+TIME_ZONE\s*=\s*'\+00:00'", re.IGNORECASE)
_ESCAPE = re.compile(rb"\\(.)|''", re.DOTALL)
_ESCAPE_IN_DOUBLE = re.compile(rb"\\(.)|\"\"", re.DOTALL)
_ESCAPED = {
    b"0": b"\0",
    b"b": b"\b",
    b"n": b"\n",
    b"r": b"\r",
    b"t": b"\t",
    b"Z": b"\x1a",
    b"%": rb"\%",
    b"_": rb"\_",
}


class DumpRefused(ChargehandError):
    """File that is no dump that can be read: cut off, without column names, or with a statement of another kind."""


class Dump:
    """A dump file, plain or compressed by gzip; it is read once for each call of `rows`."""

    def __init__(self, path: str) -> None:
        self._path = path

    def rows(self, tables: Collection[str], refused: Callable[[str, str], None]) -> Iterator[tuple[str, Row]]:
        """Yield the rows of these tables as (table, values by column), in the order of the file.

        `refused(table, reason)` is called for what cannot be read. Raises `DumpRefused`, OSError.
        """
        columns: dict[str, list[str]] = {}
        with self._open() as file:
            for statement in statements(file):
                made = _CREATE.match(statement)
                if made is not None:
                    columns[_name(made[1])] = [_name(one) for one in _COLUMN.findall(statement, made.end())]
                    continue
                insert = _INSERT.match(statement)
                if insert is None or (table := _name(insert[1])) not in tables:
                    continue
                named = insert[2]
                names = columns.get(table) if named is None else [_name(one) for one in named.split(b",")]
                if not names:
                    raise DumpRefused(
                        f"{self._path}: rows of {table} have no names of columns, and no CREATE TABLE is before them"
                    )
                for values, why in _rows(statement, insert.end()):
                    if why:
                        refused(table, why)
                    elif len(values) != len(names):
                        refused(
                            table, f"a row has {len(values)} values for {len(names)} columns: {values[:3]}"
                        )
                    else:
                        yield table, dict(zip(names, values, strict=True))

    def is_in_utc(self) -> bool:
        """Return whether the dump says at its beginning that its times are in UTC."""
        with self._open() as file:
            return _IN_UTC.search(file.read(HEAD_BYTES)) is not None

    def _open(self) -> BinaryIO:
        with Path(self._path).open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
        return gzip.open(self._path, "rb") if packed else Path(self._path).open("rb")  # type: ignore[return-value]


def _after_blanks(statement: bytes, at: int = 0) -> int:
    found = _BLANK.match(statement, at)
    return at if found is None else found.end()


def _name(name: bytes) -> str:
    return name.strip().strip(b"`").decode("utf-8", "replace")


def statements(file: BinaryIO) -> Iterator[bytes]:
    """Yield the statements of a dump, without the blanks and comments before each. Raises `DumpRefused`."""
    statement_of, buffer, at, ended = _pattern(b";"), b"", 0, False
    while True:
        at = _after_blanks(buffer, at)
        if (told := _DELIMITER.match(buffer, at)) is not None:
            statement_of, at = _pattern(told[1]), told.end()
            continue
        cut = buffer[at : at + 9].upper() == b"DELIMITER" and b"\n" not in buffer[at:]
        if not cut and (found := statement_of.match(buffer, at)) is not None:
            at = found.end()
            if found[1]:
                yield found[1]
            continue
        if ended:
            _refuse_rest(buffer[at:].strip())
            return
        buffer, at = buffer[at:], 0
        if len(buffer) > STATEMENT_BYTES:
            raise DumpRefused(f"a statement is longer than {STATEMENT_BYTES >> 20} MiB: {buffer[:60]!r}")
        chunk = file.read(max(CHUNK_BYTES, len(buffer)))
        ended = not chunk
        buffer += chunk or b"\n"  # ends a comment in the last line


def _refuse_rest(rest: bytes) -> None:
    if rest:
        raise DumpRefused(f"the dump is cut off: its last statement has no end, {rest[:60]!r}")


def _pattern(delimiter: bytes) -> re.Pattern[bytes]:
    """Return the pattern of a statement and its delimiter; what is not whole yet does not match."""
    end, first = re.escape(delimiter), re.escape(delimiter[:1])
    plain = rb"[^'\"`/#\-%s]++|/(?!\*)|-(?!-\s)|(?!%s)%s" % (first, end, first)
    return re.compile(rb"((?:%s|%s)*+)%s" % (plain, _OPAQUE, end), re.DOTALL)


def _rows(statement: bytes, at: int) -> Iterator[tuple[list[Value], str]]:
    """Yield the rows of an INSERT, each with the reason why it, or the rest, cannot be read; "" if it can."""
    end = len(statement)
    while True:
        values: list[Value] = []
        why = ""
        if statement[at : at + 1] != b"(":
            yield values, f"no row begins at {_shown(statement, at)}"
            return
        at += 1
        while True:
            found = _VALUE.match(statement, at)
            if found is None:
                yield values, f"a value cannot be read: {_shown(statement, at)}"
                return
            try:
                values.append(_value(found))
            except UnicodeDecodeError:
                why = f"a text is not UTF-8: {_shown(statement, at)}"
            at = found.end()
            if statement[at : at + 1] != b",":
                break
            at += 1
        if statement[at : at + 1] != b")":
            yield values, f"a row does not end: {_shown(statement, at)}"
            return
        yield values, why
        at = _after_blanks(statement, at + 1)
        if at >= end or statement[at : at + 1] != b",":
            if statement[at:].strip():
                yield [], f"what follows the rows cannot be read: {_shown(statement, at)}"
            return
        at = _after_blanks(statement, at + 1)


def _shown(statement: bytes, at: int) -> str:
    return statement[at : at + 40].decode("utf-8", "replace")


def _value(found: re.Match[bytes]) -> Value:
    text, double, null, digits, quoted, bits, number, truth = found.groups()
    if text is not None:
        return _ESCAPE.sub(_unescaped, text).decode("utf-8")
    if double is not None:
        return _ESCAPE_IN_DOUBLE.sub(_unescaped, double).decode("utf-8")
    if null is not None:
        return None
    if number is not None:
        return number.decode()
    if truth is not None:
        return "1" if truth.upper() == b"TRUE" else "0"
    if bits is not None:
        return str(int(bits or b"0", 2))
    given = (digits or quoted or b"").decode()
    return bytes.fromhex(given if len(given) % 2 == 0 else f"0{given}")


def _unescaped(found: re.Match[bytes]) -> bytes:
    if found[1] is None:
        return found[0][:1]
    return _ESCAPED.get(found[1], found[1])
