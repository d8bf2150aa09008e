"""Actions and versions: the tables that everything else looks into.

The one rule: an action is one row, a version is a table of rows, and nobody asks "is this 1.6?".  A row is
made where its request is declared, and marks the class; a version gathers the marked classes of its modules.
There is no registry.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum
from types import MappingProxyType, ModuleType
from typing import Any, ClassVar, Generic, Self, TypeVar

from .errors import ErrorCode
from .message import Message


class Sender(Enum):
    """Who may send the request of an action."""

    CHARGE_POINT = "charge point"
    CENTRAL_SYSTEM = "central system"
    EITHER = "either"

    def allows(self, sender: "Sender") -> bool:
        """Say whether `sender`, one of the two sides, may send it."""
        return self is sender or self is Sender.EITHER


class Profile(StrEnum):
    """The feature profiles of OCPP 1.6, as its configuration keys name them, and its security extension."""

    CORE = "Core"
    FIRMWARE_MANAGEMENT = "FirmwareManagement"
    LOCAL_AUTH_LIST_MANAGEMENT = "LocalAuthListManagement"
    RESERVATION = "Reservation"
    SMART_CHARGING = "SmartCharging"
    REMOTE_TRIGGER = "RemoteTrigger"
    SECURITY = "Security"


class Fallback(Enum):
    """How the central system answers a request for which no handler gave an answer."""

    TIME = "time"  # the response with nothing but the current time
    EMPTY = "empty"  # `{}`
    SPOOL = "spool"  # acknowledged as if valid, and spooled for replay: an error would cost a billable record
    ERROR = "error"  # InternalError


# By themselves, for looking a member up on its class costs a Python call before 3.12, and these are looked at
# for every call.
SPOOL, EITHER = Fallback.SPOOL, Sender.EITHER


@dataclass(frozen=True, slots=True)
class Action:
    """One row: an action of one version."""

    name: str
    sender: Sender
    profile: StrEnum
    request: "type[Request[Any]]"
    response: type[Message]
    fallback: Fallback


R = TypeVar("R", bound=Message)


class Request(Message, Generic[R], frozen=True):
    """The base of the messages that are answered, by an `R`."""

    __action__: ClassVar[Action]


Q = TypeVar("Q", bound=Request[Any])


def request(
    name: str, profile: StrEnum, sender: Sender, fallback: Fallback = Fallback.ERROR
) -> Callable[[type[Q]], type[Q]]:
    """Mark a request with its action; its response is the argument of its base, `Request[...]`."""

    def mark(kind: type[Q]) -> type[Q]:
        (base,) = kind.__orig_bases__  # type: ignore[attr-defined]
        (response,) = base.__args__
        kind.__action__ = Action(name, sender, profile, kind, response, fallback)
        return kind

    return mark


@dataclass(frozen=True, slots=True, eq=False)
class Version:
    """A version of OCPP-J: what its messages are and how it spells its error codes."""

    name: str
    subprotocol: str
    actions: Mapping[str, Action]
    spellings: Mapping[ErrorCode, str]

    @classmethod
    def gather(
        cls, name: str, subprotocol: str, modules: Iterable[ModuleType], spellings: Mapping[ErrorCode, str]
    ) -> Self:
        """Make the table from all marked requests that are declared in these modules.

        `spellings` has only the codes that the version spells in its own way.  Raises ValueError for an
        action declared twice.
        """
        actions: dict[str, Action] = {}
        for module in modules:
            for kind in vars(module).values():
                row = getattr(kind, "__action__", None)
                if not isinstance(row, Action) or kind.__module__ != module.__name__:
                    continue
                if row.name in actions:
                    raise ValueError(f"{name}: {row.name} is declared twice")
                actions[row.name] = row
        spelt = {code: spellings.get(code, code.value) for code in ErrorCode}
        return cls(
            name, subprotocol, MappingProxyType(dict(sorted(actions.items()))), MappingProxyType(spelt)
        )

    def spell(self, code: ErrorCode | str) -> str:
        """Write an error code as this version has it; one that is only text stays as it is."""
        return self.spellings[code] if isinstance(code, ErrorCode) else code

    def row_of(self, kind: type[Request[Any]] | Request[Any]) -> Action:
        """Find the row of a request or of its class; raise LookupError if it is none of this version's."""
        row: Action | None = getattr(kind, "__action__", None)
        if row is None or self.actions.get(row.name) is not row:
            raise LookupError(f"{kind!r} is not a request of OCPP {self.name}")
        return row

    def sent_by(self, sender: Sender) -> tuple[Action, ...]:
        """List the actions whose requests this side may send, by name."""
        return tuple(row for row in self.actions.values() if row.sender.allows(sender))
