"""Verbs: commands in the words of no version. A version's table has a pure function for each verb that it knows.

The one rule: a verb names the wanted result, never the message. An EVSE has connectors, both
numbered from 1; OCPP 1.6's connector n is connector 1 of EVSE n, and its connector 0 the charge point as a whole.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from ..config.errors import ChargehandError
from ..config.schema import nearest

if TYPE_CHECKING:
    from .actions import Request
    from .local_lists import LocalListFacts

T = TypeVar("T")


class VerbRefused(ChargehandError, ValueError):
    """Error: the version of OCPP has no message for this verb, or none for these arguments."""


class UnknownVerb(ChargehandError, LookupError):
    """Error: no verb has this name."""


class Verb(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    tag_field="verb",
    omit_defaults=True,
    forbid_unknown_fields=True,
):
    """Base of the verbs. Each is a command that a version of OCPP puts into a message of its own."""

    @property
    def name(self) -> str:
        """Name of the verb, as the method of the system has it."""
        tag: Any = type(self).__struct_config__.tag
        return str(tag)


Moment = Annotated[dt.datetime, Meta(tz=True)]
IdTag = Annotated[str, Meta(description="Id tag.")]
IdType = Annotated[
    str, Meta(description="Kind of the id tag, such as ISO14443, in versions that have kinds.")
]
OneEvse = Annotated[int | None, Meta(description="EVSE, from 1; all of them if none is named.")]
OneConnector = Annotated[int | None, Meta(description="Connector of the EVSE, from 1.")]
Retries = Annotated[int | None, Meta(description="Attempts of the charge point.")]
RetryInterval = Annotated[int | None, Meta(description="Seconds between attempts.")]
Checksum = Annotated[str, Meta(description="MD5 of the firmware, in hexadecimal digits.")]
ReservationId = Annotated[int, Meta(description="Number of the reservation.")]

PEM_MEDIA_TYPE = "application/x-pem-file"
Pem = Annotated[str, Meta(extra_json_schema={"contentMediaType": PEM_MEDIA_TYPE})]
"""Text in PEM; on the command line it may be in a file."""
CHARGING_STATION, V2G, COMBINED = "charging_station", "v2g", "combined"
CENTRAL_SYSTEM, MANUFACTURER, MOBILITY_OPERATOR = "central_system", "manufacturer", "mobility_operator"
V2G_CHAIN = "v2g_chain"


class StartCharging(Verb, frozen=True, tag="start_charging"):
    """Start a transaction for an id tag, on any EVSE or on this one."""

    id_tag: IdTag
    evse: Annotated[int | None, Meta(description="EVSE to charge at; any if none is named.")] = None
    connector: OneConnector = None
    id_type: IdType = ""


class StopCharging(Verb, frozen=True, tag="stop_charging"):
    """Stop a transaction, by the id that its charge point knows."""

    transaction_id: Annotated[int | str, Meta(description="Id of the transaction.")]


class Unlock(Verb, frozen=True, tag="unlock"):
    """Unlock the cable of a connector."""

    evse: Annotated[int, Meta(description="EVSE of the connector, from 1.")] = 1
    connector: OneConnector = None


class SetAvailability(Verb, frozen=True, tag="set_availability"):
    """Take the charge point, an EVSE or a connector in or out of operation."""

    available: Annotated[bool, Meta(description="In operation or out of it.")]
    evse: OneEvse = None
    connector: OneConnector = None


class Reset(Verb, frozen=True, tag="reset"):
    """Restart the charge point, or an EVSE: at once, or when its transactions have been ended properly."""

    at_once: Annotated[bool, Meta(description="Restart at once, whatever is charging.")] = False
    evse: OneEvse = None


class Limit(Verb, frozen=True, tag="limit"):
    """Limit the power (watts, in all) or the current (amperes a phase).

    Nothing named, of the whole charge point; with `evse`, of each further transaction there; with `transaction_id`, of
    that one. `phases` is needed only where one unit must be converted into the other.
    """

    watts: Annotated[float | None, Meta(description="Most power, in watts.")] = None
    amps: Annotated[float | None, Meta(description="Most current of each phase, in amperes.")] = None
    evse: Annotated[int | None, Meta(description="EVSE whose further transactions are limited.")] = None
    transaction_id: Annotated[
        int | str | None, Meta(description="Id of the one transaction to be limited.")
    ] = None
    phases: Annotated[int | None, Meta(description="Phases, to convert one unit into the other.")] = None


class CompositeSchedule(Verb, frozen=True, tag="composite_schedule"):
    """Ask for the limits that hold at an EVSE, or of the charge point as a whole, from now on."""

    duration_s: Annotated[int, Meta(description="Length of the schedule, in seconds.")] = 86_400
    evse: Annotated[int, Meta(description="EVSE; 0 for the charge point as a whole.")] = 0
    unit: Annotated[str, Meta(description="Unit of the limits: W or A.")] = ""


class GetChargingProfiles(Verb, frozen=True, tag="get_charging_profiles"):
    """Have charging profiles reported: all of them, or those of an EVSE or of a purpose."""

    evse: Annotated[int | None, Meta(description="EVSE; 0 for the charge point as a whole.")] = None
    purpose: Annotated[str, Meta(description="Purpose, such as TxProfile.")] = ""


class ClearLimit(Verb, frozen=True, tag="clear_limit"):
    """Clear the limit that `Limit` with the same scope has set, and nothing else."""

    evse: Annotated[int | None, Meta(description="EVSE whose limit is taken back.")] = None
    transaction_id: Annotated[
        int | str | None, Meta(description="Id of the transaction whose limit is taken back.")
    ] = None


class Trigger(Verb, frozen=True, tag="trigger"):
    """Have the charge point send a message now, named as OCPP names it."""

    message: Annotated[str, Meta(description="Name of the message, such as StatusNotification.")]
    evse: OneEvse = None
    connector: OneConnector = None


class GetConfiguration(Verb, frozen=True, tag="get_configuration"):
    """Ask for these configuration keys, or for all."""

    keys: Annotated[tuple[str, ...], Meta(description="Configuration key; all if none is named.")] = ()


class SetConfiguration(Verb, frozen=True, tag="set_configuration"):
    """Set a configuration key."""

    key: Annotated[str, Meta(description="Configuration key.")]
    value: Annotated[str, Meta(description="Its new value.")]


class UpdateFirmware(Verb, frozen=True, tag="update_firmware"):
    """Have firmware fetched from a location and installed, not before the given times.

    Signed firmware has a certificate (PEM) and a signature (base64).
    """

    location: Annotated[str, Meta(description="URL of the firmware.")]
    retrieve_at: Annotated[Moment | None, Meta(description="Time to fetch it; now by default.")] = None
    install_at: Annotated[Moment | None, Meta(description="Time to install signed firmware.")] = None
    retries: Retries = None
    retry_interval_s: RetryInterval = None
    signing_certificate: Annotated[Pem, Meta(description="Certificate of the signature, PEM.")] = ""
    signature: Annotated[str, Meta(description="Signature of the firmware, base64.")] = ""


class PublishFirmware(Verb, frozen=True, tag="publish_firmware"):
    """Have firmware fetched and published on the local network, for other charge points."""

    location: Annotated[str, Meta(description="URL of the firmware.")]
    checksum: Checksum
    retries: Retries = None
    retry_interval_s: RetryInterval = None


class UnpublishFirmware(Verb, frozen=True, tag="unpublish_firmware"):
    """Take back firmware that was published on the local network."""

    checksum: Checksum


class GetLogs(Verb, frozen=True, tag="get_logs"):
    """Have a log uploaded to a location. `kind` is "diagnostics" or "security"."""

    location: Annotated[str, Meta(description="URL of the folder to upload to.")]
    kind: Annotated[str, Meta(description="Kind of log: diagnostics or security.")] = "diagnostics"
    since: Annotated[Moment | None, Meta(description="Time of the oldest entry.")] = None
    until: Annotated[Moment | None, Meta(description="Time of the latest entry.")] = None
    retries: Retries = None
    retry_interval_s: RetryInterval = None


class Reserve(Verb, frozen=True, tag="reserve"):
    """Reserve the charge point or an EVSE for an id tag until a time.

    A number is drawn for the reservation if none is given.
    """

    id_tag: IdTag
    until: Annotated[Moment, Meta(description="Time at which the reservation ends.")]
    reservation_id: Annotated[
        int | None, Meta(description="Number of the reservation; drawn if none is given.")
    ] = None
    evse: OneEvse = None
    parent_id_tag: Annotated[str, Meta(description="Parent of id tags that may use it too.")] = ""
    id_type: IdType = ""
    connector_type: Annotated[
        str, Meta(description="Type of connector, such as cType2, in versions that have types.")
    ] = ""


class CancelReservation(Verb, frozen=True, tag="cancel_reservation"):
    """Cancel a reservation."""

    reservation_id: ReservationId


class SetMonitor(Verb, frozen=True, tag="set_monitor"):
    """Have a variable monitored: its events are reported from then on.

    `kind` is one of OCPP's words, as UpperThreshold, LowerThreshold, Delta, Periodic; `severity` is from 0, danger,
    to 9, debugging. A monitor that exists is changed by its number.
    """

    variable: Annotated[
        str, Meta(description="Variable, as Connector.Available or 1/1/Connector.Temperature.")
    ]
    value: Annotated[float, Meta(description="Threshold, change, or seconds.")]
    kind: Annotated[str, Meta(description="Kind of monitor, such as UpperThreshold.")]
    severity: Annotated[int, Meta(description="Severity of its events, from 0 to 9.")] = 5
    transaction_only: Annotated[bool, Meta(description="Watch during transactions only.")] = False
    monitor_id: Annotated[int | None, Meta(description="Number of the monitor to be changed.")] = None


class ClearMonitors(Verb, frozen=True, tag="clear_monitors"):
    """Clear monitors by their numbers."""

    monitor_ids: Annotated[tuple[int, ...], Meta(description="Number of a monitor.")]


class GetMonitors(Verb, frozen=True, tag="get_monitors"):
    """Have the monitors reported: all of them, or those of these variables."""

    variables: Annotated[tuple[str, ...], Meta(description="Variable; all if none is named.")] = ()


class SetDisplayMessage(Verb, frozen=True, tag="set_display_message"):
    """Show a message on the displays. A number is drawn for it if none is given."""

    text: Annotated[str, Meta(description="Text of the message.")]
    message_id: Annotated[int | None, Meta(description="Number of the message; drawn if none is given.")] = (
        None
    )
    priority: Annotated[str, Meta(description="AlwaysFront, InFront or NormalCycle.")] = "NormalCycle"
    state: Annotated[
        str, Meta(description="State in which it is shown, such as Charging; any by default.")
    ] = ""
    text_format: Annotated[str, Meta(description="Format of the text: ASCII, HTML, URI or UTF8.")] = "UTF8"
    language: Annotated[str, Meta(description="Language of the text, such as de.")] = ""
    start_at: Annotated[Moment | None, Meta(description="Time from which it is shown.")] = None
    end_at: Annotated[Moment | None, Meta(description="Time until which it is shown.")] = None
    transaction_id: Annotated[
        int | str | None, Meta(description="Id of the transaction with which it ends.")
    ] = None


class GetDisplayMessages(Verb, frozen=True, tag="get_display_messages"):
    """Have the messages of the displays reported."""


class ClearDisplayMessage(Verb, frozen=True, tag="clear_display_message"):
    """Take a message off the displays."""

    message_id: Annotated[int, Meta(description="Number of the message.")]


class SetNetworkProfile(Verb, frozen=True, tag="set_network_profile"):
    """Store a way to a central system in a slot of the charge point, which its configuration puts to use."""

    slot: Annotated[int, Meta(description="Slot of the profile.")]
    csms_url: Annotated[str, Meta(description="URL of the central system, without the identity.")]
    security_profile: Annotated[int, Meta(description="Security profile, from 1 to 3.")]
    interface: Annotated[str, Meta(description="Network interface, such as Wired0 or Wireless0.")] = "Wired0"
    message_timeout_s: Annotated[int, Meta(description="Seconds that it waits for an answer.")] = 30


class CustomerInformation(Verb, frozen=True, tag="customer_information"):
    """Have what the charge point knows of a customer reported, cleared, or both."""

    id_tag: Annotated[str, Meta(description="Id tag of the customer.")] = ""
    id_type: IdType = ""
    customer_identifier: Annotated[str, Meta(description="Another name of the customer.")] = ""
    report: Annotated[bool, Meta(description="Have it reported.")] = False
    clear: Annotated[bool, Meta(description="Have it cleared.")] = False


class SyncLocalList(Verb, frozen=True, tag="sync_local_list"):
    """Bring the local list of the charge point in step with the tags: by what has changed, or as a whole.

    A list that is in step is asked for its version instead.
    """

    full: Annotated[bool, Meta(description="Send the whole list, whatever the charge point has.")] = False


class InstallCertificate(Verb, frozen=True, tag="install_certificate"):
    """Install a root certificate, by which the charge point checks others.

    `use` is "central_system", for the certificates of central systems, or "manufacturer"; where vehicles have
    certificates too, "v2g" or "mobility_operator".
    """

    certificate: Annotated[Pem, Meta(description="Root certificate, PEM.")]
    use: Annotated[str, Meta(description="Use: central_system, manufacturer, v2g or mobility_operator.")] = (
        CENTRAL_SYSTEM
    )


class GetInstalledCertificates(Verb, frozen=True, tag="get_installed_certificates"):
    """Ask which certificates are installed for these uses; for all of them if none is named.

    OCPP 1.6 asks for one use at a time. Uses are those of `InstallCertificate`, and "v2g_chain".
    """

    uses: Annotated[tuple[str, ...], Meta(description="Use of certificates, such as central_system.")] = ()


class DeleteCertificate(Verb, frozen=True, tag="delete_certificate"):
    """Delete an installed certificate, named by its hashes as the charge point names it."""

    serial_number: Annotated[str, Meta(description="Serial number, in hexadecimal digits.")]
    issuer_name_hash: Annotated[str, Meta(description="Hash of the issuer's name, hexadecimal.")]
    issuer_key_hash: Annotated[str, Meta(description="Hash of the issuer's public key, hexadecimal.")]
    hash_algorithm: Annotated[str, Meta(description="Algorithm: SHA256, SHA384 or SHA512.")] = "SHA256"


class SendCertificate(Verb, frozen=True, tag="send_certificate"):
    """Give the charge point the certificate that was signed for it, and those above it but the root.

    `use` is "charging_station", or "v2g" where vehicles check it; "combined" for both, as it is asked for without one.
    """

    certificate_chain: Annotated[Pem, Meta(description="Its certificate first, then its issuers, PEM.")]
    use: Annotated[str, Meta(description="Use: charging_station, v2g or combined.")] = CHARGING_STATION


class RenewCertificate(Verb, frozen=True, tag="renew_certificate"):
    """Have the charge point make a new key, and ask for a certificate of it.

    `use` is "charging_station"; where vehicles check certificates too, "v2g", or "combined" for one of both uses.
    """

    use: Annotated[str, Meta(description="Use: charging_station, v2g or combined.")] = CHARGING_STATION


class RotateKey(Verb, frozen=True, tag="rotate_key"):
    """Give the charge point a new key for its connections; one is drawn if none is given.

    The key before counts, too, until the charge point has come back with the new one.
    """

    key: Annotated[
        str,
        Meta(
            description="Key: in OCPP 1.6 32 to 40 hexadecimal digits, in 2.0.1 a text; drawn if none is given."
        ),
    ] = ""

    def __repr__(self) -> str:
        return "RotateKey(key=…)"


AnyVerb = (
    StartCharging | StopCharging | Unlock | SetAvailability | Reset | Limit | ClearLimit | Trigger
    | GetConfiguration | SetConfiguration | UpdateFirmware | GetLogs | Reserve | CancelReservation
    | SyncLocalList | InstallCertificate | GetInstalledCertificates | DeleteCertificate | SendCertificate
    | RenewCertificate
    | CompositeSchedule | GetChargingProfiles | PublishFirmware | UnpublishFirmware | SetMonitor
    | ClearMonitors | GetMonitors | SetDisplayMessage | GetDisplayMessages | ClearDisplayMessage
    | SetNetworkProfile | CustomerInformation | RotateKey
)  # fmt: skip
"""Any of the verbs, as JSON with a member `verb`."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(AnyVerb).decode

DRAWN: Mapping[type[Verb], str] = {Reserve: "reservation_id", SetDisplayMessage: "message_id"}
"""Members that get a number of ours when the ticket is made, if they have none."""

VERBS: Mapping[str, type[Verb]] = {str(kind.__struct_config__.tag): kind for kind in Verb.__subclasses__()}
"""Verbs by name."""


@dataclass(frozen=True, slots=True)
class VerbFacts:
    """Facts of a charge point that a verb's message may depend on.

    `now` is the time, `request_id` a number that no other command of the charge point has, `configuration` what is
    known of its configuration, by key. `local_list` has what its local list is made of; None while that is not needed,
    because the message is made again when it is sent.
    """

    now: dt.datetime
    request_id: int
    configuration: Mapping[str, str] = field(default_factory=dict)
    local_list: LocalListFacts | None = None


MOST = 1_000_000_000
"""Largest limit, in watts or amperes."""
VOLTS = 230
"""Voltage between a phase and neutral by which amperes and watts are converted."""
WATTS, AMPERES = "W", "A"
UNIT_NAMES = {"current": AMPERES, "a": AMPERES, "power": WATTS, "w": WATTS}
"""Units of limits by the words of the configuration of charge points."""


def rate_of(limit: Limit, configured: str) -> tuple[str, Decimal]:
    """Return unit ("W" or "A") and amount of a limit, converted if the charge point takes only the other unit.

    `configured` is what its configuration says of units, "" if that is not known. Raises `VerbRefused`.
    """
    if (limit.watts is None) == (limit.amps is None):
        raise VerbRefused("a limit is in watts or in amps: name one of them")
    amount = Decimal(str(limit.watts if limit.watts is not None else limit.amps))
    if not amount.is_finite() or not 0 <= amount <= MOST:
        raise VerbRefused(f"a limit is from 0 to {MOST:,}, not {amount}")
    given = WATTS if limit.watts is not None else AMPERES
    words = (word.strip().lower() for word in configured.split(","))
    taken: Collection[str] = {UNIT_NAMES[word] for word in words if word in UNIT_NAMES}
    if not taken or given in taken:
        return given, amount
    if limit.phases is None:
        (other,) = taken
        raise VerbRefused(
            f"the charge point takes {other} only, and without phases {given} cannot be converted"
        )
    if limit.phases not in (1, 2, 3):
        raise VerbRefused(f"phases is 1, 2 or 3, not {limit.phases}")
    volts = Decimal(VOLTS * limit.phases)
    return (AMPERES, amount / volts) if given == WATTS else (WATTS, amount * volts)


def word_of(words: Mapping[str, T], word: str, what: str) -> T:
    """Return what a word of a verb stands for in a version of OCPP. Raises `VerbRefused` for any other word."""
    if word not in words:
        raise VerbRefused(f"{what} is one of {', '.join(words)}, not {word[:100]!r}")
    return words[word]


def check_length(pem: str, most: int, configured: str = "") -> None:
    """Check the length of certificates in PEM. `configured` is what the charge point takes, "" if that is not known.

    Raises `VerbRefused`.
    """
    if configured.strip().isdecimal():
        most = min(most, int(configured) or most)
    if len(pem) > most:
        raise VerbRefused(f"certificates in PEM have at most {most:,} characters here, not {len(pem):,}")


Translate = Callable[[Any, VerbFacts], "Request[Any]"]
"""Function that makes a version's request of a verb; raises `VerbRefused`."""


def read_verb(name: str, members: bytes) -> Verb:
    """Read the members of a verb from JSON, strictly.

    Raises `UnknownVerb` for a name that no verb has, `msgspec.ValidationError` for members that it does not take, and
    `msgspec.DecodeError` or another ValueError for what is no JSON.
    """
    kind = VERBS.get(name)
    if kind is None:
        near = nearest(name, list(VERBS))
        raise UnknownVerb(f"there is no verb {name}" + (f"; did you mean {near}?" if near else ""))
    return msgspec.json.decode(members, type=kind)


def verb_text(verb: Verb) -> str:
    """Write a verb as JSON, to be kept."""
    return _encode(verb).decode()


def verb_of(text: str | bytes) -> Verb:
    """Read a verb from JSON. Raises `VerbRefused` for an invalid one, with the wrong member."""
    try:
        verb: Verb = _decode(text)
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise VerbRefused(str(error)) from error
    return verb
