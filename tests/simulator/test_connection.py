"""The reconnecting connection on fake clients."""

import random
from typing import Any

import gevent
import pytest
from gevent.event import Event

from chargehand import v16
from chargehand.simulator.connection import Backoff, SimulatorConnection
from chargehand.simulator.conversation import Conversation
from chargehand.simulator.errors import Disconnected
from chargehand.simulator.message_log import Kind, MessageLog

QUICK = Backoff(least_s=0.001, most_s=0.002)


@pytest.fixture(autouse=True)
def in_time():
    with gevent.Timeout(60):
        yield


class FakeClient:
    """Fake WebSocket client, ended by the peer or by the test."""

    def __init__(self, *, answers_close: bool = True) -> None:
        self.subprotocol = "ocpp1.6"
        self.code: int | None = None
        self.reason = ""
        self.frozen = False
        self.answers_close = answers_close
        self.over = Event()

    def receive(self) -> None:
        self.over.wait()

    def close(self, code: int, reason: str) -> None:
        if self.answers_close:
            self.end(code, reason)

    def cut(self, *, reset: bool = True) -> None:
        self.end(1006, "cut")

    def freeze(self) -> None:
        self.frozen = True

    def end(self, code: int, reason: str) -> None:
        if self.code is None:
            self.code, self.reason = code, reason
            self.over.set()


class Network:
    """Results of `dial`: the listed clients or errors in this order, then new clients without end."""

    def __init__(self) -> None:
        self.next: list[Any] = []
        self.dialled: list[FakeClient] = []
        self.slow: Event | None = None

    def dial(self) -> FakeClient:
        if self.slow is not None:
            self.slow.wait()
        found = self.next.pop(0) if self.next else FakeClient()
        if isinstance(found, Exception):
            raise found
        self.dialled.append(found)
        return found


@pytest.fixture
def network():
    return Network()


@pytest.fixture
def record():
    return MessageLog(100, lambda: 0.0)


@pytest.fixture
def make_line(network, record):
    lines = []

    def make(reconnect=None, **callbacks):
        line = SimulatorConnection(
            network.dial,
            Conversation(record, version=v16.VERSION, id_prefix="", timeout_s=1, strict=True),
            record,
            take=lambda _: None,
            opened=callbacks.get("opened", lambda: None),
            lost=callbacks.get("lost", lambda: None),
            reconnect=reconnect,
            close_timeout_s=0.01,
        )
        lines.append(line)
        return line

    yield make
    for line in lines:
        line.close()


def kinds(record):
    return [str(entry.kind) for entry in record]


def test_it_tells_when_it_opens_and_when_it_is_lost(make_line, network, record):
    told = []
    line = make_line(opened=lambda: told.append("opened"), lost=lambda: told.append("lost"))
    line.open()
    network.dialled[0].end(1001, "going")
    line.offline.wait()
    assert told == ["opened", "lost"]
    assert [(entry.kind, entry.data) for entry in record] == [
        (Kind.CONNECTED, b"ocpp1.6"),
        (Kind.CLOSED, b"1001 going"),
    ]


def test_after_a_loss_it_dials_until_it_is_answered(make_line, network, record):
    line = make_line(QUICK)
    line.open()
    network.next = [OSError("nobody"), OSError("nobody")]
    network.dialled[0].end(1006, "lost")
    line.offline.wait()
    line.online.wait()
    assert kinds(record) == ["connected", "closed", "refused", "refused", "connected"]
    assert line.connections == 2


def test_a_first_dial_that_fails_is_the_caller_s(make_line, network):
    network.next = [OSError("nobody")]
    line = make_line(QUICK)
    with pytest.raises(OSError, match="nobody"):
        line.open()
    assert not line.online.is_set()


def test_a_peer_that_does_not_answer_a_close_frame_is_cut(make_line, network):
    network.next = [FakeClient(answers_close=False)]
    line = make_line()
    line.open()
    line.close(1000, "done")
    assert network.dialled[0].reason == "cut"
    assert line.offline.is_set()


def test_a_half_open_connection_is_not_asked_to_close(make_line, network):
    line = make_line()
    line.open()
    network.dialled[0].freeze()
    line.close()
    assert network.dialled[0].reason == "cut"


def test_a_redial_closes_and_opens(make_line, network):
    order = []
    line = make_line(opened=lambda: order.append("opened"), lost=lambda: order.append("lost"))
    line.open()
    line.redial(1001, "reset", between=lambda: order.append("between"))
    assert order == ["opened", "lost", "between", "opened"]
    assert network.dialled[0].reason == "reset"
    assert line.client is network.dialled[1]


def test_a_redial_that_fails_is_the_caller_s_unless_it_is_tried_again(make_line, network, record):
    line = make_line()
    line.open()
    network.next = [OSError("nobody")]
    with pytest.raises(OSError, match="nobody"):
        line.redial()
    line = make_line(QUICK)
    line.open()
    network.next = [OSError("nobody")]
    line.redial()
    line.online.wait()
    assert line.connections == 2


def test_two_who_dial_at_once_get_one_connection(make_line, network):
    line = make_line()
    line.open()
    network.slow = Event()
    redials = [gevent.spawn(line.redial) for _ in range(2)]
    gevent.idle()
    network.slow.set()
    gevent.joinall(redials, raise_error=True)
    assert line.connections == 2
    assert [client.code for client in network.dialled].count(None) == 1


def test_one_that_is_closed_while_it_dials_stays_closed(make_line, network):
    line = make_line()
    network.slow = Event()
    opening = gevent.spawn(line.open)
    gevent.idle()
    line.close()
    network.slow.set()
    with pytest.raises(Disconnected):
        opening.get()
    assert network.dialled[0].code == 1006
    assert not line.online.is_set()


def test_an_abandoned_connection_is_left_alone_until_the_end(make_line, network):
    line = make_line()
    line.open()
    line.abandon()
    old, new = network.dialled
    assert (old.frozen, old.code, line.client) == (True, None, new)
    line.close()
    assert (old.code, new.code) == (1006, 1000)


def test_a_line_that_is_down_is_dialled_by_whoever_abandons_it(make_line, network):
    line = make_line()
    line.abandon()
    assert line.client is network.dialled[0]


def test_waits_are_doubled_up_to_their_bound_and_jittered():
    waits = Backoff(least_s=1, most_s=10).waits(random.Random(1))
    seen = [next(waits) for _ in range(6)]
    for wait_s, most_s in zip(seen, [1, 2, 4, 8, 10, 10], strict=True):
        assert most_s / 2 <= wait_s <= most_s
    assert len(set(seen)) == 6
