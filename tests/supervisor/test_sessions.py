"""Sessions of a system: takeover, removal, and supervision."""

import datetime as dt
import json

import gevent
import pytest

from chargehand import TicketState, Told
from chargehand.actors.runtime.cell import CellPhase
from chargehand.actors.session.messages import TimePassed
from chargehand.protocol.session import Registration, Session
from chargehand.supervisor.sessions import GIVEN_UP_REMEMBERED
from chargehand.testing import MemoryConnection

from ..actors.messages_of_v16 import START
from ..faults import PlantedFault
from ..hub import settle, until
from .sessions_harness import TIME_ANSWER, crash

# What is recorded


@pytest.mark.usefixtures("faulty_reading")
def test_a_crash_and_its_restart_are_in_the_record(sessions_harness, charge_point):
    crash(charge_point)
    kinds = [row["kind"] for row in sessions_harness.cell().recorder.rows()]
    assert kinds == ["connected", "in", "crash", "fallback", "out", "restart"]
    (report,) = sessions_harness.stage.context.crash_reports
    assert [row["kind"] for row in report["rows"]] == kinds[:-1]
    assert "PlantedFault" in sessions_harness.cell().recorder.rows()[-1]["data"]


@pytest.mark.usefixtures("charge_point")
def test_one_that_was_killed_idle_is_recorded_too(sessions_harness):
    sessions_harness.cell().kill()
    settle()
    (_, killed, restart) = sessions_harness.cell().recorder.rows()
    assert (killed["kind"], restart["kind"]) == ("crash", "restart")
    assert "was killed" in killed["data"]


# Takeover, also while a restart is waited for


@pytest.mark.usefixtures("faulty_reading")
def test_a_connection_that_comes_during_the_wait_is_served_after_it(sessions_harness, charge_point):
    crash(charge_point)
    crash(charge_point)
    second = sessions_harness.connect()
    assert charge_point.closed_with[0] == 1008
    assert second.call("Heartbeat") is None
    sessions_harness.advance(1)
    assert second.take() == [[3, "1", TIME_ANSWER]]


@pytest.mark.usefixtures("faulty_reading")
def test_a_crash_counts_though_a_connection_comes_right_after_it(sessions_harness, charge_point):
    cell = sessions_harness.cell()
    second = MemoryConnection(settle=settle)
    watch = cell.watch

    def attach_at_once(cell, exit_):
        watch(cell, exit_)
        second.receiver = sessions_harness.sessions.attach("CP1", "", second)

    cell.watch = attach_at_once
    cell.deliver(charge_point, b'[2,"crash","Heartbeat",{}]')
    settle()
    assert second.call("Heartbeat")[2] == TIME_ANSWER
    assert (sessions_harness.count("session_crashed"), sessions_harness.count("session_restarted")) == (1, 1)


def test_a_lost_connection_and_a_new_one_at_once_leave_it_online(sessions_harness, charge_point):
    connections = [MemoryConnection(settle=settle) for _ in range(2)]
    cell = sessions_harness.cell()
    cell.closed(charge_point, 1006, "")
    for connection in connections:
        connection.receiver = sessions_harness.sessions.attach("CP1", "", connection)
    settle()
    assert cell.charge_point.online
    assert sessions_harness.directory.connected == 1
    sessions_harness.advance(1000)
    sessions_harness.sessions.sweep(sessions_harness.clock.monotonic())
    assert sessions_harness.cell() is cell
    assert connections[1].call("Heartbeat")[2] == TIME_ANSWER


@pytest.mark.parametrize("later", range(1, 4))
def test_it_is_not_offline_between_connections_that_take_over_one_another_at_once(
    sessions_harness, charge_point, later
):
    cell, old = sessions_harness.cell(), charge_point
    for _ in range(later):
        new = MemoryConnection(settle=settle)
        new.receiver = sessions_harness.sessions.attach("CP1", "", new)
        assert old.closed_with == (1008, "a newer connection took over")
        cell.closed(old, *old.closed_with)
        old = new
    settle()
    assert cell.connection is old
    assert cell.charge_point.disconnected_at is None
    assert sessions_harness.count("takeover") == 1


def test_of_two_connections_at_once_only_the_newer_one_is_used(sessions_harness):
    sessions_harness.sessions.create_offline("CP1")
    ticket = sessions_harness.call(when_offline="queue")
    first, second = MemoryConnection(), MemoryConnection()
    for connection in (first, second):
        connection.receiver = sessions_harness.sessions.attach("CP1", "", connection)
    settle()
    assert ticket.state is TicketState.SENT
    assert (len(first.frames), len(second.frames)) == (0, 1)


def test_a_hundred_takeovers_leave_the_newest_standing_every_time(sessions_harness):
    connection = sessions_harness.connect()
    cell = sessions_harness.cell()
    for number in range(100):
        newer = MemoryConnection(settle=settle)
        newer.receiver = sessions_harness.sessions.attach("CP1", "", newer)
        if number % 2:
            connection.hang_up()
        if number % 3:
            settle()
        assert sessions_harness.cell() is cell
        connection = newer
    settle()
    assert connection.closed_with is None
    assert cell.connection is connection
    assert connection.call("Heartbeat")[2] == TIME_ANSWER


# Coming and going


def test_one_that_stays_away_is_let_go_and_one_that_comes_back_is_not(sessions_harness):
    away, back = sessions_harness.connect("AWAY"), sessions_harness.connect("BACK")
    away.hang_up()
    back.hang_up()
    sessions_harness.advance(60)
    sessions_harness.connect("BACK")
    sessions_harness.advance(41)
    sessions_harness.sessions.sweep(sessions_harness.clock.monotonic())
    assert sessions_harness.cell("AWAY") is None
    assert sessions_harness.cell("BACK") is not None


def test_the_tickets_of_one_that_is_let_go_end(sessions_harness, charge_point):
    charge_point.hang_up()
    ticket = sessions_harness.call(when_offline="queue")
    sessions_harness.advance(101)
    sessions_harness.sessions.sweep(sessions_harness.clock.monotonic())
    assert ticket.state is TicketState.NEVER_SENT


def test_what_the_store_knows_of_a_charge_point_is_asked_when_it_comes(sessions_harness):
    sessions_harness.known["CP9"] = Registration.REJECTED
    assert sessions_harness.connect("CP9").call("Heartbeat")[2] == "SecurityError"


def test_calls_can_wait_for_a_charge_point_that_was_never_seen(sessions_harness):
    sessions_harness.sessions.create_offline("NEW")
    ticket = sessions_harness.call("NEW", when_offline="queue")
    assert ticket.state is TicketState.QUEUED
    connection = sessions_harness.connect("NEW")
    connection.answer(connection.take()[0], {"listVersion": 1})
    assert ticket.result().list_version == 1


def test_no_two_sessions_of_a_charge_point_give_a_call_the_same_id(sessions_harness):
    ids = []
    for _ in range(2):
        connection = sessions_harness.connect()
        sessions_harness.call()
        ids.append(connection.take()[0][1])
        sessions_harness.sessions.let_go(sessions_harness.cell())
        connection.hang_up()
    assert ids[0] != ids[1]


def test_a_session_that_somebody_stopped_is_let_go_and_its_connection_closed(sessions_harness, charge_point):
    cell = sessions_harness.cell()
    assert cell.ref.stop(timeout=60) is True
    settle()
    assert sessions_harness.cell() is None
    assert charge_point.closed_with == (1001, "the session was stopped")
    assert sessions_harness.connect().call("Heartbeat")[2] == TIME_ANSWER


def test_whether_a_charge_point_is_alive_is_asked_of_its_newest_connection(sessions_harness, charge_point):
    assert sessions_harness.sessions.ping_and_wait("CP1", 1.0) is True
    charge_point.alive = False
    assert sessions_harness.sessions.ping_and_wait("CP1", 1.0) is False
    assert sessions_harness.sessions.ping_and_wait("nobody", 1.0) is False


# The supervisor itself


def test_a_supervisor_that_failed_takes_over_the_living_sessions(
    sessions_harness, charge_point, faulty_reading
):
    class Odd:
        """Message that the supervisor does not know."""

    sessions_harness.supervisor.tell(Odd())
    settle()
    sessions_harness.supervisor.kill()
    assert sessions_harness.supervisor.phase is CellPhase.VACANT
    assert charge_point.call("Heartbeat")[2] == TIME_ANSWER  # nobody waits for it
    late = sessions_harness.connect("LATE")
    sessions_harness.supervisor.start()
    settle()
    assert late.call("Heartbeat")[2] == TIME_ANSWER
    crash(charge_point)
    assert charge_point.call("Heartbeat")[2] == TIME_ANSWER


@pytest.mark.usefixtures("faulty_reading")
def test_a_session_that_crashed_without_a_supervisor_is_started_by_the_next_one(
    sessions_harness, charge_point
):
    sessions_harness.supervisor.kill()
    crash(charge_point)
    assert sessions_harness.cell().phase is CellPhase.VACANT
    sessions_harness.supervisor.start()
    settle()
    assert charge_point.call("Heartbeat")[2] == TIME_ANSWER


@pytest.mark.usefixtures("faulty_reading")
def test_one_that_was_waiting_for_its_restart_is_started_by_the_next_supervisor_once(
    sessions_harness, charge_point, log
):
    crash(charge_point)
    crash(charge_point)
    sessions_harness.supervisor.kill()
    sessions_harness.supervisor.start()
    settle()
    assert sessions_harness.cell().phase is CellPhase.RUNNING
    sessions_harness.advance(10)
    assert charge_point.call("Heartbeat")[2] == TIME_ANSWER


def test_its_stop_closes_every_connection_and_ends_every_cell_and_ticket(sessions_harness):
    connections = [sessions_harness.connect(f"CP{number}") for number in range(3)]
    tickets = [sessions_harness.call(f"CP{number}") for number in range(3)]
    cells = list(sessions_harness.directory)
    assert sessions_harness.supervisor.ref.stop(timeout=60) is True
    assert [connection.closed_with for connection in connections] == [(1001, "the central system stops")] * 3
    assert [cell.phase for cell in cells] == [CellPhase.ENDED] * 3
    assert {ticket.state for ticket in tickets} == {TicketState.OUTCOME_UNKNOWN}
    assert len(sessions_harness.directory) == 0


def test_its_stop_waits_for_peers_that_close_slowly_but_not_for_ever(sessions_harness):
    slow, never = sessions_harness.connect("SLOW"), sessions_harness.connect("NEVER")
    for connection in (slow, never):
        connection.close = lambda code, reason, connection=connection: setattr(
            connection, "closed_with", (code, reason)
        )
    stopping = sessions_harness.supervisor.ref.stop(block=False)
    settle()
    assert not stopping.done()
    slow_cell = sessions_harness.cell("SLOW")
    slow_cell.closed(slow, 1001, "")
    until(lambda: slow_cell.newest is None)
    sessions_harness.clock.advance(0.06)
    assert stopping.get(timeout=60) is True
    assert len(sessions_harness.directory) == 0


def test_it_describes_how_many_there_are_and_which_of_them_have_crashed(
    sessions_harness, charge_point, faulty_reading
):
    sessions_harness.connect("OTHER").hang_up()
    crash(charge_point)
    crash(charge_point)
    sessions_harness.cell().deliver(charge_point, b"[]")
    described = sessions_harness.supervisor.actor.describe()
    assert described == {
        "sessions": 2,
        "connected": 1,
        "crashed": [
            {"id": "CP1", "state": "waiting", "restarts": 2, "inbox": 1, "last_crash": "PlantedFault()"}
        ],
        "given_up": [],
    }


def give_up(sessions_harness, charge_point):
    for _ in range(4):
        sessions_harness.cell(charge_point.receiver.urn).deliver(charge_point, b'[2,"crash","Heartbeat",{}]')
    settle()
    sessions_harness.advance(1)
    sessions_harness.advance(2)
    assert charge_point.closed_with == (1011, "the session failed")


@pytest.mark.usefixtures("faulty_reading")
def test_those_that_were_given_up_fallback_the_tree_with_why_and_when(sessions_harness, charge_point):
    give_up(sessions_harness, charge_point)
    sessions_harness.connect()
    described = sessions_harness.supervisor.actor.describe()
    assert described["crashed"] == []
    assert described["given_up"] == [
        {
            "id": "CP1",
            "state": "given up",
            "restarts": 3,
            "last_crash": "PlantedFault()",
            "time": "2026-01-01T00:00:03Z",
        }
    ]


@pytest.mark.usefixtures("faulty_reading")
def test_of_those_that_were_given_up_the_last_ones_are_kept(sessions_harness):
    for number in range(GIVEN_UP_REMEMBERED + 2):
        give_up(sessions_harness, sessions_harness.connect(f"CP{number}"))
    given_up = sessions_harness.supervisor.actor.describe()["given_up"]
    assert [one["id"] for one in given_up] == [f"CP{number}" for number in range(2, GIVEN_UP_REMEMBERED + 2)]


def test_it_forgets_those_that_were_let_go(sessions_harness, charge_point, faulty_reading):
    crash(charge_point)
    sessions_harness.sessions.let_go(sessions_harness.cell())
    assert sessions_harness.supervisor.actor.describe()["crashed"] == []


def test_start_transactions_answered_for_a_crash_have_numbers_of_their_own(charge_point, faulty_reading):
    one = crash(charge_point, "StartTransaction", START, "crash1")
    assert one[2]["transactionId"] == 1


def test_nothing_of_a_crash_reaches_the_charge_point(charge_point, faulty_reading):
    crash(charge_point, "Authorize")
    assert not any(b"PlantedFault" in frame or b"Traceback" in frame for frame in charge_point.frames)


def test_the_crash_of_one_session_is_over_before_the_hub_does_anything_else(
    sessions_harness, charge_point, faulty_reading
):
    gevent.spawn(crash, charge_point).join(60)
    assert charge_point.call("Heartbeat")[2] == TIME_ANSWER


# Calls that are held, for too many are in flight


@pytest.fixture
def later(sessions_harness, way, log):
    """Charge point with one call being handled and two held: heartbeats that are answered when the test says so."""
    sessions_harness.stage.context.calls_in_flight_limit = 1
    later = []
    way[0] = lambda: later.append(log[-1].later())
    return later


def ids(frames):
    return [frame[1] for frame in frames]


@pytest.mark.usefixtures("faulty_reading")
def test_a_crash_over_one_that_was_held_costs_only_that_one(sessions_harness, charge_point, later):
    for unique_id in ("1", "crash", "2", "3"):
        charge_point.call("Heartbeat", unique_id=unique_id)
    assert sessions_harness.cell().depth == 3
    later.pop(0).answer(TIME_ANSWER)
    settle()
    assert ids(charge_point.take()) == ["1", "crash"]
    assert sessions_harness.count("session_crashed") == 1
    assert (sessions_harness.cell().depth, len(later)) == (1, 1)
    for _ in range(2):
        later.pop(0).answer(TIME_ANSWER)
        settle()
    assert ids(charge_point.take()) == ["2", "3"]


def test_those_that_are_held_outlive_a_crash_over_something_else(
    sessions_harness, charge_point, later, monkeypatch
):
    for unique_id in ("1", "2", "3"):
        charge_point.call("Heartbeat", unique_id=unique_id)
    pass_time = Session.pass_time

    def fail_once(*_):
        monkeypatch.setattr(Session, "pass_time", pass_time)
        raise PlantedFault

    monkeypatch.setattr(Session, "pass_time", fail_once)
    sessions_harness.cell().tell(TimePassed())
    settle()
    assert sessions_harness.count("session_restarted") == 1
    assert charge_point.call("Heartbeat", unique_id="4") is None
    while later:
        later.pop(0).answer(TIME_ANSWER)
        settle()
    assert ids(charge_point.take()) == ["1", "2", "3", "4"]


@pytest.mark.usefixtures("faulty_reading")
def test_those_of_a_session_that_is_given_up_are_dropped(sessions_harness, charge_point, later):
    cell = sessions_harness.cell()
    for unique_id in ("1", *("crash",) * 4, "2"):
        charge_point.call("Heartbeat", unique_id=unique_id)
    later.pop(0).answer(TIME_ANSWER)
    settle()
    sessions_harness.advance(20)
    assert charge_point.closed_with[0] == 1011
    assert (cell.depth, cell.held) == (0, None)
    assert "2" not in ids(charge_point.take())


def told(item, action, payload, version="1.6"):
    at = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    return Told(item=item, version=version, action=action, payload=payload, received_at=at)


def test_what_was_told_before_a_restart_is_taken_as_far_as_it_can_be_read(sessions_harness):
    available = b'{"connectorId":1,"errorCode":"NoError","status":"Available"}'
    kept = [
        told("boot", "BootNotification", b'{"chargePointVendor":"V","chargePointModel":"M"}'),
        told("status/1", "StatusNotification", available),
        told("status/2", "StatusNotification", b"\0"),
        told("status/3", "StatusNotification", available, version="0.0"),
    ]
    sessions_harness.store.recall = lambda _, then: then(kept)
    sessions_harness.connect()
    facts = sessions_harness.cell().charge_point
    assert facts.boot.charge_point_vendor == "V"
    assert list(facts.connectors) == [1]


def test_what_is_recalled_late_replaces_nothing_that_was_told_meanwhile(sessions_harness):
    recalls = []
    sessions_harness.store.recall = lambda _, then: recalls.append(then)
    one = sessions_harness.connect()
    for number in (1, 2):
        payload = {"connectorId": number, "errorCode": "NoError", "status": "Charging"}
        one.call("StatusNotification", payload)
    old = b'{"connectorId":%d,"errorCode":"NoError","status":"Available"}'
    recalls[0]([told(f"status/{number}", "StatusNotification", old % number) for number in (2, 3)])
    connectors = sessions_harness.cell().charge_point.connectors
    assert [str(connectors[number].status) for number in (1, 2, 3)] == ["Charging", "Charging", "Available"]


def test_what_was_told_to_another_process_meanwhile_is_recalled_at_the_return(sessions_harness):
    recalls = []
    sessions_harness.store.recall = lambda _, then: recalls.append(then)
    sessions_harness.store.others_write = True
    status = b'{"connectorId":1,"errorCode":"NoError","status":"%b"}'
    one = sessions_harness.connect()
    one.call("StatusNotification", json.loads(status % b"Available"))
    one.hang_up()
    one = sessions_harness.connect()
    recalls[1]([told("status/1", "StatusNotification", status % b"Charging")])
    assert str(sessions_harness.cell().charge_point.connectors[1].status) == "Charging"
    stored = []
    sessions_harness.store.note_told = lambda *_, item, **__: stored.append(item)
    # a store that outlives the process; only its presence is looked at here
    sessions_harness.stage.context.durable_tickets = object()
    one.call("StatusNotification", json.loads(status % b"Available"))
    assert stored == ["status/1"]


def test_a_status_is_stored_for_the_next_process_when_more_than_its_time_is_new(sessions_harness):
    stored = []
    sessions_harness.store.note_told = lambda _, **told: stored.append((told["item"], bytes(told["payload"])))
    # a store that outlives the process; only its presence is looked at here
    sessions_harness.stage.context.durable_tickets = object()
    one = sessions_harness.connect()
    for number, status in enumerate(("Available", "Available", "Charging")):
        at = f"2026-01-01T00:00:0{number}Z"
        payload = {"connectorId": 1, "errorCode": "NoError", "status": status, "timestamp": at}
        one.call("StatusNotification", payload)
    assert [(item, b"Charging" in payload) for item, payload in stored] == [
        ("status/1", False), ("status/1", True),
    ]  # fmt: skip
    assert str(sessions_harness.cell().charge_point.connectors[1].status) == "Charging"
    one.call("StatusNotification", payload | {"connectorId": 2, "info": "x" * 5000})
    assert len(stored) == 2, "a huge one is not stored"
    assert 2 in sessions_harness.cell().charge_point.connectors


def test_of_strangers_that_have_gone_without_a_boot_a_few_are_kept(sessions_harness):
    for number in range(10):
        sessions_harness.connect(f"X{number}").hang_up()
        settle()
    assert [cell.charge_point.id for cell in sessions_harness.directory] == ["X6", "X7", "X8", "X9"]
    assert sessions_harness.count("unbooted_forgotten") == 6


def test_strangers_push_nobody_out_who_has_booted(sessions_harness):
    sessions_harness.known["CP1"] = Registration.ACCEPTED
    sessions_harness.connect("CP1").hang_up()
    for number in range(10):
        sessions_harness.connect(f"X{number}").hang_up()
        settle()
    assert sessions_harness.cell("CP1") is not None
