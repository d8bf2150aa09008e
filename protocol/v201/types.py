"""Parts that several blocks of OCPP 2.0.1 share: strings, enumerations and objects.

The one rule: it is here only if two modules of this version need it.
"""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated

from ..message import EXPENDABLE, LEFT_OUT, AtLeast, AtMost, StandIn, WireName
from ..rules import Integer, Text
from .base import Message


class Block(StrEnum):
    """Functional blocks of OCPP 2.0.1, A to P."""

    SECURITY = "Security"
    PROVISIONING = "Provisioning"
    AUTHORIZATION = "Authorization"
    LOCAL_AUTH_LIST = "LocalAuthList"
    TRANSACTIONS = "Transactions"
    REMOTE_CONTROL = "RemoteControl"
    AVAILABILITY = "Availability"
    RESERVATION = "Reservation"
    TARIFF_AND_COST = "TariffAndCost"
    METERING = "Metering"
    SMART_CHARGING = "SmartCharging"
    FIRMWARE = "Firmware"
    CERTIFICATES = "Certificates"
    DIAGNOSTICS = "Diagnostics"
    DISPLAY_MESSAGES = "DisplayMessages"
    DATA_TRANSFER = "DataTransfer"


String6 = Annotated[str, Text(6)]
String8 = Annotated[str, Text(8)]
String16 = Annotated[str, Text(16)]
String20 = Annotated[str, Text(20)]
String25 = Annotated[str, Text(25)]
String32 = Annotated[str, Text(32)]
String36 = Annotated[str, Text(36)]
String40 = Annotated[str, Text(40)]
String50 = Annotated[str, Text(50)]
String64 = Annotated[str, Text(64)]
String128 = Annotated[str, Text(128)]
String255 = Annotated[str, Text(255)]
String500 = Annotated[str, Text(500)]
String512 = Annotated[str, Text(512)]
String800 = Annotated[str, Text(800)]
String1000 = Annotated[str, Text(1000)]
String2500 = Annotated[str, Text(2500)]
String5500 = Annotated[str, Text(5500)]
String5600 = Annotated[str, Text(5600)]
String7500 = Annotated[str, Text(7500)]
String10000 = Annotated[str, Text(10000)]
Percent = Annotated[int, Integer(0, 100)]
Id = Annotated[int, Integer(names=True)]
"""Number that names something: half of it names nothing."""


class StatusInfo(Message):
    """Explanation of a status: a code, and a text for people. OCPP 2.0.1, StatusInfoType."""

    reason_code: Annotated[String20, StandIn("")]
    additional_info: String512 | None = None


Details = Annotated[StatusInfo, LEFT_OUT]
"""Explanation of a status, which is left out if it cannot be read: the status is what counts."""


class GenericStatus(StrEnum):
    """Answer to a request: accepted or rejected. OCPP 2.0.1, GenericStatusEnumType."""

    ACCEPTED = "Accepted"
    REJECTED = "Rejected"


class EVSE(Message):
    """Address of an EVSE, or of one connector of it; EVSE 0 is the station. OCPP 2.0.1, EVSEType."""

    id: Id
    connector_id: Id | None = None


class Component(Message):
    """Component of the device model, by name, instance and place. OCPP 2.0.1, ComponentType."""

    evse: EVSE | None = None
    name: String50
    instance: String50 | None = None


class Variable(Message):
    """Variable of a component, by name and instance. OCPP 2.0.1, VariableType."""

    name: String50
    instance: String50 | None = None


class ComponentVariable(Message):
    """Component, and one variable of it or all. OCPP 2.0.1, ComponentVariableType."""

    component: Component
    variable: Variable | None = None


class HashAlgorithm(StrEnum):
    """Algorithm of the hashes that name a certificate. OCPP 2.0.1, HashAlgorithmEnumType."""

    SHA256 = "SHA256"
    SHA384 = "SHA384"
    SHA512 = "SHA512"


class IdTokenType(StrEnum):
    """Kind of an id token; Central: made by the central system, NoAuthorization: an empty one.

    OCPP 2.0.1, IdTokenEnumType.
    """

    CENTRAL = "Central"
    EMAID = "eMAID"
    ISO14443 = "ISO14443"
    ISO15693 = "ISO15693"
    KEY_CODE = "KeyCode"
    LOCAL = "Local"
    MAC_ADDRESS = "MacAddress"
    NO_AUTHORIZATION = "NoAuthorization"


class AdditionalInfo(Message):
    """Further text of an id token, of a kind that both sides know. OCPP 2.0.1, AdditionalInfoType."""

    additional_id_token: String36
    type: String50


class CertificateHashData(Message):
    """Name of a certificate: hashes of its issuer, and its serial number in hexadecimal digits.

    OCPP 2.0.1, CertificateHashDataType.
    """

    hash_algorithm: HashAlgorithm
    issuer_name_hash: String128
    issuer_key_hash: String128
    serial_number: String40


class IdToken(Message):
    """Token of a driver. Compared without case. OCPP 2.0.1, IdTokenType."""

    additional_info: Annotated[tuple[AdditionalInfo, ...], AtLeast(1), EXPENDABLE, LEFT_OUT] | None = None
    id_token: String36
    type: Annotated[IdTokenType, StandIn("")]


class OCSPRequestData(Message):
    """Certificate whose revocation is asked for, and the address of the OCSP responder.

    OCPP 2.0.1, OCSPRequestDataType.
    """

    hash_algorithm: HashAlgorithm
    issuer_name_hash: String128
    issuer_key_hash: String128
    serial_number: String40
    responder_url: Annotated[String512, WireName("responderURL")]


class AuthorizationStatus(StrEnum):
    """Status of an id token; Unknown: nobody knows it, Invalid: known, and not to be used.

    OCPP 2.0.1, AuthorizationStatusEnumType.
    """

    ACCEPTED = "Accepted"
    BLOCKED = "Blocked"
    CONCURRENT_TX = "ConcurrentTx"
    EXPIRED = "Expired"
    INVALID = "Invalid"
    NO_CREDIT = "NoCredit"
    NOT_ALLOWED_TYPE_EVSE = "NotAllowedTypeEVSE"
    NOT_AT_THIS_LOCATION = "NotAtThisLocation"
    NOT_AT_THIS_TIME = "NotAtThisTime"
    UNKNOWN = "Unknown"


class MessageFormat(StrEnum):
    """Format of a text that is shown. OCPP 2.0.1, MessageFormatEnumType."""

    ASCII = "ASCII"
    HTML = "HTML"
    URI = "URI"
    UTF8 = "UTF8"


class MessageContent(Message):
    """Text to be shown, with its format and its language (RFC 5646). OCPP 2.0.1, MessageContentType."""

    format: MessageFormat
    language: String8 | None = None
    content: String512


class IdTokenInfo(Message):
    """Status of an id token, how long it may be cached, its group, and what is shown to the driver.

    OCPP 2.0.1, IdTokenInfoType.
    """

    status: AuthorizationStatus
    cache_expiry_date_time: datetime | None = None
    charging_priority: int | None = None
    language1: String8 | None = None
    evse_id: Annotated[tuple[int, ...], AtLeast(1)] | None = None
    group_id_token: IdToken | None = None
    language2: String8 | None = None
    personal_message: MessageContent | None = None


class ChargingRateUnit(StrEnum):
    """Unit of a limit: watts in all, or amperes of each phase. OCPP 2.0.1, ChargingRateUnitEnumType."""

    W = "W"
    A = "A"


class CostKind(StrEnum):
    """Kind of a cost in a sales tariff. OCPP 2.0.1, CostKindEnumType."""

    CARBON_DIOXIDE_EMISSION = "CarbonDioxideEmission"
    RELATIVE_PRICE_PERCENTAGE = "RelativePricePercentage"
    RENEWABLE_GENERATION_PERCENTAGE = "RenewableGenerationPercentage"


class ChargingSchedulePeriod(Message):
    """Limit that holds from so many seconds into a schedule. OCPP 2.0.1, ChargingSchedulePeriodType."""

    start_period: int
    limit: Decimal
    number_phases: int | None = None
    phase_to_use: int | None = None


class RelativeTimeInterval(Message):
    """Interval in seconds, from the start of the schedule. OCPP 2.0.1, RelativeTimeIntervalType."""

    start: int
    duration: int | None = None


class Cost(Message):
    """Cost of a kind: `amount` times ten to the power of the multiplier. OCPP 2.0.1, CostType."""

    cost_kind: CostKind
    amount: int
    amount_multiplier: int | None = None


class ConsumptionCost(Message):
    """Costs above a power (`start_value`). OCPP 2.0.1, ConsumptionCostType."""

    start_value: Decimal
    cost: Annotated[tuple[Cost, ...], AtLeast(1), AtMost(3)]


class SalesTariffEntry(Message):
    """Price level and costs in an interval of a sales tariff. OCPP 2.0.1, SalesTariffEntryType."""

    relative_time_interval: RelativeTimeInterval
    e_price_level: Annotated[int, Integer(at_least=0)] | None = None
    consumption_cost: Annotated[tuple[ConsumptionCost, ...], AtLeast(1), AtMost(3)] | None = None


class SalesTariff(Message):
    """Prices over time, as ISO 15118 has them. OCPP 2.0.1, SalesTariffType."""

    id: int
    sales_tariff_description: String32 | None = None
    num_e_price_levels: int | None = None
    sales_tariff_entry: Annotated[tuple[SalesTariffEntry, ...], AtLeast(1), AtMost(1024)]


class ChargingSchedule(Message):
    """List of limits over time; `duration` is in seconds. OCPP 2.0.1, ChargingScheduleType."""

    id: int
    start_schedule: datetime | None = None
    duration: int | None = None
    charging_rate_unit: ChargingRateUnit
    charging_schedule_period: Annotated[tuple[ChargingSchedulePeriod, ...], AtLeast(1), AtMost(1024)]
    min_charging_rate: Decimal | None = None
    sales_tariff: SalesTariff | None = None


class GenericDeviceModelStatus(StrEnum):
    """Answer to a request about the device model; EmptyResultSet: no report follows.

    OCPP 2.0.1, GenericDeviceModelStatusEnumType.
    """

    ACCEPTED = "Accepted"
    REJECTED = "Rejected"
    NOT_SUPPORTED = "NotSupported"
    EMPTY_RESULT_SET = "EmptyResultSet"


class ChargingProfileKind(StrEnum):
    """Start from which the periods of a charging profile count. OCPP 2.0.1, ChargingProfileKindEnumType."""

    ABSOLUTE = "Absolute"
    RECURRING = "Recurring"
    RELATIVE = "Relative"


class ChargingProfilePurpose(StrEnum):
    """Scope of a charging profile: limits of others, the station, any transaction, or one.

    OCPP 2.0.1, ChargingProfilePurposeEnumType.
    """

    CHARGING_STATION_EXTERNAL_CONSTRAINTS = "ChargingStationExternalConstraints"
    CHARGING_STATION_MAX_PROFILE = "ChargingStationMaxProfile"
    TX_DEFAULT_PROFILE = "TxDefaultProfile"
    TX_PROFILE = "TxProfile"


class RecurrencyKind(StrEnum):
    """Interval after which a recurring charging profile starts again. OCPP 2.0.1, RecurrencyKindEnumType."""

    DAILY = "Daily"
    WEEKLY = "Weekly"


class ChargingProfile(Message):
    """Schedules, and when they apply. OCPP 2.0.1, ChargingProfileType."""

    id: int
    stack_level: int
    charging_profile_purpose: ChargingProfilePurpose
    charging_profile_kind: ChargingProfileKind
    recurrency_kind: RecurrencyKind | None = None
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    charging_schedule: Annotated[tuple[ChargingSchedule, ...], AtLeast(1), AtMost(3)]
    transaction_id: String36 | None = None


class Location(StrEnum):
    """Place at which a reading was taken. OCPP 2.0.1, LocationEnumType."""

    BODY = "Body"
    CABLE = "Cable"
    EV = "EV"
    INLET = "Inlet"
    OUTLET = "Outlet"


class Measurand(StrEnum):
    """Quantity that was measured. OCPP 2.0.1, MeasurandEnumType."""

    CURRENT_EXPORT = "Current.Export"
    CURRENT_IMPORT = "Current.Import"
    CURRENT_OFFERED = "Current.Offered"
    ENERGY_ACTIVE_EXPORT_REGISTER = "Energy.Active.Export.Register"
    ENERGY_ACTIVE_IMPORT_REGISTER = "Energy.Active.Import.Register"
    ENERGY_REACTIVE_EXPORT_REGISTER = "Energy.Reactive.Export.Register"
    ENERGY_REACTIVE_IMPORT_REGISTER = "Energy.Reactive.Import.Register"
    ENERGY_ACTIVE_EXPORT_INTERVAL = "Energy.Active.Export.Interval"
    ENERGY_ACTIVE_IMPORT_INTERVAL = "Energy.Active.Import.Interval"
    ENERGY_ACTIVE_NET = "Energy.Active.Net"
    ENERGY_REACTIVE_EXPORT_INTERVAL = "Energy.Reactive.Export.Interval"
    ENERGY_REACTIVE_IMPORT_INTERVAL = "Energy.Reactive.Import.Interval"
    ENERGY_REACTIVE_NET = "Energy.Reactive.Net"
    ENERGY_APPARENT_NET = "Energy.Apparent.Net"
    ENERGY_APPARENT_IMPORT = "Energy.Apparent.Import"
    ENERGY_APPARENT_EXPORT = "Energy.Apparent.Export"
    FREQUENCY = "Frequency"
    POWER_ACTIVE_EXPORT = "Power.Active.Export"
    POWER_ACTIVE_IMPORT = "Power.Active.Import"
    POWER_FACTOR = "Power.Factor"
    POWER_OFFERED = "Power.Offered"
    POWER_REACTIVE_EXPORT = "Power.Reactive.Export"
    POWER_REACTIVE_IMPORT = "Power.Reactive.Import"
    SOC = "SoC"
    VOLTAGE = "Voltage"


class Phase(StrEnum):
    """Conductors between which a reading was taken. OCPP 2.0.1, PhaseEnumType."""

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


class ReadingContext(StrEnum):
    """Occasion on which a reading was taken. OCPP 2.0.1, ReadingContextEnumType."""

    INTERRUPTION_BEGIN = "Interruption.Begin"
    INTERRUPTION_END = "Interruption.End"
    OTHER = "Other"
    SAMPLE_CLOCK = "Sample.Clock"
    SAMPLE_PERIODIC = "Sample.Periodic"
    TRANSACTION_BEGIN = "Transaction.Begin"
    TRANSACTION_END = "Transaction.End"
    TRIGGER = "Trigger"


class SignedMeterValue(Message):
    """Signed reading, verbatim: it is the one that counts in law. OCPP 2.0.1, SignedMeterValueType."""

    signed_meter_data: String2500
    signing_method: Annotated[String50, StandIn("")]
    encoding_method: Annotated[String50, StandIn("")]
    public_key: Annotated[String2500, StandIn("")]


class UnitOfMeasure(Message):
    """Unit of a reading (Wh by default), and a power of ten to multiply it by.

    OCPP 2.0.1, UnitOfMeasureType.
    """

    unit: String20 | None = None
    multiplier: int | None = None


class SampledValue(Message):
    """Reading. Without other members.

    Sample.Periodic, Energy.Active.Import.Register, Outlet, in Wh, of all phases. OCPP 2.0.1,
    SampledValueType.
    """

    value: Decimal
    context: ReadingContext | None = None
    measurand: Measurand | None = None
    phase: Phase | None = None
    location: Location | None = None
    signed_meter_value: SignedMeterValue | None = None
    unit_of_measure: UnitOfMeasure | None = None


class MeterValue(Message):
    """Readings of one moment. OCPP 2.0.1, MeterValueType."""

    sampled_value: Annotated[tuple[SampledValue, ...], AtLeast(1), EXPENDABLE]
    timestamp: datetime


def place_of(evse: EVSE | None) -> tuple[int, int | None] | None:
    """Return the numbers of an address, which can be a key."""
    return None if evse is None else (evse.id, evse.connector_id)
