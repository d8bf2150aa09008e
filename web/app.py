"""Falcon application: routes and error handlers."""

from __future__ import annotations

import re
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
from .accepted_state import LocalListResource
from .bulk import BulkResource
from .cluster_proxy import ClusterProxy, answerer
from .commands import CommandResource, Dispatch, Tickets
from .compact import Compact
from .description import Description
from .docs_files import docs_files
from .events import Events, StreamLimit
from .frames import Frames
from .guard import Guard
from .health import PROBES, HealthResource, NodeWatch, ReadyResource
from .logins import LoginResource
from .metrics import METRICS
from .openapi import describe
from .page_files import page_files
from .plugin_resources import PluginResources
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
from .routes import ROUTES
from .storage import Backup
from .supervision import Plugins
from .variables import VariablesResource
from .verbs import VerbResource
from .views import encode

if TYPE_CHECKING:
    from ..system.central_system import CentralSystem
    from .requests import Stop


SEGMENT = re.compile(r"{(\w+)}")
"""Segment of a path that has no converter yet."""


class RawPathRequest(falcon.Request):
    """Request whose `path` is still percent-encoded, from the server's `RAW_URI`."""

    def __init__(self, env: dict[str, Any], options: falcon.RequestOptions | None = None) -> None:
        super().__init__(env | {"PATH_INFO": encoded_path(env["RAW_URI"])}, options)


def make_app(
    system: CentralSystem, token: str | None, stop: Stop
) -> falcon.App[RawPathRequest, falcon.Response]:
    """Make the application of a system; without a token the API is open."""
    page = {**page_files(), **docs_files()} if system.settings.http.page else {}
    metrics = (METRICS,) if system.settings.http.open_metrics else ()
    guard = Guard(system, token, public=(*page, *PROBES, *metrics))
    app = _new_app(system, guard)
    for path, file in page.items():
        app.add_route(path, file)
    _add_routes(app, system, guard, stop)
    if system.cluster is not None:
        system.cluster.answer = answerer(app)
    return app


def _add_routes(
    app: falcon.App[RawPathRequest, falcon.Response], system: CentralSystem, guard: Guard, stop: Stop
) -> None:
    """Make the resources of the routes, each once, and add them."""
    dispatch, streams = Dispatch(system, stop), StreamLimit(system.settings.http.event_streams)
    watch = NodeWatch(system)
    more: dict[type, tuple[Any, ...]] = {
        HealthResource: (watch,),
        ReadyResource: (watch,),
        LoginResource: (guard,),
        Frames: (stop, streams),
        Events: (stop, streams),
        CommandResource: (dispatch,),
        VerbResource: (dispatch,),
        BulkResource: (stop, dispatch),
        LocalListResource: (stop,),
        VariablesResource: (stop,),
        Tickets: (stop,),
        Plugins: (stop,),
        PluginResources: (stop,),
        Backup: (stop,),
        Description: (lambda: encode(describe(system.versions)),),
    }
    made: dict[type, Any] = {}
    for route in ROUTES:
        kind = route.resource
        if kind not in made:
            made[kind] = kind(system, *more.get(kind, ()))
        path = route.path.replace("{path}", "{path:path}")
        path = SEGMENT.sub(r"{\1:segment}", path)
        app.add_route(path, made[kind], suffix=route.suffix or None)


def _new_app(system: CentralSystem, guard: Guard) -> falcon.App[RawPathRequest, falcon.Response]:
    """Make an application without routes."""
    middleware: list[Any] = [Compact(), guard]
    if system.cluster is not None:
        middleware.append(ClusterProxy(system))
    app = falcon.App(request_type=RawPathRequest, middleware=middleware)
    app.router_options.converters["segment"] = Segment
    app.set_error_serializer(write_problem)
    _add_error_handlers(app)
    app.add_sink(nothing_here, "/")
    return app


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
