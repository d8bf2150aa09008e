"""A version of OCPP that the package does not know, served from socket to store."""

import json

import pytest

from chargehand import (
    CentralSystem,
    InvalidPayload,
    LocalListsNotSupported,
    NotACommand,
    Plugin,
    Settings,
    TicketState,
    UnknownAction,
    UnknownVersion,
    VerbRefused,
    on_outcome,
    passive,
    v16,
)
from chargehand.config.sessions import DeadlineSettings
from chargehand.config.settings import SupervisionSettings
from chargehand.protocol.effects import Effect
from chargehand.simulator.client import Client
from chargehand.store.memory import MemoryStore

from .. import ocpp00
from ..hub import until

HELLO = [2, "h1", "Hello", {"model": "M"}]


def sold(number, sale="S1", door=1):
    return [2, f"s{number}", "Sold", {"sale": sale, "door": door, "units": 3}]


class SalesPlugin(Plugin):
    """Plugin of that version; `broken` makes it fail sales."""

    def __init__(self, sales, outcomes, broken):
        super().__init__()
        self._sales, self._outcomes, self._broken = sales, outcomes, broken

    @passive(ocpp00.Hello)
    def hello(self, _):
        return {"status": "Accepted", "now": "2026-01-01T00:00:00Z"}

    @passive(ocpp00.Sold)
    def sold(self, call):
        if self._broken:
            raise RuntimeError("broken")
        self._sales.append(call.request.sale)
        return {}

    @on_outcome(ocpp00.Open)
    def opened(self, ticket):
        self._outcomes.append(ticket.state)


class OtherVersionHarness:
    """System of that version, and a charge point's socket."""

    def __init__(self, policy="lenient", *, plugins=True):
        self.sales, self.outcomes, self.broken = [], [], []
        self.store = MemoryStore()
        settings = Settings(
            port=0,
            policy=policy,
            deadlines=DeadlineSettings(default_s=2.0),
            supervision=SupervisionSettings(redelivery_delay_s=0.01, redelivery_delay_max_s=0.05),
        )
        self.system = CentralSystem(
            settings,
            plugins=[SalesPlugin.spec(self.sales, self.outcomes, self.broken)] if plugins else [],
            store=self.store,
            versions=ocpp00.VERSIONS,
        )

    def __enter__(self):
        self.system.start()
        url = f"ws://127.0.0.1:{self.system.port}/ocpp/CP1"
        self.client = Client.connect(url, subprotocols=("ocpp1.6", "ocpp0.0"))
        return self

    def __exit__(self, *_):
        self.client.close()
        self.system.stop()
        self.store.close()

    def read(self):
        return json.loads(self.client.receive()[0])

    def say(self, message):
        self.client.send_text(json.dumps(message).encode())

    def ask(self, message):
        self.say(message)
        return self.read()


def test_a_charge_point_registers_and_the_store_knows_it():
    with OtherVersionHarness() as setup:
        assert setup.client.subprotocol == "ocpp0.0"
        assert setup.ask(HELLO)[2]["status"] == "Accepted"
        assert setup.system.charge_point("CP1").version == "0.0"
        until(lambda: setup.store.registration("CP1") is not None)
        assert setup.store.registration("CP1").status == "Accepted"


def test_an_action_without_handler_gets_the_fallback():
    with OtherVersionHarness(plugins=False) as setup:
        assert setup.ask(HELLO)[0] == 4


def test_a_sale_whose_handler_fails_is_spooled_and_redelivered():
    with OtherVersionHarness() as setup:
        setup.ask(HELLO)
        setup.broken.append(True)
        assert setup.ask(sold(1)) == [3, "s1", {}]
        (spooled,) = setup.store.spooled()
        assert (spooled.version, spooled.action) == ("0.0", "Sold")
        setup.broken.clear()
        until(lambda: setup.sales == ["S1"] and not setup.store.spooled())


@pytest.mark.parametrize(("policy", "kind"), [("lenient", 3), ("strict", 4)])
def test_a_deviation_is_refused_by_the_strict_policy_only(policy, kind):
    with OtherVersionHarness(policy) as setup:
        assert setup.ask([2, "h1", "Hello", {"model": "M", "colour": "red"}])[0] == kind


def test_a_command_is_answered_and_its_effect_is_seen():
    with OtherVersionHarness() as setup:
        setup.ask(HELLO)
        ticket = setup.system.send("CP1", ocpp00.Open(door=1), until_effect=True)
        _, id_, action, body = setup.read()
        assert (action, body) == ("Open", {"door": 1})
        setup.say([3, id_, {"status": "Accepted"}])
        assert setup.ask(sold(1)) == [3, "s1", {}]
        assert ticket.wait(2.0)
        assert (ticket.state, ticket.effect) == (TicketState.ANSWERED, Effect.DONE)
        until(lambda: setup.outcomes == [TicketState.ANSWERED])
        assert setup.system.ticket(ticket.id) is ticket


def test_a_newer_command_supersedes_one_that_waits():
    with OtherVersionHarness() as setup:
        setup.ask(HELLO)
        setup.system.send("CP1", ocpp00.Open(door=2))
        in_flight = setup.read()[1]
        first, second = (setup.system.send("CP1", ocpp00.Open(door=1)) for _ in range(2))
        until(lambda: first.state is TicketState.SUPERSEDED)
        setup.say([3, in_flight, {"status": "Accepted"}])
        setup.say([3, setup.read()[1], {"status": "Accepted"}])
        assert second.wait(2.0)
        assert second.result().status == "Accepted"


def test_a_version_without_local_lists_says_so():
    with OtherVersionHarness() as setup:
        setup.ask(HELLO)
        with pytest.raises(LocalListsNotSupported, match=r"CP1: OCPP 0\.0"):
            setup.system.push_local_list("CP1")
        with pytest.raises(VerbRefused, match="sync_local_list"):
            setup.system.sync_local_list("CP1")


def test_a_prepared_command_is_sent_as_it_was_checked():
    with OtherVersionHarness() as setup:
        setup.ask(HELLO)
        command = setup.system.prepare("CP1", "Open", b'{ "door": 1 }')
        assert (command.row.name, command.request, command.payload) == (
            "Open",
            ocpp00.Open(door=1),
            b'{"door":1}',
        )
        ticket = setup.system.send("CP1", command)
        assert (ticket.action, ticket.payload) == ("Open", b'{"door":1}')
        assert setup.read()[2:] == ["Open", {"door": 1}]


@pytest.mark.parametrize(
    ("action", "payload", "version", "error"),
    [
        ("Opne", b"{}", "", UnknownAction),
        ("Sold", b"{}", "", NotACommand),
        ("Open", b"{}", "", InvalidPayload),
        ("Open", b"{", "", InvalidPayload),
        ("Open", b'{"door": 1}', "1.6", UnknownVersion),
    ],
)
def test_what_is_no_command_is_not_prepared(action, payload, version, error):
    with CentralSystem(Settings(port=0), versions=ocpp00.VERSIONS) as system, pytest.raises(error):
        system.prepare("CP1", action, payload, version)


def test_a_command_to_a_charge_point_that_was_never_seen_is_of_the_preferred_version():
    both = {**ocpp00.VERSIONS, v16.VERSION.subprotocol: v16.VERSION}
    with CentralSystem(Settings(port=0), versions=both) as system:
        with pytest.raises(UnknownAction):
            system.prepare("CP1", "ClearCache", b"{}")
        assert system.prepare("CP1", "Open", b'{"door": 1}').row.version == "0.0"
        assert system.prepare("CP1", "ClearCache", b"{}", "1.6").request == v16.ClearCache()
