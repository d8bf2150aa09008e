"""`GET /api/v1/activity`: the busiest charge points, waiting messages, plugins, and handlers that take long."""

import pytest
from gevent.event import Event

from chargehand import CentralSystem, ChargePointOnline, Plugin, Settings, on, passive, v16
from chargehand.system import activity
from chargehand.system.activity import BusyChargePoint, SlowHandler, busiest, inboxes, slowest

PATH = "/api/v1/activity"


def get(client, **params):
    reply = client.simulate_get(PATH, params={name: str(value) for name, value in params.items()})
    return reply.status_code, reply.json


def sum_of(told):
    return sum(told["workers"][0]["calls"].values())


def test_charge_points_are_ordered_by_their_messages(client, charge_point, wait_until):
    for name, number in (("CP1", 3), ("CP2", 5), ("CP3", 0)):
        point = charge_point(name)
        for one in range(number):
            point.send(2, str(one), "Heartbeat", {})
    wait_until(lambda: sum_of(get(client)[1]) == 8, "all are counted")
    status, told = get(client, limit=2)
    assert status == 200
    assert [row["charge_point"] for row in told["busiest"]] == ["CP2", "CP1"]
    assert told["busiest"][0]["messages_per_s"] > told["busiest"][1]["messages_per_s"] > 0
    (worker,) = told["workers"]
    assert (worker["connected"], worker["worker"], worker["calls"]["Heartbeat"]) == (3, 1, 8)
    assert "back-office" in [row["plugin"] for row in told["plugins"]]
    assert (told["unanswered"], told["handlers"], told["inboxes"]) == ([], [], [])


@pytest.mark.parametrize("params", [{"limit": 0}, {"worker": "x"}, {"colour": "red"}])
def test_a_parameter_that_is_wrong_is_refused(client, params):
    assert get(client, **params)[0] == 400


def test_another_worker_process_that_is_not_there_tells_nothing(client):
    status, told = get(client, worker=2)
    assert (status, told["workers"], told["plugins"]) == (200, [], [])


def busy(name, rate, inbox=0):
    return BusyChargePoint(charge_point=name, messages_per_s=rate, inbox=inbox, paused=False, worker=1)


def test_lists_are_bounded_and_leave_out_what_is_idle():
    rows = [busy("a", 1.0, 2), busy("b", 3.0), busy("c", 0.0, 9)]
    assert [row.charge_point for row in busiest(rows, 5)] == ["b", "a"]
    assert [row.charge_point for row in inboxes(rows, 1)] == ["c"]
    slow = [
        SlowHandler(plugin="p", charge_point="a", action="x", state="running", seconds=seconds, worker=1)
        for seconds in (1.0, 3.0, 2.0)
    ]
    assert [row.seconds for row in slowest(slow, 2)] == [3.0, 2.0]


class Slow(Plugin):
    """Answers no Authorize, and takes no event, before its event is set."""

    def __init__(self, go):
        super().__init__()
        self.go = go

    @passive(v16.Authorize)
    def authorize(self, call):
        self.go.wait()
        return v16.AuthorizeResponse(id_tag_info=v16.IdTagInfo(status="Accepted"))

    @on(ChargePointOnline)
    def came(self, event):
        if event.charge_point_id == "SLOW":
            self.go.wait()


@pytest.fixture
def go():
    return Event()


@pytest.fixture
def system(go):
    with CentralSystem(Settings(port=0), plugins=[Slow.spec(go)]) as running:
        yield running


def test_handlers_that_take_long_are_named(client, charge_point, wait_until, go, monkeypatch):
    monkeypatch.setattr(activity, "LONG_S", 0.0)
    charge_point("CP1").send(2, "1", "Authorize", {"idTag": "T1"})
    charge_point("SLOW")
    wait_until(lambda: len(get(client)[1]["handlers"]) == 2, "both are running")
    told = get(client)[1]
    go.set()
    rows = sorted(
        (row["charge_point"], row["plugin"], row["action"], row["state"]) for row in told["handlers"]
    )
    assert rows == [("CP1", "Slow", "Authorize", "running"), ("SLOW", "Slow", "on", "running")]
    assert all(row["seconds"] >= 0 for row in told["handlers"])
    (slow,) = [row for row in told["plugins"] if row["plugin"] == "Slow"]
    assert (slow["running"], slow["concurrency"], slow["quarantined"]) == (2, 64, False)
    wait_until(lambda: not get(client)[1]["handlers"], "they have ended")
