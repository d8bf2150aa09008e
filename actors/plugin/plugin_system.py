"""System as a plugin has it, in `self.system`: commands and verbs, charge points, tickets, and the store.

This is the whole interface. What a system has not, as that of a plugin host has no store, raises `NotAvailableHere`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...config.errors import ChargehandError
from ..session.command_sender import CommandSender

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Mapping, Sequence

    from ...config.settings import Settings
    from ...store.records import Cost, Transaction
    from ...store.store import Receipt, Store
    from ..session.charge_point import ChargePoint
    from ..session.commands import PreparedCommand
    from ..session.tickets import Ticket


class NotAvailableHere(ChargehandError, LookupError):
    """Error: the system of a plugin has no such part in this process, as that of a plugin host has no store."""


class PluginSystem(CommandSender):
    """Base of the systems that plugins run in. Methods that need the store switch greenlets."""

    settings: Settings
    """Settings of the system."""

    @property
    def store(self) -> Store:
        """Records: transactions, meter readings, registrations, events, and `store.collections`.

        Read them here; a plugin that writes records takes the place of the back office.
        """
        raise _missing("store")

    if not TYPE_CHECKING:  # or a type checker would take any name

        def __getattr__(self, name: str) -> Any:
            if name == "settings":
                raise NotAvailableHere(f"the system of this plugin has no {name}: it runs in a node")
            raise AttributeError(f"{type(self).__name__!r} has no attribute {name!r}")

    def prepare(
        self, charge_point: str, action: str, payload: bytes, version: str = ""
    ) -> PreparedCommand[Any]:
        """Check a payload in JSON as the request of an action, once; `send` takes what is returned."""
        raise _missing("prepare", charge_point, action, payload, version)

    def charge_points(self) -> Sequence[ChargePoint]:
        """List the charge points that this process knows, connected or not."""
        raise _missing("charge_points")

    def charge_point(self, charge_point_id: str) -> ChargePoint | None:
        """Return the facts of a charge point; None if it is not known."""
        raise _missing("charge_point", charge_point_id)

    def knows(self, charge_point_id: str) -> bool:
        """Return whether a charge point is known here or has booted at any process. May switch greenlets."""
        raise _missing("knows", charge_point_id)

    def ticket(self, ticket_id: str) -> Ticket[Any] | None:
        """Find a ticket by its id; None if it is unknown, or ended long ago."""
        raise _missing("ticket", ticket_id)

    def tickets(self, charge_point_id: str = "", *, open_only: bool = False) -> list[Ticket[Any]]:
        """List open tickets and the last ended ones, of one charge point or of all, newest first."""
        raise _missing("tickets", charge_point_id, open_only)

    def key_sent(self, charge_point_id: str, value: str | bytes, *, certain: bool) -> None:
        """Store the new key of a charge point, as the value of an AuthorizationKey or as bytes. Switches greenlets."""
        raise _missing("key_sent", charge_point_id, value, certain)

    def raise_alert(
        self,
        charge_point_id: str,
        *,
        severity: int | None,
        source: str,
        subject: str,
        text: str = "",
        data: Mapping[str, Any] | None = None,
    ) -> Receipt:
        """Raise an alert about a charge point: the durable event `AlertRaised`, a line of the log, and a count.

        `severity` is from 0, danger, to 9, debugging; None if it is not known. The receipt is that of the event.
        """
        raise _missing("raise_alert", charge_point_id, severity, source, subject, text, data)

    def report_meter(self, site: str, currents_a: Mapping[str, float]) -> None:
        """Report what a site draws at its grid connection: the live event `SiteMetered`.

        `currents_a` are the amperes of each phase, "L1" to "L3", charge points included.
        """
        raise _missing("report_meter", site, currents_a)

    def key_refused(self, charge_point_id: str, value: str | bytes) -> None:
        """Forget a new key that the charge point has not taken. Switches greenlets."""
        raise _missing("key_refused", charge_point_id, value)

    def close_transaction(
        self,
        transaction_id: int,
        *,
        by: str,
        reason: str,
        note: str = "",
        meter_stop: int | None = None,
        stopped_at: dt.datetime | None = None,
    ) -> Transaction:
        """Close an open transaction whose stop will not come, and return it. Switches greenlets."""
        raise _missing("close_transaction", transaction_id, by, reason, note, meter_stop, stopped_at)

    def price_with(self, pricer: Callable[[Transaction], Cost | None] | None) -> None:
        """Price closed transactions in events with a function, which may switch greenlets; None: no more."""
        raise _missing("price_with", pricer)

    def idle_since(self, transaction: Transaction) -> dt.datetime | None:
        """Return when the last energy of a transaction had come, by its readings; None if they do not say."""
        raise _missing("idle_since", transaction)

    def assessed(self, transaction: Transaction) -> Transaction:
        """Return a transaction with its energy, derived if it was not yet. Switches greenlets."""
        raise _missing("assessed", transaction)


def _missing(name: str, *_arguments: object) -> NotAvailableHere:
    return NotAvailableHere(f"the system of this plugin has no {name}: it runs in a node")
