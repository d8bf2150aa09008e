"""Actors and threads of a host that is not patched: tell and ask from any native thread, and futures both ways."""

import contextlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import gevent
import pykka
import pytest
from gevent.exceptions import LoopExit

from chargehand import (
    Actor,
    ActorNotFound,
    ChargePointOnline,
    Future,
    HubBlocked,
    Plugin,
    Settings,
    Tag,
    TransactionFilter,
    v16,
)
from chargehand.actors.runtime.threads import inlet_of

from ..hub import until
from ..in_process import QUICK, connect, in_a_thread, system_with


class Adder(Plugin):
    """Adds what it is told, and answers with the total."""

    def on_start(self) -> None:
        self.total = 0

    def on_receive(self, message: Any) -> Any:
        if message == "fail":
            raise ValueError("asked to fail")
        if message == "slow":
            gevent.sleep(0.05)
            return "slept"
        self.total += message
        return self.total


class Doubler(Actor):
    def on_receive(self, message: int) -> int:
        return message * 2


class Threaded(pykka.ThreadingActor):
    """Actor of the host, in a native thread of its own."""

    def __init__(self, ref: Any = None) -> None:
        super().__init__()
        self.ref = ref

    def on_receive(self, message: Any) -> Any:
        if isinstance(message, dict):  # a future of ours, to be set here
            message["reply_to"].set(message["value"] + 1)
            return None
        return self.ref.ask(message) if self.ref is not None else message + 1


def test_a_native_thread_asks_a_plugin_by_its_name() -> None:
    with system_with(Adder) as system:
        assert in_a_thread(lambda: [system.ref("Adder").ask(n, timeout=60) for n in (1, 2, 3)]) == [1, 3, 6]


def test_a_native_thread_waits_for_an_answer_less_than_some_milliseconds() -> None:
    with system_with(Adder) as system:
        ref = system.ref("Adder")

        def ask() -> list[float]:
            took = []
            for _ in range(200):
                began = time.perf_counter()
                ref.ask(1, timeout=60)
                took.append(time.perf_counter() - began)
            return sorted(took)

        assert in_a_thread(ask)[100] < 1.0  # gevent's own way would take two and a half seconds


def test_messages_that_a_native_thread_tells_stay_in_order() -> None:
    seen: list[int] = []

    class Notes(Plugin):
        def on_receive(self, message: int) -> None:
            seen.append(message)

    with system_with(Notes) as system:
        ref = system.ref("Notes")
        in_a_thread(lambda: [ref.tell(n) for n in range(500)])
        until(lambda: len(seen) == 500)
    assert seen == list(range(500))


def test_many_native_threads_ask_at_once() -> None:
    with system_with(Adder) as system:
        ref = system.ref("Adder")
        threads = [
            threading.Thread(target=lambda: [ref.ask(1, timeout=60) for _ in range(50)]) for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        until(lambda: not any(thread.is_alive() for thread in threads))
        assert ref.ask(0) == 400


def test_a_failure_and_a_timeout_come_to_the_thread_that_asked() -> None:
    with system_with(Adder) as system:
        ref = system.ref("Adder")
        with pytest.raises(ValueError, match="asked to fail"):
            in_a_thread(lambda: ref.ask("fail", timeout=60))
        with pytest.raises(pykka.Timeout):
            in_a_thread(lambda: ref.ask("slow", timeout=0.001))
        assert ref.ask("slow") == "slept"


def test_a_ref_is_dead_for_every_thread_when_its_system_has_stopped() -> None:
    with system_with(Adder) as system:
        ref = system.ref("Adder")
    with pytest.raises(pykka.ActorDeadError):
        in_a_thread(lambda: ref.tell(1))
    with pytest.raises(pykka.ActorDeadError):
        in_a_thread(lambda: ref.ask(1, timeout=60))
    with pytest.raises(ActorNotFound):
        system.ref("Adder")


def test_a_session_has_a_ref_while_its_charge_point_is_known() -> None:
    with system_with() as system:
        with connect(system):
            ref = system.session_ref("CP1")
            assert in_a_thread(ref.is_alive)
        with pytest.raises(ActorNotFound, match="CP2"):
            system.session_ref("CP2")
        with pytest.raises(ActorNotFound, match="no plugin Tags"):
            system.ref("Tags")


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_a_native_thread_calls_what_belongs_to_the_hub(tmp_path: Path, kind: str) -> None:
    settings = Settings(port=0, supervision=QUICK, data=str(tmp_path), store=kind)
    with system_with(settings=settings) as system, connect(system):

        def call_all() -> None:
            assert [one.id for one in system.charge_points()] == ["CP1"]
            assert system.store.transaction(17) is None
            system.store.collections.tags.put(Tag(id_tag="T1")).wait(60)
            assert [tag.id_tag for tag in system.store.collections.tags] == ["T1"]
            system.register("CP7", "Accepted").wait(60)
            assert system.knows("CP7")
            for call in (
                lambda: system.find_transaction(17),
                lambda: system.stop_charging(17),
                lambda: system.close_transaction(17, by="me", reason="Lost"),
                lambda: system.run_in_hub(system.find_transaction, 17),
            ):
                with pytest.raises(LookupError):
                    call()
            assert list(system.assessment.transactions(TransactionFilter())) == []
            assert system.run_in_hub(len, (1, 2)) == 2
            assert system.wait(0.01) is False

        in_a_thread(call_all)


def test_a_native_thread_has_a_subscription_and_iterates_over_it() -> None:
    with system_with() as system:

        def first() -> str:
            with contextlib.closing(system.subscribe(ChargePointOnline)) as events:
                subscribed.set()
                return str(next(iter(events)).charge_point_id)

        subscribed = threading.Event()
        waiting = gevent.spawn(in_a_thread, first)
        until(subscribed.is_set)
        with connect(system):
            assert waiting.get(timeout=60) == "CP1"


def test_a_system_in_a_native_thread_is_waited_for_and_stopped_by_another() -> None:
    begun: list[Any] = []
    seen: list[Any] = []

    def serve() -> None:
        with system_with(Adder) as system:
            begun.append(system)
            seen.append(system.wait())
        gevent.get_hub().destroy(destroy_loop=True)

    thread = threading.Thread(target=serve)
    thread.start()
    until(lambda: begun)
    system = begun[0]
    waits = threading.Thread(target=lambda: seen.append(system.wait()))
    waits.start()
    assert in_a_thread(lambda: system.ref("Adder").ask(1, timeout=60)) == 1
    in_a_thread(system.stop)
    until(lambda: not thread.is_alive() and not waits.is_alive())
    assert seen == [True, True]
    in_a_thread(system.stop)  # safe to call again


def test_a_wait_for_a_hub_whose_thread_has_ended_ends() -> None:
    begun: list[Any] = []
    made = threading.Event()

    def make() -> None:
        future: Future[int] = Future()
        future.home = inlet_of(gevent.get_hub())
        begun.append(future)
        gevent.get_hub().destroy(destroy_loop=True)

    def get() -> None:
        made.wait(60)
        begun[0].get()

    with ThreadPoolExecutor(1) as waits:
        # Its thread begins first: a later one may have the number of one that has ended.
        waited = waits.submit(get)
        thread = threading.Thread(target=make)
        thread.start()
        thread.join(60)
        made.set()
        with pytest.raises(HubBlocked, match="the thread of the hub has ended"):
            waited.result(60)


def test_a_threading_actor_asks_ours_and_ours_is_answered_by_it() -> None:
    ours = Doubler.start()
    beside = Threaded.start(ours)
    try:
        asked = beside.ask(21, block=False)
        assert gevent.get_hub().threadpool.apply(asked.get) == 42
        future: Future[int] = Future()
        beside.tell({"reply_to": future, "value": 41})
        assert future.get(timeout=60) == 42
    finally:
        stopping = beside.stop(block=False)
        gevent.get_hub().threadpool.apply(stopping.get)
        ours.stop()


def test_a_blocking_plugin_asks_a_threading_actor_directly() -> None:
    beside = Threaded.start()

    class Asks(Plugin):
        def on_receive(self, message: int) -> Any:
            return beside.ask(message, timeout=60)

    try:
        with system_with(Asks.spec(blocking=True)) as system:
            assert system.ref("Asks").ask(1, timeout=60) == 2
    finally:
        beside.stop()


def test_one_future_wakes_greenlets_and_native_threads_alike() -> None:
    future: Future[str] = Future()
    waiting = [gevent.spawn(future.get) for _ in range(3)]
    got: list[str] = []
    threads = [threading.Thread(target=lambda: got.append(future.get(timeout=60))) for _ in range(3)]
    for thread in threads:
        thread.start()
    gevent.sleep(0.01)
    future.set("done")
    until(lambda: len(got) == 3)
    assert {one.get(timeout=60) for one in waiting} | set(got) == {"done"}
    for thread in threads:
        thread.join()


def test_a_future_that_a_thread_sets_wakes_a_hub_with_nothing_else_to_do() -> None:
    def waits() -> int:
        future: Future[int] = Future()
        threading.Timer(0.05, future.set, (7,)).start()
        try:
            gevent.get_hub()
            return future.get()
        except LoopExit:
            return 0
        finally:
            gevent.get_hub().destroy(destroy_loop=True)

    assert in_a_thread(waits) == 7


def test_a_native_thread_has_a_proxy_of_an_actor() -> None:
    class Counts(Plugin):
        def on_start(self) -> None:
            self.total = 3

        def plus(self, number: int) -> int:
            return self.total + number

    with system_with(Counts) as system:
        ref = system.ref("Counts")
        assert in_a_thread(lambda: ref.proxy().plus(4).get(timeout=60)) == 7


BLOCKED = Settings(port=0, supervision=replace(QUICK, watchdog_s=0.1, hang_s=0.3))


def errors_of_a_thread_that_the_hub_waits_for(*calls: Any) -> list[Any]:
    """Join a native thread in the hub's thread, which blocks the hub, and return what each call of it raised."""
    raised: list[Any] = []

    def call_all() -> None:
        for call in calls:
            try:
                call()
            except Exception as error:  # noqa: BLE001 - looked at by the test
                raised.append(error)

    thread = threading.Thread(target=call_all)
    thread.start()
    thread.join(150)
    assert not thread.is_alive()
    return raised


def test_whoever_waits_for_a_hub_that_hangs_is_told_so_without_a_time_limit() -> None:
    with system_with(Adder, settings=BLOCKED) as system:
        ref = system.ref("Adder")
        began = time.monotonic()
        raised = errors_of_a_thread_that_the_hub_waits_for(
            lambda: ref.ask(1),
            lambda: ref.ask(1, timeout=60),
            lambda: ref.ask(1, block=False).get(),
            ref.proxy().total.get,
            lambda: system.run_in_hub(len, ()),
            lambda: system.send("CP1", v16.ClearCache(), when_offline="queue").result(),
            lambda: system.send("CP1", v16.ClearCache(), when_offline="queue").wait(60),
            lambda: system.send_many(["CP1"], v16.ClearCache()).wait(),
        )
        assert time.monotonic() - began < 55  # two would have waited for a minute
        assert [type(error) for error in raised] == [HubBlocked] * 8
        assert "blocked for " in str(raised[0])
        assert "let its thread wait by gevent" in str(raised[0])
        assert "thread.join(150)" in raised[0].__notes__[0]
        assert in_a_thread(lambda: ref.ask(0, timeout=60)) == 3  # all of it was only late


def test_a_time_limit_that_passes_while_the_hub_is_blocked_says_what_blocks_it() -> None:
    release, asked = threading.Event(), threading.Event()

    class Blocks(Plugin):
        def on_receive(self, message: Any) -> None:
            asked.set()
            release.wait(60)

    settings = Settings(port=0, supervision=replace(QUICK, watchdog_s=0.1))
    with system_with(Blocks, settings=settings) as system:
        ref = system.ref("Blocks")
        raised: list[Any] = []

        def ask() -> None:
            ref.tell("block")
            asked.wait(60)
            for ends in (
                lambda: ref.ask(1, timeout=0.6),
                lambda: system.send("CP1", v16.ClearCache(), when_offline="queue").result(0.1),
            ):
                try:
                    ends()
                except (pykka.Timeout, TimeoutError) as error:
                    raised.append(error)
            raised.append(system.send("CP1", v16.ClearCache(), when_offline="queue").wait(0.1))
            release.set()

        in_a_thread(ask)
        assert [type(error) for error in raised] == [HubBlocked, HubBlocked, bool]
        assert "Blocks.on_receive: mark it as blocking=True" in str(raised[0])


def test_a_time_limit_that_passes_while_the_hub_runs_is_a_plain_timeout() -> None:
    with system_with(Adder, settings=BLOCKED) as system:
        ref = system.ref("Adder")
        errors_of_a_thread_that_the_hub_waits_for(lambda: ref.ask(1))
        until(lambda: ref.cell.scheduler.inlet.block is None)
        with pytest.raises(pykka.Timeout) as raised:
            in_a_thread(lambda: ref.ask("slow", timeout=0.001))
        assert type(raised.value) is pykka.Timeout
