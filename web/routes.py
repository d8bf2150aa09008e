"""Table of the routes of the HTTP API: path, resource, and the suffix of the resource's responders.

The one rule: it has every path but those of the operator's page and of `/docs`; `app.py` adds its rows to the
application, `openapi.py` describes them.
"""

from __future__ import annotations

from typing import NamedTuple

from .accepted_state import ChargingProfilesResource, LocalListResource, LocalLists, Reservations
from .activity import ACTIVITY, ActivityResource
from .applicants import ApplicantsResource
from .bulk import BulkResource
from .by_hand import ByHandResource
from .certificates import InstalledCertificates, IssuedCertificatesResource
from .changes import Changes
from .charge_point_list import ChargePointRows
from .charge_points import ChargePoints, Passwords
from .commands import CommandResource, Tickets
from .description import Description
from .events import Events
from .frames import Frames
from .health import HEALTH, LIVE, READY, HealthResource, LiveResource, ReadyResource
from .keys import Keys
from .log_levels import LogLevelsResource
from .logins import LOGIN, LoginResource
from .metrics import METRICS, MetricsResource
from .plugin_resources import PluginResources
from .reports import ReportsResource
from .security_events import SecurityEventsResource
from .settings_view import SettingsResource
from .station_settings import DisplayMessages, Monitors, NetworkProfiles
from .storage import Backup, SpoolResource
from .supervision import CountersResource, Crashes, Nodes, Plugins, Supervision
from .tags import Tags
from .tls import Tls
from .tokens import Tokens
from .transactions import Transactions
from .upkeep import StoreResource
from .variables import VariablesResource
from .verbs import VerbResource

ROOT = "/api/v1"
ONE = f"{ROOT}/charge-points/{{charge_point}}"


class Route(NamedTuple):
    """Path with its segments in braces, its resource, and the suffix of the responders."""

    path: str
    resource: type
    suffix: str = ""


ROUTES = (
    Route(HEALTH, HealthResource),
    Route(LIVE, LiveResource),
    Route(READY, ReadyResource),
    Route(METRICS, MetricsResource),
    Route(LOGIN, LoginResource),
    Route(f"{ROOT}/charge-points", ChargePointRows),
    Route(ONE, ChargePoints, "one"),
    Route(f"{ONE}/recording", ChargePoints, "recording"),
    Route(f"{ONE}/frames", Frames),
    Route(f"{ONE}/events", ChargePoints, "events"),
    Route(f"{ONE}/meter-readings", ChargePoints, "readings"),
    Route(f"{ONE}/password", Passwords),
    Route(f"{ONE}/reports", ReportsResource),
    Route(f"{ONE}/reports/{{number}}", ReportsResource, "one"),
    Route(f"{ONE}/commands/{{action}}", CommandResource),
    Route(f"{ONE}/verbs/{{verb}}", VerbResource),
    Route(f"{ONE}/local-list", LocalListResource),
    Route(f"{ONE}/variables", VariablesResource),
    Route(f"{ONE}/variables/get", VariablesResource, "get"),
    Route(f"{ONE}/variables/refresh", VariablesResource, "refresh"),
    Route(f"{ONE}/variables/compare", VariablesResource, "compare"),
    Route(f"{ONE}/variables/export", VariablesResource, "export"),
    Route(f"{ROOT}/keys", Keys),
    Route(f"{ROOT}/applicants", ApplicantsResource),
    Route(f"{ROOT}/applicants/{{charge_point}}/approve", ApplicantsResource, "approve"),
    Route(f"{ROOT}/applicants/{{charge_point}}/reject", ApplicantsResource, "reject"),
    Route(f"{ROOT}/bulk", BulkResource),
    Route(f"{ROOT}/bulk/{{bulk}}", BulkResource, "one"),
    Route(f"{ROOT}/tickets", Tickets),
    Route(f"{ROOT}/tickets/{{ticket}}", Tickets, "one"),
    Route(f"{ROOT}/transactions", Transactions),
    Route(f"{ROOT}/transactions/{{transaction_id}}", Transactions, "one"),
    Route(f"{ROOT}/transactions/{{transaction_id}}/close", ByHandResource, "close"),
    Route(f"{ROOT}/events", Events),
    Route(f"{ROOT}/security-events", SecurityEventsResource),
    Route(f"{ROOT}/local-lists", LocalLists),
    Route(f"{ROOT}/reservations", Reservations),
    Route(f"{ROOT}/charging-profiles", ChargingProfilesResource),
    Route(f"{ROOT}/monitors", Monitors),
    Route(f"{ROOT}/display-messages", DisplayMessages),
    Route(f"{ROOT}/network-profiles", NetworkProfiles),
    Route(f"{ROOT}/installed-certificates", InstalledCertificates),
    Route(f"{ROOT}/issued-certificates", IssuedCertificatesResource),
    Route(f"{ROOT}/issued-certificates/{{serial_number}}", IssuedCertificatesResource, "one"),
    Route(f"{ROOT}/issued-certificates/{{serial_number}}/revoke", IssuedCertificatesResource, "revoke"),
    Route(f"{ROOT}/tags", Tags),
    Route(f"{ROOT}/tags/{{id_tag}}", Tags, "one"),
    Route(f"{ROOT}/spool", SpoolResource),
    Route(f"{ROOT}/spool/dead-letters/{{number}}", ByHandResource, "letter"),
    Route(f"{ROOT}/spool/dead-letters/{{number}}/reattach", ByHandResource, "reattach"),
    Route(f"{ROOT}/spool/dead-events/{{number}}", SpoolResource, "event"),
    Route(f"{ROOT}/spool/dead-events/{{number}}/retry", SpoolResource, "retry_event"),
    Route(f"{ROOT}/spool/retry", SpoolResource, "retry_all"),
    Route(f"{ROOT}/spool/{{number}}/retry", SpoolResource, "retry"),
    Route(f"{ROOT}/tokens", Tokens),
    Route(f"{ROOT}/tokens/{{name}}", Tokens, "one"),
    Route(f"{ROOT}/plugins", Plugins),
    Route(f"{ROOT}/plugins/{{name}}/release", Plugins, "release"),
    Route(f"{ROOT}/plugins/{{name}}/promote", Plugins, "promote"),
    Route(f"{ROOT}/plugins/{{name}}/{{path}}", PluginResources),
    Route(ACTIVITY, ActivityResource),
    Route(f"{ROOT}/log-levels", LogLevelsResource),
    Route(f"{ROOT}/log-levels/{{charge_point}}", LogLevelsResource, "one"),
    Route(f"{ROOT}/supervision", Supervision),
    Route(f"{ROOT}/crashes", Crashes),
    Route(f"{ROOT}/counters", CountersResource),
    Route(f"{ROOT}/cluster", Nodes),
    Route(f"{ROOT}/tls", Tls),
    Route(f"{ROOT}/tls/reload", Tls, "reload"),
    Route(f"{ROOT}/settings", SettingsResource),
    Route(f"{ROOT}/changes", Changes),
    Route(f"{ROOT}/backup", Backup),
    Route(f"{ROOT}/store", StoreResource),
    Route(f"{ROOT}/store/prune", StoreResource, "prune"),
    Route(f"{ROOT}/openapi.json", Description),
)
