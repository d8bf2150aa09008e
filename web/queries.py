"""The parameters of a query, read strictly: a wrong or unknown one is the caller's mistake, and said so."""

from __future__ import annotations

import datetime as dt
from math import isfinite
from typing import TYPE_CHECKING

from .problems import Problem

if TYPE_CHECKING:
    import falcon

_FLAGS = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}


class Query:
    """The parameters of one request; `known` are those that its resource has. Everything here raises `Problem` 400."""

    def __init__(self, request: falcon.Request, *known: str) -> None:
        self._values: dict[str, str] = {}
        for name, value in request.params.items():
            if name not in known:
                wanted = ", ".join(known) or "none"
                raise _wrong(f"{name} is no parameter here; there are: {wanted}")
            if isinstance(value, list):
                raise _wrong(f"{name} is given more than once")
            self._values[name] = value

    def text(self, name: str) -> str:
        """A text; empty if it is not given."""
        return self._values.get(name, "")

    def flag(self, name: str, *, default: bool) -> bool:
        """Yes or no."""
        if name not in self._values:
            return default
        value = _FLAGS.get(self._values[name].lower())
        if value is None:
            raise _wrong(f"{name} must be 1 or 0")
        return value

    def choice(self, name: str, *known: str) -> str:
        """One of the known words, the first if none is given."""
        value = self._values.get(name, known[0])
        if value not in known:
            raise _wrong(f"{name} must be one of: {', '.join(known)}")
        return value

    def whole(self, name: str, *, default: int, most: int, least: int = 1) -> int:
        """A whole number."""
        text = self._values.get(name, str(default))
        if not (
            text.isascii() and text.isdigit() and len(text) <= len(str(most)) and least <= int(text) <= most
        ):
            raise _wrong(f"{name} must be a whole number from {least} to {most}")
        return int(text)

    def moment(self, name: str) -> dt.datetime | None:
        """A time, or the beginning of a day; without an offset it is UTC. None if it is not given."""
        if name not in self._values:
            return None
        try:
            value = dt.datetime.fromisoformat(self._values[name])
            return (value if value.tzinfo is not None else value.replace(tzinfo=dt.UTC)).astimezone(dt.UTC)
        except (ValueError, OverflowError):
            raise _wrong(f"{name} must be a time like 2026-11-22T05:42:00Z, or a day") from None

    def seconds(self, name: str, *, default: float, most: float) -> float:
        """A duration above 0."""
        try:
            value = float(self._values.get(name, default))
        except ValueError:
            value = 0.0
        if not isfinite(value) or not 0 < value <= most:
            raise _wrong(f"{name} must be seconds above 0, at most {most:g}")
        return value


def _wrong(text: str) -> Problem:
    return Problem(400, "Bad query", text)
