"""Assignment of streams to a plugin host: a fair share of all, each for as long as its lease runs.

Pure state; the time is an argument. A plugin host with more than its share gives a stream back once it has no pending
entry of it, so that the next owner continues where it ended.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .streams import LEASE_S

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .host_cell import Pending, Place


class Stream:
    """Stream assigned to a plugin host. `claimed` says that an earlier owner's pending entries were taken over."""

    __slots__ = ("claimed", "epochs", "lease_until", "leaving", "number", "pending")

    def __init__(self, number: int, lease_until: float, pending: dict[bytes, Pending]) -> None:
        self.number = number
        self.lease_until = lease_until
        self.claimed = False
        self.leaving = False
        self.pending = pending  # entries by id that were read and are not done
        self.epochs: dict[str, int] = {}  # the highest seen of each charge point

    def fenced(self, charge_point_id: str, epoch: int) -> bool:
        """Return whether a node with this epoch has since lost the charge point to another one."""
        return epoch < self.epochs.get(charge_point_id, 0)


class Assignment:
    """Streams that are assigned to a plugin host, and their pending entries."""

    def __init__(self) -> None:
        self._streams: dict[int, Stream] = {}
        self._pending: dict[int, dict[bytes, Pending]] = {}  # by stream; they outlive its lease

    def __iter__(self) -> Iterator[Stream]:
        return iter(list(self._streams.values()))

    def __len__(self) -> int:
        return len(self._streams)

    def __getitem__(self, number: int) -> Stream:
        return self._streams[number]

    def get(self, number: int) -> Stream | None:
        """Return the stream of that number; None if this plugin host does not have it."""
        return self._streams.get(number)

    @property
    def pending(self) -> list[Pending]:
        """Pending entries, also of streams that were lost meanwhile."""
        return [entry for entries in self._pending.values() for entry in entries.values()]

    @property
    def busy(self) -> int:
        """Number of pending entries."""
        return sum(map(len, self._pending.values()))

    def done(self, place: Place) -> None:
        """Remove an entry that was answered, or is left to the next owner of its stream."""
        entries = self._pending.get(place[0])
        if entries is not None:
            entries.pop(place[1], None)

    def renewed(self, numbers: Iterable[int], share: int, sent_at: float) -> tuple[list[int], list[int]]:
        """Apply the reply to a renewal: the streams of this plugin host, and how many it should have.

        Returns the new ones and the lost ones.
        """
        now_mine = set(numbers)
        lost = [number for number in self._streams if number not in now_mine]
        new = [number for number in sorted(now_mine) if number not in self._streams]
        for number in lost:
            del self._streams[number]
        for number in now_mine:
            stream = self._streams.get(number)
            if stream is None:
                pending = self._pending.setdefault(number, {})
                self._streams[number] = Stream(number, sent_at + LEASE_S, pending)
            else:
                stream.claimed = stream.claimed and stream.lease_until > sent_at
                stream.lease_until = sent_at + LEASE_S
        spare = len(self._streams) - share
        for stream in sorted(self, key=lambda one: (not one.leaving, len(one.pending), one.number)):
            stream.leaving = spare > 0
            spare -= 1
        return new, lost

    def readable(self, now: float) -> list[Stream]:
        """Return the streams whose entries may be taken."""
        return [stream for stream in self if stream.lease_until > now and not stream.leaving]

    def give_back(self) -> list[int]:
        """Return the streams to give back now, and remove them."""
        idle = [stream.number for stream in self if stream.leaving and not stream.pending]
        for number in idle:
            del self._streams[number]
        return idle

    def clear(self) -> None:
        """Drop all streams: without Redis their owners are not known."""
        self._streams.clear()
