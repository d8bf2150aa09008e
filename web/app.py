"""Falcon application: routes and error handlers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import falcon

from ..admission.applicants import ApplicantNotFound
from ..admission.credentials import PasswordChecksBusy
from ..protocol.errors import InvalidPayload
from ..protocol.verbs import VerbRefused
from ..remote.cluster.coordinator import CoordinatorUnavailable
from ..store.reports import ReportNotFound
from ..store.stops import TooManyStops
from ..store.store import StoreError
from ..system.by_hand import (
    DeadLetterNotFound,
    NotAttachable,
    TransactionClosed,
    TransactionNotFound,
    WrongFigures,
)
from ..system.certificates import CertificateNotFound
from ..system.local_lists import LocalListsNotSupported, LocalListSyncRunning
from ..system.variables import VariablesNotSupported
from .accepted_state import ChargingProfilesResource, LocalListResource, LocalLists, Reservations
from .activity import ActivityResource
from .applicants import ApplicantsResource
from .bulk import BulkResource
from .by_hand import ByHandResource
from .certificates import InstalledCertificates, IssuedCertificatesResource
from .charge_point_list import ChargePointRows
from .charge_points import ChargePoints, Passwords
from .cluster_proxy import ClusterProxy, answerer
from .commands import CommandResource, Dispatch, Tickets
from .events import Events, StreamLimit
from .frames import Frames
from .guard import Guard
from .health import HEALTH, LIVE, PROBES, READY, HealthResource, LiveResource, NodeWatch, ReadyResource
from .keys import Keys
from .logins import LOGIN, LoginResource
from .metrics import METRICS, MetricsResource
from .openapi import Description
from .page_files import PageFile, page_files
from .plugin_resources import PluginResources
from .reports import ReportsResource
from .requests import (
    Segment,
    Stopping,
    encoded_path,
    nothing_here,
    report_crash,
    report_invalid,
    report_stopping,
    report_store,
    reporter,
    write_problem,
)
from .security_events import SecurityEventsResource
from .station_settings import station_settings
from .storage import Backup, SpoolResource
from .supervision import CountersResource, Crashes, Nodes, Plugins, Supervision
from .tags import Tags
from .tls import Tls
from .tokens import Tokens
from .transactions import Transactions
from .variables import VariablesResource
from .verbs import VerbResource

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..system.central_system import CentralSystem
    from .requests import Stop

ROOT = "/api/v1"


class RawPathRequest(falcon.Request):
    """Request whose `path` is still percent-encoded, from the server's `RAW_URI`."""

    def __init__(self, env: dict[str, Any], options: falcon.RequestOptions | None = None) -> None:
        super().__init__(env | {"PATH_INFO": encoded_path(env["RAW_URI"])}, options)


def make_app(
    system: CentralSystem, token: str | None, stop: Stop
) -> falcon.App[RawPathRequest, falcon.Response]:
    """Make the application of a system; without a token the API is open."""
    page = page_files() if system.settings.http.page else {}
    metrics = (METRICS,) if system.settings.http.open_metrics else ()
    guard = Guard(system, token, public=(*page, *PROBES, *metrics))
    app = _new_app(system, guard)
    _add_probes(app, system)
    _add_page(app, system, guard, page)
    streams = StreamLimit(system.settings.http.event_streams)
    _add_charge_points(app, system)
    frames = Frames(system, stop, streams)
    app.add_route(f"{ROOT}/charge-points/{{charge_point:segment}}/frames", frames)
    _add_senders(app, system, stop)
    app.add_route(f"{ROOT}/reservations", Reservations(system))
    app.add_route(f"{ROOT}/charging-profiles", ChargingProfilesResource(system))
    for path, resource in station_settings(system).items():
        app.add_route(f"{ROOT}/{path}", resource)
    _add_certificates(app, system)
    transactions = Transactions(system)
    app.add_route(f"{ROOT}/transactions", transactions)
    app.add_route(f"{ROOT}/transactions/{{transaction_id:segment}}", transactions, suffix="one")
    by_hand = ByHandResource(system)
    app.add_route(f"{ROOT}/transactions/{{transaction_id:segment}}/close", by_hand, suffix="close")
    app.add_route(f"{ROOT}/spool/dead-letters/{{number:segment}}", by_hand, suffix="letter")
    app.add_route(f"{ROOT}/spool/dead-letters/{{number:segment}}/reattach", by_hand, suffix="reattach")
    tags = Tags(system)
    app.add_route(f"{ROOT}/tags", tags)
    app.add_route(f"{ROOT}/tags/{{id_tag:segment}}", tags, suffix="one")
    plugins, tokens = Plugins(system, stop), Tokens(system)
    app.add_route(f"{ROOT}/tokens", tokens)
    app.add_route(f"{ROOT}/tokens/{{name:segment}}", tokens, suffix="one")
    app.add_route(f"{ROOT}/plugins", plugins)
    app.add_route(f"{ROOT}/plugins/{{name:segment}}/release", plugins, suffix="release")
    app.add_route(f"{ROOT}/plugins/{{name:segment}}/promote", plugins, suffix="promote")
    app.add_route(f"{ROOT}/plugins/{{name:segment}}/{{path:path}}", PluginResources(system, stop))
    tls = Tls(system)
    app.add_route(f"{ROOT}/tls", tls)
    app.add_route(f"{ROOT}/tls/reload", tls, suffix="reload")
    app.add_route(f"{ROOT}/backup", Backup(system, stop))
    _add_spool(app, system)
    whole: dict[str, Any] = {
        "supervision": Supervision(system),
        "activity": ActivityResource(system),
        "crashes": Crashes(system),
        "events": Events(system, stop, streams),
        "local-lists": LocalLists(system),
        "counters": CountersResource(system),
        "openapi.json": Description(system),
        "cluster": Nodes(system),
    }
    for name, resource in whole.items():
        app.add_route(f"{ROOT}/{name}", resource)
    if system.cluster is not None:
        system.cluster.answer = answerer(app)
    return app


def _new_app(system: CentralSystem, guard: Guard) -> falcon.App[RawPathRequest, falcon.Response]:
    """Make an application without routes."""
    middleware: list[Any] = [guard]
    if system.cluster is not None:
        middleware.append(ClusterProxy(system))
    app = falcon.App(request_type=RawPathRequest, middleware=middleware)
    app.router_options.converters["segment"] = Segment
    app.set_error_serializer(write_problem)
    _add_error_handlers(app)
    app.add_sink(nothing_here, "/")
    return app


def _add_page(
    app: falcon.App[RawPathRequest, falcon.Response],
    system: CentralSystem,
    guard: Guard,
    page: Mapping[str, PageFile],
) -> None:
    """Add the files of the operator's page, and its login."""
    for path, file in page.items():
        app.add_route(path, file)
    app.add_route(LOGIN, LoginResource(system, guard))


def _add_probes(app: falcon.App[RawPathRequest, falcon.Response], system: CentralSystem) -> None:
    """Add the routes for those who watch over the node."""
    watch = NodeWatch(system)
    app.add_route(HEALTH, HealthResource(system, watch))
    app.add_route(LIVE, LiveResource(system))
    app.add_route(READY, ReadyResource(system, watch))
    app.add_route(METRICS, MetricsResource(system))


def _add_spool(app: falcon.App[RawPathRequest, falcon.Response], system: CentralSystem) -> None:
    """Add the routes of messages and events that wait for redelivery, or for a person."""
    spool = SpoolResource(system)
    app.add_route(f"{ROOT}/spool", spool)
    app.add_route(f"{ROOT}/spool/dead-events/{{number:segment}}", spool, suffix="event")
    app.add_route(f"{ROOT}/spool/dead-events/{{number:segment}}/retry", spool, suffix="retry_event")
    app.add_route(f"{ROOT}/spool/retry", spool, suffix="retry_all")
    app.add_route(f"{ROOT}/spool/{{number:segment}}/retry", spool, suffix="retry")


def _add_charge_points(app: falcon.App[RawPathRequest, falcon.Response], system: CentralSystem) -> None:
    """Add the routes of charge points and what they have told."""
    one = f"{ROOT}/charge-points/{{charge_point:segment}}"
    charge_points, reports = ChargePoints(system), ReportsResource(system)
    app.add_route(f"{ROOT}/charge-points", ChargePointRows(system))
    app.add_route(one, charge_points, suffix="one")
    app.add_route(f"{one}/recording", charge_points, suffix="recording")
    app.add_route(f"{one}/events", charge_points, suffix="events")
    app.add_route(f"{one}/meter-readings", charge_points, suffix="readings")
    app.add_route(f"{one}/password", Passwords(system))
    app.add_route(f"{ROOT}/keys", Keys(system))
    applicants = ApplicantsResource(system)
    app.add_route(f"{ROOT}/applicants", applicants)
    app.add_route(f"{ROOT}/applicants/{{charge_point:segment}}/approve", applicants, suffix="approve")
    app.add_route(f"{ROOT}/applicants/{{charge_point:segment}}/reject", applicants, suffix="reject")
    app.add_route(f"{ROOT}/security-events", SecurityEventsResource(system))
    app.add_route(f"{one}/reports", reports)
    app.add_route(f"{one}/reports/{{number:segment}}", reports, suffix="one")


def _add_senders(app: falcon.App[RawPathRequest, falcon.Response], system: CentralSystem, stop: Stop) -> None:
    """Add the routes that send commands, and those of tickets."""
    one = f"{ROOT}/charge-points/{{charge_point:segment}}"
    dispatch, local_lists = Dispatch(system, stop), LocalListResource(system, stop)
    app.add_route(f"{one}/commands/{{action:segment}}", CommandResource(system, dispatch))
    app.add_route(f"{one}/verbs/{{verb:segment}}", VerbResource(system, dispatch))
    app.add_route(f"{one}/local-list", local_lists)
    variables = VariablesResource(system, stop)
    app.add_route(f"{one}/variables", variables)
    for name in ("get", "refresh", "compare", "export"):
        app.add_route(f"{one}/variables/{name}", variables, suffix=name)
    bulks = BulkResource(system, stop, dispatch)
    app.add_route(f"{ROOT}/bulk", bulks)
    app.add_route(f"{ROOT}/bulk/{{bulk:segment}}", bulks, suffix="one")
    tickets = Tickets(system, stop)
    app.add_route(f"{ROOT}/tickets", tickets)
    app.add_route(f"{ROOT}/tickets/{{ticket:segment}}", tickets, suffix="one")


def _add_certificates(app: falcon.App[RawPathRequest, falcon.Response], system: CentralSystem) -> None:
    """Add the routes of certificates, installed and issued."""
    app.add_route(f"{ROOT}/installed-certificates", InstalledCertificates(system))
    issued = IssuedCertificatesResource(system)
    app.add_route(f"{ROOT}/issued-certificates", issued)
    app.add_route(f"{ROOT}/issued-certificates/{{serial_number:segment}}", issued, suffix="one")
    app.add_route(f"{ROOT}/issued-certificates/{{serial_number:segment}}/revoke", issued, suffix="revoke")


def _add_error_handlers(app: falcon.App[RawPathRequest, falcon.Response]) -> None:
    """Give each kind of error its answer."""
    app.add_error_handler(Exception, report_crash)
    app.add_error_handler(StoreError, report_store)
    app.add_error_handler(TimeoutError, report_store)
    app.add_error_handler(Stopping, report_stopping)
    app.add_error_handler(InvalidPayload, report_invalid)
    app.add_error_handler(VerbRefused, reporter(422, "Verb refused"))
    app.add_error_handler(PasswordChecksBusy, reporter(503, "Too many at once"))
    app.add_error_handler(CoordinatorUnavailable, reporter(503, "Not reached"))
    app.add_error_handler(TransactionNotFound, reporter(404, "Unknown transaction"))
    app.add_error_handler(CertificateNotFound, reporter(404, "Unknown certificate"))
    app.add_error_handler(TransactionClosed, reporter(409, "Closed already"))
    app.add_error_handler(WrongFigures, reporter(422, "Wrong figures"))
    app.add_error_handler(ReportNotFound, reporter(404, "Unknown report"))
    app.add_error_handler(ApplicantNotFound, reporter(404, "Unknown applicant"))
    app.add_error_handler(DeadLetterNotFound, reporter(404, "Not a dead letter"))
    app.add_error_handler(NotAttachable, reporter(409, "Not attachable"))
    app.add_error_handler(TooManyStops, reporter(409, "Too many stops"))
    app.add_error_handler(LocalListSyncRunning, reporter(409, "On its way"))
    app.add_error_handler(VariablesNotSupported, reporter(409, "Not supported"))
    app.add_error_handler(LocalListsNotSupported, reporter(409, "Not supported"))
