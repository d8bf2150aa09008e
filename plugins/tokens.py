"""Tokens of drivers and their groups: which belong together, and which may stop everything.

The one rule: nothing here depends on a version. A tag without a type, as all are in OCPP 1.6, is that of any type.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .. import Collections, Transaction


def group_of(collections: Collections, id_tag: str, id_type: str = "") -> str:
    """Return the group of a token in lower case, its parent id tag in OCPP 1.6; empty for none."""
    tag = collections.tag_of(id_tag, id_type)
    return tag.parent.lower() if tag is not None else ""


def same(id_tag: str, id_type: str, other: str, other_type: str) -> bool:
    """Compare two tokens: without case, and by their types where both have one."""
    return id_tag.lower() == other.lower() and ("" in (id_type, other_type) or id_type == other_type)


def is_master_pass(collections: Collections, id_tag: str, id_type: str, group: str) -> bool:
    """Return whether a token is a master pass, of this group. OCPP 2.0.1, C16."""
    return bool(group) and group_of(collections, id_tag, id_type) == group.lower()


def stopped_by_another(
    collections: Collections,
    known: Transaction,
    id_tag: str,
    id_type: str = "",
    *,
    master_pass_group: str = "",
) -> list[str]:
    """Return the doubt about a token that has stopped a transaction which it may not stop; none if it may.

    Its own token may, and each of its group. OCPP 1.6, 3.6; OCPP 2.0.1, C09. A master pass stops everything (C16).
    """
    if not id_tag or same(id_tag, id_type, known.id_tag, known.id_type):
        return []
    group = group_of(collections, id_tag, id_type)
    if group and (
        group == group_of(collections, known.id_tag, known.id_type) or group == master_pass_group.lower()
    ):
        return []
    return [f"it was stopped with {id_tag}, whose parent is not the same"]
