"""Mirror: what a second central system gets, and that nothing here waits for it."""

import asyncio
import contextlib
import threading
from dataclasses import dataclass, field
from typing import Any

import gevent
import pytest
from gevent.event import Event
from gevent.server import StreamServer
from ocpp.routing import on
from ocpp.v16 import ChargePoint as OcppChargePoint
from ocpp.v16 import call, call_result
from ocpp.v16.enums import Action, AuthorizationStatus, RegistrationStatus
from websockets.asyncio.server import serve

from chargehand import CentralSystem, Settings, v16
from chargehand.plugins.mirror import Feed, Message, Mirror, MirrorSettings
from chargehand.simulator import ChargePoint
from chargehand.simulator.v201 import Station

from ..hub import until

URL = "ws://127.0.0.1:{}/ocpp/{{id}}"


def mirror(port, **more):
    settings = MirrorSettings(url=URL.format(port), retry_min_s=0.05, retry_max_s=0.1, **more)
    return Mirror.spec(settings, name="mirror")


@contextlib.contextmanager
def mirrored(port, **more):
    with CentralSystem(Settings(port=0), plugins=[mirror(port, **more)]) as first:
        yield first


def status(first, id_="CP1"):
    cell = first.plugin_resources("mirror")
    shown = cell.ask_resource("status", None)["charge_points"]
    return shown.get(id_)


def url_of(system):
    return f"ws://127.0.0.1:{system.port}/ocpp/"


def charge(charge_point):
    charge_point.plug_in()
    charge_point.start("T1")
    charge_point.meter(500)
    charge_point.stop()
    charge_point.unplug()


@pytest.fixture
def second():
    with CentralSystem(Settings(port=0)) as running:
        yield running


def test_a_second_central_system_has_the_same_transactions_by_its_own_numbers(second):
    with mirrored(second.port) as first, ChargePoint(url_of(first), "CP0", timeout_s=5) as other:
        charge(other)
        with ChargePoint(url_of(first), "CP1", timeout_s=5) as charge_point:
            charge(charge_point)
            charge(charge_point)
            until(lambda: len(second.store.transactions(limit=10)) == 3, "all have come")
            until(lambda: not any(one.open for one in second.store.transactions(limit=10)), "all have ended")
        here = [one for one in first.store.transactions(limit=10) if one.charge_point_id == "CP1"]
        there = [one for one in second.store.transactions(limit=10) if one.charge_point_id == "CP1"]
        facts = ("id_tag", "meter_start", "meter_stop", "started_at", "stopped_at")
        assert [[getattr(one, name) for name in facts] for one in here] == [
            [getattr(one, name) for name in facts] for one in there
        ]
        assert second.store.dead_letters() == []
        for one in there:
            assert second.store.meter_readings(one.id, charge_point_id="CP1")


def test_a_station_of_ocpp_2_0_1_is_mirrored_in_its_version(second):
    with mirrored(second.port) as first:
        with Station(url_of(first), "CS1", timeout_s=5) as station:
            station.plug_in()
            station.start("T1")
            station.stop()
            until(lambda: any(not one.open for one in second.store.transactions(limit=10)), "it has come")
            until(lambda: status(first, "CS1").waiting == 0, "all is sent")
        (one,) = second.store.transactions(limit=10)
        assert (one.version, one.charge_point_id) == ("2.0.1", "CS1")


def test_its_commands_are_answered_not_supported(second):
    with mirrored(second.port) as first, ChargePoint(url_of(first), "CP1", timeout_s=5):
        until(lambda: second.charge_point("CP1") and second.charge_point("CP1").online, "it is there")
        ticket = second.send("CP1", v16.Reset(type=v16.ResetType.SOFT), timeout_s=5)
        until(lambda: ticket.state not in ("queued", "sent", "held"), "it is answered")
        assert (ticket.state, ticket.code) == ("refused", "NotSupported")


def test_it_leaves_there_when_the_charge_point_leaves_here(second):
    with mirrored(second.port) as first:
        with ChargePoint(url_of(first), "CP1", timeout_s=5):
            until(lambda: second.charge_point("CP1") and second.charge_point("CP1").connected, "it is there")
        until(lambda: not second.charge_point("CP1").connected, "it has left")


def test_only_the_charge_points_that_are_named_are_mirrored(second):
    with (
        mirrored(second.port, charge_points=("DE-*",)) as first,
        ChargePoint(url_of(first), "CP1", timeout_s=5),
        ChargePoint(url_of(first), "DE-1", timeout_s=5),
    ):
        until(lambda: second.charge_point("DE-1"), "it is there")
        assert second.charge_point("CP1") is None


def test_nothing_waits_for_a_second_system_that_is_away_and_it_catches_up():
    with CentralSystem(Settings(port=0)) as reserved:
        port = reserved.port
    with mirrored(port) as first, ChargePoint(url_of(first), "CP1", timeout_s=5) as charge_point:
        with gevent.Timeout(60):
            charge(charge_point)
        until(lambda: (state := status(first)) and state.failures > 1 and state.waiting > 3, "it fails")
        with CentralSystem(Settings(port=port)) as second:
            until(lambda: any(not one.open for one in second.store.transactions(limit=10)), "it caught up")
        assert status(first).dropped == 0


def test_what_waits_is_bounded_and_the_oldest_is_dropped():
    feed = Feed("CP1", "1.6", MirrorSettings(url="ws://a", queue_messages=3, queue_bytes=100), None)
    for number in range(10):
        feed.put(Message("Heartbeat", b"%d" % number))
    assert (feed.waiting, feed.dropped) == (3, 7)
    feed.put(Message("DataTransfer", b"x" * 99))
    assert (feed.waiting, feed.dropped) == (2, 9)
    feed.put(Message("DataTransfer", b"x" * 1000))
    assert feed.waiting == 1


def test_nothing_waits_for_a_second_system_that_never_answers():
    def hang(sock, _address):
        sock.recv(4096)
        gone.wait()

    gone = Event()
    server = StreamServer(("127.0.0.1", 0), hang)
    server.start()
    try:
        with (
            mirrored(server.server_port, timeout_s=0.05) as first,
            ChargePoint(url_of(first), "CP1", timeout_s=5) as charge_point,
        ):
            charge(charge_point)
            until(lambda: status(first).failures > 3, "it fails")
            assert first.counters.counts.get("event_overdue") is None
    finally:
        gone.set()
        server.stop()


# -- Against `ocpp` and `websockets` ---------------------------------------------------------------


@dataclass
class OcppCentralSystem:
    """Central system made of PyPI `ocpp` and `websockets`, in a native thread; keeps what it got."""

    got: list[tuple[str, Any]] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    port: int = 0

    def __post_init__(self):
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self._thread.start()
        assert self._ready.wait(60)

    async def _serve(self):
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        async with serve(self._connected, "127.0.0.1", 0, subprotocols=["ocpp1.6"]) as server:
            self.port = server.sockets[0].getsockname()[1]
            self._ready.set()
            await self._end.wait()

    async def _connected(self, socket):
        outer = self

        class Peer(OcppChargePoint):
            @on(Action.boot_notification)
            def boot(self, **payload):
                outer.got.append(("BootNotification", payload))
                asyncio.get_running_loop().create_task(self.reset())
                return call_result.BootNotification(
                    current_time="2026-01-01T00:00:00Z", interval=300, status=RegistrationStatus.accepted
                )

            async def reset(self):
                try:
                    await self.call(call.Reset(type="Soft"), suppress=False)
                except Exception as error:  # noqa: BLE001 - looked at by the test
                    outer.refusals.append(type(error).__name__)

            @on(Action.status_notification)
            def status(self, **payload):
                outer.got.append(("StatusNotification", payload))
                return call_result.StatusNotification()

            @on(Action.authorize)
            def authorize(self, **payload):
                outer.got.append(("Authorize", payload))
                return call_result.Authorize(id_tag_info={"status": AuthorizationStatus.accepted})

            @on(Action.start_transaction)
            def started(self, **payload):
                outer.got.append(("StartTransaction", payload))
                return call_result.StartTransaction(
                    transaction_id=4711, id_tag_info={"status": AuthorizationStatus.accepted}
                )

            @on(Action.meter_values)
            def meter(self, **payload):
                outer.got.append(("MeterValues", payload))
                return call_result.MeterValues()

            @on(Action.stop_transaction)
            def stopped(self, **payload):
                outer.got.append(("StopTransaction", payload))
                return call_result.StopTransaction()

        with contextlib.suppress(Exception):
            await Peer(socket.request.path.rpartition("/")[2], socket).start()

    def close(self):
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(60)


def test_another_makers_central_system_takes_what_is_mirrored():
    other = OcppCentralSystem()
    try:
        with (
            mirrored(other.port) as first,
            ChargePoint(url_of(first), "CP1", timeout_s=5) as charge_point,
        ):
            charge(charge_point)
            until(lambda: "StopTransaction" in {action for action, _ in other.got}, "it has come", 30)
            until(lambda: other.refusals, "its command was answered", 30)
    finally:
        other.close()
    actions = [action for action, _ in other.got]
    assert actions[0] == "BootNotification"
    assert actions.index("StartTransaction") < actions.index("MeterValues") < actions.index("StopTransaction")
    numbers = {
        payload["transaction_id"]
        for action, payload in other.got
        if action in ("MeterValues", "StopTransaction")
    }
    assert numbers == {4711}
    assert set(other.refusals) == {"NotSupportedError"}
