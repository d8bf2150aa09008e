"""The OpenAPI description of the API agrees with its routes, its parameters and its answers."""

import json
import re

import falcon
import falcon.inspect
import pytest

from chargehand.protocol.actions import Sender
from chargehand.protocol.errors import Refused
from chargehand.protocol.payload import strict
from chargehand.protocol.verbs import VERBS, read_verb
from chargehand.protocol.versions import VERSIONS
from chargehand.web.app import make_app
from chargehand.web.commands import STATUSES
from chargehand.web.docs_files import docs_files
from chargehand.web.openapi import declared_operations, describe
from chargehand.web.page_files import page_files
from chargehand.web.views import PROBLEM

from .described import described

ONE = "/api/v1/charge-points/{charge_point}"


def operations():
    for path, item in described()["paths"].items():
        for method, one in item.items():
            yield path, method, one


def general(path):
    """Return the route of a path: those of commands and verbs are described one by one."""
    return re.sub(r"/verbs/\w+$", "/verbs/{verb}", re.sub(r"/commands/\w+$", "/commands/{action}", path))


STREAMS = {("/api/v1/events", "get"), ("/api/v1/charge-points/{charge_point}/frames", "get")}
"""Answers without an end, which a client that is made of the description would wait for."""


def test_every_route_but_the_streams_is_described_and_nothing_else(system, stop):
    found = {
        (re.sub(r":\w+}", "}", route.path), method.method.lower())
        for route in falcon.inspect.inspect_app(make_app(system, None, stop)).routes
        for method in route.methods
        if not method.internal and method.method != "HEAD"
    }
    files = {(path, "get") for path in (*page_files(), *docs_files())}
    assert found - files - STREAMS == {(general(path), method) for path, method, _ in operations()}


def test_every_segment_of_a_path_is_a_parameter():
    for path, _, one in operations():
        names = [entry["name"] for entry in one["parameters"] if entry["in"] == "path"]
        assert names == re.findall(r"{(\w+)}", path)


def test_every_operation_has_an_id_of_its_own_a_summary_and_problems():
    ids = [one["operationId"] for *_, one in operations()]
    assert len(ids) == len(set(ids))
    for path, _, one in operations():
        assert one["summary"], path
        assert {"400", "401", "403", "429", "500", "503"} <= one["responses"].keys(), path
        for status, answer in one["responses"].items():
            if status >= "400" and status != "503":  # readiness is told in its own form
                assert answer["content"].keys() == {PROBLEM}, path


def test_every_command_of_all_versions_and_every_verb_is_a_path():
    paths = described()["paths"]
    for version in VERSIONS.values():
        for row in version.sent_by(Sender.CENTRAL_SYSTEM):
            command = paths[f"{ONE}/commands/{row.name}"]["post"]
            assert {str(status) for status, _ in STATUSES.values()} <= set(command["responses"])
            schema = json.dumps(command["requestBody"])
            assert f'/Ocpp{version.name.replace(".", "")}{row.request.__name__}"' in schema
    for verb in VERBS:
        body = paths[f"{ONE}/verbs/{verb}"]["post"]["requestBody"]["content"]["application/json"]["schema"]
        schema = described()["components"]["schemas"][body["$ref"].rsplit("/", 1)[1]]
        assert "verb" not in schema["properties"]


def test_every_example_of_a_command_is_a_payload_of_one_of_its_versions():
    wrong = []
    for path, _, one in operations():
        if "/commands/" not in path:
            continue
        example = json.dumps(one["requestBody"]["content"]["application/json"]["example"]).encode()
        rows = [
            version.actions[path.rsplit("/", 1)[1]]
            for version in VERSIONS.values()
            if path.rsplit("/", 1)[1] in version.actions
        ]
        if not any(accepts(row.request, example) for row in rows):
            wrong.append((path, example))
    assert wrong == []


def accepts(request, payload):
    try:
        strict(request, payload)
    except Refused:
        return False
    return True


@pytest.mark.parametrize("verb", VERBS)
def test_every_example_of_a_verb_can_be_read(verb):
    body = described()["paths"][f"{ONE}/verbs/{verb}"]["post"]["requestBody"]["content"]["application/json"]
    assert read_verb(verb, json.dumps(body["example"]).encode())


def test_only_what_is_spoken_is_described():
    spoken = {name: version for name, version in VERSIONS.items() if version.name == "1.6"}
    text = json.dumps(describe(spoken))
    assert "Ocpp16Reset" in text
    assert "Ocpp201" not in text


def test_every_reference_leads_to_a_schema_and_no_schema_is_unused():
    schemas = described()["components"]["schemas"]
    found = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(described())))
    assert found == set(schemas)
    assert all(re.fullmatch(r"\w+", name) for name in schemas)


def test_the_parameters_are_those_that_a_resource_takes(client):
    for route, method, _, declared in declared_operations():
        path = re.sub(r"{\w+}", "1", route.path.replace("{verb}", "unlock").replace("{action}", "Reset"))
        # The page's own, which wants a header first; and what plugins take, nobody else knows.
        if declared.public or declared.any_status or path == "/api/v1/login":
            continue
        reply = client.simulate_request(method.upper(), path, params={"no_such_parameter": 1})
        assert reply.status_code == 400, path
        known = reply.json["detail"].partition("known are: ")[2].split(", ")
        assert sorted(known) == sorted([one.name for one in declared.query] or ["none"]), path


def test_without_tls_there_are_no_certificates_and_nothing_to_read_again(client):
    assert client.simulate_get("/api/v1/tls").json == {"certificates": []}
    assert client.simulate_post("/api/v1/tls/reload").status_code == 409


def test_it_is_served(client):
    reply = client.simulate_get("/api/v1/openapi.json")
    assert reply.status == falcon.HTTP_200
    assert reply.json == describe()


@pytest.mark.parametrize("method", ["PATCH", "PUT", "POST", "DELETE"])
def test_a_method_that_there_is_not_is_a_problem(client, method):
    reply = client.simulate_request(method, "/api/v1/counters")
    assert (reply.status_code, reply.headers["content-type"]) == (405, PROBLEM)
    assert reply.json["status"] == 405
    assert reply.json["type"] == "urn:chargehand:problem:method-not-allowed"
