"""HTTP resources of plugins, below the plugin's name."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from ..actors.plugin.resources import (
    PluginOutOfService,
    ResourceRefused,
    ResourceRequest,
    find_route,
)
from .cluster_proxy import asked, pass_on
from .operations import operation
from .requests import Problem, body_of
from .resources import READ, SCOPES, Resource, answer
from .siblings import SIBLING_S, is_inner
from .views import Payload

if TYPE_CHECKING:
    import falcon

    from ..system.central_system import CentralSystem
    from .requests import Stop


UNKNOWN, UNKNOWN_PLUGIN = 404, "Unknown plugin"

OF_PLUGIN: dict[str, Any] = {
    "answer": Payload,
    "problems": {
        404: "There is no such plugin, or it has nothing there",
        405: "It has no such method",
        503: "The plugin is out of service",
        504: "The plugin did not answer in time",
    },
    "any_status": True,
}


class PluginResources(Resource):
    """`/api/v1/plugins/{name}/{path}`: what a plugin answers; each of its resources has a scope.

    It is a plugin of this process, or one of the scope "cluster", which runs in one of all processes.
    """

    changes = READ

    def __init__(self, system: CentralSystem, stop: Stop) -> None:
        super().__init__(system)
        self._stop = stop

    @operation("getOfPlugin", "plugins", **OF_PLUGIN)
    def on_get(self, request: falcon.Request, response: falcon.Response, name: str, path: str) -> None:
        """Get a resource of a plugin, which says what it takes and answers."""
        self._ask(request, response, name, path)

    @operation("postToPlugin", "plugins", body=Payload, **OF_PLUGIN)
    def on_post(self, request: falcon.Request, response: falcon.Response, name: str, path: str) -> None:
        """Post to a resource of a plugin, which says what it takes and answers."""
        self._ask(request, response, name, path)

    @operation("putToPlugin", "plugins", body=Payload, **OF_PLUGIN)
    def on_put(self, request: falcon.Request, response: falcon.Response, name: str, path: str) -> None:
        """Put to a resource of a plugin, which says what it takes and answers."""
        self._ask(request, response, name, path)

    @operation("deleteOfPlugin", "plugins", **OF_PLUGIN)
    def on_delete(self, request: falcon.Request, response: falcon.Response, name: str, path: str) -> None:
        """Delete a resource of a plugin."""
        self._ask(request, response, name, path)

    def _ask(self, request: falcon.Request, response: falcon.Response, name: str, path: str) -> None:
        """Have the plugin answer, within `deadlines.events_s`."""
        cell = self._system.plugin_resources(name)
        plugin = self._system.cluster_plugin(name) if cell is None else cell.spec.plugin
        if plugin is None or (cell is None and is_inner(request)):
            raise Problem(UNKNOWN, UNKNOWN_PLUGIN, f"there is no plugin {name} in this process")
        try:
            segments = tuple(unquote(one, errors="strict") for one in path.split("/"))
        except UnicodeDecodeError:
            segments = ()
        route, members, methods = find_route(plugin.resources(), request.method, segments)
        if route is None:
            if methods:
                allowed = {"Allow": ", ".join(methods)}
                raise Problem(405, "Method not allowed", f"there is {allowed['Allow']}", headers=allowed)
            raise Problem(404, "Not found", f"the plugin {name} has nothing at {path}")
        caller = request.context.caller
        if SCOPES.index(caller.scope) < SCOPES.index(route.scope):
            text = f"the token {caller.name} has the scope {caller.scope}; this needs {route.scope}"
            raise Problem(403, "Forbidden", text)
        if cell is None:
            self._ask_elsewhere(request, response, name)
            return
        query = {
            key: value[-1] if isinstance(value, list) else value for key, value in request.params.items()
        }
        asked = ResourceRequest(
            method=request.method,
            path=dict(members),
            query=query,
            body=body_of(request),
            token=caller.name,
        )
        try:
            with self._stop.interrupts():
                told = cell.ask_resource(route.handler, asked)
        except ResourceRefused as error:
            raise Problem(error.status, error.title, error.description) from error
        except PluginOutOfService as error:
            raise Problem(503, "Out of service", str(error)) from error
        except TimeoutError as error:
            raise Problem(504, "Too slow", f"plugin {name}: {error} (deadlines.events_s)") from error
        answer(response, told)

    def _ask_elsewhere(self, request: falcon.Request, response: falcon.Response, name: str) -> None:
        """Have the one process answer in which the plugin runs: it is of the scope "cluster"."""
        cluster, deadlines = self._system.cluster, self._system.settings.deadlines
        limit_s = (deadlines.events_s or deadlines.default_s) + SIBLING_S
        others = cluster.others() if cluster is not None else []
        replies = (
            [] if cluster is None else cluster.ask_all(others, *asked(request), timeout_s=limit_s).values()
        )
        for reply in replies:
            if not (reply.status == UNKNOWN and json.loads(reply.body).get("title") == UNKNOWN_PLUGIN):
                pass_on(reply, response)
                return
        raise Problem(503, "Out of service", f"plugin {name} runs in no process now")
