"""Client of the API that holds each answer against the description of its operation."""

import gzip
import json
import re
from functools import cache
from typing import Any

import falcon.testing
import jsonschema
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from chargehand.web.openapi import describe
from chargehand.web.views import JSON, PROBLEM

METHODS = frozenset({"GET", "PUT", "POST", "DELETE"})
NOT_MODIFIED = 304


@cache
def described() -> dict[str, Any]:
    return describe()


@cache
def _paths() -> list[tuple[re.Pattern[str], str]]:
    # Paths without segments come first: `/spool/retry` is not `/spool/{number}`.
    ordered = sorted(described()["paths"], key=lambda path: (path.count("{"), path))
    return [(re.compile(re.sub(r"{\w+}", "[^/]+", path)), path) for path in ordered]


@cache
def _registry() -> Any:
    return Registry().with_resource("urn:api", Resource(contents=described(), specification=DRAFT202012))


def path_of(path: str) -> str | None:
    """Return the described path that a path belongs to."""
    return next((name for pattern, name in _paths() if pattern.fullmatch(path)), None)


def check(method: str, path: str, status: int, media: str, text: str) -> None:
    """Assert that an answer is one of its operation."""
    found = path_of(path)
    if found is None or method.lower() not in described()["paths"][found]:
        return  # no resource, or an action that there is not
    responses = described()["paths"][found][method.lower()]["responses"]
    if str(status) not in responses and "default" in responses:
        return
    assert str(status) in responses, f"{method} {path}: {status} is not described"
    content = responses[str(status)].get("content", {})
    kind = media.partition(";")[0]
    if status == 204:
        return
    assert kind in content, f"{method} {path}: {status} is {kind}, described are {', '.join(content)}"
    if kind in (JSON, PROBLEM):
        schema = content[kind]["schema"]
        validator = _validator_of(json.dumps(schema))
        errors = [
            f"{error.json_path}: {error.message[:200]}" for error in validator.iter_errors(json.loads(text))
        ]
        assert not errors, f"{method} {path}: {errors}"


@cache
def _validator_of(schema: str) -> Any:
    text = schema.replace('"#/components', '"urn:api#/components')
    return jsonschema.Draft202012Validator(json.loads(text), registry=_registry())


class DescribedClient(falcon.testing.TestClient):
    """Test client that checks each answer."""

    def simulate_request(self, *args: Any, **kwargs: Any) -> Any:
        result = super().simulate_request(*args, **kwargs)
        method = args[0] if args else kwargs.get("method", "GET")
        path = str(args[1] if len(args) > 1 else kwargs.get("path", "/")).partition("?")[0]
        media = result.headers.get("content-type", "")
        if (
            not media.startswith("text/event-stream")
            and method in METHODS
            and result.status_code != NOT_MODIFIED
        ):
            packed = result.headers.get("content-encoding") == "gzip"
            text = (gzip.decompress(result.content) if packed else result.content).decode(errors="replace")
            check(method, path, result.status_code, media, text)
        return result
