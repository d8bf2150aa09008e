"""Verbs: commands in the words of no version. A version's table has a pure function for each verb that it knows.

The one rule: a verb says what is wanted of a charge point, never with which message. An EVSE has connectors, both
numbered from 1; OCPP 1.6's connector n is connector 1 of EVSE n, and its connector 0 the charge point as a whole.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from ..config.errors import ChargehandError

if TYPE_CHECKING:
    from .actions import Request


class VerbRefused(ChargehandError, ValueError):
    """Error: the version of OCPP has no message for this verb, or none for these arguments."""


class Verb(msgspec.Struct, frozen=True, kw_only=True, tag_field="verb", omit_defaults=True):
    """Base of the verbs. Each is a command that a version of OCPP puts into a message of its own."""

    @property
    def name(self) -> str:
        """Name of the verb, as the method of the system has it."""
        tag: Any = type(self).__struct_config__.tag
        return str(tag)


class StartCharging(Verb, frozen=True, tag="start_charging"):
    """Start a transaction for an id tag, on any EVSE or on this one."""

    id_tag: str
    evse: int | None = None
    connector: int | None = None


class StopCharging(Verb, frozen=True, tag="stop_charging"):
    """Stop a transaction, by the id that its charge point knows."""

    transaction_id: int | str


class Unlock(Verb, frozen=True, tag="unlock"):
    """Unlock the cable of a connector."""

    evse: int = 1
    connector: int | None = None


class SetAvailability(Verb, frozen=True, tag="set_availability"):
    """Take the charge point, an EVSE or a connector in or out of operation."""

    available: bool
    evse: int | None = None
    connector: int | None = None


class Reset(Verb, frozen=True, tag="reset"):
    """Restart the charge point, or an EVSE: at once, or when its transactions have been ended properly."""

    at_once: bool = False
    evse: int | None = None


class Limit(Verb, frozen=True, tag="limit"):
    """Limit the power (watts, in all) or the current (amperes a phase).

    Nothing named, of the whole charge point; with `evse`, of each further transaction there; with `transaction_id`, of
    that one. `phases` is needed only where one unit must be converted into the other.
    """

    watts: float | None = None
    amps: float | None = None
    evse: int | None = None
    transaction_id: int | str | None = None
    phases: int | None = None


class ClearLimit(Verb, frozen=True, tag="clear_limit"):
    """Take back what `Limit` with the same scope has set, and nothing else."""

    evse: int | None = None
    transaction_id: int | str | None = None


class Trigger(Verb, frozen=True, tag="trigger"):
    """Have the charge point send a message now, named as OCPP names it."""

    message: str
    evse: int | None = None
    connector: int | None = None


class GetConfiguration(Verb, frozen=True, tag="get_configuration"):
    """Ask for these configuration keys, or for all."""

    keys: tuple[str, ...] = ()


class SetConfiguration(Verb, frozen=True, tag="set_configuration"):
    """Set a configuration key."""

    key: str
    value: str


class UpdateFirmware(Verb, frozen=True, tag="update_firmware"):
    """Have firmware fetched from a location and installed, not before the given times.

    Signed firmware has a certificate (PEM) and a signature (base64).
    """

    location: str
    retrieve_at: dt.datetime | None = None
    install_at: dt.datetime | None = None
    retries: int | None = None
    retry_interval_s: int | None = None
    signing_certificate: str = ""
    signature: str = ""


class GetLogs(Verb, frozen=True, tag="get_logs"):
    """Have a log uploaded to a location. `kind` is "diagnostics" or "security"."""

    location: str
    kind: str = "diagnostics"
    since: dt.datetime | None = None
    until: dt.datetime | None = None
    retries: int | None = None
    retry_interval_s: int | None = None


class Reserve(Verb, frozen=True, tag="reserve"):
    """Reserve the charge point or an EVSE for an id tag until a time."""

    id_tag: str
    until: dt.datetime
    reservation_id: int
    evse: int | None = None
    parent_id_tag: str = ""


class CancelReservation(Verb, frozen=True, tag="cancel_reservation"):
    """Cancel a reservation."""

    reservation_id: int


AnyVerb = (
    StartCharging | StopCharging | Unlock | SetAvailability | Reset | Limit | ClearLimit | Trigger
    | GetConfiguration | SetConfiguration | UpdateFirmware | GetLogs | Reserve | CancelReservation
)  # fmt: skip
"""Any of the verbs, as JSON with a member `verb`."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(AnyVerb).decode

VERBS: Mapping[str, type[Verb]] = {str(kind.__struct_config__.tag): kind for kind in Verb.__subclasses__()}
"""Verbs by name."""


@dataclass(frozen=True, slots=True)
class VerbFacts:
    """Facts of a charge point that a verb's message may depend on.

    `now` is the time, `request_id` a number that no other command of the charge point has, `configuration` what is
    known of its configuration, by key.
    """

    now: dt.datetime
    request_id: int
    configuration: Mapping[str, str] = field(default_factory=dict)


Translate = Callable[[Any, VerbFacts], "Request[Any]"]
"""Function that makes a version's request of a verb; raises `VerbRefused`."""


def verb_text(verb: Verb) -> str:
    """Write a verb as JSON, to be kept."""
    return _encode(verb).decode()


def verb_of(text: str | bytes) -> Verb:
    """Read a verb from JSON. Raises `VerbRefused` for what is none, with the member that is wrong."""
    try:
        verb: Verb = _decode(text)
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise VerbRefused(str(error)) from error
    return verb
