"""Commands through a central system on real sockets, from greenlets and from native threads."""

import threading

import gevent
import pytest

from chargehand import (
    CentralSystem,
    CommandTimedOut,
    InvalidPayload,
    NeverSent,
    OutcomeUnknown,
    TicketState,
    v16,
)

from ..hub import until
from ..in_process import SETTINGS, connect, unanswered

# Calls


def test_a_call_is_answered(system):
    with connect(system):
        ticket = system.send("CP1", v16.ClearCache(), timeout_s=5)
        assert ticket.open
        assert ticket.result().status == "Accepted"
        assert system.ticket(ticket.id) is ticket


def test_a_call_to_an_absent_charge_point_is_never_sent(system):
    ticket = system.send("nobody", v16.ClearCache())
    with pytest.raises(NeverSent):
        ticket.result()


def test_a_call_can_wait_for_a_charge_point(system):
    ticket = system.send("CP1", v16.ClearCache(), when_offline="queue")
    assert ticket.state is TicketState.QUEUED
    with connect(system):
        assert ticket.result(timeout_s=60).status == "Accepted"


def test_a_request_that_breaks_its_contract_is_refused_with_all_its_violations(system):
    with pytest.raises(InvalidPayload) as caught:
        system.send("CP1", v16.RemoteStartTransaction(id_tag="x" * 30, connector_id=0))
    assert {violation.path for violation in caught.value.violations} == {"idTag", "connectorId"}


def test_what_charge_points_send_is_not_sent_to_them(system):
    with pytest.raises(ValueError, match="Heartbeat is sent by charge points"):
        system.send("CP1", v16.Heartbeat())


def test_what_is_no_request_is_refused(system):
    with pytest.raises(LookupError):
        system.send("CP1", v16.ClearCacheResponse(status="Accepted"))
    with pytest.raises(ValueError, match="when_offline"):
        system.send("CP1", v16.ClearCache(), when_offline="never")


def test_a_system_that_does_not_run_takes_no_call():
    with pytest.raises(RuntimeError, match="not running"):
        CentralSystem(SETTINGS).send("CP1", v16.ClearCache())


def in_threads(count, function):
    """Run a function in native threads while the hub runs here; return the values."""
    outcomes = []
    threads = [threading.Thread(target=lambda: outcomes.append(function())) for _ in range(count)]
    for thread in threads:
        thread.start()
    until(lambda: not any(thread.is_alive() for thread in threads))
    for thread in threads:
        thread.join()
    return outcomes


def test_a_call_from_a_native_thread_is_answered(system):
    with connect(system):
        versions = in_threads(
            8, lambda: system.send("CP1", v16.GetLocalListVersion(), timeout_s=60).result().list_version
        )
    assert versions == [0] * 8


def test_a_call_from_a_native_thread_to_nobody_ends_too(system):
    def call():
        ticket = system.send("nobody", v16.ClearCache())
        ticket.wait(60)
        return ticket.state.value

    assert in_threads(3, call) == ["never_sent"] * 3


def test_a_native_thread_can_cancel_a_call(system):
    ticket = system.send("CP1", v16.ClearCache(), when_offline="queue")

    def cancel():
        ticket.cancel()
        return ticket.wait(60)

    assert in_threads(1, cancel) == [True]
    assert ticket.state is TicketState.CANCELLED


# Stopping with calls open


def test_a_stop_ends_every_ticket(system):
    with connect(system, reconnect=False) as charge_point:
        charge_point.answers["ClearCache"] = unanswered
        on_wire = system.send("CP1", v16.ClearCache(), timeout_s=60)
        waits = system.send("CP1", v16.GetLocalListVersion())
        queued = system.send("nobody yet", v16.ClearCache(), when_offline="queue")
        until(lambda: on_wire.state is TicketState.SENT)
        system.stop()
    with pytest.raises(OutcomeUnknown):
        on_wire.result()
    assert (waits.state, queued.state) == (TicketState.NEVER_SENT, TicketState.NEVER_SENT)


def test_whoever_waits_for_a_ticket_when_the_system_stops_is_woken(system):
    ticket = system.send("nobody yet", v16.ClearCache(), when_offline="queue")
    waiting = gevent.spawn(ticket.wait)
    gevent.sleep(0)
    system.stop()
    waiting.join(60)
    assert waiting.value is True


def test_a_call_that_is_not_answered_times_out(system):
    with connect(system, reconnect=False) as charge_point:
        charge_point.answers["ClearCache"] = unanswered
        with pytest.raises(CommandTimedOut):
            system.send("CP1", v16.ClearCache(), timeout_s=0.05).result()
