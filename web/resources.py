"""Base of all resources, and their answers: limits, one view, many views."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gevent
import msgspec

from .views import JSON, encode

if TYPE_CHECKING:
    from collections.abc import Iterable

    import falcon

    from ..system.central_system import CentralSystem

DEFAULT_LIMIT = 100
MAX_LIMIT = 10_000
READ, COMMAND, ADMIN = SCOPES = ("read", "command", "admin")
"""Scopes of tokens; each one includes those before it."""
INNER = "chargehand.asked_by_a_node"
"""Key in the environ of a request that another node has passed on; no header can set it."""
AT_A_TIME = 100
"""Records converted to views before other greenlets have their turn: about 1 ms."""


class Resource:
    """Base of every resource: holds the system, and says which scope its token needs to read, and to change."""

    reads = READ
    changes = ADMIN
    any_node = False
    """True if each node of a cluster answers for every charge point."""

    def __init__(self, system: CentralSystem) -> None:
        self._system = system


def answer(response: falcon.Response, view: Any) -> None:
    """Answer 200 with a view."""
    response.data = encode(view)
    response.content_type = JSON


def viewed(views: Iterable[dict[str, Any]]) -> list[msgspec.Raw]:
    """Encode any number of views as JSON; switches greenlets."""
    written = []
    for number, view in enumerate(views, 1):
        written.append(msgspec.Raw(encode(view)))
        if number % AT_A_TIME == 0:
            gevent.sleep(0)
    return written
