"""A simulated charge point against a real central system in the same process."""

import contextlib

import gevent
import pytest

from chargehand import BackOfficeSettings, Call, CentralSystem, OcppError, Plugin, Settings, passive, v16
from chargehand.protocol.errors import ErrorCode, InvalidPayload
from chargehand.protocol.session import Registration
from chargehand.simulator import Backoff, CallDeclined, ChargePoint, Disconnected, Kind, NoAnswer

from .conftest import url_of

QUICK = Backoff(least_s=0.001, most_s=0.01)


# -- Calls ---------------------------------------------------------------------------------------


class MisbehavingPlugin(Plugin):
    """Answers wrongly, or only when a test says so."""

    def __init__(self, go_on: gevent.event.Event) -> None:
        super().__init__()
        self._go_on = go_on

    @passive(v16.Authorize)
    def authorize(self, _: Call[v16.Authorize]) -> dict:
        raise OcppError(ErrorCode.SECURITY_ERROR, "not you", {"a": 1})

    @passive(v16.DataTransfer)
    def data_transfer(self, _: Call[v16.DataTransfer]) -> dict:
        self._go_on.wait()
        return {"status": "Accepted"}


@pytest.fixture
def odd():
    go_on = gevent.event.Event()
    with (
        CentralSystem(Settings(port=0), plugins=[MisbehavingPlugin.spec(go_on)]) as system,
        ChargePoint(url_of(system), "CP1", timeout_s=5) as charge_point,
    ):
        yield charge_point, go_on
        go_on.set()


def test_a_call_error_is_raised(odd):
    charge_point, _ = odd
    with pytest.raises(CallDeclined, match="SecurityError: not you") as declined:
        charge_point.send(v16.Authorize(id_tag="TAG1"))
    assert (declined.value.code, declined.value.details) == (ErrorCode.SECURITY_ERROR, {"a": 1})


def test_an_answer_that_does_not_come_is_given_up_and_counted_when_it_comes(odd):
    charge_point, go_on = odd
    before = charge_point.record.count
    with pytest.raises(NoAnswer):
        charge_point.send(v16.DataTransfer(vendor_id="x"), timeout_s=0.01)
    (sent,) = [entry for entry in charge_point.record if entry.number > before]
    assert charge_point.send(v16.Heartbeat())
    go_on.set()
    charge_point.record.wait_for_answer(sent.unique_id)
    assert charge_point.send(v16.Heartbeat())
    assert charge_point.late_answers == 1


def test_calls_of_many_greenlets_wait_for_one_another(odd):
    charge_point, go_on = odd
    first = gevent.spawn(charge_point.send, v16.DataTransfer(vendor_id="x"))
    charge_point.record.wait_for_call("DataTransfer")
    others = [gevent.spawn(charge_point.send, v16.Heartbeat()) for _ in range(5)]
    gevent.idle()
    assert charge_point.record.calls("Heartbeat") == []
    go_on.set()
    with gevent.Timeout(60):
        assert all(greenlet.get() for greenlet in [first, *others])
    assert len(charge_point.record.calls("Heartbeat")) == 5


def test_a_greenlet_that_is_killed_while_it_waits_leaves_the_wire_free(odd):
    charge_point, _ = odd
    waiting = gevent.spawn(charge_point.send, v16.DataTransfer(vendor_id="x"))
    charge_point.record.wait_for_call("DataTransfer")
    waiting.kill()
    assert charge_point.send(v16.Heartbeat())


def test_only_sound_requests_of_a_charge_point_are_sent(booted):
    with pytest.raises(InvalidPayload):
        booted.send(v16.Authorize(id_tag="x" * 21))
    with pytest.raises(ValueError, match="Reset is sent by the central system"):
        booted.send(v16.Reset(type=v16.ResetType.HARD))
    assert booted.record.calls("Authorize") == []


def test_nothing_is_sent_without_a_connection(make):
    charge_point = make()
    with pytest.raises(Disconnected):
        charge_point.send(v16.Heartbeat())
    with pytest.raises(Disconnected):
        charge_point.boot()


def test_whoever_waits_for_an_answer_hears_of_a_lost_connection(odd):
    charge_point, _ = odd
    waiting = gevent.spawn(charge_point.send, v16.DataTransfer(vendor_id="x"))
    queued = gevent.spawn(charge_point.send, v16.Heartbeat())
    charge_point.record.wait_for_call("DataTransfer")
    charge_point.faults.cut()
    for greenlet in (waiting, queued):
        with gevent.Timeout(60), pytest.raises(Disconnected):
            greenlet.get()


# -- Registration --------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["Pending", "Rejected"])
def test_one_that_is_not_accepted_keeps_quiet(status):
    settings = Settings(port=0, back_office=BackOfficeSettings(registration=status))
    with CentralSystem(settings) as system, ChargePoint(url_of(system), "CP1") as charge_point:
        assert charge_point.registration == status
        charge_point.plug_in()
        transaction = charge_point.start("TAG1")
        assert transaction.id is None
        assert len(charge_point.backlog) == 1
        assert [entry.action for entry in charge_point.record if entry.kind is Kind.SENT] == [
            "BootNotification"
        ]


def test_one_that_was_accepted_long_ago_need_not_boot(make):
    charge_point = make()
    charge_point.connect()
    charge_point.registration = Registration.ACCEPTED
    charge_point.plug_in()
    assert charge_point.start("TAG1").id
    assert charge_point.record.calls("BootNotification") == []


def test_message_ids_start_again_with_each_boot(make):
    charge_point = make(id_prefix="")
    with charge_point:
        charge_point.reset()
        charge_point.wait_accepted()
        ids = [entry.unique_id for entry in charge_point.record.calls("BootNotification")]
    assert ids == ["1", "1"]


# -- The connection ------------------------------------------------------------------------------


def test_a_lost_connection_is_dialled_again(make):
    charge_point = make(reconnect=QUICK)
    with charge_point:
        for number in range(2, 5):
            charge_point.faults.cut(reset=number % 2 == 0)
            charge_point.wait_offline()
            charge_point.wait_online()
            assert charge_point.send(v16.Heartbeat())
            assert charge_point.connection.connections == number


def test_dialling_goes_on_until_somebody_answers():
    with CentralSystem(Settings(port=0)) as first:
        port = first.port
        charge_point = ChargePoint(url_of(first), "CP1", reconnect=QUICK)
        charge_point.connect()
        charge_point.boot()
    charge_point.wait_offline()
    charge_point.record.wait(lambda entry: entry.kind is Kind.REFUSED)
    with CentralSystem(Settings(port=port)):
        charge_point.wait_online()
        assert charge_point.send(v16.Heartbeat())
        charge_point.close()


def test_without_a_backoff_it_stays_offline(booted):
    booted.faults.cut()
    booted.wait_offline()
    with pytest.raises(TimeoutError):
        booted.wait_online(0.01)
    booted.connect()
    assert booted.send(v16.Heartbeat())


def test_it_is_closed_while_it_dials(make, system):
    charge_point = make(reconnect=Backoff(least_s=100))
    charge_point.connect()
    charge_point.faults.cut()
    charge_point.wait_offline()
    with gevent.Timeout(60):
        charge_point.close()


def test_it_hears_that_the_central_system_stops():
    with CentralSystem(Settings(port=0)) as system:
        charge_point = ChargePoint(url_of(system), "CP1")
        charge_point.connect()
        charge_point.boot()
    charge_point.wait_offline()
    closed = charge_point.record.wait(lambda entry: entry.kind is Kind.CLOSED)
    assert closed.data.startswith(b"1001 ")


def test_the_configured_pings_are_sent(make, timers, clock, system):
    charge_point = make(
        timers=timers, configuration={"WebSocketPingInterval": "30", "HeartbeatInterval": "0"}
    )
    with charge_point:
        sent = []
        client = charge_point.connection.client
        client.ping = lambda: sent.append(clock.time())
        for _ in range(3):
            clock.advance(30)
            gevent.idle()
        assert len(sent) == 3


@pytest.mark.parametrize("identity", ["RDAM|123", "CP 1", "Ladesäule/7", "a:b"])
def test_any_identity_connects(make, system, identity):
    with make(identity):
        assert system.charge_point(identity).online


def test_a_reset_without_a_connection_dials_and_boots(make):
    charge_point = make()
    charge_point.reset(soft=False)
    charge_point.wait_accepted()
    assert charge_point.online


# -- Many of them --------------------------------------------------------------------------------


def test_many_of_them_live_in_one_process(system):
    fleet = [ChargePoint(url_of(system), f"CP{n}", record_limit=0) for n in range(200)]
    with contextlib.ExitStack() as stack:
        for charge_point in fleet:
            stack.callback(charge_point.close)

        def live(charge_point: ChargePoint) -> int:
            charge_point.connect()
            charge_point.boot()
            return charge_point.charge("TAG1").id

        visits = [gevent.spawn(live, charge_point) for charge_point in fleet]
        with gevent.Timeout(60):
            ids = {visit.get() for visit in visits}
        assert len(ids) == 200
        assert len(system.charge_points()) == 200


def test_another_url_and_password_count_from_the_next_connection(make):
    charge_point = make(password="one")
    url = charge_point.url
    charge_point.url = "ws://127.0.0.1:1/ocpp/CP1"
    with pytest.raises(ConnectionRefusedError):
        charge_point.connect()
    charge_point.url, charge_point.password = url, None
    charge_point.connect()
    assert charge_point.online
