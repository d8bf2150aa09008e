"""Commands: at most one on the wire, the rest in a queue by priority and age."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from .actions import Action, Request
    from .message import Message

INFINITY = float("inf")


class Outgoing:
    """Command of this side. `owner` is an object for the caller to find again; `payload` is checked JSON."""

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

    def put_into(self, request: Request[Any], payload: bytes) -> None:
        """Take another message, in which the same command goes out."""
        self.action = request.__action__
        self.request = request
        self.payload = payload


class CommandQueue:
    """Queue of commands. Time and registration are arguments."""

    __slots__ = ("on_wire", "waiting")

    def __init__(self) -> None:
        self.on_wire: Outgoing | None = None
        self.waiting: list[Outgoing] = []

    def __len__(self) -> int:
        return len(self.waiting)

    def holds(self, owner: object) -> bool:
        """Tell if the command of this owner is on the wire or waits."""
        return any(one is not None and one.owner is owner for one in (self.on_wire, *self.waiting))

    def add(self, outgoing: Outgoing) -> None:
        """Put a command behind those of its priority."""
        if outgoing.action.urgent:
            place = sum(1 for other in self.waiting if other.action.urgent)
            self.waiting.insert(place, outgoing)
        else:
            self.waiting.append(outgoing)

    def first(self, may_send: Callable[[Action], bool], now: float) -> Outgoing | None:
        """Return the command that `next` would take."""
        for outgoing in self.waiting:
            if outgoing.expires_at > now and may_send(outgoing.action):
                return outgoing
        return None

    def next(self, may_send: Callable[[Action], bool], now: float) -> Outgoing | None:
        """Put the first command that may be sent now and has not expired on the wire."""
        outgoing = self.first(may_send, now)
        if outgoing is not None:
            self.waiting.remove(outgoing)
            self.on_wire = outgoing
        return outgoing

    def take_off_wire(self) -> Outgoing | None:
        """Free the wire and return the command that was on it."""
        outgoing, self.on_wire = self.on_wire, None
        return outgoing

    def remove(self, owner: object) -> Outgoing | None:
        """Take a waiting command out; None if it does not wait."""
        for place, outgoing in enumerate(self.waiting):
            if outgoing.owner is owner:
                del self.waiting[place]
                return outgoing
        return None

    def supersede(self, newer: Outgoing) -> list[Outgoing]:
        """Take out the waiting commands with the key of a newer one, and leave the newer one."""
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
        """Take all waiting commands out."""
        waiting, self.waiting = self.waiting, []
        return waiting

    def expired(self, now: float) -> list[Outgoing]:
        """Take out the commands that have expired."""
        gone = [outgoing for outgoing in self.waiting if outgoing.expires_at <= now]
        if gone:
            self.waiting = [outgoing for outgoing in self.waiting if outgoing.expires_at > now]
        return gone

    def due(self) -> float:
        """Return the earliest time at which a command times out or expires."""
        due = self.on_wire.due if self.on_wire is not None else INFINITY
        return min([due, *(outgoing.expires_at for outgoing in self.waiting)])
