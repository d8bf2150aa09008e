"""A system inside a host application, started and stopped two hundred times, without a trace in the host."""

import gc
import logging
import os
import signal
import socket
import threading
from pathlib import Path

import gevent
import pykka
import pytest

from chargehand import (
    Actor,
    Call,
    CentralSystem,
    HttpSettings,
    Plugin,
    SessionSettings,
    Settings,
    SupervisionSettings,
    TicketState,
    passive,
    serve_http,
    v16,
)
from chargehand.simulator import ChargePoint, Client

from ..hub import settle, until
from ..leftovers import Snapshot, descriptors

TIMES = 200
BUSY_EVERY = 10
TASKS = Path("/proc/self/task")


class EscapingPlugin(Plugin):
    """Lets exceptions out that would stop every actor of the process if pykka saw them."""

    @passive(v16.Authorize)
    def authorize(self, call: Call[v16.Authorize]) -> object:
        """Raise the exception that the tag names."""
        raise {"TIMEOUT": gevent.Timeout(1), "EXIT": gevent.GreenletExit()}[call.request.id_tag]


class HostThread(pykka.ThreadingActor):
    """Actor of the host in a native thread."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    def on_receive(self, message: int) -> int:
        """Count."""
        self.asked += message
        return self.asked


class HostActor(Actor):
    """Actor of the host on chargehand's runtime."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    def on_receive(self, message: int) -> int:
        """Count."""
        self.asked += message
        return self.asked


class Host:
    """Application with actors, a greenlet and a thread of its own. `turns` counts the greenlet's turns."""

    def __init__(self) -> None:
        self.thread_actor = HostThread.start()
        self.actor = HostActor.start()
        self.turns = 0
        self.asks = 0
        self._greenlet = gevent.spawn(self._turn)

    def _turn(self) -> None:
        while True:
            self.turns += 1
            gevent.sleep(0.0005)

    @property
    def references(self) -> int:
        """Return the number of references of the loop while only the host runs, and waits."""
        settle()
        return int(gevent.get_hub().loop.activecnt)

    def works(self) -> None:
        """Check that everything of the host works as before."""
        self.asks += 1
        assert self.thread_actor.ask(1, timeout=60) == self.asks
        assert self.actor.ask(1, timeout=60) == self.asks
        assert pykka.ActorRegistry.get_all() == [self.thread_actor]
        assert not self._greenlet.dead
        before = self.turns
        until(lambda: self.turns > before)

    def close(self) -> None:
        """End the host's actors, greenlet and thread."""
        self._greenlet.kill()
        self.actor.stop()
        self.thread_actor.stop()


@pytest.fixture
def host():
    host = Host()
    yield host
    host.close()


def state_of_the_process():
    """Return the state of the process that a library must not change."""
    return {
        "signals": [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)],
        "collector": (gc.get_threshold(), gc.isenabled()),
        "socket": (socket.socket, socket.create_connection, threading.Thread.start),
        "handlers": list(logging.getLogger().handlers),
        "environment": dict(os.environ),
        "folder": Path.cwd(),
    }


def threads_of_the_process():
    """Count the native threads, those of libraries too, without those that the hub keeps in its pool."""
    return len(list(TASKS.iterdir())) - len(gevent.get_hub().threadpool._worker_greenlets)


def settings(number):
    return Settings(
        port=0,
        transport="reactor" if number % 2 else "greenlet",
        http=HttpSettings(enabled=number % 4 < 2, port=0, open=True),
        sessions=SessionSettings(close_timeout_s=0.2),
        supervision=SupervisionSettings(watchdog_s=5.0),
    )


def visit(system):
    """Connect a charge point, let it be answered and commanded, and let its plugin leak; the stop closes its socket."""
    charge_point = ChargePoint(f"ws://127.0.0.1:{system.port}/ocpp", "CP1")
    charge_point.connect()
    charge_point.boot()
    for tag in ("TIMEOUT", "EXIT"):
        with pytest.raises(Exception, match="InternalError"):
            charge_point.send(v16.Authorize(id_tag=tag))
    assert system.send("CP1", v16.GetLocalListVersion()).result(60).list_version == 0
    waiting = system.send("CP2", v16.ClearCache(), when_offline="queue")
    return charge_point, waiting


@pytest.mark.skipif(not TASKS.exists(), reason="threads are counted in /proc")
def test_it_starts_and_stops_two_hundred_times_without_a_trace(host, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where a data folder would appear, if there were one
    with CentralSystem(settings(0), http=serve_http):
        pass  # what is imported and made only once is made now
    before = Snapshot()
    process, threads, open_descriptors = state_of_the_process(), threads_of_the_process(), descriptors()
    references = host.references
    for number in range(TIMES):
        system = CentralSystem(settings(number), plugins=[EscapingPlugin], http=serve_http)
        system.start()
        host.works()
        visitor, waiting = visit(system) if number % BUSY_EVERY == 0 else (None, None)
        system.stop()
        host.works()
        if visitor is not None:
            visitor.wait_offline()
            visitor.close()
            assert waiting.state is TicketState.NEVER_SENT
        until(lambda: descriptors() == open_descriptors)
        until(
            lambda: threads_of_the_process() <= threads
        )  # the watchdog's among them; one of before may have ended
    assert before.left_behind() == []
    assert state_of_the_process() == process
    assert list(tmp_path.iterdir()) == []
    until(lambda: host.references == references)


def test_the_same_system_can_be_started_again_and_again(host):
    system = CentralSystem(settings(0), plugins=[EscapingPlugin], http=serve_http)
    for _ in range(20):
        with system:
            port = system.port
            with ChargePoint(f"ws://127.0.0.1:{port}/ocpp", "CP1") as charge_point:
                assert charge_point.registration == "Accepted"
        host.works()


def test_two_systems_side_by_side_know_nothing_of_each_other(host):
    with (
        CentralSystem(settings(0), plugins=[EscapingPlugin], http=serve_http) as one,
        CentralSystem(settings(1), http=serve_http) as other,
    ):
        with ChargePoint(f"ws://127.0.0.1:{one.port}/ocpp", "CP1"):
            assert [facts.id for facts in one.charge_points()] == ["CP1"]
            assert list(other.charge_points()) == []
            assert other.send("CP1", v16.ClearCache()).state is TicketState.NEVER_SENT
            host.works()
        one.stop()
        with ChargePoint(f"ws://127.0.0.1:{other.port}/ocpp", "CP1") as charge_point:
            assert charge_point.authorize("EXIT").status == "Accepted"  # the other one has no such plugin
        host.works()
    host.works()


def test_a_start_that_fails_leaves_nothing_and_can_be_repeated(host):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        system = CentralSystem(Settings(port=taken.getsockname()[1]), http=serve_http)
        for _ in range(20):
            with pytest.raises(OSError, match="in use"):
                system.start()
            host.works()
    system.start()
    host.works()
    system.stop()


def test_calls_from_many_native_threads_leave_the_loops_count_of_references_alone(host):
    # With a wrong count the hub would end with LoopExit although somebody waits, or never end.
    references = host.references
    with CentralSystem(settings(0), http=serve_http) as system:
        ended = []

        def call_on():
            for _ in range(200):
                ticket = system.send("nobody", v16.ClearCache())
                ticket.wait(60)
                ended.append(ticket.state)

        threads = [threading.Thread(target=call_on) for _ in range(8)]
        for thread in threads:
            thread.start()
        until(lambda: not any(thread.is_alive() for thread in threads))
        for thread in threads:
            thread.join()
        assert ended == [TicketState.NEVER_SENT] * 1600
    until(lambda: host.references == references)
    host.works()


def call_while_it_stops(system):
    tickets, refused = [], []

    def call_on():
        while not refused:
            try:
                # Not one that the next supersedes: the session may have its turn before the system stops.
                tickets.append(system.send("nobody", v16.DataTransfer(vendor_id="V"), when_offline="queue"))
            except RuntimeError as error:
                refused.append(str(error))

    system.start()
    thread = threading.Thread(target=call_on)
    thread.start()
    until(lambda: len(tickets) > 10)
    system.stop()
    until(lambda: not thread.is_alive())
    thread.join()
    assert refused == ["the central system is not running"]
    settle()
    assert {ticket.state for ticket in tickets} == {TicketState.NEVER_SENT}


def test_every_call_of_a_thread_that_calls_on_while_the_system_stops_ends(host):
    for number in range(20):
        call_while_it_stops(CentralSystem(settings(number), http=serve_http))
    host.works()


@pytest.mark.parametrize("transport", ["greenlet", "reactor"])
def test_a_stop_ends_the_sockets_of_half_open_charge_points_too(transport):
    settle()
    references, before = gevent.get_hub().loop.activecnt, len(descriptors())
    system = CentralSystem(
        Settings(port=0, transport=transport, sessions=SessionSettings(close_timeout_s=5.0, close_spread_s=0))
    )
    system.start()
    url = f"ws://127.0.0.1:{system.port}/ocpp/CP1"
    # Each takes over from the one before, which says nothing to that.
    clients = [Client.connect(url, subprotocols=("ocpp1.6",)) for _ in range(3)]
    for half_open in clients[:-1]:
        half_open.freeze()
    reader = gevent.spawn(lambda: [*iter(clients[-1].receive, None)])
    system.stop()  # which waits for nobody but the one that stands
    reader.join()
    assert len(descriptors()) == before + len(clients) - 1  # our own ends of the others
    until(lambda: gevent.get_hub().loop.activecnt == references)
    for half_open in clients[:-1]:
        half_open.cut(reset=False)
