"""Monitors of a station: what is to be reported of its variables.

The one rule: they are kept and reported; the variables of a simulated station do not move by themselves.
OCPP 2.0.1, part 2, N02 to N06.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ...protocol import v201
from ...protocol.v201.configuration import variable_key

if TYPE_CHECKING:
    from .device_model import DeviceModel

Status, Kind = v201.SetMonitoringStatus, v201.MonitorType
CRITERIA = {
    v201.MonitoringCriterion.THRESHOLD_MONITORING: (Kind.UPPER_THRESHOLD, Kind.LOWER_THRESHOLD),
    v201.MonitoringCriterion.DELTA_MONITORING: (Kind.DELTA,),
    v201.MonitoringCriterion.PERIODIC_MONITORING: (Kind.PERIODIC, Kind.PERIODIC_CLOCK_ALIGNED),
}
NUMERIC = (v201.DataType.INTEGER, v201.DataType.DECIMAL)
MOST_SEVERITY = 9


class Monitor(NamedTuple):
    """Monitor of a variable, by the text that names it."""

    key: str
    monitoring: v201.VariableMonitoring


class Monitors:
    """All monitors of a station, by their numbers."""

    def __init__(self, model: DeviceModel) -> None:
        self.all: dict[int, Monitor] = {}
        self.base = v201.MonitoringBase.ALL
        self.severity = MOST_SEVERITY
        self._model = model
        self._last = 0

    def choose(self, base: v201.MonitoringBase) -> None:
        """Choose the set of monitors; all but All take away what was set by commands. OCPP 2.0.1, N05."""
        self.base = base
        if base != v201.MonitoringBase.ALL:
            self.all.clear()

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
        found = self.all.pop(number, None) is not None
        status = v201.ClearMonitoringStatus.ACCEPTED if found else v201.ClearMonitoringStatus.NOT_FOUND
        return v201.ClearMonitoringResult(id=number, status=status)

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
