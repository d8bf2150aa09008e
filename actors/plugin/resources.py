"""HTTP resources of a plugin: requests that its methods answer, below `/api/v1/plugins/NAME/`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import msgspec
from gevent import getcurrent
from gevent.event import AsyncResult

from ...config.errors import ChargehandError
from ..runtime.failure import Failure, attempt

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from greenlet import greenlet

Method = Literal["GET", "POST", "PUT", "DELETE"]
TokenScope = Literal["read", "command", "admin"]
"""Scope that a token needs; each one includes those before it."""

RESOURCES = "__chargehand_resources__"
_SEGMENT = re.compile(r"\{([a-z_]+)\}|[A-Za-z0-9._~-]+")
_TAKEN = frozenset({"release", "promote"})
"""Paths of the plugin's own supervision."""


class PluginOutOfService(ChargehandError):
    """A plugin answers no requests: it has ended, or it is in quarantine."""


class ResourceRefused(ChargehandError):
    """Raised by a resource's handler: the answer is a problem with this status, title and description."""

    def __init__(self, status: int, title: str, description: str = "") -> None:
        super().__init__(f"{title}: {description}" if description else title)
        self.status = status
        self.title = title
        self.description = description


class ResourceRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Request for a resource of a plugin. `path` has the values of the path's members, `token` the caller's name."""

    method: str
    path: dict[str, str] = {}
    query: dict[str, str] = {}
    body: bytes = b""
    token: str = ""

    def json(self, kind: Any = Any) -> Any:
        """Decode the body as a type that msgspec knows. Raises `ResourceRefused` for one that is none."""
        try:
            return msgspec.json.decode(self.body, type=kind)
        except msgspec.ValidationError as error:
            raise ResourceRefused(422, "Invalid body", str(error)) from error
        except (ValueError, RecursionError) as error:
            raise ResourceRefused(400, "Not JSON", str(error)) from error


class Route(NamedTuple):
    """Method and path of a resource, the scope of its tokens, and the name of the handler."""

    method: str
    segments: tuple[str, ...]
    scope: str
    handler: str = ""


def route_of(method: str, path: str, scope: str) -> Route:
    """Check the declaration of a resource. Raises ValueError."""
    segments = tuple(path.split("/"))
    if not all(_SEGMENT.fullmatch(segment) for segment in segments):
        raise ValueError(f"{path!r} is not a path like letters/{{number}}")
    if segments[0] in _TAKEN and len(segments) == 1:
        raise ValueError(f"{path!r} belongs to the supervision of plugins")
    return Route(method, segments, scope)


def find_route(
    routes: Iterable[Route], method: str, segments: tuple[str, ...]
) -> tuple[Route | None, Mapping[str, str], list[str]]:
    """Find the route of a request, with the members of its path, and the methods that the path has."""
    methods: list[str] = []
    for route in routes:
        members = _members(route.segments, segments)
        if members is None:
            continue
        if route.method == method:
            return route, members, []
        methods.append(route.method)
    return None, {}, methods


def _members(pattern: tuple[str, ...], segments: tuple[str, ...]) -> dict[str, str] | None:
    if len(pattern) != len(segments):
        return None
    members: dict[str, str] = {}
    for wanted, given in zip(pattern, segments, strict=True):
        if wanted.startswith("{"):
            members[wanted[1:-1]] = given
        elif wanted != given:
            return None
    return members


class ResourceAsked:
    """Message with a request, for the plugin; `wait` returns what the handler returns, or raises what it raised.

    Requests wait neither for one another nor for charge points.
    """

    __slots__ = ("_outcome", "handler", "ordering_key", "request", "running")

    def __init__(self, handler: str, request: ResourceRequest) -> None:
        self.handler = handler
        self.request = request
        self.ordering_key = self
        self.running: greenlet | None = None
        self._outcome: AsyncResult[Any] = AsyncResult()

    def __repr__(self) -> str:
        return f"<{self.request.method} of {self.handler}>"

    def answer(self, plugin: object) -> None:
        """Have the plugin's handler answer."""
        self.running = getcurrent()
        outcome = attempt(getattr(plugin, self.handler), self.request)
        self.running = None
        self.finish(outcome)

    def finish(self, outcome: Any) -> None:
        """Take what the handler returned, or a `Failure`."""
        if not self._outcome.ready():
            self._outcome.set(outcome)

    def wait(self, timeout_s: float) -> Any:
        """Wait for the outcome. Raises the handler's exception, and TimeoutError if there is none in time."""
        self._outcome.wait(timeout_s)
        self.finish(Failure(TimeoutError(f"no answer within {timeout_s:g} s")))
        outcome = self._outcome.get()
        if type(outcome) is Failure:
            raise outcome.error
        return outcome
