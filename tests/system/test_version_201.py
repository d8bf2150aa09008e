"""OCPP 2.0.1 from socket to socket: a station is served, with fallback answers where handlers fail."""

import json

import msgspec
import pytest

from chargehand import CentralSystem, Plugin, Settings, TicketState, passive, v16, v201
from chargehand.actors.runtime import threads
from chargehand.config.sessions import DeadlineSettings
from chargehand.protocol.effects import Effect
from chargehand.simulator.client import Client
from chargehand.store.memory import MemoryStore
from chargehand.store.sqlite import SqliteStore
from chargehand.web.charge_point_views import facts, stored_facts

from ..hub import until

TIME = "2026-05-04T12:00:00Z"
BOTH = {one.subprotocol: one for one in (v16.VERSION, v201.VERSION)}
BOOT = {"reason": "PowerUp", "chargingStation": {"model": "One", "vendorName": "Acme"}}
EVENT = {
    "eventType": "Started",
    "timestamp": TIME,
    "triggerReason": "Authorized",
    "seqNo": 0,
    "transactionInfo": {"transactionId": "t-1"},
    "idToken": {"idToken": "T", "type": "ISO14443"},
}
FAILING = {
    "Heartbeat": ({}, None),
    "StatusNotification": (
        {"timestamp": TIME, "connectorStatus": "Available", "evseId": 1, "connectorId": 1},
        {},
    ),
    "NotifyEVChargingNeeds": (
        {"evseId": 1, "chargingNeeds": {"requestedEnergyTransfer": "DC"}},
        {"status": "Rejected"},
    ),
    "TransactionEvent": (EVENT, {"idTokenInfo": {"status": "Accepted"}}),
    "MeterValues": (
        {"evseId": 0, "meterValue": [{"timestamp": TIME, "sampledValue": [{"value": 1.25}]}]},
        {},
    ),
}


def status(evse):
    return {"timestamp": TIME, "connectorStatus": "Occupied", "evseId": evse, "connectorId": 1}


def as_json(view):
    return msgspec.json.decode(msgspec.json.encode(view))


class Station201Plugin(Plugin):
    """Accepts boots, and fails at all else that it handles."""

    @passive(v201.BootNotification)
    def boot(self, _):
        return {"status": "Accepted", "currentTime": TIME, "interval": 300}

    @passive(v201.Heartbeat)
    def heartbeat(self, call):
        self._fail(call)

    @passive(v201.StatusNotification)
    def status(self, call):
        self._fail(call)

    @passive(v201.NotifyEVChargingNeeds)
    def needs(self, call):
        self._fail(call)

    @passive(v201.TransactionEvent)
    def event(self, call):
        self._fail(call)

    @passive(v201.MeterValues)
    def values(self, call):
        self._fail(call)

    @passive(v201.NotifyReport)
    def report(self, _):
        return {}

    def _fail(self, call):
        raise RuntimeError(f"{call.action} is not handled")


class StationHarness:
    """A system that speaks both versions, and the socket of a station."""

    def __init__(self, *offered, store=None):
        self.offered = offered
        self.store = store or MemoryStore()
        settings = Settings(port=0, deadlines=DeadlineSettings(default_s=2.0))
        self.system = CentralSystem(
            settings, plugins=[Station201Plugin.spec()], store=self.store, versions=BOTH
        )

    def __enter__(self):
        self.system.start()
        url = f"ws://127.0.0.1:{self.system.port}/ocpp/CP1"
        self.client = Client.connect(url, subprotocols=self.offered)
        return self

    def __exit__(self, *_):
        self.client.close()
        self.system.stop()
        self.store.close()

    def read(self):
        return json.loads(self.client.receive()[0])

    def say(self, message):
        self.client.send_text(json.dumps(message).encode())

    def ask(self, action, payload):
        self.say([2, action, action, payload])
        return self.read()


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        (("ocpp2.0.1",), "2.0.1"),
        (("ocpp2.1", "ocpp2.0.1", "ocpp1.6"), "2.0.1"),
        (("ocpp1.6", "ocpp2.0.1"), "1.6"),
    ],
)
def test_the_version_is_the_first_one_that_the_client_offers_and_the_system_speaks(offered, chosen):
    with StationHarness(*offered) as harness:
        assert harness.client.subprotocol == f"ocpp{chosen}"
        until(lambda: harness.system.charge_point("CP1") is not None)
        assert harness.system.charge_point("CP1").version == chosen


def test_a__registers_and_its_hardware_is_known():
    with StationHarness("ocpp2.0.1") as station:
        assert station.ask("BootNotification", BOOT)[2]["status"] == "Accepted"
        until(lambda: station.store.registration("CP1") is not None)
        assert station.system.charge_point("CP1").boot.charging_station.vendor_name == "Acme"


@pytest.mark.parametrize("action", FAILING)
def test_a_message_whose_handler_fails_gets_the_fallback_answer_of_its_row(action):
    with StationHarness("ocpp2.0.1") as station:
        payload, expected = FAILING[action]
        station.ask("BootNotification", BOOT)
        kind, _, answer = station.ask(action, payload)
        assert kind == 3
        if expected is None:
            assert list(answer) == ["currentTime"]
        else:
            assert answer == expected


def test_an_event_whose_handler_fails_is_spooled_as_it_was_sent():
    with StationHarness("ocpp2.0.1") as station:
        station.ask("BootNotification", BOOT)
        station.ask("TransactionEvent", EVENT)
        (spooled,) = station.store.spooled()
        assert (spooled.version, spooled.action) == ("2.0.1", "TransactionEvent")
        assert json.loads(spooled.payload) == EVENT


def test_the_status_of_each_connector_of_each_evse_is_known():
    with StationHarness("ocpp2.0.1") as station:
        station.ask("BootNotification", BOOT)
        for evse in (10, 1, 2):
            station.ask("StatusNotification", status(evse))
        known = station.system.charge_point("CP1")
        assert sorted(known.connectors) == ["1/1", "10/1", "2/1"]
        shown = as_json(facts(known, ()))
        assert [one["evseId"] for one in shown["connectors"]] == [1, 2, 10]
        assert [one["evse"] for one in shown["statuses"]] == [1, 2, 10]
        assert (shown["statuses"][0]["connector"], shown["statuses"][0]["status"]) == (1, "Occupied")


def test_the_status_of_each_connector_outlives_the_process(tmp_path):
    def store():
        return SqliteStore.open(str(tmp_path / "store.sqlite"), threads)

    with StationHarness("ocpp2.0.1", store=store()) as station:
        station.ask("BootNotification", BOOT)
        for evse in (2, 10, 1):
            station.ask("StatusNotification", status(evse))
    with StationHarness("ocpp2.0.1", store=store()) as station:
        station.ask("Heartbeat", {})
        until(lambda: station.system.charge_point("CP1").boot is not None)
        assert sorted(station.system.charge_point("CP1").connectors) == ["1/1", "10/1", "2/1"]
        told = stored_facts("CP1", None, station.store.told("CP1"))
        assert [one["evseId"] for one in as_json(told)["connectors"]] == [1, 2, 10]
        assert [one["evse"] for one in as_json(told)["statuses"]] == [1, 2, 10]


def test_a_verb_goes_out_in_the_message_of_the_connection():
    with StationHarness("ocpp2.0.1") as station:
        station.ask("BootNotification", BOOT)
        ticket = station.system.start_charging("CP1", "T", evse=1, id_type="ISO14443", until_effect=True)
        _, id_, action, body = station.read()
        assert action == "RequestStartTransaction"
        number = body.pop("remoteStartId")
        assert body == {"evseId": 1, "idToken": {"idToken": "T", "type": "ISO14443"}}
        station.say([3, id_, {"status": "Accepted"}])
        started = {**EVENT, "transactionInfo": {"transactionId": "t-1", "remoteStartId": number}}
        assert station.ask("TransactionEvent", started)[0] == 3
        assert ticket.wait(2.0)
        assert (ticket.state, ticket.effect) == (TicketState.ANSWERED, Effect.DONE)


def test_a_report_is_asked_for_by_a_number_that_the_system_allots():
    with StationHarness("ocpp2.0.1") as station:
        station.ask("BootNotification", BOOT)
        command = station.system.prepare("CP1", "GetBaseReport", b'{"reportBase":"FullInventory"}')
        ticket = station.system.send("CP1", command, until_effect=True)
        _, id_, action, body = station.read()
        assert (action, body["reportBase"]) == ("GetBaseReport", "FullInventory")
        station.say([3, id_, {"status": "Accepted"}])
        part = {"requestId": body["requestId"], "generatedAt": TIME, "seqNo": 0}
        assert station.ask("NotifyReport", {**part, "tbc": True})[0] == 3
        assert ticket.effect is Effect.PENDING
        assert station.ask("NotifyReport", part)[0] == 3
        assert ticket.wait(2.0)
        assert ticket.effect is Effect.DONE


def test_an_action_that_no_plugin_of_the_user_handles_is_answered_by_the_back_office():
    with StationHarness("ocpp2.0.1") as station:
        answer = station.ask("Authorize", {"idToken": {"idToken": "T", "type": "Local"}})
        assert answer[2] == {"idTokenInfo": {"status": "Accepted"}}


def test_a_command_of_the_other_version_is_not_sent():
    with StationHarness("ocpp2.0.1") as station:
        station.ask("BootNotification", BOOT)
        ticket = station.system.send("CP1", v16.ClearCache(), expires_in_s=0.1, when_offline="queue")
        assert ticket.wait(2.0)
        assert ticket.state in (TicketState.NEVER_SENT, TicketState.EXPIRED)
