"""Monitors of a station: what is to be reported of its variables, and the events that tell of it.

The one rule: variables are looked at when something has changed; a threshold is told when it is crossed, and again when
it is crossed back. OCPP 2.0.1, part 2, N02 to N08.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from ...protocol import v201
from ...protocol.v201.configuration import variable_key
from ..jobs import PeriodicTask

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..jobs import Jobs
    from .device_model import DeviceModel

Status, Kind = v201.SetMonitoringStatus, v201.MonitorType
CRITERIA = {
    v201.MonitoringCriterion.THRESHOLD_MONITORING: (Kind.UPPER_THRESHOLD, Kind.LOWER_THRESHOLD),
    v201.MonitoringCriterion.DELTA_MONITORING: (Kind.DELTA,),
    v201.MonitoringCriterion.PERIODIC_MONITORING: (Kind.PERIODIC, Kind.PERIODIC_CLOCK_ALIGNED),
}
NUMERIC = (v201.DataType.INTEGER, v201.DataType.DECIMAL)
MOST_SEVERITY = 9
DAY_S = 86_400
TRIGGERS = {
    Kind.UPPER_THRESHOLD: v201.EventTrigger.ALERTING,
    Kind.LOWER_THRESHOLD: v201.EventTrigger.ALERTING,
}
TRIGGERS |= {Kind.DELTA: v201.EventTrigger.DELTA}


class Monitor(NamedTuple):
    """Monitor of a variable, by the text that names it."""

    key: str
    monitoring: v201.VariableMonitoring


class Monitors:
    """All monitors of a station, by their numbers. `busy` tells if a transaction runs."""

    def __init__(
        self,
        model: DeviceModel,
        jobs: Jobs,
        send: Callable[[v201.NotifyEvent], Any],
        busy: Callable[[], bool],
    ) -> None:
        self.all: dict[int, Monitor] = {}
        self.base = v201.MonitoringBase.ALL
        self.severity = MOST_SEVERITY
        self._model = model
        self._jobs = jobs
        self._send = send
        self._busy = busy
        self._last = 0
        self._event_id = 0
        self._over: set[int] = set()  # monitors whose threshold is crossed
        self._told: dict[int, str] = {}  # values that changes count from, by monitor
        self._beats: dict[int, PeriodicTask] = {}

    def choose(self, base: v201.MonitoringBase) -> None:
        """Choose the set of monitors; all but All take away what was set by commands. OCPP 2.0.1, N05."""
        self.base = base
        if base != v201.MonitoringBase.ALL:
            for number in list(self.all):
                self._forget(number)

    def set(self, data: v201.SetMonitoringData) -> v201.SetMonitoringResult:
        """Set one monitor, or replace the one with its number. OCPP 2.0.1, N04."""
        status = self._judge(data)
        number = data.id
        if status is Status.ACCEPTED:
            if number is None:
                self._last += 1
                number = self._last
            self.all[number] = Monitor(
                variable_key(data.component, data.variable),
                v201.VariableMonitoring(
                    id=number,
                    transaction=bool(data.transaction),
                    value=data.value,
                    type=data.type,
                    severity=data.severity,
                ),
            )
            self._begin(number)
        return v201.SetMonitoringResult(
            id=number,
            status=status,
            type=data.type,
            component=data.component,
            variable=data.variable,
            severity=data.severity,
        )

    def _judge(self, data: v201.SetMonitoringData) -> v201.SetMonitoringStatus:
        key = variable_key(data.component, data.variable)
        spec = self._model.spec(key)
        if spec is None:
            asked = v201.GetVariableData(component=data.component, variable=data.variable)
            unknown = self._model.get(asked).attribute_status
            component = unknown is v201.GetVariableStatus.UNKNOWN_COMPONENT
            return Status.UNKNOWN_COMPONENT if component else Status.UNKNOWN_VARIABLE
        threshold = data.type in (Kind.UPPER_THRESHOLD, Kind.LOWER_THRESHOLD)
        if not spec.characteristics.supports_monitoring or (threshold and spec.type not in NUMERIC):
            return Status.UNSUPPORTED_MONITOR_TYPE
        if not 0 <= data.severity <= MOST_SEVERITY or (data.id is not None and data.id not in self.all):
            return Status.REJECTED
        same = (
            number
            for number, one in self.all.items()
            if one.key.lower() == key.lower()
            and (one.monitoring.type, one.monitoring.severity) == (data.type, data.severity)
        )
        return Status.DUPLICATE if any(number != data.id for number in same) else Status.ACCEPTED

    def clear(self, number: int) -> v201.ClearMonitoringResult:
        """Clear one monitor. OCPP 2.0.1, N06."""
        found = number in self.all
        self._forget(number)
        status = v201.ClearMonitoringStatus.ACCEPTED if found else v201.ClearMonitoringStatus.NOT_FOUND
        return v201.ClearMonitoringResult(id=number, status=status)

    def _forget(self, number: int) -> None:
        self.all.pop(number, None)
        self._told.pop(number, None)
        self._over.discard(number)
        beat = self._beats.pop(number, None)
        if beat is not None:
            beat.stop()

    def _begin(self, number: int) -> None:
        """Watch from now on; a threshold that is crossed already is told with the next look."""
        key, monitoring = self.all[number]
        self._over.discard(number)
        self._told[number] = self._model[key]
        beat = self._beats.pop(number, None)
        if beat is not None:
            beat.stop()
        if monitoring.type in (Kind.PERIODIC, Kind.PERIODIC_CLOCK_ALIGNED):
            beat = PeriodicTask(self._jobs, lambda: self._wait_s(monitoring), lambda: self._periodic(number))
            self._beats[number] = beat
            beat.restart()

    # -- Events ----------------------------------------------------------------------------------

    def check(self) -> None:
        """Look at all variables, and tell what their monitors are there for. OCPP 2.0.1, N07."""
        events = [event for number in list(self.all) if (event := self._look(number)) is not None]
        if events:
            self._jobs.start(self._tell, events)

    def restart(self) -> None:
        """Go on with the monitors that tell a value from time to time."""
        for beat in self._beats.values():
            beat.restart()

    def stop(self) -> None:
        """Rest until `restart`."""
        for beat in self._beats.values():
            beat.stop()

    def _look(self, number: int) -> v201.EventData | None:
        key, monitoring = self.all[number]
        value = self._model[key]
        if monitoring.type == Kind.DELTA:
            if not _differ(self._told[number], value, monitoring.value):
                return None
            self._told[number] = value
            return self._event(number, value)
        if monitoring.type not in TRIGGERS:
            return None
        upper = monitoring.type == Kind.UPPER_THRESHOLD
        over = Decimal(value) > monitoring.value if upper else Decimal(value) < monitoring.value
        if over == (number in self._over):
            return None
        self._over ^= {number}
        return self._event(number, value, cleared=not over)

    def _periodic(self, number: int) -> None:
        event = self._event(number, self._model[self.all[number].key])
        if event is not None:
            self._tell([event])

    def _wait_s(self, monitoring: v201.VariableMonitoring) -> float:
        every = float(monitoring.value)
        if monitoring.type == Kind.PERIODIC or every <= 0:
            return every
        return every - self._jobs.time() % DAY_S % every

    def _event(self, number: int, value: str, *, cleared: bool = False) -> v201.EventData | None:
        """Make an event; None if nobody wants to know."""
        key, monitoring = self.all[number]
        silent = monitoring.severity > self.severity or not self._model.flag("MonitoringCtrlr.Enabled")
        if silent or (monitoring.transaction and not self._busy()):
            return None
        described = self._model.described(key)
        self._event_id += 1
        return v201.EventData(
            event_id=self._event_id,
            timestamp=self._jobs.now(),
            trigger=TRIGGERS.get(monitoring.type, v201.EventTrigger.PERIODIC),
            actual_value=value,
            cleared=True if cleared else None,
            variable_monitoring_id=number,
            event_notification_type=v201.EventNotificationType.CUSTOM_MONITOR,
            component=described.component,
            variable=described.variable,
        )

    def _tell(self, events: list[v201.EventData]) -> None:
        self._send(v201.NotifyEvent(generated_at=self._jobs.now(), seq_no=0, event_data=tuple(events)))

    # -- Reports ---------------------------------------------------------------------------------

    def report(self, request: v201.GetMonitoringReport) -> list[v201.MonitoringData]:
        """List the monitors that are asked for, by variable. OCPP 2.0.1, N02."""
        kinds = {kind for one in request.monitoring_criteria or CRITERIA for kind in CRITERIA[one]}
        found: dict[str, list[v201.VariableMonitoring]] = {}
        for key, monitoring in self.all.values():
            if monitoring.type in kinds and self._model.matches(key, request.component_variable):
                found.setdefault(key, []).append(monitoring)
        reports = []
        for key, monitors in found.items():
            data = self._model.described(key)
            reports.append(
                v201.MonitoringData(
                    component=data.component, variable=data.variable, variable_monitoring=tuple(monitors)
                )
            )
        return reports


def _differ(before: str, now: str, least: Decimal) -> bool:
    """Tell if a value has changed enough: a number by that much, anything else at all."""
    try:
        return abs(Decimal(now) - Decimal(before)) >= least > 0
    except ArithmeticError:
        return now != before
