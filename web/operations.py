"""Declarations of the operations of the HTTP API: each responder says its id, its parameters, its answers and problems.

    @operation("listKeys", "charge points", answer=KeysAnswer, query=(Parameter("waiting", bool, "…"),))
    def on_get(self, request, response): ...

The one rule: `openapi.py` describes what stands here and on the structs, and nothing else; a test holds the answers of
all other tests against it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeVar

import msgspec

from .resources import DEFAULT_LIMIT, MAX_LIMIT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

R = TypeVar("R", bound="Callable[..., Any]")

LARGEST_ID = 2**31 - 1
NOTHING = msgspec.NODEFAULT
"""Default of a parameter that has none."""


class Parameter(NamedTuple):
    """Parameter of a query: its name, its type, what it does, and the value that stands for a missing one."""

    name: str
    type: Any
    description: str
    default: Any = NOTHING
    required: bool = False


def flag(name: str, description: str, *, default: Any = False) -> Parameter:
    """Make a parameter that is 1 or 0."""
    return Parameter(name, bool, description, default)


def text(name: str, description: str, *, required: bool = False) -> Parameter:
    """Make a parameter that is a text."""
    return Parameter(name, str, description, required=required)


def limit(default: int = DEFAULT_LIMIT) -> Parameter:
    """Make the parameter of the size of a page."""
    return Parameter("limit", Annotated[int, msgspec.Meta(ge=1, le=MAX_LIMIT)], "Size of the page", default)


def seconds(name: str, description: str, most: float, default: Any = NOTHING) -> Parameter:
    """Make a parameter that is a duration above 0."""
    return Parameter(name, Annotated[float, msgspec.Meta(gt=0, le=most)], description, default)


CHARGE_POINT = text("charge_point", "Only those of this charge point")
BEFORE = text("before", "`next` of the page before")
AFTER = text("after", "`next` of the page before")


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """Declaration of an operation. `answer` is the type of a JSON answer; None for none.

    `content` has the types of answers that are no JSON, by media type; `answers` further statuses with their types.
    `problems` says when a status with a problem is given. `many` marks a path that stands for many: all "actions",
    or all "verbs". With `any_status` there may be problems of statuses that nobody here knows.
    """

    id: str
    tag: str
    query: tuple[Parameter, ...] = ()
    body: Any = None
    answer: Any = None
    status: int = 200
    answers: Mapping[int, Any] = field(default_factory=dict)
    content: Mapping[str, Any] = field(default_factory=dict)
    problems: Mapping[int, str] = field(default_factory=dict)
    segments: Mapping[str, str] = field(default_factory=dict)
    example: Any = None
    public: bool = False
    many: str = ""
    any_status: bool = False


def operation(id_: str, tag: str, **facts: Any) -> Callable[[R], R]:
    """Declare the operation of a responder. Its docstring is the summary and the description."""

    def declare(responder: R) -> R:
        responder.__operation__ = Operation(id=id_, tag=tag, **facts)  # type: ignore[attr-defined]
        return responder

    return declare


def operation_of(responder: Any) -> Operation | None:
    """Return the declaration of a responder; None if it has none."""
    found: Operation | None = getattr(responder, "__operation__", None)
    return found


def page(name: str, row: Any, *, cursor: Any = str) -> Any:
    """Make the type of a page: its rows under a name, `more`, and `next`, the cursor of the next page."""
    title = "".join(part.title() for part in name.split("_")) + "Page"
    members: list[Any] = [(name, list[row]), ("more", bool), ("next", cursor | None)]
    return msgspec.defstruct(
        title, members, kw_only=True, namespace={"__doc__": f"Page of {name.replace('_', ' ')}."}
    )


def listing(name: str, row: Any, title: str = "") -> Any:
    """Make the type of a whole list, or of another answer with one member."""
    title = title or "".join(part.title() for part in name.split("_")) + "List"
    kind = list[row]
    return msgspec.defstruct(
        title, [(name, kind)], kw_only=True, namespace={"__doc__": f"All {name.replace('_', ' ')}."}
    )


WORKER = Parameter(
    "worker",
    Annotated[int, msgspec.Meta(ge=0)],
    "Only of this worker process of the node; 0 is all of them",
    0,
)
NO_WORKER = {404: "There is no such worker process"}
NOT_STORED = {503: "The store could not keep it, or the central system stops"}
