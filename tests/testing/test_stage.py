"""The stage on which plugin authors test their plugins, used as they would use it."""

import gevent
import pytest
from gevent.event import Event

from chargehand import ChargePointOnline, Plugin, TicketState, on, passive, v16
from chargehand.actors.session.actor import SessionActor
from chargehand.protocol.session import Registration, SessionRules
from chargehand.testing import ManualClock, Stage, StubStore


class Tags(Plugin):
    """The plugin of the README."""

    def __init__(self, known=frozenset()):
        super().__init__()
        self.known = known

    @passive(v16.Authorize)
    def authorize(self, call):
        status = "Accepted" if call.request.id_tag in self.known else "Invalid"
        return v16.AuthorizeResponse(id_tag_info=v16.IdTagInfo(status=status))


def test_a_known_tag_may_charge():
    with Stage(Tags.spec(known=frozenset({"T1"}))) as stage:
        charge_point = stage.connect("CP1")
        answer = charge_point.call("Authorize", {"idTag": "T1"})
        assert answer == [3, "1", {"idTagInfo": {"status": "Accepted"}}]


def test_a_plugin_can_be_given_as_its_class():
    with Stage(Tags) as stage:
        answer = stage.connect("CP1").call("Authorize", {"idTag": "T1"})
        assert answer[2] == {"idTagInfo": {"status": "Invalid"}}


def test_what_the_plugin_waits_for_comes_when_time_is_moved():
    class Slow(Plugin):
        @passive("Heartbeat")
        def beat(self, call):
            later = call.later()
            self.system.context.timers.call_at(
                self.system.clock.monotonic() + 5,
                lambda: later.answer({"currentTime": "2026-01-01T00:00:00Z"}),
            )

    with Stage(Slow) as stage:
        charge_point = stage.connect("CP1")
        assert charge_point.call("Heartbeat") is None
        stage.advance(5)
        assert charge_point.take()[0][0] == 3


def test_a_fallback_answers_at_the_deadline_and_is_counted():
    class Hanging(Plugin):
        @passive("Heartbeat")
        def beat(self, call):
            Event().wait()

    with Stage(Hanging) as stage:
        charge_point = stage.connect("CP1")
        charge_point.call("Heartbeat")
        stage.advance(10)
        assert charge_point.take() == [[3, "1", {"currentTime": "2026-01-01T00:00:10Z"}]]
        assert stage.counts["fallback"] == 1


def test_active_calls_are_sent_and_answered():
    with Stage() as stage:
        charge_point = stage.connect("CP1")
        ticket = stage.send("CP1", v16.ClearCache(), timeout_s=5)
        stage.settle()
        (call,) = charge_point.take()
        charge_point.answer(call, {"status": "Accepted"})
        assert ticket.result().status == "Accepted"
        ticket = stage.send("CP1", v16.ClearCache(), timeout_s=5)
        stage.advance(5)
        assert ticket.state is TicketState.TIMED_OUT


def test_the_rules_the_store_and_the_clock_can_be_chosen():
    clock, store = ManualClock(time=0.0), StubStore()
    with Stage(Tags, rules=SessionRules(version=v16.VERSION, strict=True), store=store, clock=clock) as stage:
        assert stage.store is store
        assert stage.connect("CP1").call("Authorize", {"idTag": 5})[2] == "TypeConstraintViolation"


def test_a_charge_point_may_be_registered_before_it_comes():
    with Stage(Tags) as stage:
        charge_point = stage.connect("CP1", registration=Registration.PENDING)
        assert charge_point.call("Authorize", {"idTag": "T1"})[2] == "SecurityError"


def test_the_first_plugin_that_claims_an_action_answers_it():
    with Stage(Tags.spec(known={"T1"}), Tags.spec(known=set(), name="second")) as stage:
        assert stage.connect("CP1").call("Authorize", {"idTag": "T1"})[2]["idTagInfo"]["status"] == "Accepted"


def test_a_plugin_that_cannot_start_fails_the_start():
    class Broken(Plugin):
        def on_start(self):
            raise ValueError("no database")

    stage = Stage(Tags, Broken)
    with pytest.raises(ValueError, match="no database"):
        stage.start()
    stage.stop()


def test_the_crash_of_a_session_is_raised_where_it_happened(monkeypatch):
    def planted(*_):
        raise ZeroDivisionError("a planted fault")

    with Stage(Tags) as stage:
        charge_point = stage.connect("CP1")
        monkeypatch.setattr(SessionActor, "_route", planted)
        with pytest.raises(ZeroDivisionError, match="a planted fault"):
            charge_point.call("Authorize", {"idTag": "T1"})


def test_a_plugin_that_crashes_is_started_again():
    started = []

    class Crashing(Plugin):
        def __init__(self):
            super().__init__()
            started.append(1)

    with Stage(Crashing) as stage:
        stage.plugins[0].tell("kill me")
        stage.plugins[0].kill()
        stage.settle()
        assert len(started) == 2


def test_a_plugin_that_waits_for_a_native_thread_is_waited_for():
    class Threaded(Plugin):
        @passive("Heartbeat")
        def beat(self, call):
            gevent.get_hub().threadpool.apply(sum, ([1, 2],))
            return {"currentTime": "2026-01-01T00:00:00Z"}

    with Stage(Threaded) as stage:
        charge_point = stage.connect("CP1")
        charge_point.call("Heartbeat")
        stage.wait_for(lambda: charge_point.frames)
        assert charge_point.sent()[0][0] == 3


def test_what_does_not_come_in_time_is_a_failure():
    with Stage() as stage, pytest.raises(AssertionError, match=r"not within 0\.01 s"):
        stage.wait_for(lambda: False, timeout_s=0.01)


def test_a_long_chain_of_greenlets_is_followed_to_its_end():
    class Chain(Plugin):
        @passive("Heartbeat")
        def beat(self, call):
            for _ in range(20):
                gevent.spawn(int).join()
            return {"currentTime": "2026-01-01T00:00:00Z"}

    with Stage(Chain) as stage:
        charge_point = stage.connect("CP1")
        charge_point.call("Heartbeat")
        stage.wait_for(lambda: charge_point.frames)


def test_many_charge_points_share_a_stage():
    seen = []

    class Seeing(Plugin):
        @on(ChargePointOnline)
        def came(self, event):
            seen.append(event.charge_point_id)

    with Stage(Seeing) as stage:
        for number in range(100):
            stage.connect(f"CP{number}")
    assert seen == [f"CP{number}" for number in range(100)]
