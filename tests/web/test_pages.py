"""Every list over HTTP is read page by page, by the cursor that the page before tells."""

import datetime as dt
import json
import re

import pytest

from chargehand import Event
from chargehand.web.openapi import declared_operations

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
PAGED = [
    (route.path, parameter.name)
    for route, _, _, declared in declared_operations()
    for parameter in declared.query
    if parameter.name in ("before", "after") and parameter.type is str
]


def pages(client, path, member, **query):
    """Read a list to its end; return its pages."""
    found, cursor = [], {}
    while cursor is not None:
        told = client.simulate_get(path, params={"limit": 2} | query | cursor).json
        found.append(told[member])
        name = "after" if member == "tags" else "before"
        cursor = {name: told["next"]} if told["more"] else None
    return found


def test_lists_have_cursors():
    assert len(PAGED) > 15


@pytest.mark.parametrize(("path", "name"), PAGED)
def test_a_cursor_that_is_none_is_refused(client, system, path, name):
    if path.endswith("/charge-points"):
        return  # its cursor is an id, and any text may be one
    system.store.register("1", "Accepted")
    for cursor in ("x", "WzFd", "WyJ4IiwieSJd", "bnVsbA=="):
        reply = client.simulate_get(re.sub(r"{\w+}", "1", path), params={name: cursor})
        assert reply.status_code in (200, 400), cursor
        if cursor == "x":
            assert reply.status_code == 400


def test_events_of_one_moment_are_each_told_once(client, system):
    times = [0, 1, 1, 1, 1, 1, 2]
    for number, second in enumerate(times):
        received_at = NOW + dt.timedelta(seconds=second)
        event = Event(charge_point_id="CP1", kind="status", received_at=received_at, data={"n": number})
        system.store.add_event(event).wait(60)
    found = pages(client, "/api/v1/charge-points/CP1/events", "events")
    assert [len(page) for page in found] == [2, 2, 2, 1]
    assert [row["data"]["n"] for page in found for row in page] == [6, 5, 4, 3, 2, 1, 0]


def test_tags_are_told_in_the_order_of_their_names(client):
    rows = [{"id_tag": name} for name in ("b", "A", "c", "Ä", "a2")]
    client.simulate_post("/api/v1/tags", body=json.dumps({"tags": rows}))
    found = pages(client, "/api/v1/tags", "tags")
    assert [row["id_tag"] for page in found for row in page] == ["A", "a2", "b", "c", "Ä"]
