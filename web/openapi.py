"""Description of the API, OpenAPI 3.1, for generators of clients.

One rule: it lists paths, parameters and statuses; OCPP defines the payloads. A test compares it with the routes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from .. import __version__
from ..protocol.actions import Sender
from ..protocol.verbs import VERBS
from ..protocol.versions import VERSIONS
from ..system.certificates import REASONS
from .bulk import MAX_WAIT_S, BulkFilter
from .commands import DEFAULT_TIMEOUT_S, MAX_TIMEOUT_S, STATUSES
from .resources import DEFAULT_LIMIT, MAX_LIMIT, SCOPES, Resource, answer
from .storage import SQLITE
from .transactions import DEFAULT_READINGS, LARGEST_ID
from .variables import Change, Wanted
from .views import JSON, LINES_OF_JSON

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    import falcon

    from ..protocol.actions import Version
    from ..system.central_system import CentralSystem

TEXT: dict[str, Any] = {"type": "string"}
FLAG: dict[str, Any] = {"type": "integer", "enum": [0, 1]}
OBJECT: dict[str, Any] = {"type": "object"}
TAG: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "status": TEXT
        | {
            "description": "Accepted, Blocked, Expired or Invalid, in any case; or NoCredit, NotAllowedTypeEVSE, "
            "NotAtThisLocation, NotAtThisTime or Unknown, which are Invalid for OCPP 1.6"
        },
        "expiry": {
            "type": ["string", "null"],
            "description": "A time with its offset, or a day: its beginning",
        },
        "parent": {"type": "string", "maxLength": 36},
        "language": {"type": "string", "maxLength": 8},
        "message": {"type": "string", "maxLength": 512},
    },
}
ID_TYPE: dict[str, Any] = {
    "type": "string",
    "description": "Type of its token in OCPP 2.0.1, in any case; empty for any",
}
MOMENT: dict[str, Any] = {"type": "string", "format": "date-time"}
NUMBER: dict[str, Any] = {"type": "integer", "minimum": 1, "maximum": LARGEST_ID}
CERTIFICATE_STATES = (
    "issued", "installed", "refused", "uncertain", "not_delivered", "replaced", "revoked", "expired",
)  # fmt: skip
CURSOR: dict[str, Any] = TEXT | {"description": "`next` of the page before"}
WHO: dict[str, Any] = TEXT | {"description": "Author of the change, for its event", "maxLength": 100}
WORKER: dict[str, Any] = {
    "worker": {"type": "integer", "minimum": 1, "description": "Number of one worker process of the node"}
}
SEARCHED: dict[str, Any] = {"search": TEXT, "attribute": TEXT}
LIMIT: dict[str, Any] = {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT}
SECONDS: dict[str, Any] = {
    "type": "number",
    "exclusiveMinimum": 0,
    "maximum": MAX_TIMEOUT_S,
    "default": DEFAULT_TIMEOUT_S,
}


FILTER: dict[str, Any] = {
    "stored": FLAG | {"default": 0},
    "connected": {"type": "boolean"},
    "status": TEXT,
    "id": TEXT,
    "ids": TEXT,
    "vendor": TEXT,
    "model": TEXT,
    "firmware": TEXT,
    "firmware_below": TEXT,
    "version": TEXT,
    "registration": TEXT,
    "flag": TEXT,
    "silent_s": {"type": "number", "exclusiveMinimum": 0},
    "node": TEXT,
    "worker": {"type": "integer", "minimum": 0},
    "q": TEXT,
    "fields": TEXT,
    "limit": LIMIT,
    "after": CURSOR,
}

LISTED = {
    "monitors": "Monitors of variables",
    "display-messages": "Messages on displays",
    "network-profiles": "Network profiles that were accepted",
}
"""Lists of what stations of OCPP 2.0.1 have set, by path."""


class Description(Resource):
    """`/api/v1/openapi.json`."""

    def __init__(self, system: CentralSystem) -> None:
        super().__init__(system)
        self._view = describe(system.versions)

    def on_get(self, _: falcon.Request, response: falcon.Response) -> None:
        """Show the description, which never changes."""
        answer(response, self._view)


def describe(spoken: Mapping[str, Version] = VERSIONS) -> dict[str, Any]:
    """Make the description."""
    root = "/api/v1"
    one = f"{root}/charge-points/{{charge_point}}"
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "chargehand",
            "version": __version__,
            # A program that reads every path to its end would not come to one here.
            "description": f"`{root}/events` is a stream of server-sent events, and not among the paths.",
        },
        "security": [{"token": []}],
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": {
                "Problem": {
                    "type": "object",
                    "required": ["title", "description"],
                    "properties": {"title": TEXT, "description": TEXT},
                },
                **verb_schemas(),
            },
        },
        "paths": {
            "/healthz": {"get": _read("Health of the node") | {"security": []}},
            "/livez": {"get": _read("Sign of life") | {"security": []}},
            "/readyz": {"get": _read("Checks of the node: 503 if one of them fails") | {"security": []}},
            "/metrics": {"get": _read("Metrics of the node, as Prometheus reads them", **WORKER)},
            f"{root}/activity": {
                "get": _read(
                    "The busiest charge points, the fullest inboxes, plugins and slow handlers of the node",
                    limit=LIMIT,
                    **WORKER,
                )
            },
            f"{root}/cluster": {
                "get": _read(
                    "The processes that share the charge points, of the whole cluster; 404 if this is the only one",
                    charge_points=FLAG | {"default": 0},
                )
            },
            f"{root}/charge-points": {"get": _read("Charge points, filtered, page by page", **FILTER)},
            one: {
                "get": _read("One charge point", "charge_point"),
                "put": _enter_charge_point(),
                "delete": _forget_charge_point(),
            },
            f"{one}/events": {
                "get": _read(
                    "Events of a charge point, the newest first",
                    "charge_point",
                    kind=TEXT,
                    limit=LIMIT,
                )
            },
            f"{one}/meter-readings": {
                "get": _read(
                    "Meter readings of a charge point that belong to no transaction, the newest first",
                    "charge_point",
                    connector={"type": "integer", "minimum": 0, "maximum": LARGEST_ID},
                    since=MOMENT,
                    until=MOMENT,
                    all=FLAG | {"default": 0},
                    before=CURSOR,
                    limit=LIMIT,
                )
            },
            f"{root}/security-events": {
                "get": _read(
                    "Security events of charge points and of the central system, the newest first",
                    charge_point=TEXT,
                    own=FLAG,
                    limit=LIMIT,
                )
            },
            f"{root}/applicants": {
                "get": _read(
                    "Charge points that nobody had entered, and that wait for approval",
                    state={
                        "type": "string",
                        "enum": ["waiting", "approved", "rejected"],
                        "default": "waiting",
                    },
                )
            },
            f"{root}/applicants/{{charge_point}}/approve": {"post": _about_applicant("Approve")},
            f"{root}/applicants/{{charge_point}}/reject": {"post": _about_applicant("Reject")},
            f"{root}/keys": {
                "get": _read(
                    "Charge points with a key in the store; no key is shown", waiting=FLAG | {"default": 0}
                )
            },
            f"{one}/password": {"put": _set_password(), "delete": _remove_password()},
            f"{one}/reports": {
                "get": _read(
                    "Reports that a charge point has sent in parts, the newest first",
                    "charge_point",
                    action=TEXT,
                    request_id={"type": "integer", "minimum": 0},
                )
            },
            f"{one}/reports/{{number}}": {
                "get": _read("One report with the payloads of its parts", "charge_point", "number"),
                "delete": _forget_report(),
            },
            f"{one}/variables": {
                "get": _read(
                    "Stored variables", "charge_point", **SEARCHED, limit=LIMIT | {"default": MAX_LIMIT}
                ),
                "post": _ask_variables("Set variables, in messages that the charge point can take", Change),
                "delete": _change("Delete the stored variables", "charge_point"),
            },
            f"{one}/variables/get": {
                "post": _ask_variables("Read variables, in messages that the charge point can take", Wanted)
            },
            f"{one}/variables/refresh": {"post": _refresh_variables()},
            f"{one}/variables/compare": {
                "get": _read(
                    "Variables that differ from those of another charge point",
                    "charge_point",
                    other=TEXT,
                    **SEARCHED,
                )
            },
            f"{one}/variables/export": {"get": _export_variables()},
            f"{one}/recording": {"get": _recording()},
            f"{one}/frames": {
                "get": _read(
                    "Frames as they pass, since a cursor or as a stream", "charge_point", after=CURSOR
                )
            },
            f"{one}/commands/{{action}}": {"post": _command(spoken.values())},
            f"{one}/verbs/{{verb}}": {"post": _verb()},
            f"{one}/local-list": {
                "get": _read("Believed contents of the local list", "charge_point"),
                "post": _send_list(),
            },
            f"{root}/transactions": {
                "get": _read(
                    "Transactions, the newest first by our time of receipt of their start",
                    charge_point=TEXT,
                    connector=NUMBER,
                    id_tag=TEXT,
                    open=FLAG | {"default": 0},
                    flagged=FLAG | {"default": 0},
                    orphans=FLAG | {"default": 0},
                    since=MOMENT,
                    until=MOMENT,
                    before=CURSOR,
                    limit=LIMIT,
                )
            },
            f"{root}/local-lists": {"get": _read("Local lists of all charge points, without their tags")},
            f"{root}/reservations": {
                "get": _read("Reservations, the newest first", charge_point=TEXT, limit=LIMIT)
            },
            f"{root}/charging-profiles": {
                "get": _read("Charging profiles, the newest first", charge_point=TEXT, limit=LIMIT)
            },
            **{
                f"{root}/{path}": {"get": _read(f"{what}, the newest first", charge_point=TEXT, limit=LIMIT)}
                for path, what in LISTED.items()
            },
            f"{root}/installed-certificates": {
                "get": _read("Installed certificates, the newest first", charge_point=TEXT, limit=LIMIT)
            },
            f"{root}/issued-certificates": {
                "get": _read(
                    "Certificates that the authority has signed, the newest first",
                    charge_point=TEXT,
                    state={"type": "string", "enum": list(CERTIFICATE_STATES)},
                    limit=LIMIT,
                )
            },
            f"{root}/issued-certificates/{{serial_number}}": {
                "get": _read("One certificate that the authority has signed", "serial_number")
            },
            f"{root}/issued-certificates/{{serial_number}}/revoke": {"post": _revoke()},
            f"{root}/transactions/{{transaction_id}}": {
                "get": _read(
                    "One transaction with its energy, meter readings and dead letters",
                    "transaction_id",
                    limit=LIMIT | {"default": DEFAULT_READINGS},
                )
            },
            f"{root}/transactions/{{transaction_id}}/close": {"post": _close_transaction()},
            f"{root}/spool/dead-letters/{{number}}": {"delete": _forget_dead_letter()},
            f"{root}/spool/dead-letters/{{number}}/reattach": {"post": _reattach()},
            f"{root}/tags": {"get": _read("All tags"), "post": _enter_tags()},
            f"{root}/tags/{{id_tag}}": {
                "get": _read("One tag", "id_tag", id_type=ID_TYPE),
                "put": _change("Enter or change a tag", "id_tag", id_type=ID_TYPE)
                | {"requestBody": _body(TAG)},
                "delete": _change("Take a tag out", "id_tag", id_type=ID_TYPE),
            },
            f"{root}/tickets": {
                "get": _read(
                    "Open tickets and the last that have ended, the newest first",
                    charge_point=TEXT,
                    open=FLAG | {"default": 0},
                    limit=LIMIT,
                )
            },
            f"{root}/tickets/{{ticket}}": {
                "get": _read("One ticket", "ticket"),
                "delete": _cancel(),
            },
            f"{root}/bulk": {
                "get": _read("Bulk commands that run and the last that have ended, the newest first"),
                "post": _start_bulk(spoken.values()),
            },
            f"{root}/bulk/{{bulk}}": {
                "get": _read(
                    "Counts of a bulk command, and its results in the order in which they ended",
                    "bulk",
                    after={"type": "integer", "minimum": 0, "default": 0},
                    limit=LIMIT,
                    wait={"type": "number", "exclusiveMinimum": 0, "maximum": MAX_WAIT_S},
                ),
                "delete": _cancel_bulk(),
            },
            f"{root}/spool": {
                "get": _read(
                    "Spooled messages and dead letters",
                    after={"type": "integer", "minimum": 0, "default": 0},
                    limit=LIMIT,
                )
            },
            f"{root}/backup": {"post": _backup()},
            f"{root}/tls": {"get": _read("The certificates in use, and when they run out", **WORKER)},
            f"{root}/tls/reload": {"post": _reload_tls()},
            f"{root}/spool/dead-events/{{number}}": {
                "delete": _change("Forget a dead event for good", "number")
            },
            f"{root}/spool/dead-events/{{number}}/retry": {
                "post": _retry("Deliver a dead event to its consumer once more", "number")
            },
            f"{root}/spool/retry": {"post": _retry("Redeliver all dead letters")},
            f"{root}/spool/{{number}}/retry": {
                "post": _retry("Redeliver one dead letter, with its transaction", "number")
            },
            f"{root}/login": {
                "get": _read("Who asks; no name is a stranger") | {"security": []},
                "post": _log_in(),
                "delete": _log_out(),
            },
            f"{root}/tokens": {"get": _read("The tokens of the HTTP API"), "post": _make_token()},
            f"{root}/tokens/{{name}}": {"delete": _change("Revoke a token", "name")},
            f"{root}/plugins": {"get": _read("The plugins of the node", **WORKER)},
            f"{root}/plugins/{{name}}/release": {"post": _release()},
            f"{root}/plugins/{{name}}/promote": {"post": _decide("Let a shadow answer", "It is no shadow")},
            f"{root}/plugins/{{name}}/{{path}}": {
                method: _of_plugin() for method in ("get", "post", "put", "delete")
            },
            f"{root}/supervision": {"get": _read("The tree of supervision of the node", **WORKER)},
            f"{root}/crashes": {
                "get": _read(
                    "The last crashes of sessions of the node, the newest first",
                    rows=FLAG | {"default": 0},
                    **WORKER,
                )
            },
            f"{root}/counters": {"get": _read("All counters of the node", **WORKER)},
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
        | {
            "400": _problem("A parameter is wrong"),
            "401": _problem("The token is wrong"),
            "403": _problem("The token is for less than this"),
            "429": _problem("Too many requests with wrong tokens came from this address"),
        },
    }


def _recording() -> dict[str, Any]:
    described = _read("The flight recorder of one charge point: its last frames and events", "charge_point")
    lines = {"description": "One JSON object a line", "content": {LINES_OF_JSON: {"schema": TEXT}}}
    return described | {"responses": described["responses"] | {"200": lines}}


def _revoke() -> dict[str, Any]:
    described = _change("Revoke a certificate that the authority has signed", "serial_number")
    properties = {"by": WHO, "reason": {"type": "string", "enum": list(REASONS)}}
    return described | {"requestBody": _body(OBJECT | {"properties": properties})}


def _log_in() -> dict[str, Any]:
    described = _read("Log in at the page: a cookie for a token; needs the header X-Chargehand-Page")
    body = _body(OBJECT | {"properties": {"token": TEXT}, "required": ["token"]})
    more = {"409": _problem("This API needs no token"), "422": _problem("The body is no token")}
    return described | {"security": [], "requestBody": body, "responses": described["responses"] | more}


def _log_out() -> dict[str, Any]:
    described = _read("End the login of the cookie; needs the header X-Chargehand-Page")
    responses = described["responses"] | {"204": {"description": "It has ended"}}
    del responses["200"]
    return described | {"responses": responses}


def _cancel() -> dict[str, Any]:
    described = _read("Cancel a command that is not sent yet", "ticket")
    more = {
        "200": _answer("It is cancelled", OBJECT),
        "202": _answer("It will be, when the session of its charge point is back", OBJECT),
        "409": _problem("It is on the wire, or has ended"),
        "503": _problem("The central system stops"),
    }
    return described | {"responses": described["responses"] | more}


def _send_list() -> dict[str, Any]:
    described = _read(
        "Bring its local list in step with the tags",
        "charge_point",
        full=FLAG | {"default": 0},
        clear_cache=FLAG | {"default": 0},
        limit=LIMIT,
        timeout=SECONDS,
    )
    titles = {status: title for status, title in STATUSES.values() if title}
    titles |= {
        404: "The charge point is unknown or not connected",
        409: "The charge point refused or declined it, or a list is on its way to it already",
        502: "The connection died before the answer, or the answer breaks the contract",
        503: "The charge point's queue is full, or the central system stops",
    }
    more = {str(status): _problem(title) for status, title in titles.items()}
    return described | {"responses": described["responses"] | more}


def _close_transaction() -> dict[str, Any]:
    described = _change("Close a transaction by hand", "transaction_id", "It is closed already")
    properties = {
        "by": WHO,
        "reason": TEXT,
        "note": TEXT,
        "meter_stop": {"type": ["integer", "null"]},
        "stopped_at": {"type": ["string", "null"], "format": "date-time"},
    }
    return described | {"requestBody": _body(OBJECT | {"properties": properties})}


def _reattach() -> dict[str, Any]:
    conflict = "It is no stop and no readings, or cannot be read"
    described = _change(
        "Give a transaction the dead letter that is its stop or its readings", "number", conflict
    )
    schema = OBJECT | {"properties": {"transaction_id": NUMBER, "by": WHO}, "required": ["transaction_id"]}
    return described | {"requestBody": _body(schema)}


def _forget_dead_letter() -> dict[str, Any]:
    described = _change("Forget a dead letter for good", "number")
    return described | {"parameters": [*described["parameters"], _parameter("by", "query", TEXT)]}


def _ask_variables(summary: str, kind: type[Any]) -> dict[str, Any]:
    (_,), schemas = msgspec.json.schema_components([kind], ref_template="{name}")
    (schema,) = schemas.values()
    described = _read(summary, "charge_point", timeout=SECONDS)
    more = {
        "200": _answer("A result for each, with a status of its own", OBJECT),
        "409": _problem("The charge point has none, or there is no result: `results` say why"),
        "413": _problem("The body is too large"),
        "422": _problem("The body is wrong, or a text names no variable"),
        "503": _problem("The central system stops"),
    }
    return described | {"responses": described["responses"] | more, "requestBody": _body(schema)}


def _refresh_variables() -> dict[str, Any]:
    described = _read(
        "Have it report its variables, and wait for the last part",
        "charge_point",
        extent={"enum": ["full", "configuration", "summary"], "default": "full"},
        timeout=SECONDS,
        effect_timeout=SECONDS,
    )
    problems = {str(status): _problem(title) for status, title in sorted(SENDING_TITLES.items())}
    more = {
        "200": _answer("`report` is null if no part has come", OBJECT),
        "409": _problem("Refused, or it has none"),
    }
    return described | {"responses": described["responses"] | problems | more}


def _export_variables() -> dict[str, Any]:
    described = _read(
        "Stored variables, as JSON or CSV",
        "charge_point",
        **SEARCHED,
        format={"enum": ["json", "csv"], "default": "json"},
    )
    content = {JSON: {"schema": {"type": "array", "items": OBJECT}}, "text/csv": {"schema": TEXT}}
    return described | {
        "responses": described["responses"] | {"200": {"description": "All of them", "content": content}}
    }


def _forget_report() -> dict[str, Any]:
    described = _read("Delete a report for good", "charge_point", "number")
    more = {"503": _problem("The store could not keep it")}
    return described | {"responses": described["responses"] | more}


def _make_token() -> dict[str, Any]:
    described = _read("Make a token; the answer is the only place where it is seen")
    refusals = {
        409: "There is one of that name",
        422: "The body is wrong",
        503: "The store could not keep it",
    }
    described["responses"] |= {str(status): _problem(title) for status, title in refusals.items()}
    properties = {
        "name": TEXT,
        "scope": {"type": "string", "enum": list(SCOPES), "default": SCOPES[0]},
        "expires_at": {"type": ["string", "null"], "format": "date-time"},
    }
    return described | {"requestBody": _body(OBJECT | {"properties": properties, "required": ["name"]})}


def _release() -> dict[str, Any]:
    described = _decide("Let a plugin out of quarantine, and start it", "It is in none")
    more = {"503": _problem("The central system stops"), "504": _problem("It takes long to start")}
    return described | {"responses": described["responses"] | more}


def _of_plugin() -> dict[str, Any]:
    described = _read("A resource of a plugin, which says what it takes and answers", "name", "path")
    described["responses"]["200"] = _answer("What the plugin says", {})
    more = {
        "405": _problem("It has no such method"),
        "503": _problem("The plugin is out of service"),
        "504": _problem("The plugin did not answer in time"),
    }
    return described | {"responses": described["responses"] | more}


def _decide(summary: str, conflict: str) -> dict[str, Any]:
    described = _read(summary, "name")
    more = {"200": _answer("How the plugin stands now", OBJECT), "409": _problem(conflict)}
    return described | {"responses": described["responses"] | more}


def _enter_charge_point() -> dict[str, Any]:
    described = _change("Enter a charge point before it comes", "charge_point", "It is connected")
    properties: dict[str, Any] = {
        "registration": {"enum": ["Accepted", "Pending", "Rejected"]},
        "security_profile": {
            "type": "integer",
            "minimum": 0,
            "maximum": 3,
            "description": "Least security profile; alone it may be set of a connected charge point, too",
        },
    }
    return described | {"requestBody": _body(OBJECT | {"properties": properties})}


def _forget_charge_point() -> dict[str, Any]:
    return _change(
        "Forget registration, password and security profile of a charge point",
        "charge_point",
        "It is connected",
    )


def _set_password() -> dict[str, Any]:
    described = _change("Set the password of a charge point", "charge_point", "No passwords are kept here")
    said = (
        "Its text, or its bytes behind hex: or base64:; text: goes before a text that begins with one of them"
    )
    properties = {"password": TEXT | {"minLength": 1, "maxLength": 256, "description": said}}
    return described | {"requestBody": _body(OBJECT | {"properties": properties, "required": ["password"]})}


def _about_applicant(word: str) -> dict[str, Any]:
    return _change(f"{word} a charge point that has applied", "charge_point")


def _remove_password() -> dict[str, Any]:
    return _change("Take the password of a charge point away", "charge_point", "No passwords are kept here")


def _backup() -> dict[str, Any]:
    described = _read("A consistent copy of the store's file")
    more = {
        "200": {"description": "The file", "content": {SQLITE: {"schema": TEXT}}},
        "409": _problem("The store is no file, or another backup is being made"),
        "503": _problem("The central system stops"),
        "507": _problem("There is no room for it, or it could not be made"),
    }
    return described | {"responses": described["responses"] | more}


def _reload_tls() -> dict[str, Any]:
    described = _read("Read the files of TLS again; no connection is lost")
    more = {
        "409": _problem("There is no TLS"),
        "422": _problem("The files cannot be used; the certificates before stay in use"),
    }
    return described | {"responses": described["responses"] | more}


def _enter_tags() -> dict[str, Any]:
    described = _change("Enter tags: all of them, or none if one is wrong", "id_tag")
    row = TAG | {
        "properties": {
            "id_tag": {"type": "string", "minLength": 1, "maxLength": 36},
            "id_type": ID_TYPE,
            **TAG["properties"],
        },
        "required": ["id_tag"],
    }
    many = {"type": "object", "properties": {"tags": {"type": "array", "items": row}}}
    parameters = [_parameter("check", "query", FLAG | {"default": 0})]
    return described | {"parameters": parameters, "requestBody": _body(many)}


def _change(summary: str, subject: str, conflict: str = "", **query: dict[str, Any]) -> dict[str, Any]:
    described = _read(summary, subject, **query)
    more = {"422": _problem("The body is wrong"), "503": _problem("The store could not keep it")}
    if conflict:
        more["409"] = _problem(conflict)
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


def verb_schemas() -> dict[str, Any]:
    """Make the schemas of the verbs' members, by their titles."""
    _, schemas = msgspec.json.schema_components(VERBS.values(), ref_template="#/components/schemas/{name}")
    for schema in schemas.values():  # the path has the name of the verb
        del schema["properties"]["verb"]
        schema["required"] = [name for name in schema["required"] if name != "verb"]
        schema["additionalProperties"] = False
        schema["description"] = " ".join(schema["description"].split())
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(schemas))  # a tuple is a list there
    return plain


OPTIONS = {
    "timeout": SECONDS,
    "until_effect": FLAG | {"default": 0},
    "effect_timeout": {"type": "number", "exclusiveMinimum": 0},
    "when_offline": {"enum": ["fail", "queue"], "default": "fail"},
    "expires_in": {"type": "number", "exclusiveMinimum": 0},
}
"""Parameters of the paths that send commands."""

SENDING_TITLES = {status: title for status, title in STATUSES.values() if title} | {
    400: "The body is no JSON, or a parameter is wrong: `until_effect` for an action without one",
    401: "The token is wrong",
    410: "Never sent",
    413: "The body is too large",
    503: "The charge point's queue is full, or the central system stops",
}


def _sent(parameters: list[dict[str, Any]], schema: dict[str, Any], **titles: str) -> dict[str, Any]:
    """Describe the sending of a command; `titles` are those of further statuses, as `status_404`."""
    more = {int(name.removeprefix("status_")): title for name, title in titles.items()}
    problems = {str(status): _problem(title) for status, title in sorted((SENDING_TITLES | more).items())}
    return {
        "parameters": [
            _parameter("charge_point", "path", TEXT),
            *parameters,
            *(_parameter(name, "query", form) for name, form in OPTIONS.items()),
            _parameter("wait", "query", FLAG | {"default": 1}),
        ],
        "requestBody": {"content": {JSON: {"schema": schema}}},
        "responses": {
            "200": _answer("Answered: `response` is the payload", OBJECT),
            "202": _answer("Still open, or its effect is still to come: `ticket` is its id", OBJECT),
            **problems,
        },
    }


def _actions(versions: Collection[Version]) -> list[str]:
    return sorted({row.name for one in versions for row in one.sent_by(Sender.CENTRAL_SYSTEM)})


def _command(versions: Collection[Version]) -> dict[str, Any]:
    parameters = [
        _parameter("action", "path", {"enum": _actions(versions)}),
        _parameter("version", "query", {"enum": [version.name for version in versions]}),
    ]
    return {"summary": "Send a command to a charge point"} | _sent(
        parameters,
        OBJECT,
        status_404="The charge point is unknown or not connected, or the action is unknown",
        status_422="The payload is invalid: `violations` has all that is wrong with it",
    )


def _start_bulk(versions: Collection[Version]) -> dict[str, Any]:
    (described,), more = msgspec.json.schema_components([BulkFilter], ref_template="{name}")
    chosen = more[described["$ref"]] | {"description": "Connected ones, unless `connected` is false"}
    body = {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "charge_points": {"type": "array", "items": TEXT},
            "filter": chosen,
            "action": {"enum": _actions(versions)},
            "payload": OBJECT,
            "version": {"enum": [version.name for version in versions]},
            "verb": {"enum": list(VERBS)},
            "members": OBJECT,
            "at_most_at_once": {"type": "integer", "minimum": 1},
        },
    }
    return {
        "summary": "Send a command to many charge points: to these or those of a filter, an action or a verb",
        "parameters": [_parameter(name, "query", form) for name, form in OPTIONS.items()],
        "requestBody": _body(body),
        "responses": {
            "202": _answer("Started: `bulk` is its id", OBJECT),
            "400": _problem("The body is no JSON, or a parameter is wrong"),
            "401": _problem("The token is wrong"),
            "404": _problem("The action or the verb is unknown"),
            "413": _problem("The body is too large"),
            "422": _problem("A member is wrong, or the payload is invalid"),
            "503": _problem("Too many run, or the central system stops"),
        },
    }


def _cancel_bulk() -> dict[str, Any]:
    described = _read("Cancel what of a bulk command is not on the wire yet", "bulk")
    del described["responses"]["200"]
    more = {"202": _answer("It ends", OBJECT), "409": _problem("It has ended")}
    return described | {"responses": described["responses"] | more}


def _verb() -> dict[str, Any]:
    kinds = [{"$ref": f"#/components/schemas/{kind.__name__}"} for kind in VERBS.values()]
    return {"summary": "Send a verb to a charge point: a command in the words of no version of OCPP"} | _sent(
        [_parameter("verb", "path", {"enum": list(VERBS)})],
        {"anyOf": kinds},
        status_404="The charge point is unknown or not connected, or the verb or the transaction is unknown",
        status_422="A member is wrong, or the charge point's version of OCPP has no message for it",
    )


def _parameter(name: str, place: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": place, "required": place == "path", "schema": schema}


def _problem(text: str) -> dict[str, Any]:
    return _answer(text, {"$ref": "#/components/schemas/Problem"})


def _answer(text: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": text, "content": {JSON: {"schema": schema}}}
