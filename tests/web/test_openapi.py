"""The OpenAPI description of the API agrees with its routes."""

import re

import falcon
import falcon.inspect

from chargehand.protocol.actions import Sender
from chargehand.protocol.versions import VERSIONS
from chargehand.web.app import make_app
from chargehand.web.commands import STATUSES
from chargehand.web.openapi import describe
from chargehand.web.page_files import page_files


def test_every_route_but_the_stream_is_described_and_nothing_else(system, stop):
    found = {
        (re.sub(r":\w+}", "}", route.path), method.method.lower())
        for route in falcon.inspect.inspect_app(make_app(system, None, stop)).routes
        for method in route.methods
        if not method.internal and method.method != "HEAD"
    }
    described = {(path, method) for path, item in describe()["paths"].items() for method in item}
    found -= {(path, "get") for path in page_files()}
    # A stream has no end that a reader of paths could come to.
    assert found - {("/api/v1/events", "get")} == described


def test_every_segment_of_a_path_is_a_parameter():
    for path, item in describe()["paths"].items():
        for operation in item.values():
            names = [entry["name"] for entry in operation["parameters"] if entry["in"] == "path"]
            assert names == re.findall(r"{(\w+)}", path)


def test_a_commands_statuses_and_actions_are_those_there_are():
    command = describe()["paths"]["/api/v1/charge-points/{charge_point}/commands/{action}"]["post"]
    assert {str(status) for status, _ in STATUSES.values()} <= set(command["responses"])
    (action,) = [entry for entry in command["parameters"] if entry["name"] == "action"]
    assert action["schema"]["enum"] == sorted(
        {row.name for version in VERSIONS.values() for row in version.sent_by(Sender.CENTRAL_SYSTEM)}
    )


def test_it_is_served(client):
    reply = client.simulate_get("/api/v1/openapi.json")
    assert reply.status == falcon.HTTP_200
    assert reply.json == describe()
