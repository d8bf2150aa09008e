"""The falcon application: which path leads to what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import falcon

from ..store.store import StoreError
from .commands import Commands
from .guard import HEALTH, Guard
from .holdings import ChargingProfiles, Reservations
from .local_lists import LocalLists
from .openapi import Description
from .paths import Segment, encoded_path
from .plugins import Plugins
from .problems import nothing_here, report_crash, report_store, write_problem
from .resources import ChargePoints, Counters, Crashes, Health, Spool, Supervision, Transactions
from .tags import Tags
from .tickets import Tickets

if TYPE_CHECKING:
    from ..system import CentralSystem
    from .stopping import Stop

ROOT = "/api/v1"


class Request(falcon.Request):
    """A request whose `path` is still percent-encoded. The server hands out what was sent as `RAW_URI`."""

    def __init__(self, env: dict[str, Any], options: falcon.RequestOptions | None = None) -> None:
        super().__init__(env | {"PATH_INFO": encoded_path(env["RAW_URI"])}, options)


def make_app(system: CentralSystem, token: str | None, stop: Stop) -> falcon.App[Request, falcon.Response]:
    """Make the application of a system. Without a token it is open."""
    app = falcon.App(request_type=Request, middleware=[Guard(token)])
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
    app.add_route(f"{one}/commands/{{action:segment}}", Commands(system, stop))
    app.add_route(f"{one}/local-list", LocalLists(system, stop))
    app.add_route(f"{ROOT}/transactions", Transactions(system))
    app.add_route(f"{ROOT}/reservations", Reservations(system))
    app.add_route(f"{ROOT}/charging-profiles", ChargingProfiles(system))
    tags = Tags(system)
    app.add_route(f"{ROOT}/tags", tags)
    app.add_route(f"{ROOT}/tags/{{id_tag:segment}}", tags, suffix="one")
    app.add_route(f"{ROOT}/tickets/{{ticket:segment}}", Tickets(system, stop))
    app.add_route(f"{ROOT}/supervision", Supervision(system))
    app.add_route(f"{ROOT}/crashes", Crashes(system))
    app.add_route(f"{ROOT}/plugins", plugins)
    app.add_route(f"{ROOT}/plugins/{{name:segment}}/release", plugins, suffix="release")
    app.add_route(f"{ROOT}/plugins/{{name:segment}}/promote", plugins, suffix="promote")
    app.add_route(f"{ROOT}/spool", Spool(system))
    app.add_route(f"{ROOT}/counters", Counters(system))
    app.add_route(f"{ROOT}/openapi.json", Description(system))
    return app
