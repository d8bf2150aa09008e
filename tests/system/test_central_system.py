"""The central system as an embedding application sees it: on real sockets, in this process, unpatched."""

import gc
import socket

import gevent
import pykka
import pytest
from gevent.event import Event

from chargehand import (
    CentralSystem,
    ChargePointOffline,
    ChargePointOnline,
    MemoryStore,
    Plugin,
    SessionSettings,
    Settings,
    SupervisionSettings,
    SystemFailed,
    TicketState,
    passive,
    v16,
)
from chargehand.actors.runtime.cell import Cell
from chargehand.config.sessions import BackOfficeSettings
from chargehand.config.settings import TlsSettings
from chargehand.simulator import CallDeclined, CallFailed
from chargehand.supervisor.child import StartTimedOut
from chargehand.testing import ManualClock
from chargehand.transport.tls import TlsError

from ..hub import until
from ..in_process import QUICK, SETTINGS, connect, system_with
from ..leftovers import Snapshot, native_threads
from ..remote.registry_harness import LeaseRegistry

# Start and stop


def test_it_serves_on_the_port_that_was_bound(system):
    assert system.port > 0
    with connect(system) as charge_point:
        assert charge_point.send(v16.Heartbeat()).current_time
        assert [known.id for known in system.charge_points()] == ["CP1"]
        assert system.charge_point("CP1").online


def test_each_system_has_its_own_free_port(system):
    with system_with() as other:
        assert other.port != system.port


def test_a_stopped_system_takes_no_connection(system):
    port = system.port
    system.stop()
    with pytest.raises(OSError, match="refused"):
        gevent.socket.create_connection(("127.0.0.1", port), timeout=1)


def test_a_system_that_runs_is_not_started_again(system):
    with pytest.raises(RuntimeError, match="already running"):
        system.start()


def test_a_stop_may_be_repeated_and_a_system_that_never_ran_may_be_stopped(system):
    system.stop()
    system.stop()
    CentralSystem(SETTINGS).stop()


def test_a_system_can_be_started_again_on_its_port():
    system = system_with()
    with system:
        port = system.port
    with system:
        assert system.port == port
        with connect(system) as charge_point:
            assert charge_point.ready


def test_a_charge_point_hears_that_the_system_goes(system):
    with connect(system, reconnect=False) as charge_point:
        system.stop()
        charge_point.wait_offline(5)
    assert system.charge_points() == []


def test_a_stop_takes_no_longer_than_a_handler_has_to_end():
    hanging = Event()

    class Hanging(Plugin):
        @passive("Heartbeat")
        def beat(self, call):
            hanging.set()
            Event().wait()

    def beat():
        with pytest.raises(CallFailed):
            charge_point.send(v16.Heartbeat())

    with system_with(Hanging) as system, connect(system, reconnect=False) as charge_point:
        beating = gevent.spawn(beat)
        hanging.wait(60)
        with gevent.Timeout(4):
            system.stop()
        beating.join(60)
        assert beating.successful()


def test_twenty_starts_and_stops_leave_nothing():
    with system_with() as system, connect(system):
        pass  # what is made once is made now
    gc.collect()
    before, cells = Snapshot(), sum(isinstance(one, Cell) for one in gc.get_objects())
    for _ in range(20):
        with system_with() as system, connect(system, reconnect=False) as charge_point:
            charge_point.send(v16.Heartbeat())
    assert before.left_behind() == []
    del system, charge_point
    gc.collect()
    assert sum(isinstance(one, Cell) for one in gc.get_objects()) <= cells


# A start that fails


def nothing_runs(system):
    with pytest.raises(RuntimeError, match="not running"):
        system.send("CP1", v16.ClearCache())


def test_a_port_that_is_taken_fails_the_start_and_leaves_nothing(system):
    other = system_with(settings=Settings(port=system.port, supervision=QUICK))
    until(lambda: any("watchdog" in place for place in native_threads().values()))  # it starts by and by
    before = Snapshot()
    with pytest.raises(OSError, match=r"[Aa]ddress already in use"):
        other.start()
    nothing_runs(other)
    assert before.left_behind() == []
    with connect(system) as charge_point:  # the one that has the port is untouched
        assert charge_point.ready


def test_it_can_be_started_when_the_port_is_free_again():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        system = system_with(settings=Settings(port=port, supervision=QUICK))
        with pytest.raises(OSError, match="in use"):
            system.start()
    with system:
        assert system.port == port


class Tags(Plugin):
    """Answers Authorize."""

    @passive(v16.Authorize)
    def authorize(self, call):
        return {"idTagInfo": {"status": "Blocked"}}


def test_a_plugin_that_cannot_start_fails_the_start_and_the_others_are_stopped():
    ended = []

    class First(Plugin):
        def on_stop(self):
            ended.append("first")

    class Broken(Plugin):
        def on_start(self):
            raise ValueError("no database")

    with pytest.raises(ValueError, match="no database"):
        system_with(First, Broken).start()
    assert ended == ["first"]


def test_a_plugin_that_does_not_start_in_time_fails_the_start_and_leaves_nothing():
    class Hanging(Plugin):
        def on_start(self):
            Event().wait()

    before = Snapshot()
    with pytest.raises(StartTimedOut, match=r"Hanging did not start within 0\.02 s"):
        CentralSystem(
            Settings(port=0, supervision=SupervisionSettings(start_s=0.02)), plugins=[Tags, Hanging]
        ).start()
    assert before.left_behind() == []


def test_a_plugin_may_have_a_longer_time_of_its_own_to_stop():
    stopping, let_go, ended = Event(), Event(), []

    class Thorough(Plugin):
        def on_stop(self):
            stopping.set()
            let_go.wait()
            ended.append("flushed")

    quick = SupervisionSettings(shutdown_s=0.0, stop_timeout_s=0.01)
    system = CentralSystem(
        Settings(port=0, supervision=quick), plugins=[Thorough.spec(shutdown_s=30.0), Tags]
    )
    system.start()
    stop = gevent.spawn(system.stop)
    assert stopping.wait(60)
    let_go.set()
    stop.get(timeout=60)
    assert ended == ["flushed"]


def test_a_start_that_is_given_up_leaves_nothing():
    class Hanging(Plugin):
        def on_start(self):
            Event().wait()

    before = Snapshot()
    with pytest.raises(gevent.Timeout), gevent.Timeout(0.05):
        system_with(Tags, Hanging).start()
    assert before.left_behind() == []


def test_a_certificate_that_is_not_there_fails_the_start():
    settings = Settings(port=0, tls=TlsSettings(certificate="/nowhere/at.all", key="/nowhere/at.all"))
    before = Snapshot()
    with pytest.raises(TlsError, match="No such file"):
        system_with(settings=settings).start()
    assert before.left_behind() == []


# Plugins


def test_a_plugin_comes_before_the_back_office():
    with system_with(Tags) as system, connect(system) as charge_point:
        assert charge_point.send(v16.Authorize(id_tag="T1")).id_tag_info.status == "Blocked"
        assert charge_point.send(v16.Heartbeat()).current_time


def test_without_the_back_office_only_the_plugins_answer():
    class Boots(Tags):
        @passive(v16.BootNotification)
        def boot(self, call):
            return {"status": "Accepted", "currentTime": "2026-01-01T00:00:00Z", "interval": 300}

        @passive(v16.StatusNotification)
        def status(self, call):
            return {}

    settings = Settings(port=0, supervision=QUICK, back_office=BackOfficeSettings(enabled=False))
    with system_with(Boots, settings=settings) as system, connect(system) as charge_point:
        assert charge_point.send(v16.Authorize(id_tag="T1")).id_tag_info.status == "Blocked"
        with pytest.raises(CallDeclined, match="NotSupported"):
            charge_point.send(v16.Heartbeat())


def test_a_handler_that_calls_its_own_charge_point_has_its_answer():
    class Asking(Plugin):
        @passive(v16.Authorize)
        def authorize(self, call):
            version = self.system.send(call.charge_point.id, v16.GetLocalListVersion(), timeout_s=60).result()
            return {"idTagInfo": {"status": "Accepted", "parentIdTag": str(version.list_version)}}

    with system_with(Asking) as system, connect(system) as charge_point:
        info = charge_point.send(v16.Authorize(id_tag="T1")).id_tag_info
        assert (info.status, info.parent_id_tag) == ("Accepted", "0")


# Waiting for its end


def test_a_wait_that_is_too_short_is_false(system):
    assert system.wait(0.001) is False


def test_a_wait_ends_with_the_system(system):
    waiting = gevent.spawn(system.wait)
    gevent.sleep(0)
    assert not waiting.ready()
    system.stop()
    waiting.join(60)
    assert waiting.value is True


def test_a_wait_raises_when_the_root_gave_up():
    settings = Settings(port=0, supervision=SupervisionSettings(intensity=0, shutdown_s=0.05))
    system = system_with(settings=settings)
    with system:
        endpoints = system._parts.tree.cells["endpoints"]
        endpoints.actor.children[0].cell.kill()
        with pytest.raises(SystemFailed, match="ended too often"):
            system.wait(60)
        assert system.charge_points() == []
    with system:  # and it can be started again
        assert system.wait(0) is False


def test_one_endpoint_that_fails_is_started_again_on_its_port(system):
    port = system.port
    with connect(system) as charge_point:
        endpoint = system._parts.tree.cells["endpoints"].actor.children[0].cell
        endpoint.kill()
        until(lambda: endpoint.phase == "running")
        assert system.port == port
        assert charge_point.send(v16.Heartbeat()).current_time  # what was accepted goes on
        with connect(system, "CP2") as other:
            assert other.ready


# Several at once, and the host


def test_two_systems_in_one_process_do_not_know_each_other():
    stores = MemoryStore(), MemoryStore()
    with system_with(store=stores[0]) as one, system_with(store=stores[1]) as two:
        with connect(one, "CP1"), connect(two, "CP1"), connect(two, "CP2"):
            assert [known.id for known in one.charge_points()] == ["CP1"]
            assert sorted(known.id for known in two.charge_points()) == ["CP1", "CP2"]
            assert one.send("CP2", v16.ClearCache()).state is TicketState.NEVER_SENT
        one.stop()
        with connect(two, "CP3") as charge_point:
            assert charge_point.ready
    assert stores[0].registration("CP2") is None
    assert stores[1].registration("CP2").status == "Accepted"


def test_the_hosts_own_actors_and_greenlets_are_left_alone():
    class Host(pykka.ThreadingActor):
        def on_receive(self, message):
            return message

    ref, release = Host.start(), Event()
    own = gevent.spawn(release.wait)
    for _ in range(2):
        with system_with() as system, connect(system):
            assert ref.ask("during", timeout=60) == "during"
    assert ref.ask("after", timeout=60) == "after"
    assert not own.ready()
    assert pykka.ActorRegistry.get_all() == [ref]
    release.set()
    own.join()
    ref.stop()


def test_whoever_embeds_it_hears_of_comings_and_goings():
    heard = []
    with system_with() as system:
        system.subscribe(
            (ChargePointOnline, ChargePointOffline),
            lambda event: heard.append((type(event), event.charge_point_id)),
        )
        with connect(system, reconnect=False):
            until(lambda: heard)
        until(lambda: len(heard) == 2)
    assert heard == [(ChargePointOnline, "CP1"), (ChargePointOffline, "CP1")]


def test_a_store_of_ones_own_is_not_closed():
    closed = []

    class Own(MemoryStore):
        def close(self):
            closed.append(1)

    with system_with(store=Own()):
        pass
    assert closed == []


# Time


def test_charge_points_that_stay_away_are_let_go():
    clock = ManualClock()
    settings = Settings(port=0, supervision=QUICK, sessions=SessionSettings(keep_offline_s=100.0))
    with system_with(settings=settings, clock=clock) as system:
        clock.drive(system._parts.timers)
        with connect(system, reconnect=False):
            pass
        until(lambda: not system.charge_point("CP1").online)
        clock.advance(90)
        assert system.charge_point("CP1") is not None
        clock.advance(120)
        assert system.charge_point("CP1") is None


def test_its_parts_are_described_from_left_to_right(system):
    with connect(system):
        described = system.describe()
    assert [child["id"] for child in described["children"]] == ["plugins", "sessions", "endpoints"]
    plugins, sessions, endpoints = described["children"]
    assert "back-office" in [child["id"] for child in plugins["children"]]
    assert (sessions["sessions"], sessions["crashed"]) == (1, [])
    assert [child["id"] for child in endpoints["children"]] == ["ws"]
    assert {child["state"] for child in described["children"]} == {"running"}


def test_a_node_that_may_not_join_those_that_live_cannot_go_on():
    exchange = LeaseRegistry()
    system = CentralSystem(SETTINGS, coordinator=exchange.board("b"))
    system.start()
    exchange.boards["b"].listener.refused("node a speaks another link")
    with pytest.raises(SystemFailed, match="node a speaks another link"):
        system.wait(60)
    assert "b" not in exchange.boards
