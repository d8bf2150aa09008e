"""The streams that a worker has: each as long as its lease runs, a fair share of all.

Pure state; the time is an argument. A worker that has more than its share gives a stream back only when it has no
entry of it in hand: so the next one begins where it has ended.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .streams import LEASE_S

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .host_cell import Notice, Place, RemoteCall


class Stream:
    """Stream assigned to a plugin host. `claimed` says that an earlier owner's pending entries were taken over."""

    __slots__ = ("claimed", "epochs", "in_hand", "lease_until", "leaving", "number")

    def __init__(self, number: int, lease_until: float, in_hand: dict[bytes, RemoteCall | Notice]) -> None:
        self.number = number
        self.lease_until = lease_until
        self.claimed = False
        self.leaving = False
        self.in_hand = in_hand  # entries by id that were read and not dealt with
        self.epochs: dict[str, int] = {}  # the highest of each charge point

    def fenced(self, charge_point_id: str, epoch: int) -> bool:
        """Return whether a node with this epoch has since lost the charge point to another one."""
        return epoch < self.epochs.get(charge_point_id, 0)


class Assignment:
    """Streams that are assigned to a plugin host, and the entries in hand."""

    def __init__(self) -> None:
        self._streams: dict[int, Stream] = {}
        self._hands: dict[int, dict[bytes, RemoteCall | Notice]] = {}  # outlive the lease of their stream

    def __iter__(self) -> Iterator[Stream]:
        return iter(list(self._streams.values()))

    def __len__(self) -> int:
        return len(self._streams)

    def __getitem__(self, number: int) -> Stream:
        return self._streams[number]

    def get(self, number: int) -> Stream | None:
        """The stream of that number, if it is this worker's."""
        return self._streams.get(number)

    @property
    def in_hand(self) -> list[RemoteCall | Notice]:
        """All that is in hand, also of streams that were lost meanwhile."""
        return [entry for hand in self._hands.values() for entry in hand.values()]

    @property
    def busy(self) -> int:
        """Number of entries in hand."""
        return sum(map(len, self._hands.values()))

    def put_down(self, place: Place) -> None:
        """An entry was dealt with, or is left to whoever has its stream next."""
        hand = self._hands.get(place[0])
        if hand is not None:
            hand.pop(place[1], None)

    def renewed(self, numbers: Iterable[int], share: int, sent_at: float) -> tuple[list[int], list[int]]:
        """Take what a renewal said: the streams that are this worker's, and how many it should have.

        Returns those that are new, and those that were lost.
        """
        now_mine = set(numbers)
        lost = [number for number in self._streams if number not in now_mine]
        new = [number for number in sorted(now_mine) if number not in self._streams]
        for number in lost:
            del self._streams[number]
        for number in now_mine:
            stream = self._streams.get(number)
            if stream is None:
                in_hand = self._hands.setdefault(number, {})
                self._streams[number] = Stream(number, sent_at + LEASE_S, in_hand)
            else:
                stream.claimed = stream.claimed and stream.lease_until > sent_at
                stream.lease_until = sent_at + LEASE_S
        spare = len(self._streams) - share
        for stream in sorted(self, key=lambda one: (not one.leaving, len(one.in_hand), one.number)):
            stream.leaving = spare > 0
            spare -= 1
        return new, lost

    def readable(self, now: float) -> list[Stream]:
        """Return the streams whose entries may be taken."""
        return [stream for stream in self if stream.lease_until > now and not stream.leaving]

    def give_back(self) -> list[int]:
        """Return the streams to give back now, and remove them."""
        idle = [stream.number for stream in self if stream.leaving and not stream.in_hand]
        for number in idle:
            del self._streams[number]
        return idle

    def clear(self) -> None:
        """Redis is away: nobody knows whose they are."""
        self._streams.clear()
