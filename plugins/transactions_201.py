"""Transactions of OCPP 2.0.1: their records, made of their events, and the readings of stations.

Every event is kept as it was sent, and answered when it is durable; events may come in any order, late and again. A
doubtful one is flagged, never refused. OCPP 2.0.1, part 2, E and J.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from .. import MeterReading, StopFigures, StoreError, TooManyStops, Transaction, take_stop, v201
from . import charging_profiles as profiles
from . import display_messages, reservations, tokens
from .kept_messages import flags_of, flags_of_call, reasons, same_time, set_aside, utc

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable

    from .. import Call, Receipt, Store
    from .missing_events import MissingEvents
    from .verdicts_201 import Verdicts201

VERSION_NAME = v201.VERSION.name
"""Version of OCPP of all records here."""
NO_START = "its start has not come"
"""Flag of a transaction of which only later events have come."""
REGISTER, INTERVAL, POWER = (
    v201.Measurand.ENERGY_ACTIVE_IMPORT_REGISTER,
    v201.Measurand.ENERGY_ACTIVE_IMPORT_INTERVAL,
    v201.Measurand.POWER_ACTIVE_IMPORT,
)
WH, W = ("Wh", "kWh", None), ("W", "kW", None)
UNITS = {REGISTER: WH, INTERVAL: WH, POWER: W, None: WH}
"""Usual units of the quantities that tell of energy."""
LARGE = 10**12
STATUSES = {str(status): status for status in v201.AuthorizationStatus}
EMPTY = v201.TransactionEventResponse()
_stop_facts: Any = v201.TransactionEvent.__action__.stop
_identity_of: Any = v201.TransactionEvent.__action__.identity


def _is_of(token: v201.IdToken, known: Transaction) -> bool:
    """Return whether a token is the one that a transaction has."""
    return tokens.same(token.id_token, str(token.type), known.id_tag, known.id_type)


def _seem_usable(meter_values: Iterable[v201.MeterValue]) -> bool:
    """Tell quickly if the values of energy and power are figures in the usual units; others are only shown."""
    for one in meter_values:
        for sampled in one.sampled_value:
            units = UNITS.get(sampled.measurand)
            if units is None:
                continue
            measure = sampled.unit_of_measure
            if measure is not None and (measure.multiplier or measure.unit not in units):
                return False
            if not -LARGE < sampled.value < LARGE:
                return False
    return True


class Transactions201:
    """Records of transactions and readings of stations; the options are those of the back office."""

    def __init__(
        self,
        store: Store,
        verdicts: Verdicts201,
        missing: MissingEvents,
        *,
        naive_zone: dt.tzinfo | None,
        fallback_id_tag_status: str,
        master_pass_group: str,
    ) -> None:
        self._store = store
        self._collections = store.collections
        self._facts = store.collections.over_facts
        self._verdicts = verdicts
        self._missing = missing
        self._naive_zone = naive_zone
        self._fallback_id_tag_status = fallback_id_tag_status
        self._master_pass_group = master_pass_group
        # Transactions whose record is not known to be durable: it is handed over again with each of their events.
        self._unsure: dict[int, Receipt] = {}
        # The same for what later events told of it.
        self._amending: dict[int, Receipt] = {}

    def event(self, call: Call[v201.TransactionEvent]) -> v201.TransactionEventResponse:
        """Keep an event, and what it tells of its transaction; one that comes again changes nothing."""
        request, charge_point_id = call.request, call.charge_point.id
        receipts: list[Receipt] = []
        known = self._store.remote_transaction(charge_point_id, request.transaction_info.transaction_id)
        if known is None:
            # From here on nothing switches greenlets: of two starts of one token the second sees the first.
            made = self._begun(call)
            self._over(call, made)
            receipts.append(self._unsure_of(made))
            known = self._begun_elsewhere(made, receipts)
            if known is None:
                known = made
                self._use_reservation(known, receipts)
                if request.event_type == v201.TransactionEventType.STARTED:
                    self._missing.begin(known.id, request.seq_no)
            else:
                known = self._told_more(call, known, receipts)
        else:
            known = self._told_more(call, known, receipts)
        call.transaction_id = known.id
        whole = self._missing.go_on(known.id, request.seq_no)
        ends = request.event_type == v201.TransactionEventType.ENDED
        if known.open:  # before its end, or it would be a correction
            receipts += self._keep(call, known)
            if ends:
                receipts += self._ended(call, known)
                if not whole:
                    receipts.append(self._missing.ask_later(known))
            elif charge_point_id in self._facts.by_charge_point and not request.offline:
                self._store.transaction_alive(known.id, call.received_at)
        else:
            if ends:
                receipts += self._ended(call, known)
            receipts += self._keep(call, known)
        return call.once_stored(self._answer(call, known), *receipts)

    def _begun_elsewhere(self, made: Transaction, receipts: list[Receipt]) -> Transaction | None:
        """Return the record that another process has made of the same transaction meanwhile; None if ours counts.

        Two processes may redeliver at once when a station moves. Nothing else of a transaction is stored before.
        """
        if not self._store.others_write:
            return None
        try:
            receipts[-1].wait()
        except StoreError as error:
            if error.passing:
                raise
            self._unsure.pop(made.id, None)
            receipts.pop()
            known = self._store.remote_transaction(made.charge_point_id, made.remote_id)
            if known is None:
                raise
            return known
        return None

    def _answer(self, call: Call[v201.TransactionEvent], known: Transaction) -> v201.TransactionEventResponse:
        """Answer each token; that of the start as it was answered first."""
        token = call.request.id_token
        if token is None:
            return EMPTY
        info = self._verdicts.judge(token)
        if self._is_of_start(call.request) and _is_of(token, known):
            verdict = STATUSES.get(known.verdict, info.status)
            info = msgspec.structs.replace(info, status=verdict)
        return v201.TransactionEventResponse(id_token_info=info)

    @staticmethod
    def _is_of_start(request: v201.TransactionEvent) -> bool:
        """Return whether the token of an event is that of the start: not what stopped the transaction."""
        return (
            request.event_type != v201.TransactionEventType.ENDED
            and request.trigger_reason != v201.TriggerReason.STOP_AUTHORIZED
        )

    def _begun(self, call: Call[v201.TransactionEvent]) -> Transaction:
        """Make the record of a transaction from the first of its events that has come."""
        request = call.request
        started = request.event_type == v201.TransactionEventType.STARTED
        transaction = Transaction(
            id=self._store.allot_transaction_id(call.charge_point.id, None),
            charge_point_id=call.charge_point.id,
            connector_id=request.evse.id if request.evse is not None else 0,
            id_tag="",
            meter_start=None,
            started_at=utc(request.timestamp),
            start_received_at=call.received_at,
            reservation_id=request.reservation_id,
            version=VERSION_NAME,
            remote_id=request.transaction_info.transaction_id,
            evse_id=request.evse.id if request.evse is not None else None,
            charging_state=str(request.transaction_info.charging_state or ""),
            flags=() if started else (NO_START,),
        )
        transaction = self._with_token(call, transaction)
        transaction = msgspec.structs.replace(transaction, flags=(*transaction.flags, *flags_of_call(call)))
        return self._with_doubts(transaction)

    def _with_doubts(self, known: Transaction) -> Transaction:
        """Return a transaction with the doubts about its reservation, which is judged by all that is known by now."""
        if known.reservation_id is None:
            return known
        flags = tuple(flag for flag in known.flags if not flag.startswith(reservations.DOUBT))
        doubts = reservations.doubts(self._store.collections, known)
        return msgspec.structs.replace(known, flags=(*flags, *doubts))

    def _with_token(self, call: Call[v201.TransactionEvent], known: Transaction) -> Transaction:
        """Return a transaction with the token of its start, if this event has it."""
        token = call.request.id_token
        if token is None or not self._is_of_start(call.request) or not token.id_token:
            return known
        if known.id_tag and call.request.event_type != v201.TransactionEventType.STARTED:
            return known
        if _is_of(token, known):
            return known
        verdict, flags = str(self._verdicts.judge_start(token, known.id).status), known.flags
        if call.redelivered and verdict != self._fallback_id_tag_status:
            # The station was answered with this verdict; a repetition must get the same one.
            flags = (*flags, f"its id tag was {verdict}")
            verdict = self._fallback_id_tag_status
        return msgspec.structs.replace(
            known, id_tag=token.id_token, id_type=str(token.type), verdict=verdict, flags=flags
        )

    def _stop_doubts(self, call: Call[v201.TransactionEvent], known: Transaction) -> list[str]:
        """Return the doubt about a token that stops a transaction. OCPP 2.0.1, C09 and C16."""
        token = call.request.id_token
        if token is None or self._is_of_start(call.request) or not known.id_tag:
            return []
        return tokens.stopped_by_another(
            self._collections,
            known,
            token.id_token,
            str(token.type),
            master_pass_group=self._master_pass_group,
        )

    def _told_more(
        self, call: Call[v201.TransactionEvent], known: Transaction, receipts: list[Receipt]
    ) -> Transaction:
        """Store what an event tells of a transaction that is known; it is handed over again if it comes again."""
        request, later = call.request, self._with_token(call, known)
        flags = tuple(dict.fromkeys((*later.flags, *flags_of_call(call), *self._stop_doubts(call, known))))
        started_at, at = later.started_at, utc(request.timestamp)
        if request.event_type == v201.TransactionEventType.STARTED:
            flags = tuple(flag for flag in flags if flag != NO_START)
            started_at = at
        elif NO_START in flags:
            started_at = min(started_at, at)
        evse, reservation, state = (
            request.evse,
            request.reservation_id,
            request.transaction_info.charging_state,
        )
        later = msgspec.structs.replace(
            later,
            flags=flags,
            started_at=started_at,
            connector_id=later.connector_id if evse is None else evse.id,
            evse_id=later.evse_id if evse is None else evse.id,
            reservation_id=later.reservation_id if reservation is None else reservation,
            charging_state=str(state) if state is not None and known.open else later.charging_state,
        )
        moved = (later.connector_id, later.id_tag, later.id_type, later.reservation_id) != (
            known.connector_id,
            known.id_tag,
            known.id_type,
            known.reservation_id,
        )
        if moved:
            later = self._with_doubts(later)
        if known.id in self._unsure:
            receipts.append(self._unsure_of(later))
            elsewhere = self._begun_elsewhere(later, receipts)
            if elsewhere is not None:
                return self._told_more(call, elsewhere, receipts)
        tells = evse is not None or request.id_token is not None or known.id in self._amending
        if tells or later != known:
            receipts.append(self._amend(later))
        if moved:
            if later.open:
                self._over(call, later)
            self._use_reservation(later, receipts)
        return later

    def _unsure_of(self, transaction: Transaction) -> Receipt:
        """Hand a new record to the store, which does not change one that is there, until it is known to be durable."""
        receipt = self._unsure[transaction.id] = self._store.start_transaction(transaction)
        receipt.then(partial(self._sure_of, transaction.id, receipt))
        return receipt

    def _amend(self, transaction: Transaction) -> Receipt:
        """Store what an event told of a transaction; until that is durable, each event of it stores it again."""
        receipt = self._amending[transaction.id] = self._store.update_transaction(transaction)
        receipt.then(partial(self._amended, transaction.id, receipt))
        return receipt

    def _amended(self, number: int, receipt: Receipt, error: Exception | None) -> None:
        if error is None and self._amending.get(number) is receipt:
            del self._amending[number]

    def _sure_of(self, number: int, receipt: Receipt, error: Exception | None) -> None:
        if error is None and self._unsure.get(number) is receipt:
            del self._unsure[number]

    def _over(self, call: Call[v201.TransactionEvent], transaction: Transaction) -> None:
        """Note that other transactions of an EVSE are over when one begins there: it has one at a time."""
        if transaction.evse_id and not call.request.offline:
            self._store.transaction_over(
                transaction.charge_point_id,
                transaction.connector_id,
                call.received_at,
                call.action,
                transaction.id,
            )

    def _use_reservation(self, transaction: Transaction, receipts: list[Receipt]) -> None:
        collections = self._store.collections
        if transaction.id_tag or transaction.reservation_id is not None:
            receipts += reservations.use(collections, transaction)
            if transaction.open:
                receipts += profiles.transaction_started(collections, transaction)

    def _ended(self, call: Call[v201.TransactionEvent], known: Transaction) -> list[Receipt]:
        """Close a transaction; an end that differs from the first one is kept beside it."""
        meter_stop, stopped_at, reason, id_tag = _stop_facts(call.request, call.deviations)
        stop = StopFigures(
            received_at=call.received_at,
            meter_stop=meter_stop,
            stopped_at=None if stopped_at is None else utc(stopped_at),
            reason=reason,
            id_tag=id_tag,
        )
        try:
            receipts = [take_stop(self._store, known, stop, same_time=same_time(call, known, stop))]
        except TooManyStops as error:
            return [self._set_aside(call, str(error), known.id)]
        if known.open:
            self._missing.end(known.id)
            receipts += profiles.transaction_stopped(self._store.collections, known)
            receipts += display_messages.transaction_stopped(self._store.collections, known)
        return receipts

    def _keep(self, call: Call[v201.TransactionEvent], known: Transaction) -> list[Receipt]:
        """Store a whole event; if a part of its meter values cannot be used, make a dead letter too."""
        payload, evse = call.payload, call.request.evse
        flags = flags_of(call.deviations)
        receipts: list[Receipt] = []
        if call.request.meter_value or call.deviations:
            flags = self._unusable(call, flags, known.id, receipts)
        reading = MeterReading(
            charge_point_id=call.charge_point.id,
            connector_id=0 if evse is None else evse.id,
            transaction_id=known.id,
            received_at=call.received_at,
            values=payload,
            identity=_identity_of(payload),
            flags=flags,
            version=VERSION_NAME,
        )
        receipts.append(self._store.add_meter_reading(reading))
        return receipts

    def _unusable(
        self, call: Call[Any], flags: tuple[str, ...], transaction_id: int | None, receipts: list[Receipt]
    ) -> tuple[str, ...]:
        if not call.deviations and _seem_usable(call.request.meter_value or ()):
            return flags
        unusable = v201.VERSION.samples(call.payload, self._naive_zone).unusable
        if not unusable:
            return flags
        why = reasons(unusable)
        receipts.append(self._set_aside(call, why, transaction_id))
        return (*flags, why)

    def _set_aside(self, call: Call[Any], why: str, transaction_id: int | None) -> Receipt:
        """Make a message a dead letter; `transaction_id` is the transaction that it belongs to."""
        return set_aside(self._store, VERSION_NAME, call, why, transaction_id)

    def meter_values(self, call: Call[v201.MeterValues]) -> v201.MeterValuesResponse:
        """Store meter values of an EVSE, which belong to no transaction."""
        flags, receipts = flags_of(call.deviations), list[Any]()
        flags = self._unusable(call, flags, None, receipts)
        reading = MeterReading(
            charge_point_id=call.charge_point.id,
            connector_id=call.request.evse_id,
            transaction_id=None,
            received_at=call.received_at,
            values=call.payload,
            flags=flags,
            version=VERSION_NAME,
        )
        receipts.append(self._store.add_meter_reading(reading))
        return call.once_stored(v201.MeterValuesResponse(), *receipts)
