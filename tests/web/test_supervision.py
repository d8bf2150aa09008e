"""Plugins over HTTP: state, release and promotion, of a real system."""

import falcon
import falcon.testing
import gevent
import pytest

from chargehand import CentralSystem, Plugin, Settings, SupervisionSettings, __version__, passive, v16
from chargehand.store.store import StoreError
from chargehand.web import supervision

START = {"connectorId": 1, "idTag": "TAG1", "meterStart": 5, "timestamp": "2026-05-04T12:34:56Z"}
ROW = {
    "state": "running",
    "restart": "permanent",
    "restarts": 0,
    "inbox": 0,
    "last_crash": "",
    "quarantined": False,
    "shadow": False,
    "open_breakers": [],
    "spool": 0,
    "settings": None,
}


class FaultyPlugin(Plugin):
    """Fails at Authorize and StartTransaction until it is mended; its start may take long."""

    mended = False
    slow = False

    def on_start(self):
        while type(self).slow:
            gevent.sleep(0.001)

    @passive(v16.Authorize)
    @passive(v16.StartTransaction)
    def fail(self, call):
        if not self.mended:
            raise RuntimeError("planted")
        return {"idTagInfo": {"status": "Accepted"}, **({"transactionId": 1} if call.transaction_id else {})}


class BlockingShadow(Plugin):
    """Shadow plugin that would block every tag."""

    @passive(v16.Authorize)
    def authorize(self, _call):
        return {"idTagInfo": {"status": "Blocked"}}


@pytest.fixture
def system(monkeypatch):
    monkeypatch.setattr(FaultyPlugin, "mended", False)
    monkeypatch.setattr(FaultyPlugin, "slow", False)
    supervision = SupervisionSettings(
        intensity=0,
        failing_charge_points=2,
        quarantine_s=0,
        redelivery_delay_s=0.001,
        redelivery_delay_max_s=0.001,
    )
    settings = Settings(port=0, supervision=supervision)
    with CentralSystem(settings, plugins=[FaultyPlugin.spec(), BlockingShadow.spec(shadow=True)]) as running:
        yield running


@pytest.fixture
def rows(client):
    """Return the plugins by name."""
    return lambda: {row["name"]: row for row in client.simulate_get("/api/v1/plugins").json["plugins"]}


@pytest.fixture
def quarantined(charge_point, rows, wait_until):
    """Put `FaultyPlugin` in quarantine, with one StartTransaction in its spool."""
    for name in ("CP1", "CP2"):
        charge_point(name).send(2, "1", "Authorize", {"idTag": "T1"})
    wait_until(lambda: rows()["FaultyPlugin"]["quarantined"], "it is in quarantine")
    charge_point("CP3").send(2, "1", "StartTransaction", START)
    wait_until(lambda: rows()["FaultyPlugin"]["spool"], "the message waits")


def test_every_plugin_is_shown_in_order(rows):
    found = rows()
    assert list(found) == [
        "FaultyPlugin",
        "BlockingShadow",
        "accepted-state",
        "authorization-keys",
        "back-office",
        "back-office-201",
        "reports-201",
        "security-profiles",
    ]
    for name, shadow in (
        ("FaultyPlugin", False),
        ("BlockingShadow", True),
        ("accepted-state", False),
        ("back-office", False),
    ):
        version = "" if name[0].isupper() else __version__
        assert found[name] == ROW | {
            "name": name,
            "shadow": shadow,
            "version": version,
            "class": found[name]["class"],
        }
    assert found["back-office"]["class"] == "chargehand.plugins.back_office:BackOffice"


def test_an_open_circuit_breaker_is_shown(charge_point, rows, wait_until):
    cp = charge_point("CP1")
    for number in range(3):
        cp.send(2, str(number), "Authorize", {"idTag": "T1"})
    broken = wait_until(lambda: rows()["FaultyPlugin"]["open_breakers"], "the pair is broken")
    assert broken == [{"charge_point": "CP1", "action": "Authorize"}]


def test_a_plugin_in_quarantine_is_shown_with_its_last_crash_and_what_waits(rows, quarantined):
    row = rows()["FaultyPlugin"]
    assert (row["state"], row["quarantined"], row["spool"]) == ("quarantined", True, 1)
    assert row["last_crash"] == "RuntimeError('planted')"
    assert rows()["back-office"]["spool"] == 0


def test_an_unreadable_spool_hides_nothing_else_and_hinders_no_release(
    client, rows, system, quarantined, monkeypatch
):
    def fail(**_):
        raise StoreError("planted")

    monkeypatch.setattr(system.store, "spooled", fail)
    row = rows()["FaultyPlugin"]
    assert (row["quarantined"], row["spool"]) == (True, None)
    assert client.simulate_post("/api/v1/plugins/FaultyPlugin/release").status == falcon.HTTP_200


def test_release_lets_a_plugin_out_and_it_gets_what_waited(
    client, rows, quarantined, wait_until, monkeypatch
):
    monkeypatch.setattr(FaultyPlugin, "mended", True)
    reply = client.simulate_post("/api/v1/plugins/FaultyPlugin/release")
    assert reply.status == falcon.HTTP_200
    assert (reply.json["name"], reply.json["state"], reply.json["quarantined"]) == (
        "FaultyPlugin",
        "running",
        False,
    )
    wait_until(lambda: rows()["FaultyPlugin"]["spool"] == 0, "the message was replayed")


def test_a_plugin_that_is_in_no_quarantine_is_409(client):
    reply = client.simulate_post("/api/v1/plugins/back-office/release")
    assert reply.status == falcon.HTTP_409
    assert "back-office" in reply.json["description"]


@pytest.mark.parametrize("what", ["release", "promote"])
def test_a_plugin_that_there_is_none_of_is_404_and_the_others_are_named(client, what):
    reply = client.simulate_post(f"/api/v1/plugins/Tags/{what}")
    assert reply.status == falcon.HTTP_404
    assert (
        "FaultyPlugin, BlockingShadow, accepted-state, authorization-keys, back-office"
        in reply.json["description"]
    )


@pytest.mark.parametrize("what", ["release", "promote"])
def test_a_parameter_where_there_is_none_is_400(client, what):
    assert client.simulate_post(f"/api/v1/plugins/BlockingShadow/{what}?now=1").status == falcon.HTTP_400


def test_a_shadow_answers_from_its_promotion_on_and_is_409_after_it(
    client, rows, system, charge_point, wait_until
):
    reply = client.simulate_post("/api/v1/plugins/BlockingShadow/promote")
    assert (reply.status, reply.json["shadow"]) == (falcon.HTTP_200, False)
    found = rows()["BlockingShadow"]
    assert found == ROW | {"name": "BlockingShadow", "version": "", "class": found["class"]}
    charge_point("CP1").send(2, "1", "Authorize", {"idTag": "T1"})
    wait_until(lambda: "Blocked" in system.recording("CP1"), "it has answered")
    reply = client.simulate_post("/api/v1/plugins/BlockingShadow/promote")
    assert reply.status == falcon.HTTP_409
    assert "BlockingShadow" in reply.json["description"]


def test_whoever_waits_for_a_start_is_answered_when_the_endpoint_stops(
    client, rows, quarantined, stop, wait_until, monkeypatch
):
    monkeypatch.setattr(FaultyPlugin, "slow", True)
    waiting = gevent.spawn(client.simulate_post, "/api/v1/plugins/FaultyPlugin/release")
    wait_until(lambda: rows()["FaultyPlugin"]["state"] == "starting", "it starts")
    stop.begin()
    assert waiting.get(timeout=60).status == falcon.HTTP_503
    monkeypatch.setattr(FaultyPlugin, "slow", False)


def test_a_start_that_takes_long_is_504_and_goes_on(client, rows, quarantined, wait_until, monkeypatch):
    monkeypatch.setattr(supervision, "RELEASE_S", 0.02)
    monkeypatch.setattr(FaultyPlugin, "slow", True)
    reply = client.simulate_post("/api/v1/plugins/FaultyPlugin/release")
    assert reply.status == falcon.HTTP_504
    monkeypatch.setattr(FaultyPlugin, "slow", False)
    wait_until(lambda: rows()["FaultyPlugin"]["state"] == "running", "it has started")
