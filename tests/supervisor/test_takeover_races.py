"""Sockets of one charge point that connect at once, again and again: the last one wins, the others have no effect."""

import json
from collections import Counter

import gevent
import pytest

from chargehand import (
    AuthSettings,
    CentralSystem,
    ChargePointOffline,
    SessionSettings,
    Settings,
    TicketState,
    v16,
)
from chargehand.simulator import Client, Disconnected, HandshakeRefused

from ..hub import until

RACES = 1000
CROWDS = 40
CROWD = 8
POLICY = 1008
BOOT = {"chargePointVendor": "Acme", "chargePointModel": "BareChargePoint"}
OCCUPIED = {"connectorId": 1, "errorCode": "NoError", "status": "Occupied"}
CHARGING = {"connectorId": 1, "errorCode": "NoError", "status": "Charging"}


class BareChargePoint:
    """Bare socket with the id of a charge point. By itself it sends only the answers that WebSocket requires."""

    def __init__(self, url):
        self.client = Client.connect(url, subprotocols=("ocpp1.6",))
        host, port = self.client._sock.getsockname()
        self.peer = f"{host}:{port}"
        self.frames = []
        self._numbers = 0
        self.reader = gevent.spawn(self._read)

    def _read(self):
        while (texts := self.client.receive()) is not None:
            self.frames += [json.loads(text) for text in texts]

    @property
    def code(self):
        return self.client.code

    def send(self, frame):
        self.client.send_text(json.dumps(frame).encode())

    def call(self, action, payload):
        self._numbers += 1
        unique_id = f"{self.peer}-{self._numbers}"
        self.send([2, unique_id, action, payload])
        return until(lambda: self.answer_to(unique_id))

    def answer_to(self, unique_id):
        return next((frame for frame in self.frames if frame[0] != 2 and frame[1] == unique_id), None)

    def await_command(self):
        """Return the first CALL of the system."""
        return until(lambda: next((frame for frame in self.frames if frame[0] == 2), None))

    def await_end(self):
        until(lambda: self.code is not None)

    def end(self, how=0):
        """Disconnect: with a close frame, with a reset, with a plain end, or after another message."""
        try:
            if how == 0:
                self.client.close()
            elif how == 1:
                self.client.cut(reset=True)
            elif how == 2:
                self.client.cut(reset=False)
            else:
                self.send([2, "late", "StatusNotification", OCCUPIED])
                self.client.close()
        except Disconnected:
            pass

    def over(self):
        self.client.cut(reset=False)
        self.reader.join()


class RaceHarness:
    """System, the order of the attached connections, and its online and offline events."""

    def __init__(self, transport, **sessions):
        self.offline = []
        self.attached = []
        settings = Settings(
            port=0,
            transport=transport,
            sessions=SessionSettings(close_timeout_s=0.1, reconnect_rate=0, **sessions),
        )
        self.system = CentralSystem(settings)
        self.racers = []

    def __enter__(self):
        self.system.start()
        self.system.subscribe(ChargePointOffline, lambda event: self.offline.append(event.charge_point_id))
        gatekeeper = self.system._parts.gatekeeper
        attach = gatekeeper.attach

        def noted(admission, connection):
            self.attached.append(connection.peer)
            return attach(admission, connection)

        gatekeeper.attach = noted
        return self

    def __exit__(self, *_):
        for racer in self.racers:
            racer.over()
        self.system.stop()

    def url(self, id_="CP1"):
        return f"ws://127.0.0.1:{self.system.port}/ocpp/{id_}"

    def racer(self):
        racer = BareChargePoint(self.url())
        self.racers.append(racer)
        return racer

    def race(self, count):
        """Connect `count` sockets at once; return the one that was attached last, and the others."""
        started = [gevent.spawn(BareChargePoint, self.url()) for _ in range(count)]
        racers = [one.get() for one in started]
        self.racers = [*(racer for racer in self.racers if racer.code is None), *racers]
        last = self.attached[-1]
        (winner,) = (racer for racer in racers if racer.peer == last)
        return winner, [racer for racer in racers if racer is not winner]

    @property
    def facts(self):
        return self.system.charge_point("CP1")

    @property
    def cell(self):
        return self.system._parts.directory.find("CP1")

    def await_standing(self, racer):
        until(lambda: self.stands(racer))

    def stands(self, racer):
        """Tell if this racer, and no other, has the session."""
        cell = self.cell
        return (
            racer.code is None
            and self.facts.online
            and self.facts.peer == racer.peer
            and cell.connection is cell.newest
            and cell.newest.peer == racer.peer
        )


@pytest.fixture(params=["greenlet", "reactor"])
def transport(request):
    return request.param


@pytest.fixture
def track(transport):
    with RaceHarness(transport) as track:
        yield track


@pytest.mark.slow
def test_a_thousand_races_of_two_leave_the_one_attached_last_standing_each_time(track):
    standing = track.racer()
    for number in range(RACES):
        old = standing
        if number % 5 == 4:
            old.end(number % 4)  # the old one goes at the very moment when the new ones come
        standing, losers = track.race(2)
        track.await_standing(standing)
        assert standing.call("Heartbeat", {})[0] == 3
        for loser in losers:
            loser.await_end()
            assert loser.code == POLICY
        old.await_end()
        assert track.stands(standing)
        old.over()
        for loser in losers:
            loser.over()
    assert len(track.system.charge_points()) == 1
    assert track.offline.count("CP1") <= RACES // 5  # only when the old one was gone before a new one came
    assert len(track.attached) == 1 + 2 * RACES


@pytest.mark.parametrize("how", range(4))
def test_of_a_crowd_at_once_one_stands_untouched_by_the_clean_up_of_the_others(track, how):
    for _ in range(CROWDS):
        standing, losers = track.race(CROWD)
        track.await_standing(standing)
        for loser in losers:
            loser.end(how)  # whatever they still do: they have been closed, or are about to be
        assert standing.call("Heartbeat", {})[0] == 3
        for loser in losers:
            loser.await_end()
        until(lambda: len(track.system._parts.pool) <= 1)  # the system has let go of their sockets, too
        assert track.stands(standing)
        for loser in losers:
            loser.over()
    assert track.offline == []
    assert (track.facts.connectors or {}) == {}  # none of them was listened to


def test_a_half_open_socket_that_lost_can_say_what_it_likes(track):
    old = track.racer()
    old.client.freeze()
    standing, _ = track.race(1)
    track.await_standing(standing)
    old.send([2, "old", "StatusNotification", OCCUPIED])  # held back
    old.client.thaw()
    old.await_end()
    assert standing.call("StatusNotification", CHARGING)[2] == {}
    assert track.facts.connectors[1].status == "Charging"
    assert track.offline == []


def test_registration_connector_states_and_the_queue_move_to_the_new_connection(track):
    standing = track.racer()
    assert standing.call("BootNotification", BOOT)[2]["status"] == "Accepted"
    assert standing.call("StatusNotification", CHARGING)[2] == {}
    for _ in range(CROWDS):
        tickets = [
            track.system.send("CP1", v16.DataTransfer(vendor_id="race", data=str(number)), timeout_s=30)
            for number in range(4)
        ]
        standing.await_command()
        standing, _ = track.race(1)  # of two, the first might be sent a call before the second comes
        assert tickets[0].wait(60)
        assert tickets[0].state is TicketState.OUTCOME_UNKNOWN  # it was on the wire
        for number, ticket in enumerate(tickets[1:], 1):
            # Those that waited are sent to the new one, in order.
            command = standing.await_command()
            standing.frames.clear()
            assert command[3]["data"] == str(number)
            standing.send([3, command[1], {"status": "Accepted", "data": command[3]["data"]}])
            assert ticket.result(60).data == str(number)
        assert track.facts.registration == "Accepted"
        assert track.facts.connectors[1].status == "Charging"
    assert track.offline == []
    ended = Counter(track.system.counters.counts)
    assert ended["ticket_outcome_unknown"] == CROWDS
    assert ended["ticket_answered"] == 3 * CROWDS


def test_an_answer_over_the_old_connection_is_not_taken_for_one_over_the_new(track):
    old = track.racer()
    first = track.system.send("CP1", v16.ClearCache(), timeout_s=30)
    command = old.await_command()
    new, _ = track.race(1)
    assert first.wait(60)
    second = track.system.send("CP1", v16.ClearCache(), timeout_s=30)
    own = new.await_command()
    assert own[1] != command[1]
    new.send([3, command[1], {"status": "Rejected"}])  # the answer to the call before, on the new connection
    new.send([3, own[1], {"status": "Accepted"}])
    assert second.result(60).status == "Accepted"
    assert first.state is TicketState.OUTCOME_UNKNOWN
    assert first.response is None


# Refusal


@pytest.fixture
def guarded(transport):
    with RaceHarness(transport, on_duplicate="refuse", duplicate_probe_s=0.15) as track:
        yield track


def knock(track):
    """Return a racer, or the status that refused it."""
    try:
        return track.racer()
    except HandshakeRefused as refused:
        return refused.status


def test_with_refuse_a_living_connection_stands_against_a_crowd(guarded):
    standing = guarded.racer()
    for _ in range(CROWDS // 4):
        knocking = [gevent.spawn(knock, guarded) for _ in range(CROWD)]
        assert [one.get() for one in knocking] == [409] * CROWD
        assert guarded.stands(standing)
        assert standing.call("Heartbeat", {})[0] == 3
    assert guarded.offline == []
    assert len(guarded.attached) == 1
    assert guarded.system.counters.counts["handshake_refused_409"] == CROWD * (CROWDS // 4)


def test_with_refuse_a_dead_connection_is_replaced_by_the_first_of_a_crowd(guarded):
    standing = guarded.racer()
    for round_ in range(5):
        standing.client.freeze()
        knocking = [gevent.spawn(knock, guarded) for _ in range(CROWD)]
        came = [one.get() for one in knocking]
        new = [racer for racer in came if not isinstance(racer, int)]
        assert len(new) == 1, came
        assert came.count(409) == CROWD - 1
        dead, (standing,) = standing, new
        dead.client.thaw()
        guarded.await_standing(standing)
        assert standing.call("Heartbeat", {})[0] == 3
        assert len(guarded.attached) == round_ + 2
    assert guarded.offline == []


def test_with_refuse_a_wrong_password_does_not_even_ask_the_living_one(transport, monkeypatch):
    # A socket that is not authenticated must never disturb the session that lives.
    settings = Settings(
        port=0,
        transport=transport,
        auth=AuthSettings(credentials={"CP1": "right"}),
        sessions=SessionSettings(on_duplicate="refuse"),
    )
    with CentralSystem(settings) as system:
        asked = []
        monkeypatch.setattr(
            system._parts.sessions, "ping_and_wait", lambda *arguments: asked.append(arguments)
        )
        with pytest.raises(HandshakeRefused) as refused:
            Client.connect(f"ws://127.0.0.1:{system.port}/ocpp/CP1", subprotocols=("ocpp1.6",))
        assert refused.value.status == 401
        assert asked == []
