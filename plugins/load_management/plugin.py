"""Plugin of load management: it hears what happens at charge points, plans, and sends their limits.

The one rule: whatever may raise what a charge point draws is in its allowance, and durable, before it is sent.
"""

from __future__ import annotations

import datetime as dt
import logging
from typing import TYPE_CHECKING, Any

import msgspec

from ... import (
    Booted,
    ChargePointOffline,
    ChargePointOnline,
    CommandEnded,
    MeterValuesReceived,
    Plugin,
    ResourceRefused,
    ResourceRequest,
    SiteMetered,
    StatusChanged,
    StoreError,
    TicketError,
    TicketState,
    TransactionEnded,
    TransactionFilter,
    TransactionStarted,
    TransactionUpdated,
    VerbRefused,
    on,
    resource,
)
from .member import FULL, NOTHING, WANTS, Car, Member
from .readings import currents, limit_of
from .records import STORE_S, BoundRecords
from .settings import PHASES, LoadSettings, Site, tenths
from .site import Order, SharedSite

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ... import Transaction

logger = logging.getLogger(__name__)

SOURCE = "load management"
IN_DOUBT = frozenset({TicketState.TIMED_OUT, TicketState.OUTCOME_UNKNOWN})
"""Final states of a limit that may be in force."""
OPEN_LIMIT = 10_000
"""Open transactions that are taken up at the start."""
CHECK_S = 15.0
"""Seconds between two plans, if nothing happens."""
ANSWER_S = 10.0
"""Seconds that a charge point has to answer a limit, and within which it must be sent."""


class Meter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Reading of a site's meter: amperes of each phase that are drawn, charge points included."""

    L1: float = 0.0
    L2: float = 0.0
    L3: float = 0.0


class LoadManagement(Plugin):
    """Shares the limits of sites."""

    settings_class = LoadSettings

    def __init__(self, settings: LoadSettings) -> None:
        super().__init__()
        self._sites = [SharedSite(site) for site in settings.sites]
        self._by_id: dict[str, tuple[SharedSite, Member] | None] = {}
        self._planned = self._planning = False
        self._replaced = False  # a later instance runs
        self._records: BoundRecords
        self._end_records: Callable[[], None] = lambda: None

    def on_start(self) -> None:
        """Take up what the store knows: who belongs to a site, what each may draw, and who charges."""
        self._records = BoundRecords(self.system.store, self.actor_urn, self.now(), self._other_instance)
        self._end_records = self._records.end
        after = ""
        while page := self.system.store.registered_ids(after, 1000):
            for charge_point_id in page:
                self._member(charge_point_id)
            after = page[-1]
        self._records.forget({id_ for id_, found in self._by_id.items() if found is not None})
        for one in self.system.store.transactions(TransactionFilter(open_only=True), limit=OPEN_LIMIT):
            self._begin(one)
        self._plan_soon()
        self.call_later(CHECK_S, self._check)

    def on_stop(self) -> None:
        """Follow the records of other instances no more."""
        self._end_records()

    def on_failure(self, *_: object) -> None:
        """Follow the records of other instances no more."""
        self._end_records()

    def on_killed(self) -> None:
        """Follow the records of other instances no more."""
        self._end_records()

    def _other_instance(self, charge_point_id: str, bound: int | None, later: bool) -> None:  # noqa: FBT001
        """Count what another instance may have sent; a later one takes the place of this one."""
        if later and not self._replaced:
            self._replaced = True
            logger.warning("plugin %s: a later instance runs elsewhere; this one sends no more", self)
        found = self._member(charge_point_id)
        if found is not None:
            found[1].allowance.may_hold(bound)
            self._plan_soon()

    # -- What happens ----------------------------------------------------------------------------

    @on(ChargePointOnline)
    def online(self, event: ChargePointOnline) -> None:
        """Have the limit of a charge point confirmed that has come."""
        found = self._member(event.charge_point_id)
        if found is not None:
            found[1].come()
            self._plan_soon()

    @on(Booted)
    def booted(self, event: Booted) -> None:
        """Set the limit of a charge point again: it may have lost it, and draws what it can until it confirms one."""
        found = self._member(event.charge_point_id)
        if found is not None:
            found[1].come()
            self._may_hold(found[1], None)

    @on(ChargePointOffline)
    def offline(self, event: ChargePointOffline) -> None:
        """Hold what a charge point may draw, until it is back."""
        found = self._member(event.charge_point_id)
        if found is not None:
            found[1].go(self.now() + dt.timedelta(seconds=found[0].settings.retry_s))
            self._plan_soon()

    @on(StatusChanged)
    def status_changed(self, event: StatusChanged) -> None:
        """Note who wants to charge."""
        found = self._member(event.charge_point_id)
        if found is None or not event.evse:
            return
        car = found[1].cars.setdefault(event.evse, Car())
        car.status, car.idle_looks = event.status, 0
        if not car.there:
            found[1].gone(event.evse)
        self._plan_soon()

    @on(TransactionStarted)
    def started(self, event: TransactionStarted) -> None:
        """Note who charges."""
        known = self.system.store.transaction(event.transaction.id)
        if known is None or known.open:
            self._begin(event.transaction)
            self._plan_soon()

    @on(TransactionEnded)
    def ended(self, event: TransactionEnded) -> None:
        """Note that somebody charges no more."""
        found = self._member(event.charge_point_id)
        for evse, car in list(found[1].cars.items()) if found is not None else ():
            if found is not None and car.transaction_id == event.transaction.id:
                car.transaction_id, car.status = None, ""
                found[1].gone(evse)
                self._plan_soon()

    @on(TransactionUpdated)
    def updated(self, event: TransactionUpdated) -> None:
        """Note how much flows, by power or by the register."""
        found = self._member(event.charge_point_id)
        evse = 0 if found is None else found[1].evse_of(event.evse, event.transaction_id)
        if found is None or not evse:
            return
        site, member = found
        car = member.cars[evse]
        if event.charging_state:
            woken = car.asleep and event.charging_state in WANTS
            car.status = event.charging_state
            car.idle_looks = 0 if woken else car.idle_looks
            self._plan_soon()
        watts, before = event.power_w, car.register
        if event.register_wh is not None:
            car.register = event.at, event.register_wh
            if watts is None and before is not None and event.at > before[0]:
                hours = (event.at - before[0]).total_seconds() / 3600
                watts = (event.register_wh - before[1]) / hours
        told = member.drawn.get(evse)
        if watts is None or (told is not None and told[0] == event.at):
            return
        since = event.at if event.power_w is not None or before is None else before[0]
        phases = [phase for phase in member.phases if told is not None and told[1].get(phase, 0) >= NOTHING]
        phases = phases or list(member.phases)
        amps = max(watts, 0.0) / (site.settings.volts * len(phases))
        self._drawn(found, evse, dict.fromkeys(phases, tenths(amps)), event.at, since)

    @on(MeterValuesReceived)
    def metered(self, event: MeterValuesReceived) -> None:
        """Note how much flows, by the current of each phase if it is told."""
        found = self._member(event.charge_point_id)
        evse = 0 if found is None else found[1].evse_of(event.evse, event.transaction_id)
        if found is None or not evse:
            return
        amps = currents(event.meter_values, event.at)
        by_phase = {
            phase: tenths(amps.get(f"L{number}", amps.get("", 0.0)))
            for number, phase in enumerate(found[1].phases, 1)
        }
        if amps:
            self._drawn(found, evse, by_phase, event.at, event.at)

    @on(CommandEnded)
    def command_ended(self, event: CommandEnded) -> None:
        """Go on when a limit was accepted, or was not; count one that somebody else has set."""
        found = self._by_id.get(event.charge_point_id)
        if found is None:
            return
        member = found[1]
        if event.ticket_id in member.sent:
            self._plan_soon()
            return
        limit = limit_of(event, found[0].settings.volts, len(member.phases))
        if limit is not None:
            logger.info("charge point %s: somebody else has set its limit; it is set again", member.id)
            self._may_hold(member, limit.tenths)

    @on(SiteMetered)
    def site_metered(self, event: SiteMetered) -> None:
        """Take a reading of a site's meter that another plugin reports."""
        for site in self._sites:
            if site.settings.name == event.site and site.settings.meter:
                self._site_drawn(site, event.currents_a)

    # -- Facts -----------------------------------------------------------------------------------

    def _member(self, charge_point_id: str) -> tuple[SharedSite, Member] | None:
        """Return the site and the member that a charge point is; None if it is of no site."""
        if charge_point_id in self._by_id or not charge_point_id:
            return self._by_id.get(charge_point_id)
        site = next((one for one in self._sites if one.settings.has(charge_point_id)), None)
        found = None
        if site is not None:
            recorded = self._records.bound_of(charge_point_id)
            member = Member(charge_point_id, site.settings, recorded)
            site.members[charge_point_id] = member
            found = site, member
        self._by_id[charge_point_id] = found
        return found

    def _begin(self, transaction: Transaction) -> None:
        found = self._member(transaction.charge_point_id)
        if found is None:
            return
        evse = transaction.connector_id if transaction.evse_id is None else transaction.evse_id
        car = found[1].cars.setdefault(evse, Car())
        if car.transaction_id == transaction.id:
            return
        car.transaction_id, car.id_tag, car.register = transaction.id, transaction.id_tag, None
        car.status = "" if car.status in FULL else car.status
        tags = {transaction.id_tag.lower()}
        tag = self.system.store.collections.tag_of(transaction.id_tag, transaction.id_type)
        if tag is not None and tag.parent:
            tags.add(tag.parent.lower())
        wanted = (
            one.weight for one in found[0].settings.priorities if tags & {word.lower() for word in one.tags}
        )
        car.weight = next(wanted, 1)
        found[1].useful = found[1].most

    def _drawn(
        self,
        found: tuple[SharedSite, Member],
        evse: int,
        by_phase: dict[str, int],
        at: dt.datetime,
        since: dt.datetime,
    ) -> None:
        site, member = found
        changed = member.note(evse, by_phase, at, since)
        if member.excess and not member.told_of:
            member.told_of = True
            self.system.raise_alert(
                member.id, severity=4, source=SOURCE, subject="limit not kept", text=member.trouble
            )
        if changed or site.settings.meter:
            self._plan_soon()

    def _may_hold(self, member: Member, amount: int | None) -> None:
        """Count a limit that a charge point may hold, None for any; the next instance must know of it too."""
        if member.allowance.may_hold(amount):
            self._records.put(member.id, member.allowance.to_record).wait(STORE_S)
        self._plan_soon()

    def _site_drawn(self, site: SharedSite, amps: Mapping[str, float]) -> None:
        site.metered = self.now(), {phase: tenths(max(amps.get(phase, 0.0), 0.0)) for phase in PHASES}
        self._plan_soon()

    # -- Plans -----------------------------------------------------------------------------------

    def _plan_soon(self) -> None:
        if not self._planned:
            self._planned = True
            self.call_later(0.0, self._plan)

    def _check(self) -> None:
        self.call_later(CHECK_S, self._check)
        self._plan_soon()

    def _plan(self) -> None:
        """Compare what everybody may draw with what it should, and send limits: less first."""
        if self._planning or self._replaced:
            return  # the one that goes on plans again
        self._planning = True
        try:
            while self._planned:
                self._planned = False
                for site in self._sites:
                    self._plan_site(site)
        finally:
            self._planning = False
            if self._planned:  # an error has come in between
                self._planned = False
                self._plan_soon()

    def _plan_site(self, site: SharedSite) -> None:
        own, now = site.settings, self.now()
        for member in site.members.values():
            self._settle(member, own, now)
        raised = []
        for order in site.plan(now):
            if order.tenths > order.member.allowance.bound:
                raised.append(order)
            else:
                order.member.allowance.ask(order.tenths)
                self._send(order.member, own, now)
        if raised:
            self._raise(raised, own)

    def _raise(self, orders: list[Order], own: Site) -> None:
        """Send higher limits, when they are stored: an instance that takes over has to count them."""
        receipts = []
        for member, amount in orders:
            member.allowance.ask(amount)  # from here on nobody else is given it
            receipts.append(self._records.put(member.id, member.allowance.to_record))
        for (member, _), receipt in zip(orders, receipts, strict=True):
            try:
                receipt.wait(STORE_S)
            except (StoreError, TimeoutError) as error:
                member.allowance.decline()
                self._refuse(member, own, self.now(), f"its limit is not stored: {error}")
                continue
            self._send(member, own, self.now())

    def _send(self, member: Member, own: Site, now: dt.datetime) -> None:
        amount = member.allowance.asked or 0
        if self._replaced:
            member.allowance.decline()
            return
        try:
            member.ticket = self.system.limit(
                member.id,
                amps=amount / 10,
                phases=len(member.phases),
                timeout_s=ANSWER_S,
                expires_in_s=ANSWER_S,
            )
        except VerbRefused as error:
            member.allowance.decline()
            self._refuse(member, own, now, str(error))
            return
        member.sent.append(member.ticket.id)
        self._settle(member, own, now)

    def _settle(self, member: Member, own: Site, now: dt.datetime) -> None:
        """Take the outcome of the limit that was sent, if there is one."""
        ticket = member.ticket
        if ticket is None or not ticket.settled:
            return
        member.ticket = None
        status = ""
        try:
            status = str(getattr(ticket.result(0), "status", ""))
        except TicketError as error:
            member.trouble = str(error)
        if status == "Accepted":
            member.accept(now)
            if member.allowance.confirmed:
                self._records.put_confirmed(member.id, member.allowance.to_record)
            else:
                self._plan_soon()
            return
        if ticket.state in IN_DOUBT or ticket.unreadable:
            member.allowance.doubt()
        else:
            member.allowance.decline()
            if ticket.state is TicketState.NEVER_SENT:
                member.silent = True
                member.allowance.unconfirm()
        self._refuse(member, own, now, f"limit: {status}" if status else member.trouble)

    def _refuse(self, member: Member, own: Site, now: dt.datetime, text: str) -> None:
        member.refused_until = now + dt.timedelta(seconds=own.retry_s)
        member.trouble = text
        logger.info("charge point %s: %s; it is asked again in %g s", member.id, text, own.retry_s)
        if not member.silent:
            self._plan_soon()

    # -- Over HTTP -------------------------------------------------------------------------------

    @resource("GET", "sites")
    def sites(self, _request: ResourceRequest) -> dict[str, Any]:
        """Show what each site may draw, and each charge point may draw and draws."""
        now = self.now()
        return {"sites": [site.view(now) for site in self._sites]}

    @resource("PUT", "sites/{name}/meter", scope="command")
    def meter(self, request: ResourceRequest) -> dict[str, Any]:
        """Take a reading of a site's meter."""
        site = next((one for one in self._sites if one.settings.name == request.path["name"]), None)
        if site is None or not site.settings.meter:
            raise ResourceRefused(
                404, "Unknown site", f"there is no site {request.path['name']} with a meter"
            )
        told: Meter = request.json(Meter)
        self._site_drawn(site, {phase: getattr(told, phase) for phase in PHASES})
        return site.view(self.now())
