"""Description of the API, OpenAPI 3.1: made of the routes, the declared operations, and the structs that they name.

One rule: nothing of the API is written here by hand; a test holds all answers of the other tests against the result.
The commands of all versions of OCPP, and the verbs, are paths of their own, with the schemas of their messages.
"""

from __future__ import annotations

import inspect
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec

from .. import __version__
from ..protocol.actions import Sender
from ..protocol.verbs import VERBS
from ..protocol.versions import VERSIONS
from .examples import example_of
from .operations import NOTHING, Parameter, operation_of
from .routes import ROUTES
from .views import JSON, PROBLEM, View, encode

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ..protocol.actions import Action, Version
    from .operations import Operation
    from .routes import Route

REF = "#/components/schemas/{name}"
METHODS = ("get", "put", "post", "delete")
EVERYWHERE = {
    400: "The body is no JSON, or a parameter is wrong",
    401: "There is no token, or it is wrong",
    403: "The token is for less than this",
    429: "Too many requests with wrong tokens came from this address",
    500: "The central system failed; the reason is in its log",
    503: "The central system stops, or its store does not answer",
}
"""Problems of all operations."""
WITH_BODY = {408: "The body did not come in time", 413: "The body is too large", 422: "The body is wrong"}
SEGMENTS = {
    "charge_point": "Id of a charge point",
    "action": "Action of OCPP",
    "verb": "Verb",
    "number": "Number",
    "bulk": "Id of a bulk command",
    "ticket": "Id of a ticket",
    "transaction_id": "Number of a transaction",
    "serial_number": "Serial number in hexadecimal digits, with or without colons",
    "id_tag": "Id tag",
    "name": "Name",
    "path": "Path below the name; its segments are those of the plugin",
}


class ProblemView(View):
    """Problem, RFC 9457. Further members depend on it; `description` is the name that `detail` had before."""

    type: str
    title: str
    status: int
    detail: str
    description: str


def describe(spoken: Mapping[str, Version] = VERSIONS) -> dict[str, Any]:
    """Make the description, for a server that speaks these versions."""
    return _Description(list(spoken.values())).made()


class _Description:
    """Description that is being made: the paths, and the types whose schemas they refer to."""

    def __init__(self, versions: list[Version]) -> None:
        self._versions = versions
        self._types: dict[Any, Any] = {}

    def made(self) -> dict[str, Any]:
        """Return the whole of it, of lists and dictionaries only."""
        operations = list(self._operations())
        kinds = dict.fromkeys([ProblemView, *(kind for *_, one in operations for kind in _kinds_of(one))])
        components = self._schemas([kind for kind in kinds if not isinstance(kind, Body)], REF)
        for version in self._versions:
            prefix = f"Ocpp{version.name.replace('.', '')}"
            messages = [row.request for row in version.sent_by(Sender.CENTRAL_SYSTEM)]
            found = self._schemas(messages, REF.replace("{name}", f"{prefix}{{name}}"))
            components |= {f"{prefix}{name}": schema for name, schema in found.items()}
        paths: dict[str, dict[str, Any]] = {}
        for path, method, responder, declared in operations:
            described = paths.setdefault(path, {})[method] = self._operation(path, responder, declared)
            if method == "get" and JSON in described["responses"]["200"].get("content", {}):
                described["responses"]["304"] = {
                    "description": "The client has it: `If-None-Match` names its ETag"
                }
        made = {
            "openapi": "3.1.0",
            "info": {
                "title": "chargehand",
                "version": __version__,
                "description": "HTTP API of an OCPP central system.",
                "license": {"name": "MIT", "identifier": "MIT"},
            },
            "servers": [{"url": "/"}],
            "security": [{"token": []}],
            "tags": [{"name": tag} for tag in dict.fromkeys(one.tag for *_, one in operations)],
            "paths": paths,
            "components": {
                "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
                "schemas": {name: _component(name, schema) for name, schema in sorted(components.items())},
            },
        }
        return _named(made)

    def _schemas(self, kinds: list[Any], template: str) -> dict[str, Any]:
        """Make the schemas of types, to which the operations refer then; return those of their structs by name."""
        schemas, components = msgspec.json.schema_components(
            kinds, schema_hook=_custom, ref_template=template
        )
        self._types |= dict(zip(kinds, schemas, strict=True))
        return dict(components)

    def _operations(self) -> Iterator[tuple[str, str, Any, Operation]]:
        """Yield path, method, responder and declaration; a path that stands for many is replaced by these."""
        for route, method, responder, declared in declared_operations():
            if "text/event-stream" in declared.content:
                continue  # a client that is made of this would wait for the end of a stream
            if declared.many == "actions":
                for action in self._actions():
                    yield action.path(route.path), method, action.responder, action.declared(declared)
            elif declared.many == "verbs":
                for verb in VERBS:
                    one = _Verb(verb)
                    yield one.path(route.path), method, one.responder, one.declared(declared)
            else:
                yield route.path, method, responder, declared

    def _actions(self) -> list[_Command]:
        rows: dict[str, list[tuple[Version, Action]]] = {}
        for version in self._versions:
            for row in version.sent_by(Sender.CENTRAL_SYSTEM):
                rows.setdefault(row.name, []).append((version, row))
        return [_Command(name, found) for name, found in sorted(rows.items())]

    # -- One operation ---------------------------------------------------------------------------

    def _operation(self, path: str, responder: Any, declared: Operation) -> dict[str, Any]:
        summary, _, more = inspect.cleandoc(responder.__doc__ or "").partition("\n\n")
        segments = re.findall(r"{(\w+)}", path)
        described: dict[str, Any] = {
            "operationId": declared.id,
            "tags": [declared.tag],
            "summary": " ".join(summary.split()).rstrip("."),
        }
        if more:
            described["description"] = " ".join(more.split())
        described["parameters"] = [
            *(_segment(name, declared) for name in segments),
            *(self._parameter(one) for one in declared.query),
        ]
        if declared.body is not None:
            content: dict[str, Any] = {"schema": self._body(declared.body)}
            if declared.example is not None:
                content["example"] = declared.example
            described["requestBody"] = {"content": {JSON: content}}
        described["responses"] = self._responses(declared, segments)
        if declared.public:
            described["security"] = []
        return described

    def _body(self, kind: Any) -> dict[str, Any]:
        if not isinstance(kind, Body):
            return dict(self._types[kind])
        schemas = [self._types[one] for one in kind]
        return dict(schemas[0]) if len(schemas) == 1 else {"anyOf": schemas}

    def _parameter(self, parameter: Parameter) -> dict[str, Any]:
        schema = dict(self._types[parameter.type])
        if parameter.default is not NOTHING:
            schema["default"] = parameter.default
        return {
            "name": parameter.name,
            "in": "query",
            "description": parameter.description,
            "required": parameter.required,
            "schema": schema,
        }

    def _responses(self, declared: Operation, segments: list[str]) -> dict[str, Any]:
        problems = EVERYWHERE | (WITH_BODY if declared.body is not None else {})
        problems |= {404: "It is not known"} if segments else {}
        problems |= declared.problems
        content: dict[str, Any] = {}
        if declared.answer is not None:
            content[JSON] = {"schema": self._types[declared.answer]}
        for media, kind in declared.content.items():
            binary = {"type": "string", "format": "binary"}
            content[media] = {"schema": binary if kind is bytes else self._types[kind]}
        responses: dict[str, Any] = {str(declared.status): {"description": "Done"}}
        if content:
            responses[str(declared.status)]["content"] = content
        for status, kind in declared.answers.items():
            schema = {"schema": self._types[kind]}
            responses[str(status)] = {"description": OTHER[status], "content": {JSON: schema}}
        for status, text in sorted(problems.items()):
            schema = {"schema": self._types[ProblemView]}
            responses.setdefault(str(status), {"description": text, "content": {PROBLEM: schema}})
        if declared.any_status:
            schema = {"schema": self._types[ProblemView]}
            responses["default"] = {"description": "What the plugin refuses", "content": {PROBLEM: schema}}
        return responses


OTHER = {202: "Still open", 503: "Not ready"}
"""Meaning of statuses of further answers."""


def declared_operations(
    routes: Iterable[Route] = ROUTES,
) -> Iterator[tuple[Route, str, Any, Operation]]:
    """Yield the operations of routes: route, method, responder and declaration."""
    for route in routes:
        for method in METHODS:
            name = f"on_{method}_{route.suffix}" if route.suffix else f"on_{method}"
            responder = getattr(route.resource, name, None)
            declared = operation_of(responder)
            if responder is not None and declared is not None:
                yield route, method, responder, declared


class _Command:
    """Command of OCPP, as a path of its own; several versions may have it."""

    def __init__(self, name: str, rows: list[tuple[Version, Action]]) -> None:
        self._name = name
        self._rows = rows

    def path(self, path: str) -> str:
        return path.replace("{action}", self._name)

    @property
    def responder(self) -> Any:
        names = " and ".join(version.name for version, _ in self._rows)
        text = inspect.cleandoc(self._rows[0][1].request.__doc__ or "").partition("\n\n")[0]
        return _Documented(f"Send {self._name}, OCPP {names}.\n\n{text}")

    def declared(self, declared: Operation) -> Operation:
        body = Body(row.request for _, row in self._rows)
        query = declared.query
        if not any(row.effect for _, row in self._rows):  # there is none to wait for
            query = tuple(one for one in query if one.name not in ("until_effect", "effect_timeout"))
        return replace(declared, id=f"send{self._name}", body=body, query=query, many="")


class _Verb:
    """Verb, as a path of its own."""

    def __init__(self, name: str) -> None:
        self._name = name

    def path(self, path: str) -> str:
        return path.replace("{verb}", self._name)

    @property
    def responder(self) -> Any:
        text = inspect.cleandoc(VERBS[self._name].__doc__ or "")
        return _Documented(f"Send the verb {self._name}.\n\n{text}")

    def declared(self, declared: Operation) -> Operation:
        name = "".join(part.title() for part in self._name.split("_"))
        return replace(declared, id=f"do{name}", body=VERBS[self._name], many="")


class _Documented:
    """Text in the place of a responder."""

    def __init__(self, text: str) -> None:
        self.__doc__ = text


class Body(tuple[type, ...]):
    """Messages of several versions, of which a body is one."""

    __slots__ = ()


def _kinds_of(declared: Operation) -> Iterator[Any]:
    yield from (parameter.type for parameter in declared.query)
    if declared.body is not None:
        yield declared.body
    if declared.answer is not None:
        yield declared.answer
    yield from declared.answers.values()
    yield from declared.content.values()


def _segment(name: str, declared: Operation) -> dict[str, Any]:
    text = declared.segments.get(name, SEGMENTS[name])
    return {"name": name, "in": "path", "description": text, "required": True, "schema": {"type": "string"}}


def _custom(kind: type) -> dict[str, Any]:
    """Describe a type that msgspec does not know: numbers of any precision, and data of a vendor."""
    return {"type": "object"} if issubclass(dict, kind) else {"type": "number"}


_VERBS = {kind.__name__ for kind in VERBS.values()}
_VIEW = re.compile(r"(#/components/schemas/\w+)View\b")


def _component(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """Describe a struct under a title of its own; the path has the name of a verb."""
    schema = {**schema, "title": name, "description": " ".join(schema.get("description", "").split())}
    if name in _VERBS:
        schema["properties"] = {key: value for key, value in schema["properties"].items() if key != "verb"}
        schema["required"] = [key for key in schema["required"] if key != "verb"]
        schema["additionalProperties"] = False
    return schema


def _named(made: dict[str, Any]) -> dict[str, Any]:
    """Return the description with the names of the things that views show, and without defaults that are null."""
    plain = msgspec.json.decode(_VIEW.sub(r"\1", encode(made).decode()))
    schemas = plain["components"]["schemas"]
    plain["components"]["schemas"] = {name.removesuffix("View"): one for name, one in schemas.items()}
    named = _without_null(plain)
    for item in _bodies(named):
        item.setdefault("example", example_of(item["schema"], named["components"]["schemas"]))
    return named  # type: ignore[no-any-return]


def _bodies(described: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the content of each body that has a schema."""
    for operations in described["paths"].values():
        for one in operations.values():
            content = one.get("requestBody", {}).get("content", {}).get(JSON, {})
            if content.get("schema"):
                yield content


def _without_null(node: Any) -> Any:
    if isinstance(node, dict):
        if "title" in node and isinstance(node["title"], str):
            node = node | {"title": node["title"].removesuffix("View")}
        if node.get("type") == "array" and not node.keys() & {"items", "prefixItems"}:
            node = node | {"items": {}}  # of anything: some generators want that said
        return {
            key: _without_null(value) for key, value in node.items() if key != "default" or value is not None
        }
    if isinstance(node, list):
        return [_without_null(one) for one in node]
    return node
