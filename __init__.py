"""chargehand: an OCPP central system of supervised actors on gevent.

Everything a user needs is listed here, in groups. `v16` has the messages of OCPP 1.6 and its security extension, `v201`
those of OCPP 2.0.1.

A name is imported when it is first asked for: importing the package alone loads nothing, so that the command line can
patch before the first socket or lock is made, and answers at once where it needs none of this.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .actors.plugin.authentication import ConnectionAttempt as ConnectionAttempt
    from .actors.plugin.passed_call import PassOnFailed as PassOnFailed
    from .actors.plugin.plugin import Plugin as Plugin
    from .actors.plugin.plugin import PluginSpec as PluginSpec
    from .actors.plugin.plugin import after as after
    from .actors.plugin.plugin import authenticate as authenticate
    from .actors.plugin.plugin import on as on
    from .actors.plugin.plugin import on_outcome as on_outcome
    from .actors.plugin.plugin import passive as passive
    from .actors.plugin.plugin import resource as resource
    from .actors.plugin.plugin_system import NotAvailableHere as NotAvailableHere
    from .actors.plugin.plugin_system import PluginSystem as PluginSystem
    from .actors.plugin.resources import PluginOutOfService as PluginOutOfService
    from .actors.plugin.resources import ResourceRefused as ResourceRefused
    from .actors.plugin.resources import ResourceRequest as ResourceRequest
    from .actors.plugin.retry import GiveUp as GiveUp
    from .actors.plugin.retry import RetryLater as RetryLater
    from .actors.runtime.actor import Actor as Actor
    from .actors.runtime.future import Future as Future
    from .actors.runtime.native_pool import HandlerAbandoned as HandlerAbandoned
    from .actors.runtime.native_pool import ThreadsStuck as ThreadsStuck
    from .actors.runtime.ref import Ref as Ref
    from .actors.runtime.threads import HubBlocked as HubBlocked
    from .actors.session.call import AnsweredCall as AnsweredCall
    from .actors.session.call import Call as Call
    from .actors.session.call import Later as Later
    from .actors.session.charge_point import ChargePoint as ChargePoint
    from .actors.session.command_sender import BulkNotAvailable as BulkNotAvailable
    from .actors.session.command_sender import CommandSender as CommandSender
    from .actors.session.commands import NotACommand as NotACommand
    from .actors.session.commands import PreparedCommand as PreparedCommand
    from .actors.session.commands import UnknownAction as UnknownAction
    from .actors.session.commands import UnknownVersion as UnknownVersion
    from .actors.session.context import Observer as Observer
    from .actors.session.tickets import CommandCancelled as CommandCancelled
    from .actors.session.tickets import CommandExpired as CommandExpired
    from .actors.session.tickets import CommandRefused as CommandRefused
    from .actors.session.tickets import CommandSuperseded as CommandSuperseded
    from .actors.session.tickets import CommandTimedOut as CommandTimedOut
    from .actors.session.tickets import InvalidResponse as InvalidResponse
    from .actors.session.tickets import NeverSent as NeverSent
    from .actors.session.tickets import OutcomeUnknown as OutcomeUnknown
    from .actors.session.tickets import Ticket as Ticket
    from .actors.session.tickets import TicketError as TicketError
    from .actors.session.tickets import TicketState as TicketState
    from .admission.credentials import PasswordChecksBusy as PasswordChecksBusy
    from .cli.api import Api as Api
    from .cli.api import asks_server as asks_server
    from .cli.output import show_table as show_table
    from .cli.output import shows as shows
    from .config.errors import ChargehandError as ChargehandError
    from .config.errors import ConfigError as ConfigError
    from .config.resources import ResourceSettings as ResourceSettings
    from .config.sessions import AuthSettings as AuthSettings
    from .config.sessions import BackOfficeSettings as BackOfficeSettings
    from .config.sessions import BulkSettings as BulkSettings
    from .config.sessions import CaSettings as CaSettings
    from .config.sessions import DeadlineSettings as DeadlineSettings
    from .config.sessions import SessionSettings as SessionSettings
    from .config.sessions import TagSettings as TagSettings
    from .config.setting import required as required
    from .config.setting import setting as setting
    from .config.settings import CertificateSettings as CertificateSettings
    from .config.settings import HttpSettings as HttpSettings
    from .config.settings import LogSettings as LogSettings
    from .config.settings import PluginSettings as PluginSettings
    from .config.settings import ProxySettings as ProxySettings
    from .config.settings import RedisSettings as RedisSettings
    from .config.settings import ReportSettings as ReportSettings
    from .config.settings import Settings as Settings
    from .config.settings import SupervisionSettings as SupervisionSettings
    from .config.settings import TlsSettings as TlsSettings
    from .config.upkeep import BackupSettings as BackupSettings
    from .config.upkeep import RetentionSettings as RetentionSettings
    from .protocol import v16 as v16
    from .protocol import v201 as v201
    from .protocol import verbs as verbs
    from .protocol.certificate_names import CertificateName as CertificateName
    from .protocol.certificate_names import certificate_name as certificate_name
    from .protocol.device_model import VariableName as VariableName
    from .protocol.errors import Deviation as Deviation
    from .protocol.errors import ErrorCode as ErrorCode
    from .protocol.errors import InvalidPayload as InvalidPayload
    from .protocol.errors import OcppError as OcppError
    from .protocol.events import AlertRaised as AlertRaised
    from .protocol.events import AuthorizationRequested as AuthorizationRequested
    from .protocol.events import Booted as Booted
    from .protocol.events import CertificateExpiring as CertificateExpiring
    from .protocol.events import ChargePointOffline as ChargePointOffline
    from .protocol.events import ChargePointOnline as ChargePointOnline
    from .protocol.events import ChargingLimitChanged as ChargingLimitChanged
    from .protocol.events import CommandEnded as CommandEnded
    from .protocol.events import DataTransferReceived as DataTransferReceived
    from .protocol.events import DeviceEventReceived as DeviceEventReceived
    from .protocol.events import DomainEvent as DomainEvent
    from .protocol.events import EventsDropped as EventsDropped
    from .protocol.events import FirmwareStatusChanged as FirmwareStatusChanged
    from .protocol.events import HttpChangeMade as HttpChangeMade
    from .protocol.events import LogStatusChanged as LogStatusChanged
    from .protocol.events import MeterValuesReceived as MeterValuesReceived
    from .protocol.events import NodeJoined as NodeJoined
    from .protocol.events import NodeLeft as NodeLeft
    from .protocol.events import PluginQuarantined as PluginQuarantined
    from .protocol.events import PluginReleased as PluginReleased
    from .protocol.events import ReservationEnded as ReservationEnded
    from .protocol.events import SecurityEventReceived as SecurityEventReceived
    from .protocol.events import SessionRestarted as SessionRestarted
    from .protocol.events import SiteMetered as SiteMetered
    from .protocol.events import StatusChanged as StatusChanged
    from .protocol.events import TransactionUpdated as TransactionUpdated
    from .protocol.message import Message as Message
    from .protocol.verbs import VerbRefused as VerbRefused
    from .simulator.client import connect_websocket as connect_websocket
    from .store.collections import Collection as Collection
    from .store.collections import Collections as Collections
    from .store.events import DURABLE_EVENTS as DURABLE_EVENTS
    from .store.events import TransactionCorrected as TransactionCorrected
    from .store.events import TransactionEnded as TransactionEnded
    from .store.events import TransactionStarted as TransactionStarted
    from .store.memory import MemoryStore as MemoryStore
    from .store.records import UNKNOWN_TRANSACTION as UNKNOWN_TRANSACTION
    from .store.records import ChargingProfile as ChargingProfile
    from .store.records import Cost as Cost
    from .store.records import CostPart as CostPart
    from .store.records import Credential as Credential
    from .store.records import Cursor as Cursor
    from .store.records import DisplayMessage as DisplayMessage
    from .store.records import Event as Event
    from .store.records import InstalledCertificate as InstalledCertificate
    from .store.records import IssuedCertificate as IssuedCertificate
    from .store.records import LocalList as LocalList
    from .store.records import MeterReading as MeterReading
    from .store.records import Monitor as Monitor
    from .store.records import NetworkProfile as NetworkProfile
    from .store.records import PluginFact as PluginFact
    from .store.records import Reservation as Reservation
    from .store.records import SecurityProfile as SecurityProfile
    from .store.records import Spooled as Spooled
    from .store.records import StatusQuery as StatusQuery
    from .store.records import StopFigures as StopFigures
    from .store.records import Tag as Tag
    from .store.records import TicketRecord as TicketRecord
    from .store.records import Told as Told
    from .store.records import Transaction as Transaction
    from .store.records import TransactionFilter as TransactionFilter
    from .store.reports import Report as Report
    from .store.reports import ReportCollector as ReportCollector
    from .store.reports import ReportNotFound as ReportNotFound
    from .store.reports import ReportPart as ReportPart
    from .store.stops import TooManyStops as TooManyStops
    from .store.stops import same_figures as same_figures
    from .store.stops import take_stop as take_stop
    from .store.store import Receipt as Receipt
    from .store.store import Store as Store
    from .store.store import StoreError as StoreError
    from .store.variables import StoredVariable as StoredVariable
    from .supervisor.child import ChildSpec as ChildSpec
    from .supervisor.rules import Policy as Policy
    from .supervisor.rules import Restart as Restart
    from .supervisor.rules import Strategy as Strategy
    from .supervisor.supervise import SupervisedTree as SupervisedTree
    from .supervisor.supervise import supervise as supervise
    from .supervisor.supervisor import GaveUp as GaveUp
    from .supervisor.supervisor import Supervisor as Supervisor
    from .system.assessment import ReadingsDeleted as ReadingsDeleted
    from .system.bulk import Bulk as Bulk
    from .system.bulk import BulkProgress as BulkProgress
    from .system.bulk import BulkResult as BulkResult
    from .system.bulk import TooManyBulks as TooManyBulks
    from .system.by_hand import DeadLetterNotFound as DeadLetterNotFound
    from .system.by_hand import NotAttachable as NotAttachable
    from .system.by_hand import TransactionClosed as TransactionClosed
    from .system.by_hand import TransactionNotFound as TransactionNotFound
    from .system.by_hand import WrongFigures as WrongFigures
    from .system.central_system import ActorNotFound as ActorNotFound
    from .system.central_system import CentralSystem as CentralSystem
    from .system.central_system import SystemFailed as SystemFailed
    from .system.certificates import CertificateNotFound as CertificateNotFound
    from .system.charge_point_filter import ChargePointFilter as ChargePointFilter
    from .system.durable_events import DuplicateConsumer as DuplicateConsumer
    from .system.event_targets import DurableSubscription as DurableSubscription
    from .system.local_lists import LocalListsNotSupported as LocalListsNotSupported
    from .system.local_lists import LocalListSyncRunning as LocalListSyncRunning
    from .system.local_lists import LocalListUpdate as LocalListUpdate
    from .system.operations import ChargePointConnected as ChargePointConnected
    from .system.plugin_packages import PluginNotFound as PluginNotFound
    from .system.subscriptions import Subscription as Subscription
    from .system.variables import VariableDifference as VariableDifference
    from .system.variables import VariableResult as VariableResult
    from .system.variables import VariablesNotSupported as VariablesNotSupported
    from .system.variables import VariablesReport as VariablesReport
    from .transport.tls import TlsError as TlsError
    from .web.event_views import event_view as event_view
    from .web.server import serve_http as serve_http

__version__ = "0.2.0"

# The module of each public name; a test compares it with the imports above.
_MODULES = {
    "Plugin": ".actors.plugin.plugin",
    "PluginSpec": ".actors.plugin.plugin",
    "ConnectionAttempt": ".actors.plugin.authentication",
    "PassOnFailed": ".actors.plugin.passed_call",
    "after": ".actors.plugin.plugin",
    "authenticate": ".actors.plugin.plugin",
    "on": ".actors.plugin.plugin",
    "on_outcome": ".actors.plugin.plugin",
    "passive": ".actors.plugin.plugin",
    "NotAvailableHere": ".actors.plugin.plugin_system",
    "PluginSystem": ".actors.plugin.plugin_system",
    "PluginOutOfService": ".actors.plugin.resources",
    "ResourceRefused": ".actors.plugin.resources",
    "ResourceRequest": ".actors.plugin.resources",
    "resource": ".actors.plugin.plugin",
    "GiveUp": ".actors.plugin.retry",
    "RetryLater": ".actors.plugin.retry",
    "required": ".config.setting",
    "setting": ".config.setting",
    "Api": ".cli.api",
    "asks_server": ".cli.api",
    "show_table": ".cli.output",
    "shows": ".cli.output",
    "Actor": ".actors.runtime.actor",
    "Future": ".actors.runtime.future",
    "HandlerAbandoned": ".actors.runtime.native_pool",
    "ThreadsStuck": ".actors.runtime.native_pool",
    "Ref": ".actors.runtime.ref",
    "HubBlocked": ".actors.runtime.threads",
    "AnsweredCall": ".actors.session.call",
    "Call": ".actors.session.call",
    "Later": ".actors.session.call",
    "ChargePoint": ".actors.session.charge_point",
    "BulkNotAvailable": ".actors.session.command_sender",
    "CommandSender": ".actors.session.command_sender",
    "NotACommand": ".actors.session.commands",
    "PreparedCommand": ".actors.session.commands",
    "UnknownAction": ".actors.session.commands",
    "UnknownVersion": ".actors.session.commands",
    "Observer": ".actors.session.context",
    "CommandCancelled": ".actors.session.tickets",
    "CommandExpired": ".actors.session.tickets",
    "CommandRefused": ".actors.session.tickets",
    "CommandSuperseded": ".actors.session.tickets",
    "CommandTimedOut": ".actors.session.tickets",
    "InvalidResponse": ".actors.session.tickets",
    "NeverSent": ".actors.session.tickets",
    "OutcomeUnknown": ".actors.session.tickets",
    "Ticket": ".actors.session.tickets",
    "TicketError": ".actors.session.tickets",
    "TicketState": ".actors.session.tickets",
    "PasswordChecksBusy": ".admission.credentials",
    "ChargehandError": ".config.errors",
    "ConfigError": ".config.errors",
    "ResourceSettings": ".config.resources",
    "AuthSettings": ".config.sessions",
    "BackOfficeSettings": ".config.sessions",
    "BulkSettings": ".config.sessions",
    "CaSettings": ".config.sessions",
    "DeadlineSettings": ".config.sessions",
    "SessionSettings": ".config.sessions",
    "TagSettings": ".config.sessions",
    "CertificateSettings": ".config.settings",
    "HttpSettings": ".config.settings",
    "LogSettings": ".config.settings",
    "PluginSettings": ".config.settings",
    "ProxySettings": ".config.settings",
    "RedisSettings": ".config.settings",
    "ReportSettings": ".config.settings",
    "Settings": ".config.settings",
    "SupervisionSettings": ".config.settings",
    "TlsSettings": ".config.settings",
    "BackupSettings": ".config.upkeep",
    "RetentionSettings": ".config.upkeep",
    "v16": ".protocol",
    "v201": ".protocol",
    "verbs": ".protocol",
    "CertificateName": ".protocol.certificate_names",
    "certificate_name": ".protocol.certificate_names",
    "VariableName": ".protocol.device_model",
    "Deviation": ".protocol.errors",
    "ErrorCode": ".protocol.errors",
    "InvalidPayload": ".protocol.errors",
    "OcppError": ".protocol.errors",
    "AlertRaised": ".protocol.events",
    "AuthorizationRequested": ".protocol.events",
    "Booted": ".protocol.events",
    "CommandEnded": ".protocol.events",
    "DataTransferReceived": ".protocol.events",
    "EventsDropped": ".protocol.events",
    "HttpChangeMade": ".protocol.events",
    "FirmwareStatusChanged": ".protocol.events",
    "LogStatusChanged": ".protocol.events",
    "ReservationEnded": ".protocol.events",
    "SecurityEventReceived": ".protocol.events",
    "CertificateExpiring": ".protocol.events",
    "ChargingLimitChanged": ".protocol.events",
    "ChargePointOffline": ".protocol.events",
    "ChargePointOnline": ".protocol.events",
    "DeviceEventReceived": ".protocol.events",
    "DomainEvent": ".protocol.events",
    "DURABLE_EVENTS": ".store.events",
    "MeterValuesReceived": ".protocol.events",
    "PluginQuarantined": ".protocol.events",
    "NodeJoined": ".protocol.events",
    "NodeLeft": ".protocol.events",
    "PluginReleased": ".protocol.events",
    "SessionRestarted": ".protocol.events",
    "SiteMetered": ".protocol.events",
    "StatusChanged": ".protocol.events",
    "TransactionUpdated": ".protocol.events",
    "Message": ".protocol.message",
    "VerbRefused": ".protocol.verbs",
    "connect_websocket": ".simulator.client",
    "Collection": ".store.collections",
    "Collections": ".store.collections",
    "MemoryStore": ".store.memory",
    "ChargingProfile": ".store.records",
    "Cost": ".store.records",
    "CostPart": ".store.records",
    "Credential": ".store.records",
    "Cursor": ".store.records",
    "DisplayMessage": ".store.records",
    "Event": ".store.records",
    "InstalledCertificate": ".store.records",
    "IssuedCertificate": ".store.records",
    "LocalList": ".store.records",
    "MeterReading": ".store.records",
    "Monitor": ".store.records",
    "NetworkProfile": ".store.records",
    "PluginFact": ".store.records",
    "Reservation": ".store.records",
    "SecurityProfile": ".store.records",
    "Spooled": ".store.records",
    "StatusQuery": ".store.records",
    "StopFigures": ".store.records",
    "Tag": ".store.records",
    "TicketRecord": ".store.records",
    "Told": ".store.records",
    "UNKNOWN_TRANSACTION": ".store.records",
    "Transaction": ".store.records",
    "TransactionFilter": ".store.records",
    "TransactionCorrected": ".store.events",
    "TransactionEnded": ".store.events",
    "TransactionStarted": ".store.events",
    "Report": ".store.reports",
    "ReportCollector": ".store.reports",
    "ReportNotFound": ".store.reports",
    "ReportPart": ".store.reports",
    "TooManyStops": ".store.stops",
    "same_figures": ".store.stops",
    "take_stop": ".store.stops",
    "Receipt": ".store.store",
    "Store": ".store.store",
    "StoreError": ".store.store",
    "StoredVariable": ".store.variables",
    "ChildSpec": ".supervisor.child",
    "Policy": ".supervisor.rules",
    "Restart": ".supervisor.rules",
    "Strategy": ".supervisor.rules",
    "SupervisedTree": ".supervisor.supervise",
    "supervise": ".supervisor.supervise",
    "GaveUp": ".supervisor.supervisor",
    "Supervisor": ".supervisor.supervisor",
    "DeadLetterNotFound": ".system.by_hand",
    "NotAttachable": ".system.by_hand",
    "TransactionClosed": ".system.by_hand",
    "ReadingsDeleted": ".system.assessment",
    "TransactionNotFound": ".system.by_hand",
    "WrongFigures": ".system.by_hand",
    "Bulk": ".system.bulk",
    "BulkProgress": ".system.bulk",
    "BulkResult": ".system.bulk",
    "ActorNotFound": ".system.central_system",
    "TooManyBulks": ".system.bulk",
    "CentralSystem": ".system.central_system",
    "SystemFailed": ".system.central_system",
    "CertificateNotFound": ".system.certificates",
    "ChargePointFilter": ".system.charge_point_filter",
    "LocalListsNotSupported": ".system.local_lists",
    "LocalListSyncRunning": ".system.local_lists",
    "LocalListUpdate": ".system.local_lists",
    "ChargePointConnected": ".system.operations",
    "DuplicateConsumer": ".system.durable_events",
    "DurableSubscription": ".system.event_targets",
    "Subscription": ".system.subscriptions",
    "PluginNotFound": ".system.plugin_packages",
    "TlsError": ".transport.tls",
    "VariableDifference": ".system.variables",
    "VariableResult": ".system.variables",
    "VariablesNotSupported": ".system.variables",
    "VariablesReport": ".system.variables",
    "serve_http": ".web.server",
    "event_view": ".web.event_views",
}

__all__ = [*_MODULES]  # noqa: PLE0604 - the names of the table are strings

if not TYPE_CHECKING:  # or a type checker would take any name for one of ours

    def __getattr__(name: str) -> object:
        home = _MODULES.get(name)
        if home is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        # An error inside the module is raised as itself: only a name that is a module in it is looked for further.
        module = import_module(home, __name__)
        value = getattr(module, name) if hasattr(module, name) else import_module(f"{home}.{name}", __name__)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
