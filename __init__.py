"""chargehand: an OCPP central system of supervised actors on gevent.

Everything a user needs is listed here, in groups. `v16` has the messages of OCPP 1.6 and its security extension.

A name is imported when it is first asked for: importing the package alone loads nothing, so that the command line can
patch before the first socket or lock is made, and answers at once where it needs none of this.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .actors.actor import Actor
    from .actors.call import Call, Later
    from .actors.charge_point import ChargePoint
    from .actors.plugin import Plugin, PluginSpec, on_offline, on_online, on_outcome, passive
    from .actors.ref import Ref
    from .actors.services import Observer
    from .actors.tickets import (
        CallCancelled,
        CallExpired,
        CallRefused,
        CallSuperseded,
        CallTimedOut,
        InvalidResponse,
        NeverSent,
        OutcomeUnknown,
        Ticket,
        TicketError,
        TicketState,
    )
    from .config.errors import ConfigError
    from .config.sessions import (
        AuthSettings,
        BackOfficeSettings,
        DeadlineSettings,
        SessionSettings,
        TagSettings,
    )
    from .config.settings import (
        HttpSettings,
        LogSettings,
        PluginSettings,
        RedisSettings,
        Settings,
        SupervisionSettings,
        TlsSettings,
    )
    from .local_lists import ListOnItsWay, LocalListUpdate
    from .protocol import v16
    from .protocol.errors import ErrorCode, InvalidPayload, OcppError
    from .protocol.message import Message
    from .store.book import Book, Books
    from .store.memory import MemoryStore
    from .store.records import (
        ChargingProfile,
        Credential,
        Event,
        KeptTicket,
        LocalList,
        MeterReading,
        Reservation,
        Spooled,
        Tag,
        Transaction,
    )
    from .store.store import Receipt, Store, StoreError
    from .supervisor.child import ChildSpec
    from .supervisor.rules import Policy, Restart, Strategy
    from .supervisor.supervise import SupervisedTree, supervise
    from .supervisor.supervisor import GaveUp, Supervisor
    from .system import CentralSystem, SystemFailed
    from .tree import PluginNotFound

__version__ = "0.1.0"

__all__ = [
    "Actor",
    "AuthSettings",
    "BackOfficeSettings",
    "Book",
    "Books",
    "Call",
    "CallCancelled",
    "CallExpired",
    "CallRefused",
    "CallSuperseded",
    "CallTimedOut",
    "CentralSystem",
    "ChargePoint",
    "ChargingProfile",
    "ChildSpec",
    "ConfigError",
    "Credential",
    "DeadlineSettings",
    "ErrorCode",
    "Event",
    "GaveUp",
    "HttpSettings",
    "InvalidPayload",
    "InvalidResponse",
    "KeptTicket",
    "Later",
    "ListOnItsWay",
    "LocalList",
    "LocalListUpdate",
    "LogSettings",
    "MemoryStore",
    "Message",
    "MeterReading",
    "NeverSent",
    "Observer",
    "OcppError",
    "OutcomeUnknown",
    "Plugin",
    "PluginNotFound",
    "PluginSettings",
    "PluginSpec",
    "Policy",
    "Receipt",
    "RedisSettings",
    "Ref",
    "Reservation",
    "Restart",
    "SessionSettings",
    "Settings",
    "Spooled",
    "Store",
    "StoreError",
    "Strategy",
    "SupervisedTree",
    "SupervisionSettings",
    "Supervisor",
    "SystemFailed",
    "Tag",
    "TagSettings",
    "Ticket",
    "TicketError",
    "TicketState",
    "TlsSettings",
    "Transaction",
    "on_offline",
    "on_online",
    "on_outcome",
    "passive",
    "supervise",
    "v16",
]

# Where each of them is; a test holds it against the imports above.
_HOMES = {
    ".actors.actor": ("Actor",),
    ".actors.call": ("Call", "Later"),
    ".actors.charge_point": ("ChargePoint",),
    ".actors.plugin": ("Plugin", "PluginSpec", "on_offline", "on_online", "on_outcome", "passive"),
    ".actors.ref": ("Ref",),
    ".actors.services": ("Observer",),
    ".actors.tickets": (
        "CallCancelled",
        "CallExpired",
        "CallRefused",
        "CallSuperseded",
        "CallTimedOut",
        "InvalidResponse",
        "NeverSent",
        "OutcomeUnknown",
        "Ticket",
        "TicketError",
        "TicketState",
    ),
    ".config.errors": ("ConfigError",),
    ".config.sessions": (
        "AuthSettings",
        "BackOfficeSettings",
        "DeadlineSettings",
        "SessionSettings",
        "TagSettings",
    ),
    ".config.settings": (
        "HttpSettings",
        "LogSettings",
        "PluginSettings",
        "RedisSettings",
        "Settings",
        "SupervisionSettings",
        "TlsSettings",
    ),
    ".local_lists": ("ListOnItsWay", "LocalListUpdate"),
    ".protocol": ("v16",),
    ".protocol.errors": ("ErrorCode", "InvalidPayload", "OcppError"),
    ".protocol.message": ("Message",),
    ".store.book": ("Book", "Books"),
    ".store.memory": ("MemoryStore",),
    ".store.records": (
        "ChargingProfile",
        "Credential",
        "Event",
        "KeptTicket",
        "LocalList",
        "MeterReading",
        "Reservation",
        "Spooled",
        "Tag",
        "Transaction",
    ),
    ".store.store": ("Receipt", "Store", "StoreError"),
    ".supervisor.child": ("ChildSpec",),
    ".supervisor.rules": ("Policy", "Restart", "Strategy"),
    ".supervisor.supervise": ("SupervisedTree", "supervise"),
    ".supervisor.supervisor": ("GaveUp", "Supervisor"),
    ".system": ("CentralSystem", "SystemFailed"),
    ".tree": ("PluginNotFound",),
}

if not TYPE_CHECKING:  # or a type checker would take any name for one of ours

    def __getattr__(name: str) -> object:
        for home, names in _HOMES.items():
            if name in names:
                # As `from home import name` does: an attribute of the module, or else a module in it.
                value = getattr(import_module(home, __name__), name, None)
                value = value or import_module(f"{home}.{name}", __name__)
                globals()[name] = value
                return value
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
