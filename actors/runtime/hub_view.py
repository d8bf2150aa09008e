"""View of an object of the hub for a native thread: what is called or looked up there happens in the hub."""

from __future__ import annotations

import dataclasses
import functools
import operator
from enum import Enum
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Protocol, TypeVar, cast

import msgspec

from .native_pool import in_hub
from .threads import native_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .threads import Inlet

P = ParamSpec("P")
T = TypeVar("T")

PACKAGE = __name__.split(".", maxsplit=1)[0] + "."


def is_plain(value: Any) -> bool:
    """Return whether any thread may use a value as it is: a record, or what says so by `any_thread`."""
    kind = type(value)
    if hasattr(value, "__next__"):
        return False
    return (
        not kind.__module__.startswith(PACKAGE)
        or getattr(kind, "any_thread", False)
        or isinstance(value, msgspec.Struct | Enum | BaseException | type)
        or dataclasses.is_dataclass(value)
    )


class HubView:
    """View of one object. Methods and properties run in the hub; what they return is plain, or a view too."""

    __slots__ = ("_inlet", "_of")

    def __init__(self, of: Any, inlet: Inlet) -> None:
        self._of = of
        self._inlet = inlet

    def __getattr__(self, name: str) -> Any:
        found = in_hub(self._inlet, getattr, self._of, name)
        if callable(found) and not isinstance(found, type):
            return lambda *arguments, **options: self._call(found, *arguments, **options)
        return self._seen(found)

    def _call(self, function: Any, *arguments: Any, **options: Any) -> Any:
        return self._seen(in_hub(self._inlet, function, *arguments, **options))

    def _seen(self, value: Any) -> Any:
        return value if is_plain(value) else HubView(value, self._inlet)

    def __len__(self) -> int:
        return int(self._call(len, self._of))

    def __contains__(self, item: object) -> bool:
        return bool(self._call(operator.contains, self._of, item))

    def __getitem__(self, key: Any) -> Any:
        return self._call(operator.getitem, self._of, key)

    def __iter__(self) -> Iterator[Any]:
        of = in_hub(self._inlet, iter, self._of)
        while (item := in_hub(self._inlet, next, of, _END)) is not _END:
            yield self._seen(item)

    def __next__(self) -> Any:
        item = in_hub(self._inlet, next, self._of, _END)
        if item is _END:
            raise StopIteration
        return self._seen(item)

    def __enter__(self) -> Any:
        return self._call(self._of.__enter__)

    def __exit__(self, *error: object) -> Any:
        return self._call(self._of.__exit__, *error)

    def __repr__(self) -> str:
        return f"<view of {self._of!r}>"


_END = object()


class HasHome(Protocol):
    """Object of a hub. `home` is the inlet of that hub while the object runs, else None."""

    home: Inlet | None


H = TypeVar("H", bound=HasHome)


def seen_from_here(value: T, home: Inlet | None) -> T:
    """Return a value of a hub as it is in that hub or if it is plain, else a view of it."""
    if home is None or native_thread() == home.thread or is_plain(value):
        return value
    return cast("T", HubView(value, home))


def from_any_thread(method: Callable[Concatenate[H, P], T]) -> Callable[Concatenate[H, P], T]:
    """Have a method of the hub called there, in whichever native thread it is called; it returns a view of an object.

    Raises `HubBlocked` in another thread while the hub hangs.
    """

    @functools.wraps(method)
    def call(self: H, /, *arguments: P.args, **options: P.kwargs) -> T:
        home = self.home
        if home is None or native_thread() == home.thread:
            return method(self, *arguments, **options)
        returned: T = in_hub(home, method, self, *arguments, **options)
        return seen_from_here(returned, home)

    return call
