"""The falcon application: which path leads to what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import falcon

from ..store.store import StoreError
from .accepted_state import ChargingProfiles, Reservations
from .backup import Backup
from .charge_points import ChargePoints
from .cluster import Nodes
from .cluster_proxy import ClusterProxy, answerer
from .commands import Commands
from .guard import HEALTH, Guard
from .local_lists import LocalLists
from .openapi import Description
from .passwords import Passwords
from .paths import Segment, encoded_path
from .plugins import Plugins
from .problems import nothing_here, report_crash, report_store, write_problem
from .resources import Counters, Crashes, Health, Supervision
from .spool import Spool
from .tags import Tags
from .tickets import Tickets
from .transactions import Transactions

if TYPE_CHECKING:
    from ..system.central_system import CentralSystem
    from .stopping import Stop

ROOT = "/api/v1"


class Request(falcon.Request):
    """A request whose `path` is still percent-encoded. The server hands out what was sent as `RAW_URI`."""

    def __init__(self, env: dict[str, Any], options: falcon.RequestOptions | None = None) -> None:
        super().__init__(env | {"PATH_INFO": encoded_path(env["RAW_URI"])}, options)


def make_app(system: CentralSystem, token: str | None, stop: Stop) -> falcon.App[Request, falcon.Response]:
    """Make the application of a system. Without a token it is open."""
    middleware: list[Any] = [Guard(token)]
    if system.cluster is not None:
        middleware.append(ClusterProxy(system))
    app = falcon.App(request_type=Request, middleware=middleware)
    app.router_options.converters["segment"] = Segment
    app.set_error_serializer(write_problem)
    app.add_error_handler(Exception, report_crash)
    app.add_error_handler(StoreError, report_store)
    app.add_sink(nothing_here, "/")
    one = f"{ROOT}/charge-points/{{charge_point:segment}}"
    charge_points, plugins = ChargePoints(system), Plugins(system, stop)
    app.add_route(HEALTH, Health(system))
    app.add_route(f"{ROOT}/charge-points", charge_points)
    app.add_route(one, charge_points, suffix="one")
    app.add_route(f"{one}/record", charge_points, suffix="record")
    app.add_route(f"{one}/events", charge_points, suffix="events")
    app.add_route(f"{one}/password", Passwords(system))
    app.add_route(f"{one}/commands/{{action:segment}}", Commands(system, stop))
    app.add_route(f"{one}/local-list", LocalLists(system, stop))
    app.add_route(f"{ROOT}/reservations", Reservations(system))
    app.add_route(f"{ROOT}/charging-profiles", ChargingProfiles(system))
    transactions = Transactions(system)
    app.add_route(f"{ROOT}/transactions", transactions)
    app.add_route(f"{ROOT}/transactions/{{transaction_id:segment}}", transactions, suffix="one")
    tags = Tags(system)
    app.add_route(f"{ROOT}/tags", tags)
    app.add_route(f"{ROOT}/tags/{{id_tag:segment}}", tags, suffix="one")
    tickets = Tickets(system, stop)
    app.add_route(f"{ROOT}/tickets", tickets)
    app.add_route(f"{ROOT}/tickets/{{ticket:segment}}", tickets, suffix="one")
    app.add_route(f"{ROOT}/supervision", Supervision(system))
    app.add_route(f"{ROOT}/crashes", Crashes(system))
    app.add_route(f"{ROOT}/plugins", plugins)
    app.add_route(f"{ROOT}/plugins/{{name:segment}}/release", plugins, suffix="release")
    app.add_route(f"{ROOT}/plugins/{{name:segment}}/promote", plugins, suffix="promote")
    app.add_route(f"{ROOT}/backup", Backup(system, stop))
    spool = Spool(system)
    app.add_route(f"{ROOT}/spool", spool)
    app.add_route(f"{ROOT}/spool/retry", spool, suffix="retry_all")
    app.add_route(f"{ROOT}/spool/{{number:segment}}/retry", spool, suffix="retry")
    app.add_route(f"{ROOT}/counters", Counters(system))
    app.add_route(f"{ROOT}/openapi.json", Description(system))
    app.add_route(f"{ROOT}/cluster", Nodes(system))
    if system.cluster is not None:
        system.cluster.answer = answerer(app)
    return app
