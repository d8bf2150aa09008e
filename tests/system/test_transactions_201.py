"""Transaction events of OCPP 2.0.1 in a system: a user's plugin before the back office, the spool, and events."""

import json

import pytest

from chargehand import (
    CentralSystem,
    ConfigError,
    Plugin,
    Settings,
    TransactionEnded,
    TransactionStarted,
    TransactionUpdated,
    passive,
    v201,
)
from chargehand.actors.runtime import threads
from chargehand.config.sessions import DeadlineSettings, SessionSettings
from chargehand.simulator.client import Client
from chargehand.store.sqlite import SqliteStore

from ..hub import until

BOOT = {"reason": "PowerUp", "chargingStation": {"model": "One", "vendorName": "Acme"}}
TIME = "2026-05-04T12:0{}:00Z"


def event(kind, seq, wh, **more):
    sampled = {"value": wh, "context": {"Started": "Transaction.Begin"}.get(kind, "Sample.Periodic")}
    return {
        "eventType": kind,
        "timestamp": TIME.format(seq),
        "triggerReason": "MeterValuePeriodic",
        "seqNo": seq,
        "transactionInfo": {"transactionId": "tx-1", "chargingState": "Charging"},
        "evse": {"id": 2},
        "meterValue": [{"timestamp": TIME.format(seq), "sampledValue": [sampled]}],
        **more,
    }


EVENTS = [
    event("Started", 0, 1000, idToken={"idToken": "T1", "type": "Central"}),
    event("Updated", 1, 1200),
    event("Ended", 2, 1500),
]


class FaultyPlugin(Plugin):
    """Fails at the first events, and passes the others on to the back office."""

    left = 0

    @passive(v201.TransactionEvent)
    def event(self, call):
        if FaultyPlugin.left:
            FaultyPlugin.left -= 1
            raise RuntimeError("not yet")
        return call.pass_on()


@pytest.fixture
def serve(tmp_path):
    opened = []

    def serve():
        store = SqliteStore.open(str(tmp_path / "store.sqlite"), threads)
        deadlines = DeadlineSettings(default_s=2.0)
        system = CentralSystem(
            Settings(port=0, deadlines=deadlines), plugins=[FaultyPlugin.spec()], store=store
        )
        opened.append((system, store))
        system.start()
        return system, store

    yield serve
    for system, store in opened:
        system.stop()
        store.close()


def ask(client, action, payload):
    client.send_text(json.dumps([2, f"{action}-{payload.get('seqNo')}", action, payload]).encode())
    return json.loads(client.receive()[0])


@pytest.mark.parametrize("failures", [0, 1, 2])
def test_events_that_a_plugin_fails_at_are_stored_and_handled_later_in_order(failures, serve, monkeypatch):
    monkeypatch.setattr(FaultyPlugin, "left", failures)
    system, store = serve()
    told = []
    system.subscribe([TransactionUpdated], told.append)
    system.subscribe([TransactionStarted, TransactionEnded], told.append, durable="test")
    client = Client.connect(f"ws://127.0.0.1:{system.port}/ocpp/CP1", subprotocols=["ocpp2.0.1"])
    try:
        assert ask(client, "BootNotification", BOOT)[2]["status"] == "Accepted"
        for one in EVENTS:
            assert ask(client, "TransactionEvent", one)[0] == 3
        until(lambda: not store.spooled(), "the spool is empty", timeout_s=60)
        (known,) = until(lambda: [one for one in store.transactions() if not one.open], "it has ended")
        assert (known.remote_id, known.id_tag, known.evse_id) == ("tx-1", "T1", 2)
        assert system.assessment.assessed(known).energy_wh == 500
        assert len(store.meter_readings(known.id)) == 3
        assert [flag.endswith("by a fallback") for flag in known.flags] == [True] * bool(failures)
        until(lambda: any(isinstance(one, TransactionEnded) for one in told), "the end is told")
        ended = next(one for one in told if isinstance(one, TransactionEnded))
        assert ended.transaction.energy_wh == 500
        updates = [one for one in told if isinstance(one, TransactionUpdated)]
        if not failures:
            assert [(one.transaction_id, one.register_wh, one.charging_state) for one in updates] == [
                (known.id, 1200.0, "Charging")
            ]
    finally:
        client.close()


@pytest.mark.parametrize(
    "more", [{"versions": ("1.5",)}, {"versions_of": {"CP1": "3.0"}}, {"compression": ("2.1",)}]
)
def test_a_version_that_is_not_spoken_is_an_error_of_the_settings(more):
    with pytest.raises(ConfigError, match=r"is not one of 1\.6, 2\.0\.1"):
        CentralSystem(Settings(port=0, sessions=SessionSettings(**more))).start()
