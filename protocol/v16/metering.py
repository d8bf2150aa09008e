"""Meter values of OCPP 1.6 (Core profile): their parts, and the message that brings them.

The one rule: a sample that makes no sense costs that sample, never the message.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

import msgspec

from ..actions import Request, Sender, request
from ..message import EXPENDABLE, LEFT_OUT, AtLeast, Message
from ..rules import Integer, Text
from .types import ConnectorIdOrZero, Profile

LARGEST_NUMBER = 2**31 - 1
"""Largest number that a transaction is given."""


class ReadingContext(StrEnum):
    """Occasion on which a reading was taken. OCPP 1.6, 7.35."""

    INTERRUPTION_BEGIN = "Interruption.Begin"
    INTERRUPTION_END = "Interruption.End"
    SAMPLE_CLOCK = "Sample.Clock"
    SAMPLE_PERIODIC = "Sample.Periodic"
    TRANSACTION_BEGIN = "Transaction.Begin"
    TRANSACTION_END = "Transaction.End"
    TRIGGER = "Trigger"
    OTHER = "Other"


class ValueFormat(StrEnum):
    """Format of a reading: a decimal number or signed data. OCPP 1.6, 7.49."""

    RAW = "Raw"
    SIGNED_DATA = "SignedData"


class Measurand(StrEnum):
    """Quantity that was measured. OCPP 1.6, 7.31."""

    ENERGY_ACTIVE_EXPORT_REGISTER = "Energy.Active.Export.Register"
    ENERGY_ACTIVE_IMPORT_REGISTER = "Energy.Active.Import.Register"
    ENERGY_REACTIVE_EXPORT_REGISTER = "Energy.Reactive.Export.Register"
    ENERGY_REACTIVE_IMPORT_REGISTER = "Energy.Reactive.Import.Register"
    ENERGY_ACTIVE_EXPORT_INTERVAL = "Energy.Active.Export.Interval"
    ENERGY_ACTIVE_IMPORT_INTERVAL = "Energy.Active.Import.Interval"
    ENERGY_REACTIVE_EXPORT_INTERVAL = "Energy.Reactive.Export.Interval"
    ENERGY_REACTIVE_IMPORT_INTERVAL = "Energy.Reactive.Import.Interval"
    POWER_ACTIVE_EXPORT = "Power.Active.Export"
    POWER_ACTIVE_IMPORT = "Power.Active.Import"
    POWER_OFFERED = "Power.Offered"
    POWER_REACTIVE_EXPORT = "Power.Reactive.Export"
    POWER_REACTIVE_IMPORT = "Power.Reactive.Import"
    POWER_FACTOR = "Power.Factor"
    CURRENT_IMPORT = "Current.Import"
    CURRENT_EXPORT = "Current.Export"
    CURRENT_OFFERED = "Current.Offered"
    VOLTAGE = "Voltage"
    FREQUENCY = "Frequency"
    TEMPERATURE = "Temperature"
    SOC = "SoC"
    RPM = "RPM"


class Phase(StrEnum):
    """Conductors between which a reading was taken. OCPP 1.6, 7.34."""

    L1 = "L1"
    L2 = "L2"
    L3 = "L3"
    N = "N"
    L1_N = "L1-N"
    L2_N = "L2-N"
    L3_N = "L3-N"
    L1_L2 = "L1-L2"
    L2_L3 = "L2-L3"
    L3_L1 = "L3-L1"


class Location(StrEnum):
    """Location of a reading. OCPP 1.6, 7.30."""

    CABLE = "Cable"
    EV = "EV"
    INLET = "Inlet"
    OUTLET = "Outlet"
    BODY = "Body"


class UnitOfMeasure(StrEnum):
    """The unit of a reading. OCPP 1.6, 7.45."""

    WH = "Wh"
    KWH = "kWh"
    VARH = "varh"
    KVARH = "kvarh"
    W = "W"
    KW = "kW"
    VA = "VA"
    KVA = "kVA"
    VAR = "var"
    KVAR = "kvar"
    A = "A"
    V = "V"
    K = "K"
    CELCIUS = "Celcius"  # the official schemas have both spellings, and charge points send both
    CELSIUS = "Celsius"
    FAHRENHEIT = "Fahrenheit"
    PERCENT = "Percent"
    HERTZ = "Hertz"


class SampledValue(Message):
    """Reading. OCPP 1.6, 7.43.

    What is left out has a default: Sample.Periodic, Raw, Energy.Active.Import.Register, Outlet, and Wh for an
    energy; without a phase it is the reading of all of them.
    """

    value: Annotated[str, Text(at_least=1)]
    context: ReadingContext | None = None
    format: ValueFormat | None = None
    measurand: Measurand | None = None
    phase: Phase | None = None
    location: Location | None = None
    unit: UnitOfMeasure | None = None


class MeterValue(Message):
    """The readings of one moment. OCPP 1.6, 7.33."""

    timestamp: datetime
    sampled_value: Annotated[tuple[SampledValue, ...], AtLeast(1), EXPENDABLE]


def transaction_named(payload: bytes) -> int | None:
    """Find the transaction that a payload names which cannot be read otherwise."""
    try:
        members = msgspec.json.decode(payload)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    number = members.get("transactionId") if isinstance(members, dict) else None
    return number if type(number) is int and 0 < number <= LARGEST_NUMBER else None


class MeterValuesResponse(Message):
    """Confirm meter values. OCPP 1.6, 6.32."""


@request(
    "MeterValues",
    Profile.CORE,
    Sender.CHARGE_POINT,
    transaction=True,
    transaction_of=lambda request: request.transaction_id,
    carries_readings=lambda _: True,
    transaction_named=transaction_named,
)
class MeterValues(Request[MeterValuesResponse]):
    """Send readings of a connector's meter, or of the main one as connector 0. OCPP 1.6, 4.7 and 6.31."""

    connector_id: ConnectorIdOrZero
    transaction_id: Annotated[int, Integer(names=True), LEFT_OUT] | None = None
    meter_value: Annotated[tuple[MeterValue, ...], AtLeast(1), EXPENDABLE]
