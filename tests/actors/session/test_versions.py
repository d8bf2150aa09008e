"""A charge point may come back with another version: the connection's subprotocol selects the rules."""

from types import ModuleType

import pytest

from chargehand import InvalidPayload, Plugin, passive, v16, v201
from chargehand.actors.session.commands import prepare, prepared
from chargehand.actors.session.tickets import NeverSent
from chargehand.protocol.actions import Request, Sender, Version, request
from chargehand.protocol.message import Message
from chargehand.protocol.session import SessionRules
from chargehand.protocol.v16.types import Profile
from chargehand.testing import Stage

BOOT = {"chargePointVendor": "V", "chargePointModel": "M"}


class PokeResponse(Message):
    """Answer to a Poke."""


@request("Poke", Profile.CORE, Sender.CENTRAL_SYSTEM)
class Poke(Request[PokeResponse]):
    """Command of the other version."""


class BootNotificationResponse(Message):
    """Answer to a boot of the other version."""

    status: str


@request("BootNotification", Profile.CORE, Sender.CHARGE_POINT, registers=True)
class BootNotification(Request[BootNotificationResponse]):
    """Boot of the other version."""


def _module():
    made = ModuleType(__name__)
    for kind in (Poke, BootNotification):
        setattr(made, kind.__name__, kind)
    return made


OTHER = Version.gather("0.0", "ocpp0.0", [_module()], {})


class BootPlugin(Plugin):
    """Accepts every boot, whatever the version."""

    @passive("BootNotification")
    def boot(self, call):
        if call.incoming.action.version == "0.0":
            return {"status": "Accepted"}
        return {"status": "Accepted", "currentTime": "2026-01-01T00:00:00Z", "interval": 300}


@pytest.fixture
def stage(store):
    with Stage(BootPlugin, store=store, more_rules={OTHER.subprotocol: SessionRules(version=OTHER)}) as stage:
        yield stage


@pytest.fixture
def old(stage):
    """Charge point that has booted with the first version and is away."""
    connection = stage.connect("CP1")
    connection.call("BootNotification", BOOT)
    connection.hang_up()
    return stage.cells["CP1"]


def test_a_connection_brings_its_version(stage, old):
    stage.connect("CP1", subprotocol="ocpp0.0")
    assert old.charge_point.version == "0.0"
    assert old.session.rules.version is OTHER
    stage.connect("CP1", subprotocol="ocpp1.6")
    assert old.charge_point.version == "1.6"


def test_a_command_of_another_version_is_held_until_its_version_is_back(stage, old):
    ticket = stage.send("CP1", v16.ClearCache(), when_offline="queue")
    other = stage.connect("CP1", subprotocol="ocpp0.0")
    assert (ticket.state, ticket.version) == ("held", "1.6")
    assert other.take() == []
    other.hang_up()
    back = stage.connect("CP1", subprotocol="ocpp1.6")
    ((_, _, action, _),) = back.take()
    assert (action, ticket.state) == ("ClearCache", "sent")


def test_a_held_command_is_never_sent_after_a_boot_with_the_other_version(stage, old):
    ticket = stage.send("CP1", v16.ClearCache(), when_offline="queue")
    other = stage.connect("CP1", subprotocol="ocpp0.0")
    assert other.call("BootNotification", {})[2] == {"status": "Accepted"}
    with pytest.raises(NeverSent, match=r"booted with OCPP 0\.0"):
        ticket.result()


def test_a_command_of_another_version_is_never_sent_after_such_a_boot(stage, old):
    other = stage.connect("CP1", subprotocol="ocpp0.0")
    other.call("BootNotification", {})
    late = stage.send("CP1", v16.ClearCache(), when_offline="queue")
    stage.settle()
    assert late.state == "never_sent"
    assert stage.send("CP1", Poke()).version == "0.0"
    stage.settle()
    assert [frame[2] for frame in other.take()] == ["Poke"]


def test_a_held_command_expires(stage, old):
    ticket = stage.send("CP1", v16.ClearCache(), when_offline="queue", expires_in_s=5.0)
    stage.connect("CP1", subprotocol="ocpp0.0")
    stage.advance(6.0)
    assert ticket.state == "expired"


def test_a_registration_is_stored_with_its_version(stage, store, old):
    stage.connect("CP1", subprotocol="ocpp0.0").call("BootNotification", {})
    assert store.registration("CP1").version == "0.0"


# -- Numbers of commands -----------------------------------------------------------------

NEWER = {v201.VERSION.subprotocol: v201.VERSION}


def test_a_command_is_allotted_its_number():
    request = v201.GetReport(request_id=v201.ALLOTTED)
    first, second = (prepared(request, NEWER).request.request_id for _ in range(2))
    assert first > 0
    assert second > 0
    assert first != second
    start = v201.RequestStartTransaction(
        id_token=v201.IdToken(id_token="T", type="Local"), remote_start_id=v201.ALLOTTED
    )
    command = prepared(start, NEWER)
    assert command.payload.endswith(b'"remoteStartId":%d}' % command.request.remote_start_id)


def test_a_number_that_was_given_is_kept():
    assert prepared(v201.GetReport(request_id=5), NEWER).request.request_id == 5
    assert prepare(v201.VERSION, "GetReport", b'{"requestId":5}').payload == b'{"requestId":5}'


@pytest.mark.parametrize(
    "payload", [b"{}", b' { "requestId" : -1 } ', b'{"customData":{"vendorId":"V","x":1.50}}']
)
def test_a_payload_without_a_number_is_given_one_and_stays_what_it_is(payload):
    command = prepare(v201.VERSION, "GetReport", payload)
    assert command.request.request_id > 0
    assert (b"1.50" in command.payload) == (b"1.50" in payload)


@pytest.mark.parametrize("payload", [b"", b"[]", b"{", b'{"requestId":"x"}', b'{"requestId":null}'])
def test_a_payload_that_is_none_stays_invalid(payload):
    with pytest.raises(InvalidPayload):
        prepare(v201.VERSION, "GetReport", payload)
