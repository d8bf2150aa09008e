"""Price: the bundled plugin that computes what transactions cost, by tariffs in the settings.

Off unless the settings name it. The first tariff that fits charge point, group of the tag and time of the start
counts. The cost stands on the transaction when it has ended, in its events, over HTTP and in exports. A tariff that was
wrong is corrected in the settings, and a command computes the costs again: the old ones stay beside the new one.

The one rule: money is decimal, and a cost says how it came about.
"""

from __future__ import annotations

import datetime as dt
import json
import logging
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import click
import msgspec

from .. import (
    Api,
    ChargehandError,
    Cost,
    CostPart,
    Cursor,
    Plugin,
    ReadingsDeleted,
    ResourceRefused,
    ResourceRequest,
    TransactionCorrected,
    TransactionEnded,
    TransactionFilter,
    asks_server,
    on,
    resource,
    setting,
    show_table,
    shows,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from .. import Transaction

logger = logging.getLogger(__name__)

PRICE = r"[0-9]{1,9}(\.[0-9]{1,9})?"
AT_ONCE = 50
"""Transactions that are computed again in one request."""
QUANTITY = Decimal("0.000001")
SECONDS = Decimal(3600)
CORRECTION = "correction"
"""Author of a cost that was computed again because the transaction was corrected."""
RECEIPT_S = 5.0
"""Seconds that the store has for a cost; then its event comes again."""
TRIES = 5
"""Tries to store a cost while others are stored for the same transaction."""


def _price(doc: str) -> str:
    return setting("0", doc, pattern=PRICE, wanted='a decimal number as text, as "0.45"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Tariff:
    """Tariff: prices, and for which transactions they are."""

    name: str = setting("", "Name, which stands in each cost.", pattern=r".{1,100}", wanted="a name")
    per_kwh: str = _price("Price of a kWh.")
    per_hour: str = _price("Price of an hour, from the start to the end.")
    idle_per_hour: str = _price("Price of an hour without energy before the end, beside that of an hour.")
    idle_free_min: float = setting(10.0, "Minutes without energy that are free.", least=0)
    per_start: str = _price("Price of a start.")
    charge_points: tuple[str, ...] = setting((), 'Charge points, as "DE-*"; empty means all.')
    tag_groups: tuple[str, ...] = setting((), "Groups (parent tags) of the tag, or tags; empty means all.")
    valid_from: dt.datetime | None = setting(None, "Begin of its validity, for the start of a transaction.")
    valid_until: dt.datetime | None = setting(None, "End of its validity, which is no part of it.")

    def fits(self, charge_point_id: str, tags: Sequence[str], started_at: dt.datetime) -> bool:
        """Return whether it is for a transaction of these tags (the tag, and its group), in lower case."""
        return (
            (not self.charge_points or any(fnmatchcase(charge_point_id, one) for one in self.charge_points))
            and (not self.tag_groups or not {one.lower() for one in self.tag_groups}.isdisjoint(tags))
            and (self.valid_from is None or self.valid_from <= started_at)
            and (self.valid_until is None or started_at < self.valid_until)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceSettings:
    """Settings of prices."""

    currency: str = setting(
        "EUR", "Currency of all prices.", pattern=r"[A-Z]{3}", wanted="a code of ISO 4217"
    )
    digits: int = setting(2, "Digits behind the point of an amount.", least=0, most=9)
    tariffs: tuple[Tariff, ...] = setting((), "Tariffs; the first one that fits counts.")

    def conflicts(self) -> Iterator[tuple[str, str]]:
        """Yield what no setting shows alone."""
        names: set[str] = set()
        if not self.tariffs:
            yield "tariffs", "missing: without one nothing has a price"
        for number, tariff in enumerate(self.tariffs):
            if not tariff.name:
                yield f"tariffs.{number}.name", "missing"
            elif tariff.name in names:
                yield f"tariffs.{number}.name", f'"{tariff.name}" is the name of another one already'
            names.add(tariff.name)
            begins, ends = tariff.valid_from, tariff.valid_until
            if begins is not None and ends is not None and ends <= begins:
                yield f"tariffs.{number}.valid_until", "must be after valid_from"


class Usage(msgspec.Struct, frozen=True):
    """Quantities of a transaction that have a price."""

    energy_wh: float
    seconds: float
    idle_s: float = 0.0


def cost_of(usage: Usage, tariff: Tariff, currency: str, digits: int, at: dt.datetime, by: str = "") -> Cost:
    """Compute a cost: each part by its exact quantity, the sum rounded half up."""
    idle_s = max(usage.idle_s - tariff.idle_free_min * 60, 0.0)
    parts = [
        _part("kWh", Decimal(str(usage.energy_wh)) / 1000, tariff.per_kwh),
        _part("h", Decimal(str(usage.seconds)) / SECONDS, tariff.per_hour),
        _part("idle h", Decimal(str(idle_s)) / SECONDS, tariff.idle_per_hour),
        _part("start", Decimal(1), tariff.per_start),
    ]
    priced = tuple(part for part in parts if part.price)
    amount = sum((part.amount for part in priced), Decimal(0))
    return Cost(
        amount=amount.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP),
        currency=currency,
        tariff=tariff.name,
        at=at,
        by=by,
        parts=priced,
    )


def _part(unit: str, quantity: Decimal, price: str) -> CostPart:
    rounded = max(quantity, Decimal(0)).quantize(QUANTITY, ROUND_HALF_UP).normalize() + 0
    return CostPart(unit=unit, quantity=rounded, price=Decimal(price), amount=rounded * Decimal(price))


def same_use(one: Cost, other: Cost) -> bool:
    """Return whether two costs are of the same quantities, as far as both have them."""
    units = {part.unit: part.quantity for part in one.parts}
    return all(units.get(part.unit, part.quantity) == part.quantity for part in other.parts)


class Again(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Request to compute costs again: of transactions that started in a time; `before` is where the last one ended."""

    since: dt.datetime | None = None
    until: dt.datetime | None = None
    charge_point: str = ""
    before: str = ""
    dry_run: bool = False


class CostsChanged(ChargehandError):
    """Error: the costs of a transaction have changed while another one was computed."""


class Price(Plugin):
    """Computes what transactions cost."""

    settings_class = PriceSettings

    def __init__(self, settings: PriceSettings) -> None:
        super().__init__()
        self._own = settings

    def on_start(self) -> None:
        """Have transactions in events priced."""
        self.system.price_with(self.price)

    def on_stop(self) -> None:
        """Price no more."""
        self.system.price_with(None)

    def price(self, transaction: Transaction, by: str = "") -> Cost | None:
        """Compute the cost of a closed transaction; None if no tariff fits. Switches greenlets.

        Raises `ReadingsDeleted` if its idle time is not known any more.
        """
        started_at, stopped_at = self._times(transaction)
        tags = [transaction.id_tag.lower()]
        tag = self.system.store.collections.tag_of(transaction.id_tag, transaction.id_type)
        if tag is not None and tag.parent:
            tags.append(tag.parent.lower())
        for tariff in self._own.tariffs:
            if tariff.fits(transaction.charge_point_id, tags, started_at):
                break
        else:
            return None
        idle_s = 0.0
        if Decimal(tariff.idle_per_hour):
            since = self.system.idle_since(transaction)
            idle_s = 0.0 if since is None else (stopped_at - max(since, started_at)).total_seconds()
        usage = Usage(transaction.energy_wh or 0, (stopped_at - started_at).total_seconds(), max(idle_s, 0.0))
        # The same for each delivery of an event, until it is computed again.
        at = self.now() if by else transaction.stop_received_at or transaction.start_received_at
        return cost_of(usage, tariff, self._own.currency, self._own.digits, at, by)

    @staticmethod
    def _times(transaction: Transaction) -> tuple[dt.datetime, dt.datetime]:
        """Return start and end by the charge point's clock if it goes forward, else by ours."""
        received_at = transaction.stop_received_at or transaction.start_received_at
        started_at, stopped_at = transaction.started_at, transaction.stopped_at or received_at
        if stopped_at < started_at or transaction.started_text:
            return transaction.start_received_at, max(received_at, transaction.start_received_at)
        return started_at, stopped_at

    @on(TransactionEnded)
    def ended(self, event: TransactionEnded) -> None:
        """Store the cost that the event has, once."""
        known = self.system.store.transaction(event.transaction.id)
        if event.transaction.costs and known is not None and not known.costs:
            self._store(known, event.transaction.costs[0], correction=False)

    @on(TransactionCorrected)
    def corrected(self, event: TransactionCorrected) -> None:
        """Compute the cost again if other quantities count now."""
        try:
            self._recompute(event.transaction.id, CORRECTION, same_use)
        except ReadingsDeleted as error:
            logger.warning("%s: the cost stays as it is stored: %s", self, error)

    def _recompute(
        self,
        transaction_id: int,
        by: str,
        same: Callable[[Cost, Cost], bool],
        *,
        dry_run: bool = False,
    ) -> tuple[Cost | None, Cost] | None:
        """Compute a cost, and store it beside the old ones unless the last one is the same; return both, or None.

        Raises `ReadingsDeleted`, and `CostsChanged` if others store costs of the same transaction all the time.
        """
        for _ in range(TRIES):
            known = self.system.store.transaction(transaction_id)
            if known is None or known.open:
                return None
            old = known.cost
            cost = self.price(self.system.assessed(known), "" if old is None and by == CORRECTION else by)
            if cost is None or (old is not None and same(old, cost)):
                return None
            if dry_run or self._store(known, cost, correction=old is not None or by != CORRECTION):
                return old, cost
        raise CostsChanged(f"costs of transaction {transaction_id} are stored by others at the same time")

    def _store(self, known: Transaction, cost: Cost, *, correction: bool) -> bool:
        """Store a cost behind those that are known; return whether it is stored, and nobody was faster."""
        store, costs = self.system.store, (*known.costs, cost)
        store.price_transaction(known.id, costs, correction=correction).wait(RECEIPT_S)
        now = store.transaction(known.id)
        return now is None or now.costs[: len(costs)] == costs

    # -- Again -----------------------------------------------------------------------------------

    @resource("POST", "again")
    def again(self, request: ResourceRequest) -> dict[str, Any]:
        """Compute the costs of a page of closed transactions again, by the tariffs of now; store those that differ.

        A transaction whose cost cannot be computed from all that it once was is `refused`, and keeps its cost.
        """
        asked: Again = request.json(Again)
        wanted = TransactionFilter(charge_point_id=asked.charge_point, since=asked.since, until=asked.until)
        try:
            before = Cursor.parse(asked.before) if asked.before else None
        except (ValueError, OverflowError):
            raise ResourceRefused(422, "Invalid body", "before: is not the `next` of an answer") from None
        found = self.system.store.transactions(wanted, before=before, limit=AT_ONCE)
        changed: list[dict[str, Any]] = []
        refused: list[dict[str, Any]] = []
        for one in found:
            try:
                changed += self._compute_again(one, asked, request)
            except (ReadingsDeleted, CostsChanged) as error:
                refused.append(
                    {"transaction_id": one.id, "charge_point": one.charge_point_id, "why": str(error)}
                )
        more = len(found) == AT_ONCE
        following = str(Cursor(found[-1].start_received_at, found[-1].id)) if more else None
        return {"changed": changed, "refused": refused, "more": more, "next": following}

    def _compute_again(
        self, one: Transaction, asked: Again, request: ResourceRequest
    ) -> Iterator[dict[str, Any]]:
        told = self._recompute(one.id, request.token, same_figures, dry_run=asked.dry_run)
        if told is None:
            return
        old, cost = told
        yield {
            "transaction_id": one.id,
            "charge_point": one.charge_point_id,
            "old": None if old is None else str(old.amount),
            "new": str(cost.amount),
            "currency": cost.currency,
            "tariff": cost.tariff,
        }


def same_figures(one: Cost, other: Cost) -> bool:
    """Return whether two costs are the same, whenever and for whom they were computed."""
    return (one.amount, one.currency, one.tariff, one.parts) == (
        other.amount,
        other.currency,
        other.tariff,
        other.parts,
    )


# -- Commands --------------------------------------------------------------------------------


def _show(told: Mapping[str, Any]) -> None:
    rows = [
        (
            row["transaction_id"],
            row["charge_point"],
            row["old"],
            row["new"],
            row["currency"],
            row["tariff"],
        )
        for row in told["changed"]
    ]
    show_table(("transaction", "charge point", "old", "new", "", "tariff"), rows, "nothing has changed")
    for row in told["refused"]:
        click.echo(f"{row['transaction_id']}: not computed: {row['why']}", err=True)


@click.group()
def commands() -> None:
    """Compute costs of transactions again."""


@commands.command()
@click.option(
    "--since", metavar="TIME", help="Only transactions started at or after this time, with its zone."
)
@click.option("--until", metavar="TIME", help="Only transactions started before this time, with its zone.")
@click.option("--charge-point", "charge_point", default="", help="Only transactions of this charge point.")
@click.option("--dry-run", is_flag=True, help="Only show what would change.")
@click.option("--plugin", default="price", show_default=True, help="Name of the plugin in the settings.")
@shows(_show)
@asks_server
def again(
    api: Api, *, since: str | None, until: str | None, charge_point: str, dry_run: bool, plugin: str
) -> Any:
    """Compute the costs of closed transactions again, by the tariffs that the server has now; old ones are kept."""
    asked: dict[str, Any] = {"charge_point": charge_point, "dry_run": dry_run}
    asked |= {key: value for key, value in (("since", since), ("until", until)) if value}
    changed: list[Any] = []
    refused: list[Any] = []
    while True:
        told = api.change("POST", "plugins", plugin, "again", body=json.dumps(asked))
        changed += told["changed"]
        refused += told["refused"]
        if not told["more"]:
            return {"changed": changed, "refused": refused}
        asked["before"] = told["next"]
