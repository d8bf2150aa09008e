"""Reports of the system about its commands and charge points, and their recipients."""

import json
import threading

import gevent
import pytest

from chargehand import (
    CentralSystem,
    ChargePointOffline,
    ChargePointOnline,
    Plugin,
    SessionSettings,
    Settings,
    SupervisionSettings,
    SystemFailed,
    TicketState,
    on_outcome,
    v16,
)

from ..hub import until
from ..in_process import QUICK, SETTINGS, connect, in_a_thread, unanswered

# Calls that cannot be made


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), "30"])
@pytest.mark.parametrize("name", ["timeout_s", "expires_in_s", "effect_timeout_s"])
def test_a_time_that_is_none_is_refused_at_once(system, name, seconds):
    with pytest.raises(ValueError, match=f"{name} must be seconds above 0"):
        system.send("CP1", v16.Reset(type="Soft"), until_effect=True, **{name: seconds})
    assert system.open_tickets() == []


def test_an_effect_that_nothing_shows_cannot_be_waited_for(system):
    with pytest.raises(ValueError, match="no message that shows the effect of ClearCache"):
        system.send("CP1", v16.ClearCache(), until_effect=True)


def test_in_a_native_thread_a_call_that_cannot_be_made_is_refused_there(system):
    with pytest.raises(ValueError, match="Heartbeat is sent by charge points"):
        in_a_thread(lambda: system.send("CP1", v16.Heartbeat()))


# Native threads


def test_a_native_thread_that_waits_too_short_has_a_timeout_and_can_wait_again(system):
    with connect(system) as charge_point:
        charge_point.answers["ClearCache"] = unanswered
        ticket = system.send("CP1", v16.ClearCache(), timeout_s=0.2)

        def result():
            return ticket.result(timeout_s=0.01)

        with pytest.raises(TimeoutError):
            in_a_thread(result)
        assert in_a_thread(ticket.wait) is True
    assert ticket.state is TicketState.TIMED_OUT


def test_a_native_thread_that_waits_when_the_system_stops_is_woken(system):
    ticket = system.send("nobody yet", v16.ClearCache(), when_offline="queue")
    begun = threading.Event()

    def wait():
        begun.set()
        return ticket.wait(60)

    stopping = gevent.spawn(lambda: (until(begun.is_set), system.stop()))
    assert in_a_thread(wait) is True
    stopping.join()
    assert ticket.state is TicketState.NEVER_SENT


def test_a_call_from_a_native_thread_that_comes_too_late_ends_too():
    system = CentralSystem(SETTINGS)
    system.start()
    ready, stopped = threading.Event(), threading.Event()

    def call():
        ready.set()
        stopped.wait(60)
        with pytest.raises(RuntimeError, match="not running"):
            system.send("CP1", v16.ClearCache())
        return True

    stopping = gevent.spawn(lambda: (until(ready.is_set), system.stop(), stopped.set()))
    assert in_a_thread(call) is True
    stopping.join()


# Tickets


def test_the_open_tickets_are_those_that_have_not_ended(system):
    with connect(system) as charge_point, connect(system, "CP2"):
        charge_point.answers["ClearCache"] = unanswered
        on_wire = system.send("CP1", v16.ClearCache())
        queued = system.send("CP1", v16.GetLocalListVersion())
        other = system.send("CP3", v16.ClearCache(), when_offline="queue")
        ended = system.send("CP2", v16.ClearCache())
        ended.result(60)
        assert system.open_tickets() == [on_wire, queued, other]
        assert system.open_tickets("CP1") == [on_wire, queued]
        assert system.open_tickets("CP2") == []
        queued.cancel()
        assert queued.wait(60)
        assert system.open_tickets("CP1") == [on_wire]
        assert system.ticket("no such ticket") is None


def test_every_ticket_has_an_id_of_its_own_over_restarts():
    system, seen = CentralSystem(SETTINGS), set()
    for _ in range(2):
        with system:
            seen |= {system.send("nobody", v16.ClearCache()).id for _ in range(3)}
    assert len(seen) == 6


def test_plugins_hear_how_calls_ended_those_that_were_never_sent_among_them():
    heard = []

    class Outcomes(Plugin):
        @on_outcome()
        def ended(self, ticket):
            heard.append((ticket.action, ticket.state))

    with CentralSystem(SETTINGS, plugins=[Outcomes]) as system, connect(system):
        system.send("nobody", v16.ClearCache())
        system.send("CP1", v16.ClearCache()).result(60)
        until(lambda: len(heard) == 2)
    assert heard == [("ClearCache", TicketState.NEVER_SENT), ("ClearCache", TicketState.ANSWERED)]


# The record and the counters


def test_the_record_of_a_charge_point_is_its_last_frames_without_secrets(system):
    with connect(system) as charge_point:
        charge_point.send(v16.Heartbeat())
        change = v16.ChangeConfiguration(key="AuthorizationKey", value="0123456789ABCDEF")
        system.send("CP1", change).result(60)
        head, *rows = map(json.loads, system.recording("CP1").splitlines())
    assert (head["charge_point"], head["version"], head["policy"]) == ("CP1", "1.6", "lenient")
    assert (head["registration"], head["accept_unbooted"]) == (None, True), "as it was before the first row"
    assert {row["kind"] for row in rows} == {"connected", "in", "registration", "answer", "out", "ticket"}
    assert any('"Heartbeat"' in row["data"] for row in rows)
    assert any('"AuthorizationKey"' in row["data"] for row in rows)
    assert not any("0123456789ABCDEF" in row["data"] for row in rows)


def test_of_a_charge_point_that_is_not_known_there_is_no_record(system):
    assert system.recording("nobody") is None
    assert system.charge_point("nobody") is None


def test_no_more_is_recorded_than_the_setting_says():
    settings = Settings(port=0, supervision=QUICK, sessions=SessionSettings(recorder_bytes=0))
    with CentralSystem(settings) as system, connect(system) as charge_point:
        charge_point.send(v16.Heartbeat())
        assert len(system.recording("CP1").splitlines()) == 1


def test_what_happens_is_counted(system):
    counts = system.counters.counts
    with connect(system) as charge_point:
        system.send("CP1", v16.ClearCache()).result(60)
        system.send("CP1", v16.ClearCache()).result(60)
        charge_point.connection.client.send_text(b"pong")
        until(lambda: counts.get("frame_ignored"))
    assert counts["ticket_answered"] == 2
    assert counts["frame_ignored"] == 1
    assert "handler_failed" not in counts


# Comings and goings


def test_a_callback_that_fails_costs_nobody_anything(caplog):
    def fail(event):
        raise ValueError("a planted fault")

    with CentralSystem(SETTINGS) as system:
        system.subscribe((ChargePointOnline, ChargePointOffline), fail)
        for _ in range(2):
            with connect(system, reconnect=None) as charge_point:
                assert charge_point.send(v16.Heartbeat()).current_time
            until(lambda: not system.charge_point("CP1").online)
    assert caplog.text.count("ValueError: a planted fault") == 4


def test_a_stop_is_told_to_whoever_embeds_it_as_a_going():
    gone = []
    with (
        CentralSystem(SETTINGS) as system,
        connect(system, reconnect=None),
        connect(system, "CP2", reconnect=None),
    ):
        system.subscribe(ChargePointOffline, lambda event: gone.append(event.charge_point_id))
        system.stop()
        assert sorted(gone) == ["CP1", "CP2"]


# Its end


def test_a_system_that_does_not_run_is_not_waited_for():
    system = CentralSystem(SETTINGS)
    assert system.wait() is True
    with system:
        assert system.wait(0) is False
    assert system.wait() is True


def test_everybody_who_waits_is_told_that_the_root_gave_up():
    settings = Settings(port=0, supervision=SupervisionSettings(intensity=0, shutdown_s=0.05))
    raised = []

    def wait():
        try:
            system.wait(60)
        except SystemFailed as error:
            raised.append(str(error))

    with CentralSystem(settings) as system:
        waiting = [gevent.spawn(wait) for _ in range(3)]
        gevent.sleep(0)
        system._parts.tree.cells["endpoints"].actor.children[0].cell.kill()
        gevent.joinall(waiting)
        wait()  # once more, behind the end
    assert len(raised) == 4
    assert len(set(raised)) == 1
    with system:
        assert system.wait(0) is False


def test_a_call_after_the_root_gave_up_ends():
    settings = Settings(port=0, supervision=SupervisionSettings(intensity=0, shutdown_s=0.05))
    with CentralSystem(settings) as system:
        system._parts.tree.cells["endpoints"].actor.children[0].cell.kill()
        until(lambda: system._failure is not None)
        assert system.send("CP1", v16.ClearCache()).state is TicketState.NEVER_SENT
        queued = system.send("CP1", v16.ClearCache(), when_offline="queue")
        with pytest.raises(SystemFailed):
            system.wait()
        assert queued.state is TicketState.NEVER_SENT


# Whoever wants to hear of everything


class Listener:
    def __init__(self, error=None):
        self.heard = []
        self.error = error

    def count(self, name, charge_point_id):
        self.heard.append((name, charge_point_id))
        if self.error is not None:
            raise self.error


def test_an_observer_hears_of_what_is_counted_and_of_which_charge_point():
    listener = Listener()
    with CentralSystem(SETTINGS, observers=[listener]) as system, connect(system) as charge_point:
        assert system.send("CP1", v16.ClearCache()).result(60)
        charge_point.send(v16.Heartbeat())
    assert ("ticket_answered", "CP1") in listener.heard


def test_an_observer_that_raises_costs_nobody_anything():
    broken, listener = Listener(ValueError("a planted fault")), Listener()
    with CentralSystem(SETTINGS, observers=[broken, listener]) as system, connect(system):
        assert system.send("CP1", v16.ClearCache()).result(60)
        assert system.counters.counts["ticket_answered"] == 1
    assert broken.heard == listener.heard != []
