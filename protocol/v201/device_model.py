"""The device model of OCPP 2.0.1 as the system reads and sets it: its adapter, `DEVICE_MODEL`. OCPP 2.0.1, B05 to B08.

The one rule: functions of their arguments, nothing else.
"""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Any, TypeVar

from .. import device_model
from ..actions import ALLOTTED
from ..device_model import (
    ACTUAL,
    DeviceModelAdapter,
    ToldVariable,
    VariableAccess,
    VariableAnswer,
    VariableName,
    WantedVariable,
)
from ..verbs import VerbRefused
from .configuration import variable_of
from .provisioning import (
    TAKEN,
    AttributeType,
    GetBaseReport,
    GetVariableData,
    GetVariables,
    GetVariableStatus,
    Mutability,
    NotifyReport,
    ReportBase,
    SetVariableData,
    SetVariables,
    VariableCharacteristics,
)
from .types import EVSE, Component, GenericDeviceModelStatus, Variable

E = TypeVar("E", bound=StrEnum)

ANSWERED = frozenset({*map(str, TAKEN), str(GetVariableStatus.ACCEPTED)})
"""Results with which a variable has the value of the answer."""
PASSWORD = "password"  # noqa: S105 - a part of names
"""Part of the names of variables whose values are neither stored nor shown."""
EXTENTS = {
    "full": ReportBase.FULL_INVENTORY,
    "configuration": ReportBase.CONFIGURATION_INVENTORY,
    "summary": ReportBase.SUMMARY_INVENTORY,
}
"""Extents of reports, by the words of no version."""


def _word(kind: type[E], word: str, what: str) -> E:
    """Find a word of an enumeration without case. Raises `VerbRefused`."""
    found = {one.lower(): one for one in kind}.get(word.lower())
    if found is None:
        raise VerbRefused(f"OCPP 2.0.1: {what} is one of {', '.join(kind)}, not {word!r}")
    return found


def named(component: Component, variable: Variable) -> VariableName:
    """Return the name of a variable as a message has it."""
    evse = component.evse
    return VariableName(
        component=component.name,
        variable=variable.name,
        component_instance=component.instance or "",
        instance=variable.instance or "",
        evse=0 if evse is None else evse.id,
        connector=0 if evse is None else evse.connector_id or 0,
    )


def name_of(text: str) -> VariableName:
    """Find the variable that a text names, or a configuration key of OCPP 1.6. Raises `VerbRefused`."""
    return named(*variable_of(text))


def component_of(name: VariableName) -> Component:
    """Return the component of a variable, as a message has it."""
    evse = EVSE(id=name.evse, connector_id=name.connector or None) if name.evse or name.connector else None
    return Component(evse=evse, name=name.component, instance=name.component_instance or None)


def variable_named(name: VariableName) -> Variable:
    """Return a variable, as a message has it."""
    return Variable(name=name.variable, instance=name.instance or None)


def _attribute(name: str) -> AttributeType | None:
    """Return the type of an attribute; that which is meant without one stands in no message."""
    found = _word(AttributeType, name, "an attribute")
    return None if found is AttributeType.ACTUAL else found


def get(wanted: Sequence[WantedVariable]) -> GetVariables:
    """Make the request that reads variables. Raises `VerbRefused`."""
    return GetVariables(
        get_variable_data=tuple(
            GetVariableData(
                attribute_type=_attribute(one.attribute),
                component=component_of(one.name),
                variable=variable_named(one.name),
            )
            for one in wanted
        )
    )


def set_(wanted: Sequence[WantedVariable]) -> SetVariables:
    """Make the request that sets variables. Raises `VerbRefused`."""
    return SetVariables(
        set_variable_data=tuple(
            SetVariableData(
                attribute_type=_attribute(one.attribute),
                attribute_value=one.value,
                component=component_of(one.name),
                variable=variable_named(one.name),
            )
            for one in wanted
        )
    )


def _results(response: Any) -> Any:
    if response is None:
        return ()
    return getattr(response, "get_variable_result", None) or getattr(response, "set_variable_result", ())


def _asked(request: Any) -> Mapping[tuple[str, str], str]:
    """Return the values that a request sets, by variable and attribute."""
    return {
        (named(one.component, one.variable).key, str(one.attribute_type or ACTUAL)): one.attribute_value
        for one in getattr(request, "set_variable_data", ())
    }


def answers(request: Any, response: Any) -> Sequence[VariableAnswer]:
    """List the results of a response, in its order."""
    values, found = _asked(request), []
    for one in _results(response):
        name, attribute = named(one.component, one.variable), str(one.attribute_type or ACTUAL)
        details = one.attribute_status_info
        reason = (
            "" if details is None else ": ".join(filter(None, (details.reason_code, details.additional_info)))
        )
        value = getattr(one, "attribute_value", None)
        if one.attribute_status in TAKEN and value is None:
            value = values.get((name.key, attribute))
        found.append(VariableAnswer(name, attribute, str(one.attribute_status), _kept(name, value), reason))
    return found


def told_by(request: Any, response: Any) -> Sequence[ToldVariable]:
    """List the variables that were read or set, by the response."""
    return [
        ToldVariable(
            name=one.name,
            attribute=one.attribute,
            value=one.value,
            has_value=True,
        )
        for one in answers(request, response)
        # Some stations accept the question, and have no value in their answer.
        if one.status in ANSWERED and one.value is not None
    ]


def _kept(name: VariableName, value: str | None) -> str | None:
    return None if PASSWORD in name.variable.lower() else value


def told(part: NotifyReport) -> Sequence[ToldVariable]:
    """List the variables of a part of a report."""
    return [one for data in part.report_data or () for one in _told(data)]


def _told(data: Any) -> Iterator[ToldVariable]:
    name, characteristics = (
        named(data.component, data.variable),
        _characteristics(data.variable_characteristics),
    )
    for one in data.variable_attribute:
        yield ToldVariable(
            name=name,
            attribute=str(one.type or ACTUAL),
            value=_kept(name, one.value),
            has_value=True,
            access=VariableAccess(
                mutability=str(one.mutability or Mutability.READ_WRITE),
                persistent=bool(one.persistent),
                constant=bool(one.constant),
            ),
            characteristics=characteristics,
        )


def _characteristics(
    one: VariableCharacteristics | None,
) -> device_model.VariableCharacteristics | None:
    if one is None:
        return None
    return device_model.VariableCharacteristics(
        data_type=str(one.data_type or ""),
        unit=one.unit or "",
        min_limit=_digits(one.min_limit),
        max_limit=_digits(one.max_limit),
        values_list=one.values_list or "",
        supports_monitoring=bool(one.supports_monitoring),
    )


def _digits(number: Decimal | None) -> str:
    return "" if number is None else str(number)


def report(extent: str) -> GetBaseReport:
    """Make the request for a report of all variables, of the settable ones, or of those that tell of availability."""
    if extent not in EXTENTS:
        raise VerbRefused(
            f"OCPP 2.0.1: the extent of a report is one of {', '.join(EXTENTS)}, not {extent!r}"
        )
    return GetBaseReport(request_id=ALLOTTED, report_base=EXTENTS[extent])


def _limits(items: str, size_bytes: str | None) -> tuple[VariableName, VariableName | None]:
    return name_of(items), None if size_bytes is None else name_of(size_bytes)


def _of_messages(action: str) -> tuple[VariableName, VariableName | None]:
    return _limits(f"DeviceDataCtrlr.ItemsPerMessage[{action}]", f"DeviceDataCtrlr.BytesPerMessage[{action}]")


def _of_monitors(action: str) -> tuple[VariableName, VariableName | None]:
    return _limits(f"MonitoringCtrlr.ItemsPerMessage[{action}]", f"MonitoringCtrlr.BytesPerMessage[{action}]")


DEVICE_MODEL = DeviceModelAdapter(
    name_of=name_of,
    get=get,
    set=set_,
    answers=answers,
    told=told,
    told_by=told_by,
    report=report,
    reports=lambda response: response.status == GenericDeviceModelStatus.ACCEPTED,
    part_action="NotifyReport",
    limits={
        "GetVariables": _of_messages("GetVariables"),
        "SetVariables": _of_messages("SetVariables"),
        "GetReport": _of_messages("GetReport"),
        "SendLocalList": _limits("LocalAuthListCtrlr.ItemsPerMessage", "LocalAuthListCtrlr.BytesPerMessage"),
        "SetVariableMonitoring": _of_monitors("SetVariableMonitoring"),
        "ClearVariableMonitoring": _of_monitors("ClearVariableMonitoring"),
    },
    get_action="GetVariables",
    set_action="SetVariables",
)
