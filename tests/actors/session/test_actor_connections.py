"""The session of a charge point: its connections, its registration, its limits."""

import pytest
from gevent.event import Event

from chargehand import Plugin, passive, v16
from chargehand.actors.session.context import NoHost
from chargehand.actors.session.messages import ConnectionClosed, FrameReceived
from chargehand.protocol.session import Registration, SessionRules
from chargehand.testing import Stage

from ..messages_of_v16 import PASSIVE, TRANSACTION_MESSAGES
from ..recording_plugin import RecordingPlugin

TIME_ANSWER = {"currentTime": "2026-01-01T00:00:00Z"}
BOOT = PASSIVE["BootNotification"]


def facts(stage, id_="CP1"):
    return stage.cells[id_].charge_point


# Connections


def test_a_peer_that_is_too_fast_is_counted_and_logged_a_few_times(stage, caplog):
    charge_point = stage.connect("CP1")
    cell = stage.cells["CP1"]
    for _ in range(1000):
        cell.throttled(charge_point, 0.128)
    assert stage.counts["throttled"] == 1000
    lines = [line for line in caplog.messages if "sessions.messages_per_s" in line]
    assert len(lines) == 10
    assert lines[0].startswith("CP1 at memory exceeds")
    caplog.clear()
    stage.advance(60)
    assert any(line.startswith("CP1: 990 more lines (throttled) were left out") for line in caplog.messages)


def test_a_flood_of_refused_frames_writes_a_few_lines_and_a_count(stage, caplog):
    caplog.set_level("INFO")
    charge_point = stage.connect("CP1")
    for number in range(500):
        charge_point.send(b'[2,"%d","Heartbeat"]' % number)
    stage.settle()
    lines = [line for line in caplog.messages if "Violation" in line]
    assert len(lines) == 10
    caplog.clear()
    stage.advance(60)
    assert any(line.startswith("CP1: 490 more lines (") for line in caplog.messages)


def test_boots_of_one_connection_write_a_few_lines(stage, caplog):
    caplog.set_level("INFO")
    charge_point = stage.connect("CP1")
    for number in range(50):
        charge_point.send([2, str(number), "BootNotification", BOOT])
        stage.settle()
    assert len([line for line in caplog.messages if line == "CP1 booted: Accepted"]) == 11


def test_the_text_of_a_deviation_is_kept_up_to_a_bound(stage):
    charge_point = stage.connect("CP1")
    charge_point.send([2, "1", "Heartbeat", {"x" * 100_000: 1}])
    stage.settle()
    (name,) = facts(stage).deviations
    assert len(name) < 250


def test_what_a_charge_point_names_an_action_is_escaped_in_the_log(stage, caplog):
    caplog.set_level("INFO")
    charge_point = stage.connect("CP1")
    charge_point.send('[2,"1","Boot\\n\u202eCP2 is offline",{}]'.encode())
    stage.settle()
    assert "Boot\\n\\u202eCP2 is offline is not an action" in caplog.text


def test_a_charge_point_that_connects_is_online_with_its_peer(stage):
    stage.connect("CP1")
    assert facts(stage).online
    assert facts(stage).connected_at == stage.clock.time()
    assert facts(stage).peer == "memory"


def test_one_that_hangs_up_is_offline_since_then(stage):
    charge_point = stage.connect("CP1")
    stage.advance(5)
    charge_point.hang_up()
    assert not facts(stage).online
    assert facts(stage).disconnected_at == stage.clock.time()


def test_its_facts_outlive_the_connection(stage, way):
    charge_point = stage.connect("CP1")
    charge_point.call("StatusNotification", PASSIVE["StatusNotification"])
    charge_point.hang_up()
    stage.connect("CP1")
    assert facts(stage).connectors[1].status == "Available"


class RecordingHost(NoHost):
    """Host that notes which charge points go."""

    def __init__(self):
        self.heard = []

    def went_offline(self, charge_point, code, reason):
        self.heard.append((charge_point.id, code, reason))


class FailingHost(NoHost):
    """Host whose notifications raise."""

    def went_offline(self, charge_point, code, reason):
        raise ValueError("a planted fault")


def test_the_host_is_notified_of_charge_points_that_go(way, log):
    host = RecordingHost()
    with Stage(RecordingPlugin.spec(way, log), host=host) as stage:
        stage.connect("CP1").hang_up(1001, "bye")
    assert host.heard == [("CP1", 1001, "bye")]


def test_exceptions_of_the_host_cost_the_session_nothing(way, log, caplog):
    with Stage(RecordingPlugin.spec(way, log), host=FailingHost()) as stage:
        charge_point = stage.connect("CP1")
        assert charge_point.call("Heartbeat")[2] == TIME_ANSWER
        charge_point.hang_up()
        assert not facts(stage).online
    assert caplog.text.count("ValueError: a planted fault") == 1


# Takeover


def test_a_second_connection_takes_over_and_the_first_is_closed(stage):
    first = stage.connect("CP1")
    second = stage.connect("CP1")
    assert first.closed_with == (1008, "a newer connection took over")
    assert second.call("Heartbeat")[2] == TIME_ANSWER
    assert facts(stage).online


def test_what_the_old_connection_still_says_counts_for_nothing(stage, log):
    first, second = stage.connect("CP1"), stage.connect("CP1")
    cell = stage.cells["CP1"]
    cell.deliver(first, b'[2,"1","Heartbeat",{}]')
    stage.settle()
    assert log == []
    assert second.take() == []


def test_what_it_said_before_the_takeover_is_still_handled(stage, log):
    first = stage.connect("CP1")
    cell = stage.cells["CP1"]
    cell.deliver(first, b'[2,"1","Heartbeat",{}]')
    second = stage.connect("CP1")
    assert len(log) == 1
    assert second.take() == []  # nor is its answer sent where it was not asked for


def test_the_end_of_the_old_connection_does_not_touch_the_new_one(stage):
    first, second = stage.connect("CP1"), stage.connect("CP1")
    stage.cells["CP1"].tell(ConnectionClosed(first, 1006, "late"))
    stage.settle()
    assert facts(stage).online
    assert second.call("Heartbeat")[2] == TIME_ANSWER


def test_of_three_connections_at_once_the_newest_stands(stage):
    connections = [stage.connect("CP1") for _ in range(3)]
    assert [one.closed_with is None for one in connections] == [False, False, True]
    assert connections[2].call("Heartbeat")[2] == TIME_ANSWER


def test_a_call_that_was_not_answered_when_its_connection_went_is_answered_nowhere(stage, way, log):
    later = []
    way[0] = lambda: later.append(log[-1].later())
    stage.connect("CP1").call("Heartbeat")
    again = stage.connect("CP1")
    later[0].answer(TIME_ANSWER)
    stage.advance(100)
    assert again.take() == []
    assert stage.counts["late_answer"] == 1
    assert stage.counts["fallback"] == 0


def test_a_handler_that_outlives_its_connection_is_killed_at_its_deadline(stage, way):
    first = stage.connect("CP1")
    way[0] = Event().wait
    first.call("Heartbeat")
    stage.advance(4)
    first.hang_up()
    again = stage.connect("CP1")
    way[0] = lambda: TIME_ANSWER
    assert again.call("Heartbeat") is None  # in order: behind the one that hangs
    stage.advance(6)
    assert again.take() == [[3, "1", TIME_ANSWER]]


def test_a_handler_that_outlives_its_connection_may_finish_its_work(stage, way):
    block, done = Event(), []
    way[0] = lambda: (block.wait(), done.append("stored"))
    stage.connect("CP1").call("Heartbeat")
    stage.cells["CP1"].connection.hang_up()
    block.set()
    stage.settle()
    assert done == ["stored"]


# Registration


def boot(charge_point, way, status):
    way[0] = lambda: {"status": status, **TIME_ANSWER, "interval": 1}
    assert charge_point.call("BootNotification", BOOT)[2]["status"] == status
    way[0] = lambda: TIME_ANSWER


@pytest.mark.parametrize("status", ["Accepted", "Pending", "Rejected"])
def test_what_a_boot_was_answered_is_kept_by_session_facts_and_store(stage, way, status):
    charge_point = stage.connect("CP1")
    boot(charge_point, way, status)
    assert facts(stage).registration is Registration(status)
    assert facts(stage).boot.charge_point_vendor == "V"
    assert stage.store.registration("CP1").status == status


@pytest.mark.parametrize("status", ["Pending", "Rejected"])
@pytest.mark.parametrize("action", PASSIVE)
def test_before_it_is_accepted_only_its_boot_and_its_transactions_are_answered(stage, way, status, action):
    charge_point = stage.connect("CP1")
    boot(charge_point, way, status)
    answer = charge_point.call(action, PASSIVE[action])
    if action in ("BootNotification", *TRANSACTION_MESSAGES):
        assert answer[2] != "SecurityError"
    else:
        assert answer[2] == "SecurityError"


def test_by_a_setting_its_transactions_are_refused_too(way, log):
    rules = SessionRules(version=v16.VERSION, answer_transactions_unregistered=False)
    with Stage(RecordingPlugin.spec(way, log), rules=rules) as stage:
        charge_point = stage.connect("CP1")
        boot(charge_point, way, "Pending")
        assert charge_point.call("MeterValues", PASSIVE["MeterValues"])[2] == "SecurityError"


def test_a_boot_that_a_fallback_refused_changes_no_registration(stage, way):
    charge_point = stage.connect("CP1")
    boot(charge_point, way, "Accepted")
    way[0] = lambda: None
    assert charge_point.call("BootNotification", BOOT)[2] == "InternalError"
    assert facts(stage).registration is Registration.ACCEPTED


@pytest.mark.parametrize("strict", [False, True], ids=["lenient", "strict"])
@pytest.mark.parametrize(
    ("request_", "wanted"),
    [
        (v16.TriggerMessage(requested_message="Heartbeat"), ["Heartbeat"]),
        (
            v16.TriggerMessage(requested_message="StatusNotification"),
            ["StatusNotification", "StatusNotification"],
        ),
        (v16.ExtendedTriggerMessage(requested_message="SignChargePointCertificate"), ["SignCertificate"]),
        (
            v16.ExtendedTriggerMessage(requested_message="FirmwareStatusNotification"),
            ["SignedFirmwareStatusNotification"],
        ),
    ],
    ids=lambda value: str(getattr(value, "requested_message", "")),
)
def test_what_a_pending_one_was_asked_for_is_answered(way, log, strict, request_, wanted):
    with Stage(
        RecordingPlugin.spec(way, log), rules=SessionRules(version=v16.VERSION, strict=strict)
    ) as stage:
        charge_point = stage.connect("CP1")
        boot(charge_point, way, "Pending")
        assert charge_point.call(wanted[0], PASSIVE[wanted[0]])[2] == "SecurityError"
        stage.send("CP1", request_)
        stage.settle()
        charge_point.answer(charge_point.take()[0], {"status": "Accepted"})
        for action in wanted:
            assert charge_point.call(action, PASSIVE[action])[2] != "SecurityError"
        assert charge_point.call("Authorize", PASSIVE["Authorize"])[2] == "SecurityError"


def test_what_it_was_asked_for_before_its_boot_counts_no_more_after_it(stage, way):
    charge_point = stage.connect("CP1")
    boot(charge_point, way, "Pending")
    stage.send("CP1", v16.TriggerMessage(requested_message="Heartbeat"))
    stage.settle()
    charge_point.answer(charge_point.take()[0], {"status": "Accepted"})
    assert charge_point.call("Heartbeat")[2] == TIME_ANSWER
    boot(charge_point, way, "Pending")
    assert charge_point.call("Heartbeat")[2] == "SecurityError"


def test_what_it_refused_to_send_is_not_answered_when_it_comes(stage, way):
    charge_point = stage.connect("CP1")
    boot(charge_point, way, "Pending")
    stage.send("CP1", v16.TriggerMessage(requested_message="Heartbeat"))
    stage.settle()
    charge_point.answer(charge_point.take()[0], {"status": "Rejected"})
    assert charge_point.call("Heartbeat")[2] == "SecurityError"


# Limits


def test_one_whose_inbox_is_full_is_read_no_further_until_it_is_half_empty(way, log):
    with Stage(RecordingPlugin.spec(way, log), inbox_limit=8, calls_in_flight_limit=1000) as stage:
        charge_point = stage.connect("CP1")
        cell = stage.cells["CP1"]
        for number in range(8):
            cell.deliver(charge_point, b'[2,"%d","Heartbeat",{}]' % number)
        assert charge_point.paused
        charge_point.send([2, "held", "Heartbeat", {}])
        assert not charge_point.paused
        assert len(charge_point.take()) == 9


def test_a_connection_to_a_session_that_has_ended_is_closed(stage):
    charge_point = stage.connect("CP1")
    cell = stage.cells["CP1"]
    cell.kill()
    cell.end()
    assert not facts(stage).online
    charge_point.send([2, "1", "Heartbeat", {}])
    assert charge_point.closed_with == (1001, "the session has ended")


def test_one_that_comes_back_after_its_session_ended_is_a_new_one(stage):
    charge_point = stage.connect("CP1")
    cell = stage.cells["CP1"]
    cell.kill()
    cell.end()
    charge_point.hang_up()
    assert stage.connect("CP1").call("Heartbeat")[2] == TIME_ANSWER


# Inside


def test_a_session_is_an_actor_that_can_be_asked_to_stop(stage):
    stage.connect("CP1")
    cell = stage.cells["CP1"]
    assert cell.ref.stop(timeout=60) is True


def test_frames_wait_in_the_inbox_and_nothing_is_lost_when_many_come_at_once(stage, log):
    charge_point = stage.connect("CP1")
    cell = stage.cells["CP1"]
    for number in range(200):
        cell.tell(FrameReceived(charge_point, b'[2,"%d","Heartbeat",{}]' % number, stage.clock.monotonic()))
    stage.settle()
    assert [frame[1] for frame in charge_point.take()] == [str(number) for number in range(200)]


def test_a_handler_of_one_plugin_may_be_claimed_beside_anothers(way, log):
    class Mine(Plugin):
        @passive("Heartbeat")
        def beat(self, call):
            return {"currentTime": "2030-01-01T00:00:00Z"}

    with Stage(Mine, RecordingPlugin.spec(way, log)) as stage:
        charge_point = stage.connect("CP1")
        assert charge_point.call("Heartbeat")[2] == {"currentTime": "2030-01-01T00:00:00Z"}
        charge_point.call("StatusNotification", PASSIVE["StatusNotification"])
        assert len(log) == 1
