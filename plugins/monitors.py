"""Monitors of stations: which ones a station has, by its answers and reports, and how severe their events are.

Their numbers belong to the station. OCPP 2.0.1, block N.
"""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Any

from .. import Monitor, v201
from .reservations import key_of

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Collection as Numbers
    from collections.abc import Iterable, Mapping
    from decimal import Decimal

    from .. import Collections, Receipt

KEPT_PER_CHARGE_POINT = 1000
"""Limit of the monitors of one charge point; further ones are not known here."""

KINDS: Mapping[str, tuple[str, ...]] = {
    v201.MonitoringCriterion.THRESHOLD_MONITORING: ("UpperThreshold", "LowerThreshold"),
    v201.MonitoringCriterion.DELTA_MONITORING: ("Delta",),
    v201.MonitoringCriterion.PERIODIC_MONITORING: ("Periodic", "PeriodicClockAligned"),
}
"""Kinds of monitors that a report is asked for by."""

CLEARED = frozenset({v201.ClearMonitoringStatus.ACCEPTED, v201.ClearMonitoringStatus.NOT_FOUND})
"""Results after which there is no monitor with this number."""


def put(
    collections: Collections,
    request: v201.SetVariableMonitoring,
    results: Iterable[v201.SetMonitoringResult],
    charge_point_id: str,
    now: dt.datetime,
) -> list[Receipt]:
    """Note the monitors that were accepted; results may come in any order."""
    waiting = list(request.set_monitoring_data)
    receipts = []
    for result in results:
        asked = next((one for one in waiting if _answers(result, one)), None)
        if asked is None:
            continue
        waiting.remove(asked)
        if result.status != v201.SetMonitoringStatus.ACCEPTED or result.id is None:
            continue
        known = collections.monitors.get(key_of(charge_point_id, result.id))
        receipts += _enter(
            collections,
            Monitor(
                monitor_id=result.id,
                charge_point_id=charge_point_id,
                variable=v201.variable_key(asked.component, asked.variable),
                kind=str(asked.type),
                value=_figure(asked.value),
                severity=asked.severity,
                accepted_at=now,
                transaction_only=bool(asked.transaction),
                # One that was there before stays whose it was.
                ours=asked.id is None if known is None else known.ours,
            ),
        )
    return receipts


def _answers(result: v201.SetMonitoringResult, asked: v201.SetMonitoringData) -> bool:
    names = [v201.variable_key(one.component, one.variable).lower() for one in (result, asked)]
    same = (result.type, result.severity) == (asked.type, asked.severity)
    return names[0] == names[1] and same and asked.id in (None, result.id)


def clear(
    collections: Collections, charge_point_id: str, results: Iterable[v201.ClearMonitoringResult]
) -> list[Receipt]:
    """Forget the monitors that were cleared, or are not there."""
    return [
        collections.monitors.remove(key_of(charge_point_id, one.id))
        for one in results
        if one.status in CLEARED
    ]


def forget_ours(collections: Collections, charge_point_id: str) -> list[Receipt]:
    """Forget the monitors that were set from here: their station has gone back to those of its maker."""
    return [
        collections.monitors.remove(collections.monitors.key(one))
        for one in collections.monitors.of(charge_point_id)
        if one.ours
    ]


def note_reported(
    collections: Collections, request: v201.NotifyMonitoringReport, charge_point_id: str, now: dt.datetime
) -> list[Receipt]:
    """Note the monitors in a part of a report."""
    receipts = []
    for data in request.monitor or ():
        variable = v201.variable_key(data.component, data.variable)
        for one in data.variable_monitoring:
            known = collections.monitors.get(key_of(charge_point_id, one.id))
            receipts += _enter(
                collections,
                Monitor(
                    monitor_id=one.id,
                    charge_point_id=charge_point_id,
                    variable=variable,
                    kind=str(one.type),
                    value=_figure(one.value),
                    severity=one.severity,
                    accepted_at=now,
                    transaction_only=one.transaction,
                    ours=known is not None and known.ours,
                ),
            )
    return receipts


def keep_only(
    collections: Collections, charge_point_id: str, numbers: Numbers[int], asked: Any, before: dt.datetime
) -> list[Receipt]:
    """Forget monitors that were asked for and not reported, unless they were set since."""
    return [
        collections.monitors.remove(collections.monitors.key(one))
        for one in collections.monitors.of(charge_point_id)
        if one.monitor_id not in numbers and one.accepted_at < before and _sought(one, asked)
    ]


def _sought(monitor: Monitor, asked: v201.GetMonitoringReport) -> bool:
    """Return whether a report must have a monitor; of a component without a variable that is not certain."""
    criteria, places = asked.monitoring_criteria, asked.component_variable
    if criteria is not None and all(monitor.kind not in KINDS[one] for one in criteria):
        return False
    return places is None or any(
        one.variable is not None
        and v201.variable_key(one.component, one.variable).lower() == monitor.variable.lower()
        for one in places
    )


def _figure(value: Decimal) -> float:
    """Return a number that a store can hold: one with too large an exponent is the largest that there is."""
    figure = float(value)
    return figure if math.isfinite(figure) else math.copysign(sys.float_info.max, figure)


def _enter(collections: Collections, monitor: Monitor) -> list[Receipt]:
    known = collections.monitors.get(collections.monitors.key(monitor))
    if known is None and len(collections.monitors.of(monitor.charge_point_id)) >= KEPT_PER_CHARGE_POINT:
        return []
    return [collections.monitors.put(monitor)]


def severity_of(collections: Collections, charge_point_id: str, monitor_id: int | None) -> int | None:
    """Return the severity of the events of a monitor; None if the monitor is not known."""
    known = None if monitor_id is None else collections.monitors.get(key_of(charge_point_id, monitor_id))
    return None if known is None else known.severity


def is_alert(event: v201.EventData, severity: int | None, least: int) -> bool:
    """Return whether an event is an alert: not cleared, no reading, and at least as severe as `least`.

    One of unknown severity is an alert if its station calls it one: makers have events without monitors.
    """
    if event.cleared or event.trigger == v201.EventTrigger.PERIODIC or least < 0:
        return False
    if severity is None:
        return event.trigger == v201.EventTrigger.ALERTING
    return severity <= least


def described(event: v201.EventData) -> tuple[str, str]:
    """Return the subject and the text of an alert about an event."""
    text = f"is {event.actual_value}"
    for more in (event.tech_code, event.tech_info):
        text += f", {more}" if more else ""
    return v201.variable_key(event.component, event.variable), text
