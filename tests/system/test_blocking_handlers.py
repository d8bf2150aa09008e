"""Handlers that block run in native threads: nobody else waits, and a stuck thread costs what it must and no more."""

import threading
import time
from typing import Any

import gevent
import pytest

from chargehand import (
    AnsweredCall,
    Call,
    ChargePointOnline,
    DeadlineSettings,
    HandlerAbandoned,
    NotAvailableHere,
    Plugin,
    Settings,
    SupervisionSettings,
    Tag,
    after,
    on,
    passive,
    v16,
)
from chargehand.simulator import CallFailed

from ..hub import until
from ..in_process import QUICK, connect, system_with

ACCEPTED = {"idTagInfo": {"status": "Accepted"}}
HUB = threading.get_ident


class Noted(Plugin):
    """Notes which thread handled what."""

    def __init__(self) -> None:
        super().__init__()
        self.threads: list[int] = []
        self.seen: list[Any] = []

    @passive(v16.Authorize, blocking=True)
    def authorize(self, call: Call[v16.Authorize]) -> Any:
        self.threads.append(threading.get_ident())
        return self.answer_to(call)

    def answer_to(self, call: Call[v16.Authorize]) -> Any:
        return ACCEPTED

    @passive(v16.Heartbeat)
    def heartbeat(self, call: Call[v16.Heartbeat]) -> Any:
        self.seen.append(threading.get_ident())
        return call.pass_on()


def plugin_of(system: Any, name: str = "Noted") -> Any:
    return system._parts.router.plugin(name).actor


def authorize(charge_point: Any, tag: str = "T1") -> str:
    return str(charge_point.send(v16.Authorize(id_tag=tag)).id_tag_info.status)


def test_a_blocking_handler_runs_in_a_thread_and_others_in_the_hub() -> None:
    with system_with(Noted) as system, connect(system) as charge_point:
        assert authorize(charge_point) == "Accepted"
        charge_point.send(v16.Heartbeat())
        plugin = plugin_of(system)
        assert plugin.threads != [threading.get_ident()]
        assert plugin.seen == [threading.get_ident()]


def test_another_charge_point_does_not_wait_for_a_handler_that_blocks() -> None:
    release = threading.Event()

    class Blocks(Noted):
        def answer_to(self, call: Call[v16.Authorize]) -> Any:
            if call.request.id_tag == "slow":
                release.wait(100)
            return ACCEPTED

    with (
        system_with(Blocks.spec(name="Noted")) as system,
        connect(system, "CP1") as slow,
        connect(system, "CP2") as other,
    ):
        blocked = gevent.spawn(authorize, slow, "slow")
        until(lambda: plugin_of(system).threads)
        for _ in range(50):
            authorize(other)
        assert not blocked.ready()
        release.set()
        assert blocked.get(timeout=60) == "Accepted"


def test_calls_of_one_charge_point_are_handled_in_order() -> None:
    class Orders(Noted):
        def answer_to(self, call: Call[v16.Authorize]) -> Any:
            self.seen.append(("begins", call.request.id_tag))
            time.sleep(0.001 * (int(call.request.id_tag) % 3))  # blocks its thread, each for another time
            self.seen.append(("ends", call.request.id_tag))
            return ACCEPTED

    with system_with(Orders.spec(name="Noted")) as system, connect(system) as charge_point:
        sent = [gevent.spawn(authorize, charge_point, str(number)) for number in range(20)]
        gevent.joinall(sent, timeout=60)
        seen = plugin_of(system).seen
        assert seen == [(what, number) for _, number in seen[::2] for what in ("begins", "ends")]
        assert len(seen) == 40


def test_what_a_blocking_handler_calls_happens_in_the_hub() -> None:
    class Calls(Noted):
        def answer_to(self, call: Call[v16.Authorize]) -> Any:
            ticket = self.system.send(call.charge_point.id, v16.ClearCache(), timeout_s=5)
            self.seen.append(str(ticket.result().status))
            store = self.system.store
            store.forget("CP9").wait(60)
            self.seen += [len(self.system.charge_points()), store.registration("CP9")]
            store.collections.tags.put(Tag(id_tag="T9")).wait(60)
            self.seen.append(len(store.collections.tags))
            self.seen.append([tag.id_tag for tag in store.collections.tags])
            return call.once_stored(call.pass_on(), store.register("CP9", "Accepted"))

    with system_with(Calls.spec(name="Noted")) as system, connect(system) as charge_point:
        assert authorize(charge_point) == "Accepted"
        assert plugin_of(system).seen == ["Accepted", 1, None, 1, ["T9"]]


def test_a_whole_plugin_can_be_blocking_with_its_life() -> None:
    class Whole(Plugin):
        def __init__(self, told: list[Any]) -> None:
            super().__init__()
            self.told = told

        def on_start(self) -> None:
            self.told.append(("start", threading.get_ident()))

        def on_stop(self) -> None:
            self.told.append(("stop", threading.get_ident()))

        def on_receive(self, message: Any) -> Any:
            return message, threading.get_ident()

        @on(ChargePointOnline)
        def came(self, event: ChargePointOnline) -> None:
            self.told.append((event.charge_point_id, threading.get_ident()))

        @after(v16.Heartbeat)
        def beat(self, call: AnsweredCall[v16.Heartbeat], answer: object) -> None:
            self.told.append((type(answer).__name__, threading.get_ident()))

    told: list[Any] = []
    with system_with(Whole.spec(told, blocking=True)) as system, connect(system) as charge_point:
        charge_point.send(v16.Heartbeat())
        until(lambda: len(told) == 3)
        answer, thread = system.ref("Whole").ask("x")
        assert (answer, thread == threading.get_ident()) == ("x", False)
    assert [what for what, _ in told] == ["start", "CP1", "HeartbeatResponse", "stop"]
    assert threading.get_ident() not in {thread for _, thread in told}


def late(action_s: float) -> Settings:
    return Settings(port=0, supervision=QUICK, deadlines=DeadlineSettings(actions={"Authorize": action_s}))


def test_at_the_deadline_the_fallback_answers_and_the_thread_is_counted() -> None:
    release = threading.Event()
    raised: list[Exception] = []

    class Sticks(Noted):
        def answer_to(self, call: Call[v16.Authorize]) -> Any:
            release.wait(60)
            try:
                self.system.charge_points()
            except HandlerAbandoned as error:
                raised.append(error)
            return ACCEPTED

    with (
        system_with(Sticks.spec(name="Noted"), settings=late(0.1)) as system,
        connect(system) as charge_point,
    ):
        with pytest.raises(CallFailed):
            authorize(charge_point)
        assert system.counters.counts["thread_abandoned"] == 1
        pool = system._parts.router.plugin("Noted").native_pool()
        assert pool.stuck == 1
        release.set()
        until(lambda: pool.stuck == 0)
        assert authorize(charge_point) == "Accepted"
    assert [str(error) for error in raised] == ["the deadline of Noted.authorize has passed"]


def test_a_plugin_whose_threads_are_all_stuck_is_quarantined_and_comes_back() -> None:
    release = threading.Event()

    class Sticks(Noted):
        def answer_to(self, call: Call[v16.Authorize]) -> Any:
            if call.request.id_tag == "stick":
                release.wait(60)
            return ACCEPTED

    supervision = SupervisionSettings(
        shutdown_s=0.05, stop_timeout_s=2.0, quarantine_s=0.2, failing_charge_points=100
    )
    settings = Settings(
        port=0, supervision=supervision, deadlines=DeadlineSettings(actions={"Authorize": 0.3})
    )
    with (
        system_with(Sticks.spec(name="Noted", threads=2), settings=settings) as system,
        connect(system, "CP1") as first,
        connect(system, "CP2") as second,
        connect(system, "CP3") as third,
    ):
        stuck = [gevent.spawn(authorize, one, "stick") for one in (first, second, third)]
        gevent.joinall(stuck, timeout=60)
        assert all(isinstance(one.exception, CallFailed) for one in stuck)
        until(lambda: [row["plugin"] for row in system.quarantined()] == ["Noted"], "its supervisor knows")
        with pytest.raises(CallFailed):
            authorize(third)
        third.send(v16.StatusNotification(connector_id=1, error_code="NoError", status="Available"))
        gevent.sleep(0.4)  # the time of a trial, for which there is no thread
        with pytest.raises(CallFailed):
            authorize(third)
        release.set()

        def is_back() -> bool:
            try:
                return authorize(third) == "Accepted"
            except CallFailed:
                return False

        until(is_back)
        until(lambda: not system.quarantined())


def test_a_later_answer_may_come_from_any_thread() -> None:
    class Later(Noted):
        def answer_to(self, call: Call[v16.Authorize]) -> Any:
            later = call.later()
            threading.Timer(0.05, later.answer, (ACCEPTED,)).start()

    with system_with(Later.spec(name="Noted")) as system, connect(system) as charge_point:
        assert authorize(charge_point) == "Accepted"


def test_an_exception_of_a_blocking_handler_is_its_failure() -> None:
    class Fails(Noted):
        def answer_to(self, call: Call[v16.Authorize]) -> Any:
            if call.request.id_tag == "gone":
                raise SystemExit
            raise ConnectionError("the database is away")

    with system_with(Fails.spec(name="Noted")) as system, connect(system) as charge_point:
        for tag in ("away", "gone"):
            with pytest.raises(CallFailed):
                authorize(charge_point, tag)
        assert system.counters.counts["handler_failed"] == 2


def test_no_thread_is_left_by_systems_that_start_and_stop() -> None:
    before = threading.active_count()
    for _ in range(5):
        with system_with(Noted.spec(threads=3)) as system, connect(system) as charge_point:
            assert authorize(charge_point) == "Accepted"
            asked: list[Any] = []
            host = threading.Thread(
                target=lambda system=system, asked=asked: asked.append(system.ref("Noted"))
            )
            host.start()
            host.join()
    until(lambda: threading.active_count() == before)


def test_a_blocking_plugin_takes_at_least_one_thread() -> None:
    with pytest.raises(ValueError, match="0 threads are too few"):
        Noted.spec(threads=0)


def test_what_a_system_has_not_is_refused_by_name() -> None:
    from chargehand.remote import Client  # noqa: PLC0415

    client = Client("redis://127.0.0.1:1")
    with pytest.raises(NotAvailableHere, match="store"):
        _ = client.store
    with pytest.raises(NotAvailableHere, match="charge_points"):
        client.charge_points()
