"""chargehand: an OCPP central system of supervised actors on gevent.

Everything a user needs is listed here, in groups. `v16` has the messages of OCPP 1.6 and its security extension.

A name is imported when it is first asked for: importing the package alone loads nothing, so that the command line can
patch before the first socket or lock is made, and answers at once where it needs none of this.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .actors.plugin.plugin import Plugin, PluginSpec, on_offline, on_online, on_outcome, passive
    from .actors.runtime.actor import Actor
    from .actors.runtime.ref import Ref
    from .actors.session.call import Call, Later
    from .actors.session.charge_point import ChargePoint
    from .actors.session.context import Observer
    from .actors.session.tickets import (
        CommandCancelled,
        CommandExpired,
        CommandRefused,
        CommandSuperseded,
        CommandTimedOut,
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
    from .protocol import v16
    from .protocol.errors import ErrorCode, InvalidPayload, OcppError
    from .protocol.message import Message
    from .store.collections import Collection, Collections
    from .store.memory import MemoryStore
    from .store.records import (
        ChargingProfile,
        Credential,
        Event,
        LocalList,
        MeterReading,
        Reservation,
        Spooled,
        Tag,
        TicketRecord,
        Transaction,
    )
    from .store.store import Receipt, Store, StoreError
    from .supervisor.child import ChildSpec
    from .supervisor.rules import Policy, Restart, Strategy
    from .supervisor.supervise import SupervisedTree, supervise
    from .supervisor.supervisor import GaveUp, Supervisor
    from .system.central_system import CentralSystem, SystemFailed
    from .system.local_lists import LocalListSyncRunning, LocalListUpdate
    from .system.tree import PluginNotFound

__version__ = "0.2.0"

__all__ = [
    "Actor",
    "AuthSettings",
    "BackOfficeSettings",
    "Call",
    "CentralSystem",
    "ChargePoint",
    "ChargingProfile",
    "ChildSpec",
    "Collection",
    "Collections",
    "CommandCancelled",
    "CommandExpired",
    "CommandRefused",
    "CommandSuperseded",
    "CommandTimedOut",
    "ConfigError",
    "Credential",
    "DeadlineSettings",
    "ErrorCode",
    "Event",
    "GaveUp",
    "HttpSettings",
    "InvalidPayload",
    "InvalidResponse",
    "Later",
    "LocalList",
    "LocalListSyncRunning",
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
    "TicketRecord",
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
    ".actors.runtime.actor": ("Actor",),
    ".actors.session.call": ("Call", "Later"),
    ".actors.session.charge_point": ("ChargePoint",),
    ".actors.plugin.plugin": ("Plugin", "PluginSpec", "on_offline", "on_online", "on_outcome", "passive"),
    ".actors.runtime.ref": ("Ref",),
    ".actors.session.context": ("Observer",),
    ".actors.session.tickets": (
        "CommandCancelled",
        "CommandExpired",
        "CommandRefused",
        "CommandSuperseded",
        "CommandTimedOut",
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
    ".system.local_lists": ("LocalListSyncRunning", "LocalListUpdate"),
    ".protocol": ("v16",),
    ".protocol.errors": ("ErrorCode", "InvalidPayload", "OcppError"),
    ".protocol.message": ("Message",),
    ".store.collections": ("Collection", "Collections"),
    ".store.memory": ("MemoryStore",),
    ".store.records": (
        "ChargingProfile",
        "Credential",
        "Event",
        "TicketRecord",
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
    ".system.central_system": ("CentralSystem", "SystemFailed"),
    ".system.tree": ("PluginNotFound",),
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
