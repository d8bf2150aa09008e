"""The local authorization list in the words of no version: the functions by which a version sends one.

The one rule: the functions of an adapter are pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

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


@dataclass(frozen=True, slots=True)
class LocalListAdapter:
    """Functions by which a version sends local lists. An entry is a message of that version."""

    fits: Callable[[ListedTag], bool]
    """Room in a list for this tag: false for one that is too long."""
    entry: Callable[[ListedTag], Any]
    """Entry of a tag."""
    changes: Callable[[Mapping[str, Mapping[str, Any]], Iterable[Any]], Iterator[Any]]
    """Entries that turn the believed list (id tag to facts, as sent) into these; None for each that stays."""
    update: Callable[[int, Sequence[Any], bool], Request[Any]]
    """Request that sends a version's number and entries; true if they replace the whole list."""
    accepted: Callable[[Any], bool]
    """Acceptance of an update, by its response."""
    full_helps: Callable[[Any], bool]
    """Refusal of a part, by its response, after which the whole list may be accepted."""
    clear_cache: Callable[[], Request[Any]]
    """Request that clears the authorization cache."""
