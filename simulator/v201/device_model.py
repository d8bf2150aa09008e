"""Device model of a small station: its variables, their values and rules.

The one rule: a value is text, as it is on the wire; a change is checked here and takes effect elsewhere. What all
stations have in common is one table: a station holds only what differs. OCPP 2.0.1, B05 to B08.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from ...protocol import v201
from ...protocol.v201.configuration import variable_key, variable_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

Type, Access = v201.DataType, v201.Mutability
GetStatus, SetStatus = v201.GetVariableStatus, v201.SetVariableStatus
PARTS_PER_EVSE = 0
"""Connector number in the key of a variable of a whole EVSE."""

BASIC_AUTH_PASSWORD = "SecurityCtrlr.BasicAuthPassword"  # noqa: S105 - its name
HEARTBEAT_INTERVAL = "OCPPCommCtrlr.HeartbeatInterval"
SUMMARY = ("available", "availabilitystate", "enabled", "problem", "active")
"""Variables of a summary inventory, in lower case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VariableSpec:
    """Variable as it leaves the factory. `values` are those of a list; `most` bounds a number."""

    value: str
    type: v201.DataType = Type.STRING
    access: v201.Mutability = Access.READ_WRITE
    unit: str | None = None
    values: str | None = None
    most: int | None = None
    reboot: bool = False
    pattern: str | None = None

    def fits(self, value: str) -> bool:
        """Return true if the variable can take this value."""
        if self.pattern is not None:
            return re.fullmatch(self.pattern, value) is not None
        if self.type is Type.BOOLEAN:
            return value in ("true", "false")
        if self.type is Type.INTEGER:
            return re.fullmatch(r"[0-9]{1,9}", value) is not None and (
                self.most is None or int(value) <= self.most
            )
        allowed = (self.values or "").split(",")
        if self.type is Type.OPTION_LIST:
            return value in allowed
        if self.type is Type.MEMBER_LIST or self.type is Type.SEQUENCE_LIST:
            return self.values is None or all(part in allowed for part in value.split(",") if value)
        return True

    @property
    def characteristics(self) -> v201.VariableCharacteristics:
        """Characteristics, as a report has them."""
        return v201.VariableCharacteristics(
            data_type=self.type,
            unit=self.unit,
            values_list=self.values,
            max_limit=None if self.most is None else Decimal(self.most),
            supports_monitoring=self.type in (Type.INTEGER, Type.DECIMAL, Type.BOOLEAN, Type.OPTION_LIST),
        )


def _flag(value: str, access: v201.Mutability = Access.READ_WRITE) -> VariableSpec:
    return VariableSpec(value=value, type=Type.BOOLEAN, access=access)


def _number(
    value: str, unit: str | None = None, access: v201.Mutability = Access.READ_WRITE, most: int | None = None
) -> VariableSpec:
    return VariableSpec(value=value, type=Type.INTEGER, access=access, unit=unit, most=most)


READ_ONLY = Access.READ_ONLY
MEASURANDS = ",".join(v201.Measurand)
PHASES_OF_TX = "EVConnected,Authorized"

VARIABLES: dict[str, VariableSpec] = {
    "AlignedDataCtrlr.Enabled": _flag("true"),
    "AlignedDataCtrlr.Interval": _number("0", "s"),
    "AlignedDataCtrlr.Measurands": VariableSpec(
        value="Energy.Active.Import.Register", type=Type.MEMBER_LIST, values=MEASURANDS
    ),
    "AlignedDataCtrlr.TxEndedMeasurands": VariableSpec(value="", type=Type.MEMBER_LIST, values=MEASURANDS),
    "AuthCacheCtrlr.Enabled": _flag("true"),
    "AuthCtrlr.AuthorizeRemoteStart": _flag("false"),
    "AuthCtrlr.Enabled": _flag("true"),
    "AuthCtrlr.LocalAuthorizeOffline": _flag("true"),
    "AuthCtrlr.LocalPreAuthorize": _flag("false"),
    "AuthCtrlr.OfflineTxForUnknownIdEnabled": _flag("false"),
    "ChargingStation.Available": _flag("true", READ_ONLY),
    "ChargingStation.AvailabilityState": VariableSpec(
        value="Available",
        type=Type.OPTION_LIST,
        access=READ_ONLY,
        values="Available,Occupied,Reserved,Unavailable,Faulted",
    ),
    "ChargingStation.Model": VariableSpec(value="", access=READ_ONLY),
    "ChargingStation.PhaseRotation": VariableSpec(value="RST"),
    "ChargingStation.Problem": _flag("false", READ_ONLY),
    "ChargingStation.SupplyPhases": _number("3", None, READ_ONLY),
    "ChargingStation.VendorName": VariableSpec(value="", access=READ_ONLY),
    "ClockCtrlr.DateTime": VariableSpec(value="", type=Type.DATE_TIME, access=READ_ONLY),
    "ClockCtrlr.TimeSource": VariableSpec(value="Heartbeat", type=Type.SEQUENCE_LIST, values="Heartbeat,NTP"),
    "DeviceDataCtrlr.BytesPerMessage[GetReport]": _number("65000", None, READ_ONLY),
    "DeviceDataCtrlr.BytesPerMessage[GetVariables]": _number("65000", None, READ_ONLY),
    "DeviceDataCtrlr.BytesPerMessage[SetVariables]": _number("65000", None, READ_ONLY),
    "DeviceDataCtrlr.ItemsPerMessage[GetReport]": _number("20", None, READ_ONLY),
    "DeviceDataCtrlr.ItemsPerMessage[GetVariables]": _number("50", None, READ_ONLY),
    "DeviceDataCtrlr.ItemsPerMessage[SetVariables]": _number("50", None, READ_ONLY),
    "DisplayMessageCtrlr.DisplayMessages": _number("0", None, READ_ONLY, 20),
    "DisplayMessageCtrlr.SupportedFormats": VariableSpec(
        value="ASCII,UTF8", type=Type.MEMBER_LIST, access=READ_ONLY, values="ASCII,HTML,URI,UTF8"
    ),
    "DisplayMessageCtrlr.SupportedPriorities": VariableSpec(
        value="AlwaysFront,InFront,NormalCycle",
        type=Type.MEMBER_LIST,
        access=READ_ONLY,
        values="AlwaysFront,InFront,NormalCycle",
    ),
    "LocalAuthListCtrlr.BytesPerMessage": _number("65000", None, READ_ONLY),
    "LocalAuthListCtrlr.Enabled": _flag("true"),
    "LocalAuthListCtrlr.Entries": _number("0", None, READ_ONLY, 1000),
    "LocalAuthListCtrlr.ItemsPerMessage": _number("100", None, READ_ONLY),
    "MonitoringCtrlr.Enabled": _flag("true"),
    "MonitoringCtrlr.ItemsPerMessage[SetVariableMonitoring]": _number("20", None, READ_ONLY),
    "OCPPCommCtrlr.FileTransferProtocols": VariableSpec(
        value="HTTP,HTTPS,FTP", type=Type.MEMBER_LIST, access=READ_ONLY, values="FTP,FTPS,HTTP,HTTPS,SFTP"
    ),
    HEARTBEAT_INTERVAL: _number("300", "s"),
    "OCPPCommCtrlr.MessageAttemptInterval[TransactionEvent]": _number("60", "s"),
    "OCPPCommCtrlr.MessageAttempts[TransactionEvent]": _number("3"),
    "OCPPCommCtrlr.MessageTimeout[Default]": _number("30", "s", READ_ONLY),
    "OCPPCommCtrlr.NetworkConfigurationPriority": VariableSpec(
        value="1", type=Type.SEQUENCE_LIST, values="1,2,3", reboot=True
    ),
    "OCPPCommCtrlr.NetworkProfileConnectionAttempts": _number("3"),
    "OCPPCommCtrlr.OfflineThreshold": _number("60", "s"),
    "OCPPCommCtrlr.ResetRetries": _number("1"),
    "OCPPCommCtrlr.UnlockOnEVSideDisconnect": _flag("true"),
    "OCPPCommCtrlr.WebSocketPingInterval": _number("0", "s"),
    "ReservationCtrlr.Enabled": _flag("true"),
    "ReservationCtrlr.NonEvseSpecific": _flag("true", READ_ONLY),
    "SampledDataCtrlr.Enabled": _flag("true"),
    "SampledDataCtrlr.TxEndedInterval": _number("0", "s"),
    "SampledDataCtrlr.TxEndedMeasurands": VariableSpec(
        value="Energy.Active.Import.Register", type=Type.MEMBER_LIST, values=MEASURANDS
    ),
    "SampledDataCtrlr.TxStartedMeasurands": VariableSpec(
        value="Energy.Active.Import.Register", type=Type.MEMBER_LIST, values=MEASURANDS
    ),
    "SampledDataCtrlr.TxUpdatedInterval": _number("0", "s"),
    "SampledDataCtrlr.TxUpdatedMeasurands": VariableSpec(
        value="Energy.Active.Import.Register", type=Type.MEMBER_LIST, values=MEASURANDS
    ),
    "SecurityCtrlr.AdditionalRootCertificateCheck": _flag("false", READ_ONLY),
    BASIC_AUTH_PASSWORD: VariableSpec(value="", access=Access.WRITE_ONLY, pattern=r"[!-~]{16,40}"),
    "SecurityCtrlr.CertificateEntries": _number("0", None, READ_ONLY, 10),
    "SecurityCtrlr.Identity": VariableSpec(value="", access=READ_ONLY),
    "SecurityCtrlr.MaxCertificateChainSize": _number("10000", None, READ_ONLY),
    "SecurityCtrlr.OrganizationName": VariableSpec(value="chargehand"),
    "SecurityCtrlr.SecurityProfile": _number("1", None, READ_ONLY),
    "SmartChargingCtrlr.Enabled": _flag("true"),
    "SmartChargingCtrlr.Entries[ChargingProfiles]": _number("20", None, READ_ONLY),
    "SmartChargingCtrlr.PeriodsPerSchedule": _number("24", None, READ_ONLY),
    "SmartChargingCtrlr.Phases3to1": _flag("false", READ_ONLY),
    "SmartChargingCtrlr.ProfileStackLevel": _number("10", None, READ_ONLY),
    "SmartChargingCtrlr.RateUnit": VariableSpec(
        value="A,W", type=Type.MEMBER_LIST, access=READ_ONLY, values="A,W"
    ),
    "TariffCostCtrlr.Available[Cost]": _flag("true", READ_ONLY),
    "TariffCostCtrlr.Currency": VariableSpec(value="EUR"),
    "TariffCostCtrlr.Enabled[Cost]": _flag("true"),
    "TxCtrlr.EVConnectionTimeOut": _number("60", "s"),
    "TxCtrlr.MaxEnergyOnInvalidId": _number("0", "Wh"),
    "TxCtrlr.StopTxOnEVSideDisconnect": _flag("true"),
    "TxCtrlr.StopTxOnInvalidId": _flag("true"),
    "TxCtrlr.TxStartPoint": VariableSpec(value="Authorized", type=Type.MEMBER_LIST, values=PHASES_OF_TX),
    "TxCtrlr.TxStopPoint": VariableSpec(value="Authorized", type=Type.MEMBER_LIST, values=PHASES_OF_TX),
}
"""Variables that every simulated station has, by the text that names them."""

STATES = "Available,Occupied,Reserved,Unavailable,Faulted"
OF_AN_EVSE: dict[str, VariableSpec] = {
    "EVSE.AllowReset": _flag("true", READ_ONLY),
    "EVSE.Available": _flag("true", READ_ONLY),
    "EVSE.AvailabilityState": VariableSpec(
        value="Available", type=Type.OPTION_LIST, access=READ_ONLY, values=STATES
    ),
    "EVSE.Power": VariableSpec(value="0", type=Type.DECIMAL, access=READ_ONLY, unit="W", most=22_080),
    "EVSE.SupplyPhases": _number("3", None, READ_ONLY),
}
OF_A_CONNECTOR: dict[str, VariableSpec] = {
    "Connector.Available": _flag("true", READ_ONLY),
    "Connector.AvailabilityState": VariableSpec(
        value="Available", type=Type.OPTION_LIST, access=READ_ONLY, values=STATES
    ),
    "Connector.ConnectorType": VariableSpec(value="cType2", access=READ_ONLY),
    "Connector.SupplyPhases": _number("3", None, READ_ONLY),
    "Connector.Temperature": VariableSpec(
        value="20", type=Type.DECIMAL, access=READ_ONLY, unit="Celsius", most=120
    ),
}
_NAMES = {name.lower(): name for name in VARIABLES}
_OF_AN_EVSE = {name.lower(): name for name in OF_AN_EVSE}
_OF_A_CONNECTOR = {name.lower(): name for name in OF_A_CONNECTOR}
_PLACE = re.compile(r"([1-9]\d*)/(\d+)/(.+)")


def _owner(name: str) -> str:
    """Component of a variable's name, with its place."""
    return name.partition(".")[0]


class DeviceModel:
    """Variables of one station. `values` are given at the factory, by text keys: they may set what is read-only.

    `live` gives the values that follow from facts, as the state of a connector; None for all others. It gets the key.
    """

    def __init__(
        self,
        places: Iterable[tuple[int, int]],
        values: Mapping[str, str] | None = None,
        live: Callable[[str], str | None] = lambda _: None,
    ) -> None:
        self._places = frozenset(places)
        self._live = live
        self._changed: dict[str, str] = {}  # by the key in lower case
        for name, value in (values or {}).items():
            self.set(name, value)

    # -- From within -----------------------------------------------------------------------------

    def spec(self, key: str) -> VariableSpec | None:
        """Return what a variable is, by the text that names it, without case; None if there is none."""
        found = _PLACE.fullmatch(key)
        if found is None:
            name = _NAMES.get(key.lower())
            return None if name is None else VARIABLES[name]
        evse, connector, rest = int(found[1]), int(found[2]), found[3].lower()
        if (evse, connector) not in self._places:
            return None
        if connector == PARTS_PER_EVSE:
            return OF_AN_EVSE[_OF_AN_EVSE[rest]] if rest in _OF_AN_EVSE else None
        return OF_A_CONNECTOR[_OF_A_CONNECTOR[rest]] if rest in _OF_A_CONNECTOR else None

    def __getitem__(self, name: str) -> str:
        spec = self.spec(name)
        if spec is None:
            raise KeyError(name)
        live = self._live(name)
        return self._changed.get(name.lower(), spec.value) if live is None else live

    def integer(self, name: str) -> int:
        """Return the value of a variable that holds a number."""
        return int(self[name])

    def flag(self, name: str) -> bool:
        """Return the value of a variable that holds true or false."""
        return self[name] == "true"

    def has(self, name: str, member: str) -> bool:
        """Return true if a variable that holds a list has this member."""
        return member in self[name].split(",")

    def set(self, name: str, value: str) -> None:
        """Set a variable from within, regardless of its rules. Raises KeyError for one that there is not."""
        if self.spec(name) is None:
            raise KeyError(name)
        self._changed[name.lower()] = value

    def keys(self) -> Iterator[str]:
        """Name all variables."""
        yield from VARIABLES
        for evse, connector in sorted(self._places):
            names = OF_AN_EVSE if connector == PARTS_PER_EVSE else OF_A_CONNECTOR
            yield from (f"{evse}/{connector}/{name}" for name in names)

    # -- Commands --------------------------------------------------------------------------------

    def _unknown_component(self, key: str) -> bool:
        return not any(_owner(known).lower() == _owner(key).lower() for known in self.keys())

    def get(self, wanted: v201.GetVariableData) -> v201.GetVariableResult:
        """Read one variable. OCPP 2.0.1, B06."""
        key = variable_key(wanted.component, wanted.variable)
        spec = self.spec(key)
        value = None
        if spec is None:
            unknown = self._unknown_component(key)
            status = GetStatus.UNKNOWN_COMPONENT if unknown else GetStatus.UNKNOWN_VARIABLE
        elif wanted.attribute_type not in (None, v201.AttributeType.ACTUAL):
            status = GetStatus.NOT_SUPPORTED_ATTRIBUTE_TYPE
        elif spec.access is Access.WRITE_ONLY:
            status = GetStatus.REJECTED
        else:
            status, value = GetStatus.ACCEPTED, self[key]
        return v201.GetVariableResult(
            attribute_status=status,
            attribute_type=wanted.attribute_type,
            attribute_value=value,
            component=wanted.component,
            variable=wanted.variable,
        )

    def change(self, wanted: v201.SetVariableData) -> v201.SetVariableResult:
        """Set one variable. OCPP 2.0.1, B05."""
        key = variable_key(wanted.component, wanted.variable)
        spec = self.spec(key)
        if spec is None:
            unknown = self._unknown_component(key)
            status = SetStatus.UNKNOWN_COMPONENT if unknown else SetStatus.UNKNOWN_VARIABLE
        elif wanted.attribute_type not in (None, v201.AttributeType.ACTUAL):
            status = SetStatus.NOT_SUPPORTED_ATTRIBUTE_TYPE
        elif spec.access is Access.READ_ONLY or not spec.fits(wanted.attribute_value):
            status = SetStatus.REJECTED
        else:
            self.set(key, wanted.attribute_value)
            status = SetStatus.REBOOT_REQUIRED if spec.reboot else SetStatus.ACCEPTED
        return v201.SetVariableResult(
            attribute_status=status,
            attribute_type=wanted.attribute_type,
            component=wanted.component,
            variable=wanted.variable,
        )

    # -- Reports ---------------------------------------------------------------------------------

    def base_report(self, extent: v201.ReportBase) -> list[v201.ReportData]:
        """List the variables of a base report. OCPP 2.0.1, B07."""

        def belongs(key: str) -> bool:
            if extent == v201.ReportBase.SUMMARY_INVENTORY:
                return key.rpartition(".")[2].lower() in SUMMARY
            spec = self.spec(key)
            settable = spec is not None and spec.access is not Access.READ_ONLY
            return settable or extent == v201.ReportBase.FULL_INVENTORY

        return [self.described(key) for key in self.keys() if belongs(key)]

    def report(self, request: v201.GetReport) -> list[v201.ReportData]:
        """List the variables that a GetReport asks for. OCPP 2.0.1, B08."""
        criteria = request.component_criteria or ()
        return [
            self.described(key)
            for key in self.keys()
            if self.matches(key, request.component_variable)
            and (not criteria or any(self._is(_owner(key), criterion) for criterion in criteria))
        ]

    def _is(self, owner: str, criterion: v201.ComponentCriterion) -> bool:
        """Judge a component by its variable of that name. One without it is active, available and enabled."""
        name = f"{owner}.{criterion}"
        if self.spec(name) is None:
            return criterion != v201.ComponentCriterion.PROBLEM
        return self.flag(name)

    @staticmethod
    def matches(key: str, wanted: Iterable[v201.ComponentVariable] | None) -> bool:
        """Return true if a variable is one of these; one without an EVSE, an instance or a variable means all."""
        if wanted is None:
            return True
        component, variable = variable_of(key)
        return any(
            one.component.name.lower() == component.name.lower()
            and one.component.instance in (None, component.instance)
            and (one.component.evse is None or one.component.evse == component.evse)
            and (
                one.variable is None
                or (
                    one.variable.name.lower() == variable.name.lower()
                    and one.variable.instance in (None, variable.instance)
                )
            )
            for one in wanted
        )

    def described(self, key: str) -> v201.ReportData:
        """Describe a variable, as a report has it."""
        spec = self.spec(key)
        if spec is None:
            raise KeyError(key)
        component, variable = variable_of(key)
        hidden = spec.access is Access.WRITE_ONLY
        return v201.ReportData(
            component=component,
            variable=variable,
            variable_attribute=(
                v201.VariableAttribute(
                    type=v201.AttributeType.ACTUAL,
                    value=None if hidden else self[key],
                    mutability=spec.access,
                    persistent=True,
                    constant=False,
                ),
            ),
            variable_characteristics=spec.characteristics,
        )
