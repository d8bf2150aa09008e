"""The API's own description, OpenAPI 3.1, for programs that make clients of it.

One rule: it lists paths, parameters and statuses; what a payload is made of, OCPP says. A test holds it to the routes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import __version__
from ..protocol import v16
from ..protocol.actions import Sender
from .commands import DEFAULT_TIMEOUT_S, MAX_TIMEOUT_S, STATUSES
from .pictures import JSON, LINES_OF_JSON
from .resources import DEFAULT_LIMIT, MAX_LIMIT, Resource, answer

if TYPE_CHECKING:
    import falcon

    from ..system import CentralSystem

TEXT: dict[str, Any] = {"type": "string"}
FLAG: dict[str, Any] = {"type": "integer", "enum": [0, 1]}
OBJECT: dict[str, Any] = {"type": "object"}
TAG: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "status": {"enum": ["Accepted", "Blocked", "Expired", "Invalid"]},
        "expiry": {"type": ["string", "null"], "format": "date-time"},
        "parent": {"type": "string", "maxLength": 20},
    },
}
LIMIT: dict[str, Any] = {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT}


class Description(Resource):
    """`/api/v1/openapi.json`."""

    def __init__(self, system: CentralSystem) -> None:
        super().__init__(system)
        self._picture = describe()

    def on_get(self, _: falcon.Request, response: falcon.Response) -> None:
        """The description; it never changes."""
        answer(response, self._picture)


def describe() -> dict[str, Any]:
    """Make the description."""
    root = "/api/v1"
    one = f"{root}/charge-points/{{charge_point}}"
    return {
        "openapi": "3.1.0",
        "info": {"title": "chargehand", "version": __version__},
        "security": [{"token": []}],
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": {
                "Problem": {
                    "type": "object",
                    "required": ["title", "description"],
                    "properties": {"title": TEXT, "description": TEXT},
                }
            },
        },
        "paths": {
            "/healthz": {"get": _read("Whether it serves") | {"security": []}},
            f"{root}/charge-points": {"get": _read("All charge points")},
            one: {"get": _read("One charge point", "charge_point")},
            f"{one}/record": {"get": _record()},
            f"{one}/commands/{{action}}": {"post": _command()},
            f"{root}/transactions": {
                "get": _read(
                    "Transactions, the newest first",
                    charge_point=TEXT,
                    id_tag=TEXT,
                    open=FLAG | {"default": 0},
                    limit=LIMIT,
                )
            },
            f"{root}/tags": {"get": _read("All tags"), "post": _enter_tags()},
            f"{root}/tags/{{id_tag}}": {
                "get": _read("One tag", "id_tag"),
                "put": _change_tag("Enter or change a tag") | {"requestBody": _body(TAG)},
                "delete": _change_tag("Take a tag out"),
            },
            f"{root}/tickets/{{ticket}}": {
                "get": _read("One call and what became of it", "ticket"),
                "delete": _cancel(),
            },
            f"{root}/spool": {
                "get": _read("Messages that a stand-in acknowledged and no plugin has had", limit=LIMIT)
            },
            f"{root}/spool/retry": {"post": _retry("Hand all that was set aside to its plugins again")},
            f"{root}/spool/{{number}}/retry": {
                "post": _retry("Hand one message to its plugin again, with its transaction", "number")
            },
            f"{root}/plugins": {"get": _read("The plugins")},
            f"{root}/plugins/{{name}}/release": {"post": _release()},
            f"{root}/plugins/{{name}}/promote": {"post": _decide("Let a shadow answer", "It is no shadow")},
            f"{root}/supervision": {"get": _read("The tree of supervision")},
            f"{root}/crashes": {
                "get": _read("The last crashes of sessions, the newest first", rows=FLAG | {"default": 0})
            },
            f"{root}/counters": {"get": _read("How often what happened")},
            f"{root}/openapi.json": {"get": _read("This description")},
        },
    }


def _read(summary: str, *segments: str, **query: dict[str, Any]) -> dict[str, Any]:
    responses = {"200": _answer("What was asked for", OBJECT)}
    if segments:
        responses["404"] = _problem("It is not known")
    return {
        "summary": summary,
        "parameters": [
            *(_parameter(name, "path", TEXT) for name in segments),
            *(_parameter(name, "query", schema) for name, schema in query.items()),
        ],
        "responses": responses
        | {"400": _problem("A parameter is wrong"), "401": _problem("The token is wrong")},
    }


def _record() -> dict[str, Any]:
    described = _read("The flight recorder of one charge point: its last frames and events", "charge_point")
    lines = {"description": "One JSON object a line", "content": {LINES_OF_JSON: {"schema": TEXT}}}
    return described | {"responses": described["responses"] | {"200": lines}}


def _cancel() -> dict[str, Any]:
    described = _read("Cancel a call that is not on the wire yet", "ticket")
    more = {
        "200": _answer("It is cancelled", OBJECT),
        "202": _answer("It will be, when the session of its charge point is back", OBJECT),
        "409": _problem("It is on the wire, or has ended"),
        "503": _problem("The central system stops"),
    }
    return described | {"responses": described["responses"] | more}


def _release() -> dict[str, Any]:
    described = _decide("Let a plugin out of quarantine, and start it", "It is in none")
    more = {"503": _problem("The central system stops"), "504": _problem("It takes long to start")}
    return described | {"responses": described["responses"] | more}


def _decide(summary: str, conflict: str) -> dict[str, Any]:
    described = _read(summary, "name")
    more = {"200": _answer("How the plugin stands now", OBJECT), "409": _problem(conflict)}
    return described | {"responses": described["responses"] | more}


def _enter_tags() -> dict[str, Any]:
    described = _change_tag("Enter tags: all of them, or none if one is wrong")
    row = TAG | {
        "properties": {"id_tag": {"type": "string", "minLength": 1, "maxLength": 20}, **TAG["properties"]},
        "required": ["id_tag"],
    }
    many = {"type": "object", "properties": {"tags": {"type": "array", "items": row}}}
    parameters = [_parameter("check", "query", FLAG | {"default": 0})]
    return described | {"parameters": parameters, "requestBody": _body(many)}


def _change_tag(summary: str) -> dict[str, Any]:
    described = _read(summary, "id_tag")
    more = {"422": _problem("A tag is wrong"), "503": _problem("The store could not keep it")}
    return described | {"responses": described["responses"] | more}


def _retry(summary: str, *segments: str) -> dict[str, Any]:
    described = _read(summary, *segments)
    more = {
        "200": _answer("`retried` are the numbers of what waits again", OBJECT),
        "503": _problem("The store could not keep it"),
    }
    return described | {"responses": described["responses"] | more}


def _body(schema: dict[str, Any]) -> dict[str, Any]:
    return {"content": {JSON: {"schema": schema}}}


def _command() -> dict[str, Any]:
    actions = [row.name for row in v16.VERSION.sent_by(Sender.CENTRAL_SYSTEM)]
    seconds = {
        "type": "number",
        "exclusiveMinimum": 0,
        "maximum": MAX_TIMEOUT_S,
        "default": DEFAULT_TIMEOUT_S,
    }
    titles = {status: title for status, title in STATUSES.values() if title}
    titles |= {
        400: "The body is no JSON, or a parameter is wrong: `until_effect` for an action without one",
        401: "The token is wrong",
        404: "The charge point is unknown or not connected, or the action is unknown",
        410: "Never sent",
        413: "The body is too large",
        422: "The payload is invalid: `violations` has all that is wrong with it",
        503: "The charge point's queue is full, or the central system stops",
    }
    responses = {str(status): _problem(title) for status, title in sorted(titles.items())}
    return {
        "summary": "Send a request to a charge point",
        "parameters": [
            _parameter("charge_point", "path", TEXT),
            _parameter("action", "path", {"enum": actions}),
            _parameter("timeout", "query", seconds),
            _parameter("wait", "query", FLAG | {"default": 1}),
            _parameter("until_effect", "query", FLAG | {"default": 0}),
            _parameter("effect_timeout", "query", {"type": "number", "exclusiveMinimum": 0}),
            _parameter("when_offline", "query", {"enum": ["fail", "queue"], "default": "fail"}),
            _parameter("expires_in", "query", {"type": "number", "exclusiveMinimum": 0}),
        ],
        "requestBody": {"content": {JSON: {"schema": OBJECT}}},
        "responses": {
            "200": _answer("Answered: `response` is the payload", OBJECT),
            "202": _answer("Still open, or its effect is still to come: `ticket` is its id", OBJECT),
            **responses,
        },
    }


def _parameter(name: str, place: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": place, "required": place == "path", "schema": schema}


def _problem(text: str) -> dict[str, Any]:
    return _answer(text, {"$ref": "#/components/schemas/Problem"})


def _answer(text: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": text, "content": {JSON: {"schema": schema}}}
