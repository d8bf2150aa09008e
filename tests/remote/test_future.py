"""Messages of newer programs between processes: new members are ignored, and new kinds change nothing."""

import datetime as dt

import msgspec
import pytest

from chargehand.protocol.events import NodeJoined
from chargehand.remote.cluster import messages
from chargehand.remote.cluster.messages import AnyMessage, CommandEnded, decode
from chargehand.remote.plugins import envelopes
from chargehand.remote.plugins.envelopes import AnyEnvelope, UnreadableEnvelope, read_answer, read_envelope
from chargehand.store.events import EVENTS, decoded, encoded
from chargehand.store.records import TicketRecord

NEW = {"foreseen": {"a": [1, None]}}
TICKET = TicketRecord(
    id="1", charge_point_id="CP1", version="1.6", action="Reset", payload="{}", state="queued", created_at=1.0,
    expires_at=None, timeout_s=1.0, when_offline="fail", effect_timeout_s=1.0, node="a",
)  # fmt: skip
OF = {"ticket": TICKET, "kinds": ("Booted",), "versions": ("1.6",)}
ENVELOPE = {"kind": "seen", "node": "a", "charge_point": "CP1", "v": 1, "items": []}


def example(kind):
    """Make a message of a kind, with a value for each member that has to be given."""
    simple = {"str": "x", "int": 1, "float": 1.0, "bytes": b"x"}
    given = {
        field.name: OF.get(
            field.name, simple.get(field.type if isinstance(field.type, str) else field.type.__name__)
        )
        for field in msgspec.structs.fields(kind)
        if field.required
    }
    return kind(**given)


@pytest.mark.parametrize("kind", AnyMessage.__args__, ids=lambda kind: kind.__name__)
def test_a_message_between_nodes_may_have_members_that_are_new(kind):
    message = example(kind)
    told = msgspec.to_builtins(message, builtin_types=(bytes,)) | NEW
    assert decode(msgspec.msgpack.encode(told)) == message
    if "ticket" in told:
        told["ticket"] |= NEW
        assert decode(msgspec.msgpack.encode(told)) == message


def test_a_message_of_a_new_kind_is_none():
    assert decode(msgspec.msgpack.encode({"kind": "foreseen", "id": "1"})) is None
    assert messages.encode(CommandEnded(id="1", state="answered", at=1.0))


def test_an_envelope_may_have_new_members_and_one_of_a_new_kind_is_unreadable():
    assert read_envelope(envelopes.encode(ENVELOPE | NEW)).charge_point == "CP1"
    assert read_answer(b'{"kind":"answer","id":"1","response":{},"foreseen":1}').id == "1"
    with pytest.raises(UnreadableEnvelope):
        read_envelope(envelopes.encode(ENVELOPE | {"kind": "foreseen"}))
    assert len(AnyEnvelope.__args__) == 4


@pytest.mark.parametrize("kind", EVENTS.values(), ids=EVENTS)
def test_an_event_may_have_members_that_are_new(kind):
    assert not kind.__struct_config__.forbid_unknown_fields


def test_an_event_with_a_new_member_is_that_event():
    event = NodeJoined(at=dt.datetime(2026, 1, 1, tzinfo=dt.UTC), node="a")
    told = msgspec.json.decode(encoded(event)) | NEW
    assert decoded("NodeJoined", msgspec.json.encode(told).decode()) == event
    with pytest.raises(ValueError, match="knows no event Foreseen"):
        decoded("Foreseen", "{}")
