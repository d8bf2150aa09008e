"""The three health endpoints of one process."""

import falcon
import pytest

from chargehand.system.vitals import Check
from chargehand.web.health import (
    NEW_S,
    PROBES,
    STILL_SERVES,
    CheckView,
    NodeHealth,
    NodeWatch,
    ProcessHealth,
    _joined,
)


@pytest.fixture
def failing(system, monkeypatch):
    """Have a check fail, by name."""

    def fail(name, reason="because"):
        monkeypatch.setattr(system.vitals, "checks", lambda: [Check(name, ok=False, reason=reason)])

    return fail


def test_they_are_open_and_all_is_well(client):
    without = {"Authorization": ""}
    for path in PROBES:
        assert client.simulate_get(path, headers=without).status == falcon.HTTP_200
        assert client.simulate_head(path, headers=without).status == falcon.HTTP_200
    told = client.simulate_get("/readyz").json
    assert told["ready"] is True
    assert set(told["checks"]) >= {"store", "hub"}
    assert all(check == {"ok": True, "reason": ""} for check in told["checks"].values())


def test_a_store_that_does_not_answer_makes_it_unready_and_not_dead(client, failing):
    failing("store", "gone")
    ready = client.simulate_get("/readyz")
    assert ready.status == falcon.HTTP_503
    assert ready.json == {"ready": False, "checks": {"store": {"ok": False, "reason": "gone"}}}
    health = client.simulate_get("/healthz")
    assert health.status == falcon.HTTP_503
    assert health.json == {"status": "unready", "connected": 0, "failing": {"store": "gone"}}
    assert client.simulate_get("/livez").status == falcon.HTTP_200


@pytest.mark.parametrize("name", sorted(STILL_SERVES))
def test_without_a_lease_or_with_a_late_hub_it_is_unready_but_serves(client, failing, name):
    failing(name)
    assert client.simulate_get("/readyz").status == falcon.HTTP_503
    health = client.simulate_get("/healthz")
    assert (health.status, health.json["status"]) == (falcon.HTTP_200, "degraded")


def process(worker, *, ok=True, reason=""):
    return ProcessHealth(worker, 0, [], {"store": CheckView(ok, reason)})


def test_a_check_of_one_worker_process_that_fails_names_it():
    assert _joined("store", [process(1), process(2, ok=False, reason="gone")]) == CheckView(
        ok=False, reason="worker 2: gone"
    )
    both = [process(1, ok=False, reason="gone"), process(2, ok=False, reason="gone")]
    assert _joined("store", both) == CheckView(ok=False, reason="gone")
    assert _joined("store", [process(1), process(2)]) == CheckView(ok=True, reason="")


RUNNING, WAITING = (
    [{"worker": 1, "state": "running", "pid": 11}, {"worker": 2, "state": state, "pid": pid}]
    for state, pid in (("running", 12), ("waiting", None))
)


def test_a_worker_process_that_is_started_again_is_named_and_no_fault(system):
    assert NodeWatch(system).check(WAITING, {1}) == CheckView(ok=True, reason="worker 2 is waiting")


def test_a_worker_process_that_has_answered_once_and_is_silent_is_a_fault(system):
    watch = NodeWatch(system)
    assert watch.check(RUNNING, {1, 2}) == CheckView(ok=True, reason="")
    check = watch.check(RUNNING, {1})
    assert not check.ok
    assert "worker 2 did not answer" in check.reason
    assert not NodeHealth([process(1)], {"workers": check}, 0).ready


def test_a_worker_process_has_a_while_after_its_start_until_it_can_be_asked(system):
    now = [0.0]
    watch = NodeWatch(system, lambda: now[0])
    assert watch.check(RUNNING, {1}) == CheckView(ok=True, reason="worker 2 has just started")
    now[0] = NEW_S
    assert not watch.check(RUNNING, {1}).ok
    watch.check(RUNNING, {1, 2})
    assert not watch.check(RUNNING, {1}).ok
    again = [RUNNING[0], RUNNING[1] | {"pid": 13}]
    assert watch.check(again, {1}).ok, "its next life has a while again"


def test_addresses_are_not_told_to_everybody(client, failing):
    failing("store", "cannot be read: postgresql://user@db.example.com:5432/x: refused")
    told = client.simulate_get("/readyz").json["checks"]["store"]["reason"]
    assert told == "cannot be read: … refused"
    assert "example" not in client.simulate_get("/healthz").text
