"""Commands: at most one on the wire, the rest in a queue by priority and age."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from .actions import Action
    from .message import Message

INFINITY = float("inf")


class Outgoing:
    """A call of ours. `owner` is whatever the caller wants to find again; `payload` is checked JSON."""

    __slots__ = ("action", "due", "expires_at", "owner", "payload", "request", "timeout_s", "unique_id")

    def __init__(
        self,
        owner: Any,
        action: Action,
        request: Message,
        payload: bytes,
        timeout_s: float,
        expires_at: float = INFINITY,
    ) -> None:
        self.owner = owner
        self.action = action
        self.request = request
        self.payload = payload
        self.timeout_s = timeout_s  # for the answer, from the moment it is sent
        self.expires_at = expires_at  # when it is not sent any more
        self.unique_id = ""
        self.due = INFINITY


class CommandQueue:
    """Queue of commands. Time and registration are arguments."""

    __slots__ = ("on_wire", "waiting")

    def __init__(self) -> None:
        self.on_wire: Outgoing | None = None
        self.waiting: list[Outgoing] = []

    def __len__(self) -> int:
        return len(self.waiting)

    def holds(self, owner: object) -> bool:
        """Whether a call is on the wire or waits."""
        return any(one is not None and one.owner is owner for one in (self.on_wire, *self.waiting))

    def add(self, outgoing: Outgoing) -> None:
        """Put a call behind those of its priority."""
        if outgoing.action.urgent:
            place = sum(1 for other in self.waiting if other.action.urgent)
            self.waiting.insert(place, outgoing)
        else:
            self.waiting.append(outgoing)

    def first(self, may_send: Callable[[Action], bool], now: float) -> Outgoing | None:
        """The call that `next` would take."""
        for outgoing in self.waiting:
            if outgoing.expires_at > now and may_send(outgoing.action):
                return outgoing
        return None

    def next(self, may_send: Callable[[Action], bool], now: float) -> Outgoing | None:
        """Take the first call that may be sent now and is not too late, and have it on the wire."""
        outgoing = self.first(may_send, now)
        if outgoing is not None:
            self.waiting.remove(outgoing)
            self.on_wire = outgoing
        return outgoing

    def take_off_wire(self) -> Outgoing | None:
        """The wire is free: return what was on it."""
        outgoing, self.on_wire = self.on_wire, None
        return outgoing

    def remove(self, owner: object) -> Outgoing | None:
        """Take a waiting call out again; None if it does not wait."""
        for place, outgoing in enumerate(self.waiting):
            if outgoing.owner is owner:
                del self.waiting[place]
                return outgoing
        return None

    def supersede(self, newer: Outgoing) -> list[Outgoing]:
        """Take out the waiting calls with the key of a newer one, and leave that."""
        key_of = newer.action.supersede_key
        if key_of is None:
            return []
        key = key_of(newer.request)
        older = [
            other
            for other in self.waiting
            if other is not newer and other.action is newer.action and key_of(other.request) == key
        ]
        for other in older:
            self.waiting.remove(other)
        return older

    def clear(self) -> list[Outgoing]:
        """Take all waiting calls out."""
        waiting, self.waiting = self.waiting, []
        return waiting

    def expired(self, now: float) -> list[Outgoing]:
        """Take out the calls that waited too long."""
        gone = [outgoing for outgoing in self.waiting if outgoing.expires_at <= now]
        if gone:
            self.waiting = [outgoing for outgoing in self.waiting if outgoing.expires_at > now]
        return gone

    def due(self) -> float:
        """When the next of them is over."""
        due = self.on_wire.due if self.on_wire is not None else INFINITY
        return min([due, *(outgoing.expires_at for outgoing in self.waiting)])
