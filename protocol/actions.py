"""Versions as tables: one row per action, with everything that depends on the action.

A row is made where its request is declared, and marks the class; a version gathers the marked classes of its
modules. There is no registry, and no module outside a version's folder compares an action's name.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, tzinfo
from enum import Enum, StrEnum
from types import MappingProxyType, ModuleType
from typing import Any, ClassVar, Generic, NamedTuple, Self, TypeVar

import msgspec

from .device_model import DeviceModelAdapter
from .effects import Pair
from .energy import Finding, Samples
from .errors import Deviation, ErrorCode
from .events import DomainEvent, MakeEvent
from .local_lists import LocalListAdapter
from .message import Message
from .text import without_password
from .verbs import Translate, Verb, VerbFacts, VerbRefused


class Sender(Enum):
    """Side that may send the request of an action."""

    CHARGE_POINT = "charge point"
    CENTRAL_SYSTEM = "central system"
    EITHER = "either"

    def allows(self, sender: "Sender") -> bool:
        """Return whether `sender`, one of the two sides, may send the action."""
        return self is sender or self is Sender.EITHER


class Needs(Enum):
    """Registration that an action waits for.

    A call passes before registration only with `NONE`. A command goes out while the charge point is Pending,
    unless the command needs `ACCEPTED`.
    """

    NONE = "none"
    PENDING = "pending"
    ACCEPTED = "accepted"


ALLOTTED = -1
"""Number of a command (see the column `numbered`) that is to be allotted when its ticket is made."""

# Module constants: before Python 3.12, looking a member up on its class costs a Python call.
EITHER = Sender.EITHER
NEEDS_NOTHING, NEEDS_ACCEPTED = Needs.NONE, Needs.ACCEPTED


class FallbackFacts(NamedTuple):
    """Facts that a fallback answer may state. `time` is the current time as OCPP writes it.

    `request` is the message that is answered; None for one that could not be read.
    """

    time: str
    transaction_id: int | None = None
    id_tag_status: str = ""
    request: Any = None


class CommandCredential(NamedTuple):
    """Credential that a command gives to a charge point: the key of its next connections."""

    value: str
    is_text: bool = False
    """True if the key is the value itself, false if hexadecimal digits in it stand for the key's bytes."""

    @property
    def key(self) -> str | bytes:
        """Key: its bytes if they are certain, else the value as it was sent."""
        return self.value.encode("utf-8", "surrogatepass") if self.is_text else self.value


class BootFacts(NamedTuple):
    """Facts of a charge point's hardware as its boot message tells them; empty if it does not."""

    vendor: str = ""
    model: str = ""
    serial_numbers: tuple[str, ...] = ()
    firmware: str = ""


class StopFacts(NamedTuple):
    """Figures of the end of a transaction: meter in Wh, and the charge point's time, None if it could not be read.

    The meter is None in a version that has only readings.
    """

    meter_stop: int | None
    stopped_at: datetime | None
    reason: str
    id_tag: str


def empty_fallback(_: FallbackFacts) -> bytes:
    """Answer with no members."""
    return b"{}"


def no_samples(_payload: bytes, _naive_zone: tzinfo | None) -> Samples:
    """Read no samples."""
    return Samples(())


def no_meter_values(_: bytes) -> bytes:
    """Return an empty list."""
    return b"[]"


def no_findings(_payloads: Sequence[bytes]) -> tuple[Finding, ...]:
    """Find nothing."""
    return ()


def no_boot_facts(_: bytes) -> BootFacts:
    """Return no facts."""
    return BootFacts()


def time_fallback(facts: FallbackFacts) -> bytes:
    """Answer with the current time alone."""
    return b'{"currentTime":"%b"}' % facts.time.encode()


@dataclass(frozen=True, slots=True, eq=False)
class Action:
    """Row of a version's table: everything that depends on the action. A row is its own identity."""

    name: str
    version: str
    sender: Sender
    profile: StrEnum
    request: "type[Request[Any]]"
    response: type[Message]
    transaction: bool = False
    """Transaction message: acknowledged once durable, and spooled for redelivery."""
    fallback: Callable[[FallbackFacts], bytes] | None = None
    """Answer in a handler's place; None means InternalError."""
    urgent: bool = False
    """Priority of interactive commands over the others."""
    supersede_key: Callable[[Any], Hashable] | None = None
    """Key of a command that replaces waiting ones with an equal key; None if every command counts."""
    effect: Callable[[Any], Pair | None] | None = None
    """Messages that show that a command was carried out."""
    registers: bool = False
    """Registration: the answer's `status` becomes the charge point's."""
    needs: Needs = Needs.PENDING
    triggers: Callable[[Any], tuple[str, ...]] | None = None
    """Names of the actions that a trigger command may bring."""
    credential: Callable[[Any], CommandCredential | None] | None = None
    """Credential that a command carries."""
    redacted: Callable[[Any], Any] | None = None
    """Copy of the request that can be shown and stored, without its secrets: itself if it has none."""
    url: tuple[str, ...] = ()
    """Way to the member that is a URL, which may have a password in it: it is stored, and not shown."""
    transaction_of: Callable[[Any], int | str | None] | None = None
    """Transaction that a request names."""
    allots: Callable[[Any, tuple[Deviation, ...]], Any] | None = None
    """Key of de-duplication of a message that is allotted a transaction id, by request and deviations.

    None for an unreadable request. A member that has a stand-in is in the key as it was sent, as text.
    """
    deadline_s: float | None = None
    """Time for an answer; None means the deployment's."""
    connector_status: Callable[[Any], int | str] | None = None
    """Key under which the session keeps the request as the last status of a connector."""
    configuration: Callable[[Any, Any], Mapping[str, str]] | None = None
    """Configuration, by key, that a command's request and response tell of the charge point."""
    stop: Callable[[Any, tuple[Deviation, ...]], StopFacts | None] | None = None
    """Figures of the end of a transaction that a request tells, read with these deviations; None if it tells none."""
    carries_readings: Callable[[Any], bool] | None = None
    """Presence of meter readings in a request, or of other facts that are kept with them."""
    identity: Callable[[bytes], bytes] | None = None
    """Bytes by which a payload is known when it comes again; None if they are all of it."""
    transaction_named: Callable[[bytes], int | None] | None = None
    """Transaction that a payload names which could not be read otherwise."""
    numbered: str = ""
    """Member of a command that gets a number of ours, by which later messages name the command; "" if none does."""
    forbids: Callable[[Any], tuple[str, str] | None] | None = None
    """Member of a command that OCPP forbids beside its other members, and why; None if there is none."""
    events: Mapping[type[DomainEvent], MakeEvent] = field(default_factory=dict)
    """Live events of a call that was answered with a response, by kind."""

    def carries_credential(self, request: Any) -> bool:
        """Tell if a request of this action carries a credential."""
        return self.credential is not None and self.credential(request) is not None

    def shown(self, request: Any) -> Any:
        """Return a request of this action as it can be shown: itself if it has no secret."""
        return _without_password(self._stored(request), self.url)

    def has_secret(self, request: Any) -> bool:
        """Tell if a request of this action must not be stored as it is."""
        return self._stored(request) is not request

    def _stored(self, request: Any) -> Any:
        if self.redacted is None or (self.credential is not None and self.credential(request) is None):
            return request
        return self.redacted(request)


def _without_password(request: Any, way: tuple[str, ...]) -> Any:
    """Return a struct without the password in the URL at the end of a way of members; itself if it has none."""
    if not way:
        return request
    member, *further = way
    found = getattr(request, member)
    if found is None:
        return request
    shown = _without_password(found, tuple(further)) if further else without_password(found)
    return request if shown is found else msgspec.structs.replace(request, **{member: shown})


R = TypeVar("R", bound=Message)


class Request(Message, Generic[R], frozen=True):
    """Base of the messages that are answered, by an `R`."""

    __action__: ClassVar[Action]


Q = TypeVar("Q", bound=Request[Any])


def request(
    name: str,
    profile: StrEnum,
    sender: Sender,
    *,
    transaction: bool = False,
    fallback: Callable[[FallbackFacts], bytes] | None = None,
    urgent: bool = False,
    supersede_key: Callable[[Any], Hashable] | None = None,
    effect: Callable[[Any], Pair | None] | None = None,
    registers: bool = False,
    needs: Needs = Needs.PENDING,
    triggers: Callable[[Any], tuple[str, ...]] | None = None,
    credential: Callable[[Any], CommandCredential | None] | None = None,
    redacted: Callable[[Any], Any] | None = None,
    url: tuple[str, ...] = (),
    transaction_of: Callable[[Any], int | str | None] | None = None,
    allots: Callable[[Any, tuple[Deviation, ...]], Any] | None = None,
    deadline_s: float | None = None,
    connector_status: Callable[[Any], int | str] | None = None,
    configuration: Callable[[Any, Any], Mapping[str, str]] | None = None,
    stop: Callable[[Any, tuple[Deviation, ...]], StopFacts | None] | None = None,
    carries_readings: Callable[[Any], bool] | None = None,
    identity: Callable[[bytes], bytes] | None = None,
    transaction_named: Callable[[bytes], int | None] | None = None,
    numbered: str = "",
    forbids: Callable[[Any], tuple[str, str] | None] | None = None,
) -> Callable[[type[Q]], type[Q]]:
    """Mark a request with its row; its response is the argument of its base, `Request[...]`.

    The columns are those of `Action`. A transaction message without a `fallback` is acknowledged with no members.
    Raises ValueError for a `credential` that nothing redacts.
    """
    if credential is not None and redacted is None:
        raise ValueError(f"{name}: an action with a credential needs a redacted form")

    def mark(kind: type[Q]) -> type[Q]:
        (base,) = kind.__orig_bases__  # type: ignore[attr-defined]
        (response,) = base.__args__
        kind.__action__ = Action(
            name,
            "",
            sender,
            profile,
            kind,
            response,
            transaction,
            empty_fallback if transaction and fallback is None else fallback,
            urgent,
            supersede_key,
            effect,
            registers,
            needs,
            triggers,
            credential,
            redacted,
            url,
            transaction_of,
            allots,
            deadline_s,
            connector_status,
            configuration,
            stop,
            carries_readings,
            identity,
            transaction_named,
            numbered,
            forbids,
        )
        return kind

    return mark


@dataclass(frozen=True, slots=True, eq=False)
class Version:
    """Version of OCPP-J: its rows by action, the spelling of its error codes, its message types."""

    name: str
    subprotocol: str
    actions: Mapping[str, Action]
    spellings: Mapping[ErrorCode, str]
    message_types: frozenset[int] = frozenset({2, 3, 4})
    """Kinds of frames: CALL, CALLRESULT and CALLERROR in every version."""
    local_lists: LocalListAdapter | None = None
    """Adapter for sending local authorization lists; None if the version has none."""
    device_model: DeviceModelAdapter | None = None
    """Adapter for reading and setting variables; None if the version has no device model."""
    verbs: Mapping[type[Verb], Translate] = field(default_factory=dict)
    """Functions that put verbs into messages of this version."""
    samples: Callable[[bytes, tzinfo | None], Samples] = no_samples
    """Samples of energy and power in a payload with meter values, as it was sent; never raises."""
    meter_values: Callable[[bytes], bytes] = no_meter_values
    """List of the meter values in such a payload, as JSON, as it was sent; never raises."""
    boot_facts: Callable[[bytes], BootFacts] = no_boot_facts
    """Facts of the hardware in the payload of a boot message, as it was sent; never raises."""
    findings: Callable[[Sequence[bytes]], tuple[Finding, ...]] = no_findings
    """Findings about the messages of a transaction, taken together, by their payloads as sent; never raises."""
    refuses_frames: bool = False
    """CALLERROR for a frame that is no message, or one of an unknown type; other versions ignore such a frame."""

    @classmethod
    def gather(
        cls,
        name: str,
        subprotocol: str,
        modules: Iterable[ModuleType],
        spellings: Mapping[ErrorCode, str],
        *,
        message_types: frozenset[int] = frozenset({2, 3, 4}),
        local_lists: LocalListAdapter | None = None,
        device_model: DeviceModelAdapter | None = None,
        verbs: Mapping[type[Verb], Translate] | None = None,
        events: Mapping[str, Mapping[type[DomainEvent], MakeEvent]] | None = None,
        samples: Callable[[bytes, tzinfo | None], Samples] = no_samples,
        meter_values: Callable[[bytes], bytes] = no_meter_values,
        boot_facts: Callable[[bytes], BootFacts] = no_boot_facts,
        findings: Callable[[Sequence[bytes]], tuple[Finding, ...]] = no_findings,
        refuses_frames: bool = False,
    ) -> Self:
        """Make the table from all marked requests that are declared in these modules.

        `spellings` has only the codes that the version spells in its own way, `events` the live events of the rows,
        by action.  Raises ValueError for an action declared twice, or for one of another version.
        """
        actions: dict[str, Action] = {}
        for module in modules:
            for kind in vars(module).values():
                row = getattr(kind, "__action__", None)
                if not isinstance(row, Action) or kind.__module__ != module.__name__:
                    continue
                if row.name in actions:
                    raise ValueError(f"{name}: {row.name} is declared twice")
                if row.version not in ("", name):
                    raise ValueError(f"{name}: {row.name} belongs to version {row.version}")
                if not row.version:
                    made = (events or {}).get(row.name, {})
                    row = kind.__action__ = replace(row, version=name, events=made)
                actions[row.name] = row
        spelt = {code: spellings.get(code, code.value) for code in ErrorCode}
        return cls(
            name,
            subprotocol,
            MappingProxyType(dict(sorted(actions.items()))),
            MappingProxyType(spelt),
            message_types,
            local_lists,
            device_model,
            MappingProxyType(dict(verbs or {})),
            samples,
            meter_values,
            boot_facts,
            findings,
            refuses_frames,
        )

    def translate(self, verb: Verb, facts: VerbFacts) -> "Request[Any]":
        """Put a verb into the message of this version. Raises `VerbRefused` if the version has none for it."""
        function = self.verbs.get(type(verb))
        if function is None:
            raise VerbRefused(f"OCPP {self.name} has no message for {verb.name}")
        return function(verb, facts)

    def spell(self, code: ErrorCode | str) -> str:
        """Write an error code as this version has it; one that is only text stays as it is."""
        return self.spellings[code] if isinstance(code, ErrorCode) else code

    def row_of(self, kind: type[Request[Any]] | Request[Any]) -> Action:
        """Find the row of a request or of its class; raise LookupError if this version does not have it."""
        row: Action | None = getattr(kind, "__action__", None)
        if row is None or self.actions.get(row.name) is not row:
            raise LookupError(f"{kind!r} is not a request of OCPP {self.name}")
        return row

    def sent_by(self, sender: Sender) -> tuple[Action, ...]:
        """List the actions whose requests this side may send, by name."""
        return tuple(row for row in self.actions.values() if row.sender.allows(sender))
