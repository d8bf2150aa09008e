"""Strict reading of requests (paths, query parameters, bodies), and problems: the form of every error.

One rule: every error of the API is a problem of RFC 9457, falcon's own errors too. A path is routed as
sent and decoded segment by segment: WSGI decodes it first, and so loses which `/` was part of an id.
"""

from __future__ import annotations

import datetime as dt
import logging
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from contextlib import contextmanager
from math import isfinite
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

import falcon
import gevent
import msgspec
from falcon.routing import BaseConverter
from gevent import get_hub, getcurrent

from ..config.errors import ChargehandError
from ..store.records import Cursor
from .views import PROBLEM, encode, violations

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import falcon

    from ..protocol.errors import InvalidPayload

logger = logging.getLogger(__name__)

MAX_BODY_BYTES = 1 << 20
BODY_TIMEOUT_S = 30.0
MOST_SKIPPED = 1_000_000
"""Rows of one time that are told already, at most."""


class Stopping(ChargehandError):
    """The endpoint stops, so the outcome will not be seen."""


class Stop:
    """Stop signal of one endpoint, and the greenlets that it interrupts."""

    def __init__(self) -> None:
        self.begun = False
        self._waiting: set[Any] = set()  # greenlets

    @contextmanager
    def interrupts(self) -> Iterator[None]:
        """Raise `Stopping` in a greenlet that blocks inside the `with`, once the endpoint stops."""
        if self.begun:
            raise Stopping
        me = getcurrent()
        self._waiting.add(me)
        try:
            yield
        finally:
            self._waiting.discard(me)

    def begin(self) -> None:
        """Interrupt all that wait, now and from now on. Does not wait for them itself."""
        self.begun = True
        for waiting in self._waiting:
            get_hub().loop.run_callback(self._throw, waiting)

    def _throw(self, waiting: Any) -> None:
        # In the hub, so that greenlet is not running; that it has not gone on meanwhile is checked here.
        if waiting in self._waiting:
            waiting.throw(Stopping)


CLOSE = {"Connection": "close"}
"""For an answer after which the connection is of no use: it ends, or a request's body was not read to its end."""


class Problem(falcon.HTTPError):
    """Raised by a responder. `more` are further members of the answer."""

    def __init__(
        self,
        status: int,
        title: str,
        description: str,
        *,
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(status, title=title, description=description, headers=dict(headers or {}))
        self.more = more


_NO_LETTERS = re.compile(r"[^a-z0-9]+")


def problem(status: int, title: str, detail: str, more: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Make the members of a problem, RFC 9457. `description` is the name that `detail` had before."""
    name = _NO_LETTERS.sub("-", title.lower()).strip("-")
    return {
        "type": f"urn:chargehand:problem:{name}",
        "title": title,
        "status": status,
        "detail": detail,
        "description": detail,
        **(more or {}),
    }


def write_problem(_: falcon.Request, response: falcon.Response, error: falcon.HTTPError) -> None:
    """Serialize any HTTP error as a problem, whatever the client accepts."""
    title = str(error.title).removeprefix(f"{error.status_code} ")
    response.data = encode(
        problem(error.status_code, title, error.description or title, getattr(error, "more", None))
    )
    response.content_type = PROBLEM


def report_crash(
    request: falcon.Request, _: falcon.Response, error: Exception, __: Mapping[str, Any]
) -> None:
    """Answer 500 to a request whose responder failed. The reason is logged, not sent."""
    logger.error("%s %s failed", request.method, request.path, exc_info=error)
    raise Problem(500, "Internal error", "the central system failed to answer; the reason is in its log")


def report_store(
    request: falcon.Request, _: falcon.Response, error: Exception, __: Mapping[str, Any]
) -> None:
    """Answer 503 to a request for which the store cannot read, or cannot write in time."""
    logger.warning("%s %s: %s", request.method, request.path, error)
    title = "The store is unavailable" if request.method == "GET" else "Not stored"
    raise Problem(503, title, str(error)) from error


def report_stopping(_: falcon.Request, __: falcon.Response, ___: Exception, ____: Mapping[str, Any]) -> None:
    """Answer 503 to a request that the stop of the server interrupted."""
    raise Problem(503, "Stopping", "the central system stops", headers=CLOSE) from None


def report_invalid(
    request: falcon.Request, _: falcon.Response, error: InvalidPayload, __: Mapping[str, Any]
) -> None:
    """Answer 422 to a command whose payload breaks the contract, with every violation."""
    found = violations(error.violations, request.context.version)
    raise Problem(422, "Invalid payload", str(error), violations=found) from error


def reporter(status: int, title: str) -> Callable[..., None]:
    """Make the handler of one kind of error: the error's text is the description."""

    def report(_: falcon.Request, __: falcon.Response, error: Exception, ___: Mapping[str, Any]) -> None:
        raise Problem(status, title, str(error)) from error

    return report


def nothing_here(req: falcon.Request, resp: falcon.Response, **_: Any) -> None:  # noqa: ARG001 - falcon's names
    """Answer 404 to a path without a resource."""
    raise Problem(404, "Not found", f"no resource at {req.path}")


_KEPT = "".join(map(chr, range(0x21, 0x7F)))


def encoded_path(target: str) -> str:
    """Return the path of a request target as it came; raw bytes over 127 are percent-encoded too.

    `target` is text as WSGI has it: one character a byte.
    """
    return quote(target.partition("?")[0], safe=_KEPT, encoding="latin-1")


def segment(text: str) -> str:
    """Encode text as one segment of a path."""
    return quote(text, safe="")


class Segment(BaseConverter):
    """falcon's converter for a segment: percent-decoded as UTF-8; one that is not UTF-8 matches nothing."""

    def convert(self, value: str) -> str | None:
        """Decode a segment."""
        try:
            return unquote(value, errors="strict")
        except UnicodeDecodeError:
            return None


_FLAGS = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}


class Query:
    """The parameters of one request; `known` are those that its resource has. Everything here raises `Problem` 400."""

    def __init__(self, request: falcon.Request, *known: str) -> None:
        self._values: dict[str, str] = {}
        for name, value in request.params.items():
            if name not in known:
                wanted = ", ".join(known) or "none"
                raise _wrong(f"unknown parameter {name}; known are: {wanted}")
            if isinstance(value, list):
                raise _wrong(f"{name} is given more than once")
            self._values[name] = value

    def has(self, name: str) -> bool:
        """Return whether a parameter is given."""
        return name in self._values

    def text(self, name: str) -> str:
        """Read a text; empty by default."""
        return self._values.get(name, "")

    def flag(self, name: str, *, default: bool) -> bool:
        """Read a flag: 1 or 0."""
        if name not in self._values:
            return default
        value = _FLAGS.get(self._values[name].lower())
        if value is None:
            raise _wrong(f"{name} must be 1 or 0")
        return value

    def choice(self, name: str, *known: str) -> str:
        """Read one of the known words; the first by default."""
        value = self._values.get(name, known[0])
        if value not in known:
            raise _wrong(f"{name} must be one of: {', '.join(known)}")
        return value

    def whole(self, name: str, *, default: int, most: int, least: int = 1) -> int:
        """Read a whole number."""
        text = self._values.get(name, str(default))
        if not (
            text.isascii() and text.isdigit() and len(text) <= len(str(most)) and least <= int(text) <= most
        ):
            raise _wrong(f"{name} must be a whole number from {least} to {most}")
        return int(text)

    def moment(self, name: str) -> dt.datetime | None:
        """Read a time, or the beginning of a day; without an offset it is UTC. None if it is not given."""
        if name not in self._values:
            return None
        try:
            return moment(self._values[name])
        except ValueError as error:
            raise _wrong(f"{name} {error}") from None

    def cursor(self, name: str) -> Cursor | None:
        """Read the place where a page begins, as the page before told it in `next`. None if it is not given."""
        if name not in self._values:
            return None
        try:
            # A client that did not encode it sends a plus sign as a blank.
            return Cursor.parse(self._values[name].replace(" ", "+"))
        except (ValueError, OverflowError):
            raise _wrong(f"{name} must be the `next` of the page before") from None

    def place(self, name: str) -> tuple[Any, ...] | None:
        """Read the place of the last row of the page before, from its `next`. None if it is not given."""
        if name not in self._values:
            return None
        try:
            packed = self._values[name].encode("ascii")
            return tuple(msgspec.json.decode(urlsafe_b64decode(packed), type=list[str | int]))
        except ValueError:  # msgspec's and base64's errors are ValueErrors
            raise self.wrong_place() from None

    def time_and_number(self, name: str) -> tuple[dt.datetime | None, int]:
        """Read the place of the last row of a list by time: its time, and how many rows of that time are told."""
        place = self.place(name)
        if place is None:
            return None, 0
        try:
            at, number = place
            return dt.datetime.fromisoformat(at).astimezone(dt.UTC), min(max(int(number), 0), MOST_SKIPPED)
        except (ValueError, TypeError, OverflowError):
            raise self.wrong_place() from None

    def wrong_place(self) -> Problem:
        """Make the problem of a cursor that is none."""
        return _wrong("the cursor must be the `next` of the page before")

    def seconds(self, name: str, *, default: float, most: float) -> float:
        """Read a duration above 0."""
        try:
            value = float(self._values.get(name, default))
        except ValueError:
            value = 0.0
        if not isfinite(value) or not 0 < value <= most:
            raise _wrong(f"{name} must be seconds above 0, at most {most:g}")
        return value


def place_text(place: tuple[Any, ...]) -> str:
    """Write a place in a list as a cursor."""
    return urlsafe_b64encode(msgspec.json.encode(place)).decode()


def moment(text: str) -> dt.datetime:
    """Read a time, or the beginning of a day; without an offset it is UTC. Raises ValueError."""
    try:
        value = dt.datetime.fromisoformat(text.strip())
        return (value if value.tzinfo is not None else value.replace(tzinfo=dt.UTC)).astimezone(dt.UTC)
    except (ValueError, OverflowError):
        raise ValueError("must be a time like 2026-11-22T05:42:00Z, or a day") from None


def _wrong(text: str) -> Problem:
    return Problem(400, "Bad query", text)


def body_of(request: falcon.Request) -> bytes:
    """Read the body, which may be missing, and may come with its length or in chunks."""
    if (request.content_length or 0) > MAX_BODY_BYTES:
        raise _too_large()
    late = Problem(408, "Too slow", f"the body was not there within {BODY_TIMEOUT_S:g} s", headers=CLOSE)
    try:
        with gevent.Timeout(BODY_TIMEOUT_S, late):
            body: bytes = request.stream.read(MAX_BODY_BYTES + 1)
    except OSError as error:
        raise Problem(400, "Broken body", str(error), headers=CLOSE) from error
    if len(body) > MAX_BODY_BYTES:
        raise _too_large()
    return body


def _too_large() -> Problem:
    return Problem(413, "Too large", f"a body has at most {MAX_BODY_BYTES} bytes", headers=CLOSE)


def decoded(body: bytes, kind: Any, what: str = "tag") -> Any:
    """Decode a body as a record; `what` names it in a `Problem`."""
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise Problem(422, f"Invalid {what}", fault_text(error)) from error
    except (ValueError, RecursionError) as error:  # msgspec's own errors are ValueErrors
        raise Problem(400, "Not JSON", f"the body is not readable JSON: {error}") from error


_FAULT = re.compile(r"(.*) - at `\$\.(\w+).*`")
_MEMBER = re.compile(r"Object (contains unknown|missing required) field `(\w+)`")


def fault_text(error: Exception) -> str:
    """Write a fault of a body with the name of its member in front."""
    found = _FAULT.fullmatch(str(error))
    if found is not None:
        return f"{found[2]}: {found[1]}"
    member = _MEMBER.match(str(error))
    if member is None:
        return str(error)
    return f"{member[2]}: " + ("there is no such member" if member[1] == "contains unknown" else "is missing")
