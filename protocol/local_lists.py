"""The local authorization list in the words of no version: the functions by which a version sends one.

The one rule: the functions of an adapter are pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import msgspec

from . import payload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from .actions import Request


class ListedTag(Protocol):
    """Facts of an id tag that a local list states."""

    @property
    def id_tag(self) -> str:
        """Id tag as it was entered."""

    @property
    def status(self) -> str:
        """Status in OCPP's words."""

    @property
    def expiry(self) -> datetime | None:
        """End of its validity."""

    @property
    def parent(self) -> str:
        """Parent id tag; "" for none."""

    @property
    def id_type(self) -> str:
        """Type of its token; "" for any."""

    @property
    def language(self) -> str:
        """Language of the driver; "" for none."""

    @property
    def message(self) -> str:
        """Text to be shown to the driver; "" for none."""


class SentList(NamedTuple):
    """List as it was sent: number, all of it or changes, and the facts of each entry by its name, None to remove it."""

    version: int
    full: bool
    entries: tuple[tuple[str, dict[str, Any] | None], ...]


class BelievedList(Protocol):
    """List that a charge point is believed to have."""

    @property
    def version(self) -> int:
        """Number of the list: 0 for an empty one, below 0 where lists are not supported."""

    @property
    def last_sent(self) -> int:
        """Highest number that the charge point may have seen."""

    @property
    def certain(self) -> bool:
        """True if the charge point said so."""

    @property
    def ocpp(self) -> str:
        """Version of OCPP in which the list was sent."""

    @property
    def tags(self) -> Mapping[str, Mapping[str, Any]]:
        """Facts of the entries by their names."""


class LocalListFacts(NamedTuple):
    """Facts that a local list is made of: all tags, the believed list, and the most entries of one message."""

    tags: Iterable[ListedTag]
    believed: BelievedList | None
    entry_limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalListAdapter:
    """Functions by which a version sends local lists. An entry is a message of that version.

    A believed list has the facts of its entries, as they were sent, by names. A name is compared without case.
    """

    fits: Callable[[ListedTag], bool]
    """Room in a list for this tag: false for one that is too long."""
    entry: Callable[[ListedTag], Any]
    """Entry of a tag."""
    key: Callable[[Any], str]
    """Name of an entry in a believed list."""
    info: Callable[[Any], Any]
    """Facts of an entry, as a message."""
    made: Callable[[str, Any], Any]
    """Entry with this name and these facts; with None it is removed."""
    update: Callable[[int, Sequence[Any], bool], Request[Any]]
    """Request that sends a version's number and entries; true if they replace the whole list."""
    sent: Callable[[dict[str, Any]], SentList]
    """List in the payload of such a request."""
    accepted: Callable[[Any], bool]
    """Acceptance of an update, by its response."""
    full_helps: Callable[[Any], bool]
    """Refusal of a part, by its response, after which the whole list may be accepted."""
    clear_cache: Callable[[], Request[Any]]
    """Request that clears the authorization cache."""
    ask_version: Callable[[], Request[Any]]
    """Request that asks for the number of the list."""
    told_version: Callable[[Any], int | None]
    """Number of the list by the response to that; None for another response."""
    typed: bool = False
    """Types of tokens in this version: of the tags of one name that with a type counts, else that without."""

    def whole(
        self, tags: Iterable[ListedTag], in_turns: Callable[[Iterable[Any]], Iterable[Any]] = iter
    ) -> list[Any]:
        """Make the entries of the tags that a list has room for, one of each name."""
        wanted = [tag for tag in tags if self.fits(tag)]
        if any(tag.id_type for tag in wanted):  # of tags with one name the last one counts
            wanted.sort(key=lambda tag: bool(tag.id_type) is self.typed)
        named = {self.key(one).lower(): one for one in in_turns(map(self.entry, wanted))}
        return list(named.values())

    def changes(self, believed: Mapping[str, Mapping[str, Any]], whole: Iterable[Any]) -> Iterator[Any]:
        """Yield the entries that turn a believed list into these, None for each that stays; removals come last.

        Names keep the spelling that they have at the charge point.
        """
        there = {name.lower(): name for name in believed}
        for wanted in whole:
            name = self.key(wanted)
            spelled = there.pop(name.lower(), None)
            if spelled is None:
                yield wanted
            elif as_sent(self.info(wanted)) != believed[spelled]:
                yield self.made(spelled, self.info(wanted))
            else:
                yield None
        for spelled in there.values():
            yield self.made(spelled, None)

    def next_update(self, ocpp: str, facts: LocalListFacts, *, full: bool) -> Request[Any] | None:
        """Make the next message that brings a list in step; None if it is in step.

        The first entries of a Full, or of what has changed; the rest is in the next message, when this one is believed.
        """
        believed, limit = facts.believed, facts.entry_limit
        whole = self.whole(facts.tags)
        version = 1 if believed is None else 1 + max(believed.last_sent, believed.version, 0)
        if not full and believed is not None and believed.certain and believed.ocpp == ocpp:
            changes = [entry for entry in self.changes(believed.tags, whole) if entry is not None]
            if believed.version >= 0 and len(changes) <= len(whole):
                return self.update(version, changes[:limit], False) if changes else None  # noqa: FBT003
        return self.update(version, whole[:limit], True)  # noqa: FBT003 - a column of the table

    def sync(self, ocpp: str, facts: LocalListFacts | None, *, full: bool) -> Request[Any]:
        """Make the message of the verb that brings a list in step."""
        found = None if facts is None else self.next_update(ocpp, facts, full=full)
        return self.ask_version() if found is None else found


def as_sent(info: Any) -> dict[str, Any]:
    """Show the facts of an entry as they are sent, which is how believed lists are kept."""
    sent: dict[str, Any] = msgspec.json.decode(payload.encode(info))
    return sent
