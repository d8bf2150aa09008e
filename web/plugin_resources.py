"""HTTP resources of plugins, below the plugin's name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from ..actors.plugin.resources import (
    PluginOutOfService,
    ResourceRefused,
    ResourceRequest,
    find_route,
)
from .operations import operation
from .requests import Problem, body_of
from .resources import READ, SCOPES, Resource, answer
from .views import Payload

if TYPE_CHECKING:
    import falcon

    from ..system.central_system import CentralSystem
    from .requests import Stop


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
    """`/api/v1/plugins/{name}/{path}`: what a plugin of this process answers; each of its resources has a scope."""

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
        if cell is None:
            raise Problem(404, "Unknown plugin", f"there is no plugin {name} in this process")
        try:
            segments = tuple(unquote(one, errors="strict") for one in path.split("/"))
        except UnicodeDecodeError:
            segments = ()
        route, members, methods = find_route(cell.spec.plugin.resources(), request.method, segments)
        if route is None:
            if methods:
                allowed = {"Allow": ", ".join(methods)}
                raise Problem(405, "Method not allowed", f"there is {allowed['Allow']}", headers=allowed)
            raise Problem(404, "Not found", f"the plugin {name} has nothing at {path}")
        caller = request.context.caller
        if SCOPES.index(caller.scope) < SCOPES.index(route.scope):
            text = f"the token {caller.name} has the scope {caller.scope}; this needs {route.scope}"
            raise Problem(403, "Forbidden", text)
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
