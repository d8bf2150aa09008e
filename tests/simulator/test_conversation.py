"""The conversation on a fake client with lists of received and sent frames."""

import json
from typing import Any

import gevent
import pytest
from gevent.queue import Queue

from chargehand import v16
from chargehand.protocol.errors import ErrorCode, InvalidPayload
from chargehand.simulator.conversation import Conversation
from chargehand.simulator.errors import CallDeclined, Disconnected, InvalidAnswer
from chargehand.simulator.message_log import MessageLog


class Wire:
    """Fake client. Frames put into `coming` are received; None is the end."""

    def __init__(self) -> None:
        self.coming: Queue[bytes | None] = Queue()
        self.went: Queue[Any] = Queue()
        self.broken = False

    def receive(self) -> list[bytes] | None:
        text = self.coming.get()
        return None if text is None else [text]

    def send_text(self, text: bytes) -> None:
        if self.broken:
            raise Disconnected("broken")
        self.went.put(json.loads(text))


@pytest.fixture
def conversation():
    return Conversation(
        MessageLog(100, lambda: 0.0), version=v16.VERSION, id_prefix="x", timeout_s=5, strict=True
    )


@pytest.fixture
def taken():
    return []


@pytest.fixture
def wire(conversation, taken):
    wire = Wire()
    conversation.attach(wire)
    listening = gevent.spawn(conversation.listen, wire, taken.append)
    yield wire
    wire.coming.put(None)
    listening.join(60)
    assert listening.successful()


def answered(conversation, wire, answer):
    """Return the outcome of a Heartbeat with a given answer; `answer` gets its id."""
    sending = gevent.spawn(conversation.send, v16.Heartbeat())
    call = wire.went.get(timeout=60)
    wire.coming.put(json.dumps(answer(call[1])).encode())
    with gevent.Timeout(60):
        return sending.get()


def test_a_call_goes_out_and_its_answer_comes_back(conversation, wire):
    response = answered(conversation, wire, lambda id_: [3, id_, {"currentTime": "2026-01-01T00:00:00Z"}])
    assert response.current_time.year == 2026


def test_ids_count_behind_their_prefix(conversation, wire):
    ids = []

    def answer(id_):
        ids.append(id_)
        return [3, id_, {"currentTime": "2026-01-01T00:00:00Z"}]

    answered(conversation, wire, answer)
    answered(conversation, wire, answer)
    conversation.renew()
    answered(conversation, wire, answer)
    assert ids == ["x1", "x2", "x1"]


def test_an_answer_that_breaks_its_contract_is_raised(conversation, wire):
    with pytest.raises(InvalidAnswer, match="currentTime") as invalid:
        answered(conversation, wire, lambda id_: [3, id_, {}])
    assert invalid.value.violations[0].code is ErrorCode.OCCURRENCE_CONSTRAINT_VIOLATION


def test_a_call_error_of_an_unknown_kind_is_raised_as_it_came(conversation, wire):
    with pytest.raises(CallDeclined) as declined:
        answered(conversation, wire, lambda id_: [4, id_, "Odd"])
    assert (declined.value.code, str(declined.value)) == ("Odd", "Odd")


@pytest.mark.parametrize(
    ("call", "code"),
    [
        ('[2,"7","ClearCache",{"more":1}]', "FormationViolation"),
        ('[2,"7","ClearCache"]', "FormationViolation"),
        ('[2,"7","NoSuchThing",{}]', "NotImplemented"),
        ('[2,"7","Heartbeat",{}]', "NotSupported"),
        ('[2,"7","Reset",{"type":"Warm"}]', "PropertyConstraintViolation"),
    ],
)
def test_a_command_that_breaks_the_rules_is_refused(conversation, wire, taken, call, code):
    wire.coming.put(call.encode())
    assert wire.went.get(timeout=60)[:3] == [4, "7", code]
    assert taken == []


def test_a_command_is_taken_and_answered_once(conversation, wire, taken):
    wire.coming.put(b'[2,"7","ClearCache",{}]')
    wire.coming.put(b'[2,"8","DataTransfer",{"vendorId":"x"}]')
    wire.coming.put(b"pong")
    while conversation.ignored == {}:
        gevent.idle()
    first, second = taken
    conversation.answer(first, {"status": "Accepted"})
    conversation.answer(first, {"status": "Accepted"})
    conversation.refuse(second, ErrorCode.GENERIC_ERROR, "no", {"a": 1})
    assert [wire.went.get(timeout=60) for _ in range(2)] == [
        [3, "7", {"status": "Accepted"}],
        [4, "8", "GenericError", "no", {"a": 1}],
    ]
    assert wire.went.empty()
    assert conversation.ignored == {"pong as text": 1}


def test_an_answer_of_its_own_is_checked(conversation, wire, taken):
    wire.coming.put(b'[2,"7","ClearCache",{}]')
    while not taken:
        gevent.idle()
    with pytest.raises(InvalidPayload):
        conversation.answer(taken[0], {"status": "Perhaps"})
    conversation.answer(taken[0], {"status": "Rejected"})
    assert wire.went.get(timeout=60) == [3, "7", {"status": "Rejected"}]


def test_an_answer_on_a_broken_wire_is_lost_without_a_word(conversation, wire, taken):
    wire.coming.put(b'[2,"7","ClearCache",{}]')
    while not taken:
        gevent.idle()
    wire.broken = True
    conversation.answer(taken[0], {"status": "Accepted"})
    assert wire.went.empty()


def test_a_call_on_a_broken_wire_leaves_it_free(conversation, wire):
    wire.broken = True
    with pytest.raises(Disconnected):
        conversation.send(v16.Heartbeat())
    wire.broken = False
    assert answered(conversation, wire, lambda id_: [3, id_, {"currentTime": "2026-01-01T00:00:00Z"}])


def test_what_was_asked_on_a_lost_connection_is_not_answered_on_the_next(conversation, wire, taken):
    wire.coming.put(b'[2,"7","ClearCache",{}]')
    while not taken:
        gevent.idle()
    conversation.detach()
    conversation.attach(wire)
    conversation.answer(taken[0], {"status": "Accepted"})
    assert wire.went.empty()
