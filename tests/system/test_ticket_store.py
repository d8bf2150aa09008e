"""Commands that outlive the process: their stored tickets, and their fate in the next process."""

import gc

import gevent
import msgspec
import pytest

from chargehand import CentralSystem, TicketState, v16
from chargehand.actors.runtime import threads
from chargehand.actors.session.tickets import Ticket
from chargehand.store.memory import MemoryStore
from chargehand.store.sqlite import SqliteStore
from chargehand.store.writer import PendingWrite
from chargehand.system.ticket_store import TicketStore
from chargehand.testing import StubStore

from ..hub import settle, until
from ..in_process import SETTINGS, connect

NOW = 1_700_000_000.0


def ticket(id_="t-1", **options):
    options = {"timeout_s": 30.0, "created_at": NOW, "when_offline": "queue"} | options
    return Ticket(
        id_, "CP1", "Reset", v16.Reset(type="Soft"), b'{"type":"Soft"}', cancel=lambda _: None, **options
    )


@pytest.fixture
def durable_tickets():
    return TicketStore(MemoryStore().collections.tickets)


def restored(durable_tickets, now=NOW):
    return list(durable_tickets.restore(now))


# What is kept


def test_what_waits_is_sent_by_the_next_process(durable_tickets):
    durable_tickets.persist(ticket(expires_in_s=100.0, effect_timeout_s=7.0))
    (found,) = restored(durable_tickets, NOW + 40)
    assert found.state is TicketState.QUEUED
    assert found.request == v16.Reset(type="Soft")
    assert (found.id, found.charge_point_id, found.timeout_s) == ("t-1", "CP1", 30.0)
    assert (found.created_at, found.expires_in_s, found.effect_timeout_s) == (NOW, 100.0, 7.0)
    assert len(restored(durable_tickets, NOW + 40)) == 1, "it is kept until it has ended"


def test_what_was_on_the_wire_is_never_sent_again(durable_tickets):
    one = ticket(effect_timeout_s=7.0)
    durable_tickets.persist(one)
    durable_tickets.mark(one)
    (found,) = restored(durable_tickets)
    assert found.state is TicketState.OUTCOME_UNKNOWN
    assert found.settled, "nobody waits for its effect any more"
    assert restored(durable_tickets) == []


def test_what_was_not_to_wait_for_its_charge_point_was_never_sent(durable_tickets):
    durable_tickets.persist(ticket(when_offline="fail"))
    (found,) = restored(durable_tickets)
    assert found.state is TicketState.NEVER_SENT


def test_what_is_too_late_has_expired(durable_tickets):
    durable_tickets.persist(ticket(expires_in_s=100.0))
    (found,) = restored(durable_tickets, NOW + 100)
    assert found.state is TicketState.EXPIRED


def test_what_has_ended_is_not_there_any_more(durable_tickets):
    one = ticket()
    durable_tickets.persist(one)
    durable_tickets.forget(one)
    assert restored(durable_tickets) == []


def test_a_ticket_that_has_ended_keeps_no_row_of_the_store_in_memory(tmp_path):
    opened = SqliteStore.open(str(tmp_path / "store.sqlite"), threads)
    try:
        durable_tickets = TicketStore(opened.collections.tickets)
        one = ticket()
        durable_tickets.persist(one)
        one.mark = durable_tickets.mark(one)
        one.mark.wait()
        durable_tickets.forget(one)
        assert not any(isinstance(held, PendingWrite) for held in gc.get_referents(one))
        assert one.persisted.done, "who waits for it goes on"
        refused = ticket("t-2")
        durable_tickets.persist(refused)
        durable_tickets.forget(refused)
        refused.persisted.wait()
    finally:
        opened.close()


def test_a_call_that_did_not_go_on_the_wire_after_all_waits_again(durable_tickets):
    one = ticket()
    durable_tickets.persist(one)
    one.mark = durable_tickets.mark(one)
    durable_tickets.persist(one)
    assert one.mark is None
    assert [found.state for found in restored(durable_tickets)] == [TicketState.QUEUED]


@pytest.mark.parametrize(
    ("options", "state", "kept", "survives"),
    [
        ({}, TicketState.QUEUED, True, True),
        ({}, TicketState.HELD, True, True),
        ({}, TicketState.SENT, True, False),
        ({}, TicketState.QUEUED, False, False),
        ({"when_offline": "fail"}, TicketState.QUEUED, True, False),
        ({}, TicketState.CANCELLED, True, False),
    ],
)
def test_what_survives_waits_is_kept_and_may_wait(durable_tickets, options, state, kept, survives):
    one = ticket(**options)
    if kept:
        durable_tickets.persist(one)
    one.state = state
    assert durable_tickets.survives(one) is survives


def test_a_record_that_cannot_be_read_is_dropped_and_costs_no_other(durable_tickets):
    durable_tickets.persist(ticket("t-1"))
    (record,) = durable_tickets._collection
    for changes in (
        {"id": "t-0", "action": "Fly"},
        {"id": "t-2", "payload": '{"type":1}'},
        {"id": "t-3", "version": "9"},
    ):
        durable_tickets._collection.put(msgspec.structs.replace(record, **changes))
    assert [found.id for found in restored(durable_tickets)] == ["t-1"]
    assert len(durable_tickets._collection) == 1


# In a system


def system_on(store):
    return CentralSystem(SETTINGS, store=store)


def test_a_stop_ends_what_waits_without_a_lie_and_the_next_start_sends_it():
    store = StubStore()
    with system_on(store) as system:
        waiting = system.send("CP1", v16.ClearCache(), when_offline="queue")
    assert waiting.state is TicketState.OUTCOME_UNKNOWN
    assert "after the next start" in waiting.reason
    with system_on(store) as system:
        again = system.ticket(waiting.id)
        assert again.state is TicketState.QUEUED
        with connect(system):
            assert again.result(timeout_s=60).status == "Accepted"
        until(lambda: len(store.collections.tickets) == 0)


def test_what_was_cancelled_after_a_restart_is_not_sent():
    store = StubStore()
    with system_on(store) as system:
        waiting = system.send("CP1", v16.ClearCache(), when_offline="queue")
    with system_on(store) as system:
        again = system.ticket(waiting.id)
        again.cancel()
        until(lambda: again.state is TicketState.CANCELLED)
        assert len(store.collections.tickets) == 0


def test_a_call_goes_on_the_wire_when_the_store_knows_that_it_does():
    store = StubStore()
    with system_on(store) as system, connect(system) as charge_point:
        store.hold()
        asked = system.send("CP1", v16.ClearCache())
        settle()
        assert asked.state is TicketState.QUEUED
        assert [record.state for record in store.collections.tickets] == ["sent"]
        store.work()
        assert asked.result(timeout_s=60).status == "Accepted"
        assert charge_point.online
        until(lambda: len(store.collections.tickets) == 0)


def test_a_store_that_is_silent_holds_a_call_up_for_a_second_at_most():
    store = StubStore()
    with system_on(store) as system, connect(system):
        store.hold()
        with gevent.Timeout(4):
            assert system.send("CP1", v16.ClearCache()).result().status == "Accepted"
        store.work()


def test_a_store_that_fails_holds_no_call_up():
    store = StubStore()
    with system_on(store) as system, connect(system):
        store.fail()
        assert system.send("CP1", v16.ClearCache()).result(timeout_s=60).status == "Accepted"
        store.work()


def test_a_memory_store_keeps_no_call():
    with system_on(MemoryStore()) as system:
        waiting = system.send("CP1", v16.ClearCache(), when_offline="queue")
        assert waiting.persisted is None
    assert waiting.state is TicketState.NEVER_SENT
