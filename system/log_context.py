"""Context of a log record: the charge point, the connection, the ticket and the plugin at work when it was made.

The one rule: it is looked for when a record is written, never before. The objects among the arguments of a record tell
it, and the actors on the stack of the greenlet that logs; so lines of plugins have it, too.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from ..actors.plugin.cell import PluginCell
from ..actors.runtime.cell import NOTHING
from ..actors.runtime.native_pool import here
from ..actors.runtime.pykka_names import Envelope
from ..actors.session.call import Call
from ..actors.session.cell import ChargePointCell
from ..actors.session.charge_point import ChargePoint
from ..actors.session.tickets import Ticket
from ..protocol.text import shortened

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterator

FRAMES = 60
"""Frames of a stack that are looked at."""
Fields = dict[str, Any]


def fields_of(record: logging.LogRecord) -> Fields:
    """Return the fields of a record, its own first. For the greenlet that has made the record, while it is handled."""
    found: Fields = dict(getattr(record, "fields", ()))
    args = record.args if isinstance(record.args, tuple) else ()
    for arg in args:
        _add(found, arg)
    for thing in _at_work():
        _add(found, thing)
    return {
        name: value if isinstance(value, PLAIN) else shortened(str(value)) for name, value in found.items()
    }


def _add(found: Fields, thing: object) -> None:
    """Add what a thing tells, unless it is about another charge point than what is known already."""
    if isinstance(thing, KINDS):
        told = _told(thing)
    else:
        key = getattr(thing, "ordering_key", None)  # of a message to a plugin
        told = {"charge_point": key} if isinstance(key, str) else {}
    known, other = found.get("charge_point"), told.get("charge_point")
    if known is not None and other is not None and known != other:
        return
    for name, value in told.items():
        if value not in ("", None):
            found.setdefault(name, value)


def _told(thing: Any) -> Fields:
    if isinstance(thing, ChargePoint):
        connection = thing.peer if thing.connected else ""
        return {"charge_point": thing.id, "version": thing.version, "connection": connection}
    if isinstance(thing, Ticket):
        return {"ticket": thing.id, "charge_point": thing.charge_point_id}
    if isinstance(thing, Call):
        plugin: Any = thing.plugin
        return _told(thing.charge_point) | {"plugin": "" if plugin is None else str(plugin.urn)}
    if isinstance(thing, PluginCell):
        return {"plugin": thing.spec.name}
    return _told(thing.charge_point) | _ticket_in(thing.current_message)


def _ticket_in(message: object) -> Fields:
    ticket = getattr(message, "ticket", None)
    return {} if message is NOTHING or not isinstance(ticket, Ticket) else {"ticket": ticket.id}


PLAIN = (int, float, type(None))
"""Kinds of values that a field keeps; all others become texts."""
KINDS = (ChargePointCell, PluginCell, Call, Ticket, ChargePoint)


def _at_work() -> Iterator[object]:
    """Yield the cells that run here, the innermost first, and the messages that plugins handle."""
    job = getattr(here, "job", None)
    if job is not None:  # a handler in a native thread, whose plugin waits elsewhere
        yield from job.arguments
    frame: Any = sys._getframe(2)  # noqa: SLF001 - there is no other way to the stack
    for _ in range(FRAMES):
        if frame is None:
            return
        names = frame.f_code.co_varnames
        if names and names[0] == "self":
            local = frame.f_locals
            cell = local.get("self")
            if isinstance(cell, PluginCell | ChargePointCell):
                yield from map(_content, (local.get("message"), local.get("event")))
                yield cell
        frame = frame.f_back


def _content(message: object) -> object:
    """Return what a message is about: an answered call, a ticket that has ended, or itself."""
    content = message.message if type(message) is Envelope else message
    for name in ("call", "ticket"):
        inner = getattr(content, name, None)
        if isinstance(inner, KINDS):
            return inner
    return content
