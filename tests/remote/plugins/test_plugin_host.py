"""A plugin host that is fed by hand: its handling of the entries of its streams."""

import datetime as dt
import json
import uuid

import gevent
import pytest

from chargehand import (
    Booted,
    ChargePointOffline,
    ChargePointOnline,
    ErrorCode,
    OcppError,
    Plugin,
    StatusChanged,
    after,
    on,
    on_outcome,
    passive,
    v16,
)
from chargehand.actors.plugin.cell import EVENT_BACKLOG
from chargehand.actors.plugin.circuit_breaker import CircuitBreakerPolicy
from chargehand.actors.plugin.routing import UnknownHandler
from chargehand.actors.runtime.threads import native_thread
from chargehand.remote.plugins.plugin_host import PluginHost, PluginHostFailed
from chargehand.remote.plugins.streams import LEASE_S, Keys, partition_of
from chargehand.remote.redis.address import Address
from chargehand.remote.redis.link import Link
from chargehand.store.events import encoded
from chargehand.supervisor.rules import Policy

from ...hub import settle, until

PARTITIONS = 4
AT = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


class ScriptedPlugin(Plugin):
    """Answers, refuses, fails, or delays, as the id tag says."""

    def __init__(self):
        self.handled = []
        self.heard = []
        self.gates = {}

    @passive(v16.Authorize)
    def authorize(self, call):
        tag = call.request.id_tag
        self.handled.append((call.charge_point.id, tag))
        if tag == "refuse":
            raise OcppError(ErrorCode.SECURITY_ERROR, "no", {"why": 1})
        if tag == "fail":
            raise RuntimeError("it failed")
        if tag == "nonsense":
            return {"what": 1}
        if tag.startswith("wait"):
            self.gates.setdefault(tag, gevent.event.Event()).wait()
        if tag == "later":
            gevent.spawn(call.later().answer, {"idTagInfo": {"status": "Blocked"}})
            return None
        if tag == "facts":
            known = call.charge_point
            self.heard.append(
                (known.peer, known.boot, call.received_at.timestamp(), call.redelivered, call.unique_id)
            )
        return {"idTagInfo": {"status": "Accepted", "parentIdTag": f"{len(self.handled)}"}}

    @on(ChargePointOnline)
    def came(self, event):
        self.heard.append(("online", event.charge_point_id, event.peer))

    @on(ChargePointOffline)
    def went(self, event):
        self.heard.append(("offline", event.charge_point_id, event.code))

    @on_outcome()
    def ended(self, ticket):
        self.heard.append(("outcome", ticket.action, ticket.state, ticket.response))


def seen(*items, **more):
    return {"v": 1, "kind": "seen", "node": "n", "charge_point": "CP1", "items": items} | more


ONLINE, OFFLINE = (
    {"kind": "event", "name": type(event).__name__, "event": json.loads(encoded(event))}
    for event in (
        ChargePointOnline(at=AT, charge_point_id="CP1", peer="p", secure=False, version="1.6"),
        ChargePointOffline(at=AT, charge_point_id="CP1", code=1006, reason=""),
    )
)


class HostStreamsHarness:
    """Redis prefix of its own, with plugin hosts, and a node that is played by the test."""

    def __init__(self, url):
        self.address = Address(url)
        self.keys = Keys(f"t{uuid.uuid4().hex[:8]}")
        self.link = Link(self.address, "test")
        self.link.start()
        assert self.link.wait(60)
        self.link.ask("SET", self.keys.partitions, PARTITIONS)
        self.workers = []
        self.numbers = iter(range(1, 1000))

    def worker(self, plugin=ScriptedPlugin, spec=None, **options):
        worker = PluginHost(spec or plugin.spec(), self.address, prefix=self.keys.prefix, **options)
        worker.start()
        self.workers.append(worker)
        return worker

    def ready(self, *workers, streams=PARTITIONS):
        until(lambda: sum(len([s for s in one.assignment if s.claimed]) for one in workers) == streams)
        return workers[0].entries.cell.actor

    def envelope(self, charge_point="CP1", tag="T1", **changes):
        number = next(self.numbers)
        return {
            "v": 1, "kind": "call", "id": f"n-{number}", "node": "n", "charge_point": charge_point, "epoch": 0,
            "ocpp": "1.6", "action": "Authorize", "unique_id": f"{number}", "payload": {"idTag": tag},
            "received_at": 1.5, "deadline_at": 99.0, "timeout_s": 20.0, "key": f"k{number}", "keep_s": 60,
        } | changes  # fmt: skip

    def send(self, envelope, group="default"):
        data = envelope if isinstance(envelope, bytes) else json.dumps(envelope)
        at = "CP1" if isinstance(envelope, bytes) else envelope["charge_point"]
        return self.link.ask("XADD", self.stream(at, group), "*", "e", data)

    def stream(self, charge_point="CP1", group="default"):
        return self.keys.stream(partition_of(charge_point, PARTITIONS), group)

    def answers(self):
        found = self.link.ask("XRANGE", self.keys.answers("n"), "-", "+")
        return [json.loads(fields[1]) for _, fields in found]

    def answer(self, envelope, timeout_s=5.0):
        return until(
            lambda: [one for one in self.answers() if one["id"] == envelope["id"]], timeout_s=timeout_s
        )[0]

    def ask(self, **changes):
        envelope = self.envelope(**changes)
        self.send(envelope)
        return self.answer(envelope)

    def waiting(self):
        return sum(self.link.ask("XLEN", self.keys.stream(n, "default")) for n in range(PARTITIONS))

    def close(self):
        for worker in self.workers:
            worker.stop()
        self.link.stop()


@pytest.fixture
def harness(redis_server):
    harness = HostStreamsHarness(redis_server.url)
    yield harness
    harness.close()


def vanish(worker):
    """Leave the state of a kill -9: no renewal, no reading, and nothing given back."""
    gevent.killall(worker._greenlets)
    worker._blocking.stop()
    worker._link.stop()


def test_a_call_is_answered_and_leaves_its_stream(harness):
    plugin = harness.ready(harness.worker())
    answer = harness.ask(tag="T1")
    assert answer == {
        "v": 1,
        "kind": "answer",
        "id": "n-1",
        "response": {"idTagInfo": {"status": "Accepted", "parentIdTag": "1"}},
    }
    assert plugin.handled == [("CP1", "T1")]
    until(lambda: harness.waiting() == 0)


def test_a_handler_may_refuse_answer_later_fail_or_talk_nonsense(harness):
    worker = harness.worker()
    harness.ready(worker)
    assert harness.ask(tag="refuse")["error"] == {
        "code": "SecurityError",
        "description": "no",
        "details": {"why": 1},
    }
    assert harness.ask(tag="later")["response"] == {"idTagInfo": {"status": "Blocked"}}
    assert "it failed" in harness.ask(tag="fail")["failed"]
    assert "invalid" in harness.ask(tag="nonsense")["failed"]
    assert "does not handle" in harness.ask(action="Heartbeat", payload={})["failed"]
    assert "cannot be read" in harness.ask(payload=[])["failed"]
    assert worker.observer.counts["plugin_host_failed"] == 2


def test_a_plugin_that_fails_often_is_asked_no_more_and_its_callers_are_told(harness):
    worker = harness.worker(breaker_policy=CircuitBreakerPolicy(failures_to_open=2, spread=100))
    plugin = harness.ready(worker)
    for _ in range(2):
        harness.ask(tag="fail")
    assert "quarantined" in harness.ask(tag="T1")["failed"]
    assert "response" in harness.ask(tag="T1", charge_point="CP2")
    assert len(plugin.handled) == 3


def test_the_facts_and_the_call_are_what_they_were_in_the_node(harness):
    plugin = harness.ready(harness.worker())
    facts = {"peer": "1.2.3.4:5", "boot": {"chargePointVendor": "v", "chargePointModel": "m"}}
    harness.ask(tag="facts", facts=facts, unique_id="u-7", replayed=True)
    boot = v16.BootNotification(charge_point_vendor="v", charge_point_model="m")
    assert plugin.heard == [("1.2.3.4:5", boot, 1.5, True, "u-7")]


def test_events_and_outcomes_are_handled_in_order_with_the_calls(harness):
    plugin = harness.ready(harness.worker())
    base = {"v": 1, "node": "n", "charge_point": "CP1"}
    harness.send(seen(ONLINE))
    ticket = {
        "id": "t", "action": "ClearCache", "state": "answered", "request": {}, "timeout_s": 3.0, "created_at": 1.0,
        "response": {"status": "Accepted"},
    }  # fmt: skip
    harness.send(base | {"kind": "outcome", "ticket": ticket})
    harness.send(seen(OFFLINE))
    until(lambda: harness.waiting() == 0)
    assert plugin.heard == [
        ("online", "CP1", "p"),
        ("outcome", "ClearCache", "answered", v16.ClearCacheResponse(status=v16.ClearCacheStatus.ACCEPTED)),
        ("offline", "CP1", 1006),
    ]


def test_what_cannot_be_read_is_left_out_and_counted(harness):
    worker = harness.worker()
    harness.ready(worker)
    harness.send(b"no JSON")
    assert "response" in harness.ask()
    until(lambda: harness.waiting() == 0)
    assert worker.observer.counts["plugin_host_unreadable"] == 1


def test_a_call_whose_time_was_over_is_not_begun(harness):
    envelope = harness.envelope(timeout_s=0.001)
    harness.send(envelope)
    plugin = harness.ready(harness.worker())
    assert "deadline passed" in harness.answer(envelope)["failed"]
    assert plugin.handled == []


def test_a_handler_that_takes_too_long_is_ended(harness):
    plugin = harness.ready(harness.worker())
    assert "in time" in harness.ask(tag="wait", timeout_s=0.3)["failed"]
    assert "response" in harness.ask(tag="T1")
    assert [tag for _, tag in plugin.handled] == ["wait", "T1"]


def test_a_plugin_that_does_not_handle_an_event_in_time_holds_up_nothing(harness):
    class Deaf(ScriptedPlugin):
        @on(ChargePointOnline)
        def came(self, event):
            gevent.event.Event().wait()

    harness.ready(harness.worker(Deaf, events_s=0.2))
    harness.send(seen(ONLINE))
    assert "response" in harness.ask()
    until(lambda: harness.waiting() == 0)


def test_the_same_key_gets_the_same_answer_and_the_handler_does_not_run_again(harness):
    plugin = harness.ready(harness.worker())
    first = harness.ask(tag="T1", key="same", keep_s=3600)
    second = harness.ask(tag="T1", key="same", keep_s=3600)
    assert first["response"] == second["response"]
    assert first["id"] != second["id"]
    assert len(plugin.handled) == 1


def test_both_of_two_that_wait_together_get_the_same_answer(harness):
    envelopes = [harness.envelope(tag="T1", key="same", keep_s=3600) for _ in range(2)]
    for envelope in envelopes:
        harness.send(envelope)
    plugin = harness.ready(harness.worker())
    answers = [harness.answer(envelope)["response"] for envelope in envelopes]
    assert answers[0] == answers[1]
    assert len(plugin.handled) == 1


def test_calls_in_another_hosts_hands_are_taken_over_and_keep_a_given_answer(harness):
    answered, unanswered = harness.envelope(tag="T1"), harness.envelope(tag="T2")
    harness.link.ask("XGROUP", "CREATE", harness.stream(), "default", "0", "MKSTREAM")
    for envelope in (answered, unanswered):
        harness.send(envelope)
    harness.link.ask("XREADGROUP", "GROUP", "default", "dead", "STREAMS", harness.stream(), ">")
    harness.link.ask("SET", harness.keys.done(answered["key"]), '{"response":{"a":1}}')
    plugin = harness.ready(harness.worker())
    assert harness.answer(answered)["response"] == {"a": 1}
    assert "response" in harness.answer(unanswered)
    assert plugin.handled == [("CP1", "T2")]
    until(lambda: harness.waiting() == 0)


def test_a_dead_hosts_streams_and_pending_calls_go_to_another_within_the_lease(harness):
    first = harness.worker()
    harness.ready(first)
    envelope = harness.envelope(tag="wait", timeout_s=60.0)
    harness.send(envelope)
    until(lambda: first.assignment.busy == 1)
    vanish(first)
    second = harness.worker()
    until(lambda: len(second.assignment) == PARTITIONS, timeout_s=60 + LEASE_S)
    plugin = second.entries.cell.actor
    until(lambda: plugin.gates)
    plugin.gates["wait"].set()
    assert "response" in harness.answer(envelope)
    first.assignment._pending.clear()  # it is dead: nothing is waited for


def test_workers_share_the_streams_and_one_that_stops_gives_its_own_back_at_once(harness):
    first = harness.worker()
    harness.ready(first)
    second = harness.worker()
    until(lambda: (len(first.assignment), len(second.assignment)) == (2, 2))
    second.stop()
    until(lambda: len(first.assignment) == PARTITIONS)


def test_a_stream_is_handed_over_only_when_nothing_of_it_is_pending(harness):
    first = harness.worker()
    plugin = harness.ready(first)
    busy = [f"CP{number}" for number in range(40)]
    for charge_point in busy:  # something of every stream
        harness.send(harness.envelope(charge_point, tag="wait"))
    until(lambda: first.assignment.busy == len(busy))
    second = harness.worker()
    until(lambda: sum(one.leaving for one in first.assignment) == 2)
    after = harness.envelope("CP0", tag="T1")
    harness.send(after)
    settle()
    assert len(second.assignment) == 0
    plugin.gates["wait"].set()
    until(lambda: len(second.assignment) == 2)
    assert "response" in harness.answer(after)
    all_handled = plugin.handled + second.entries.cell.actor.handled
    assert [one for one in all_handled if one[0] == "CP0"] == [("CP0", "wait"), ("CP0", "T1")]


def test_a_call_of_a_fenced_node_is_handled_only_if_it_is_redelivered(harness):
    first = harness.worker()
    plugin = harness.ready(first)
    assert "response" in harness.ask(epoch=5)
    assert "another node" in harness.ask(epoch=4)["failed"]
    assert "response" in harness.ask(epoch=4, replayed=True)
    first.stop()
    second = harness.worker()
    harness.ready(second)
    assert "another node" in harness.ask(epoch=4)["failed"]
    assert "response" in harness.ask(epoch=6)
    assert len(plugin.handled) == 2


def test_groups_are_of_different_plugins_and_do_not_disturb_each_other(harness):
    class Other(Plugin):
        @passive(v16.Heartbeat)
        def beat(self, call):
            return {"currentTime": "2026-01-01T00:00:00Z"}

    one, two = harness.worker(), harness.worker(Other, group="other")
    harness.ready(one)
    harness.ready(two)
    envelope = harness.envelope(action="Heartbeat", payload={})
    harness.send(envelope, "other")
    assert harness.answer(envelope)["response"] == {"currentTime": "2026-01-01T00:00:00Z"}
    assert "response" in harness.ask()


def test_a_plugin_that_crashes_is_started_again_and_goes_on(harness):
    worker = harness.worker(breaker_policy=CircuitBreakerPolicy(failures_to_open=9, spread=2))
    before = harness.ready(worker)
    for charge_point in ("CP1", "CP2"):
        harness.ask(charge_point=charge_point, tag="fail")
    assert "response" in harness.ask(tag="T1")
    assert worker.entries.cell.actor is not before


def test_calls_waiting_for_a_quarantined_plugin_fail_and_its_events_are_dropped(harness):
    worker = harness.worker(
        policy=Policy(intensity=0), breaker_policy=CircuitBreakerPolicy(spread=1), quarantine_s=0.3
    )
    plugin = harness.ready(worker)
    held = harness.envelope(tag="wait")
    harness.send(held)
    until(lambda: plugin.gates)
    waiting = harness.envelope(tag="T1")
    harness.send(waiting)
    harness.send(seen(ONLINE))
    until(lambda: worker.assignment.busy == 2)
    harness.ask(tag="fail", charge_point="CP2")
    assert "quarantined" in harness.answer(waiting)["failed"]
    plugin.gates["wait"].set()
    assert "response" in harness.answer(held)
    until(lambda: worker.assignment.busy == 0)
    until(lambda: "response" in harness.ask(tag="T2", charge_point="CP3"))  # the probe went well
    assert "response" in harness.ask(tag="T3")


def test_a_worker_whose_lease_has_ended_takes_nothing_more(harness):
    worker = harness.worker()
    plugin = harness.ready(worker)
    worker._greenlets[0].kill()  # nobody renews
    for stream in worker.assignment:
        stream.lease_until = 0.0
    envelope = harness.envelope()
    harness.send(envelope)
    until(lambda: not worker.assignment.readable(worker._clock.monotonic()))
    settle()
    assert plugin.handled == []
    assert harness.waiting() == 1
    worker._renew()
    assert "response" in harness.answer(envelope)


def test_redis_that_was_lost_and_is_empty_is_taken_up_again(own_redis):
    server = own_redis()
    harness = HostStreamsHarness(server.url)
    try:
        worker = harness.worker()
        harness.ready(worker)
        assert "response" in harness.ask()
        server.kill()
        until(lambda: not worker._link.connected and not harness.link.connected)
        assert len(worker.assignment) == 0
        server.start()
        assert harness.link.wait(60)
        harness.link.ask("SET", harness.keys.partitions, PARTITIONS)
        harness.ready(worker)
        assert "response" in harness.ask()
    finally:
        harness.close()


def test_an_unwritten_answer_is_written_when_redis_is_back_and_not_handled_again(harness):
    worker = harness.worker()
    plugin = harness.ready(worker)
    envelope = harness.envelope(tag="wait", timeout_s=60.0)
    harness.send(envelope)
    until(lambda: plugin.gates)
    harness.link.ask("CLIENT", "PAUSE", "300", "ALL")
    for link in (worker._link, worker._blocking):
        link._connection._sock.shutdown(2)
    until(lambda: not worker._link.connected)
    plugin.gates["wait"].set()
    assert "response" in harness.answer(envelope, 10.0)
    assert len(plugin.handled) == 1


def test_a_worker_that_cannot_renew_for_a_fault_of_its_own_says_so(harness):
    worker = harness.worker()
    harness.ready(worker)
    worker._renew = None
    with pytest.raises(PluginHostFailed, match="TypeError"):
        worker.wait()


def test_a_plugin_that_does_not_start_fails_the_start(harness):
    class Broken(ScriptedPlugin):
        def on_start(self):
            raise ValueError("no database")

    with pytest.raises(ValueError, match="no database"):
        PluginHost(Broken.spec(), harness.address, prefix=harness.keys.prefix).start()


def test_a_plugin_that_passes_calls_on_is_refused_at_the_start(harness):
    class Passing(Plugin):
        @passive(v16.Authorize)
        def authorize(self, call):
            return call.pass_on()

    with pytest.raises(PluginHostFailed, match=r"authorize uses call\.pass_on\(\)"):
        harness.worker(Passing)


class Watcher(Plugin):
    """Sees answers, and events of both kinds."""

    def __init__(self):
        self.seen = []

    @after(v16.Authorize)
    def answered(self, call, answer):
        self.seen.append((call.charge_point.id, call.request.id_tag, answer, call.fallback))

    @on(StatusChanged)
    def status(self, event):
        self.seen.append(event)

    @on(Booted)
    def booted(self, event):
        self.seen.append(event.id)
        if event.vendor == "fail":
            raise RuntimeError("it failed")


def booted(id_="o:1", vendor="v", **changes):
    event = Booted(at=AT, charge_point_id="CP1", id=id_, vendor=vendor, data={})
    return {
        "v": 1, "kind": "event", "id": f"n-{id_}", "node": "n", "charge_point": "CP1", "name": "Booted",
        "event": json.loads(encoded(event)), "key": f"k{id_}", "keep_s": 60,
    } | changes  # fmt: skip


def answered(tag, **answer):
    return {
        "kind": "answered", "charge_point": "CP1", "ocpp": "1.6", "action": "Authorize", "unique_id": "7",
        "payload": {"idTag": tag}, "received_at": 1.5,
    } | answer  # fmt: skip


ACCEPTED = {"idTagInfo": {"status": "Accepted"}}


def test_a_durable_event_is_answered_when_it_was_handled_and_not_handled_again(harness):
    plugin = harness.ready(harness.worker(Watcher))
    for _ in range(2):
        harness.send(booted())
        until(lambda: harness.waiting() == 0)
    assert plugin.seen == ["o:1"]
    assert [one["response"] for one in harness.answers()] == [{}, {}]


def test_a_durable_event_whose_handler_failed_is_answered_so_and_may_come_again(harness):
    worker = harness.worker(Watcher)
    plugin = harness.ready(worker)
    for _ in range(2):
        harness.send(booted(vendor="fail"))
        until(lambda: harness.waiting() == 0)
    assert plugin.seen == ["o:1", "o:1"]
    assert ["it failed" in one["failed"] for one in harness.answers()] == [True, True]
    assert worker.observer.counts["plugin_host_failed"] == 2


def test_a_durable_event_that_no_handler_has_had_is_answered_so(harness):
    worker = harness.worker(Watcher)
    harness.ready(worker)
    worker.entries.cell.quarantined = True
    harness.send(booted())
    assert "out of service" in harness.answer({"id": "n-o:1"})["untried"]


@pytest.mark.parametrize("changes", [{"event": {}}, {"event": []}, {"name": "Nothing"}])
def test_a_durable_event_that_cannot_be_read_is_answered_as_failed(harness, changes):
    harness.ready(harness.worker(Watcher))
    harness.send(booted(**changes))
    assert "cannot be read" in harness.answer({"id": "n-o:1"})["failed"]


def test_durable_events_of_a_dead_plugin_host_go_to_another_in_their_order(harness):
    class Slow(Watcher):
        @on(Booted)
        def booted(self, event):
            self.seen.append(event.id)
            gevent.event.Event().wait()

    first = harness.worker(Slow)
    doomed = harness.ready(first)
    for number in (1, 2, 3):
        harness.send(booted(f"o:{number}"))
    until(lambda: doomed.seen)
    vanish(first)
    plugin = harness.ready(harness.worker(Watcher))
    until(lambda: harness.waiting() == 0)
    assert doomed.seen == ["o:1"]
    assert plugin.seen == ["o:1", "o:2", "o:3"]


def test_answers_and_live_events_are_seen_in_order_and_leave_the_stream_at_once(harness):
    plugin = harness.ready(harness.worker(Watcher))
    status = StatusChanged(at=AT, charge_point_id="CP1", evse=1, connector=1, status="Faulted")
    items = (
        answered("T1", response=ACCEPTED),
        {"kind": "event", "name": "StatusChanged", "event": json.loads(encoded(status))},
        {"kind": "event", "name": "Nothing", "event": {}},
        answered("T2", error={"code": "SecurityError", "description": "no"}, fallback=True),
        answered("T3"),  # neither
        answered("T4", payload=[], response=ACCEPTED),
        answered("T5", action="Nothing", response=ACCEPTED),
        answered("T6", response=ACCEPTED),
    )
    harness.send(seen(*items, facts={"CP1": {"peer": "p"}}))
    until(lambda: len(plugin.seen) == 4)
    assert [one if one is status else one[:2] for one in plugin.seen if not isinstance(one, StatusChanged)] == [
        ("CP1", "T1"), ("CP1", "T2"), ("CP1", "T6"),
    ]  # fmt: skip
    assert plugin.seen[1] == status
    assert plugin.seen[0][2:] == (v16.AuthorizeResponse(id_tag_info=v16.IdTagInfo(status="Accepted")), False)
    error, fallback = plugin.seen[2][2:]
    assert (error.code, error.description, fallback) == (ErrorCode.SECURITY_ERROR, "no", True)
    until(lambda: harness.waiting() == 0)


def test_a_plugin_that_is_slow_to_look_at_answers_has_the_newest_dropped_and_counted(harness):
    class Slow(Watcher):
        @after(v16.Authorize)
        def answered(self, call, answer):
            gevent.event.Event().wait()

    worker = harness.worker(Slow, events_s=60.0)
    harness.ready(worker)
    for _ in range(15):
        harness.send(seen(*(answered(f"T{number}", response=ACCEPTED) for number in range(100))))
    until(lambda: harness.waiting() == 0)
    # The handler may have had the first one before the backlog was full.
    assert 0 <= 1500 - EVENT_BACKLOG - worker.observer.counts["event_dropped"] <= 1


def test_answers_that_an_earlier_plugin_host_had_read_are_not_seen_again(harness):
    harness.link.ask("XGROUP", "CREATE", harness.stream(), "default", "0", "MKSTREAM")
    harness.send(seen(answered("T1", response=ACCEPTED)))
    harness.link.ask("XREADGROUP", "GROUP", "default", "dead", "STREAMS", harness.stream(), ">")
    plugin = harness.ready(harness.worker(Watcher))
    until(lambda: harness.waiting() == 0)
    harness.send(seen(answered("T2", response=ACCEPTED)))
    until(lambda: plugin.seen)
    assert [one[1] for one in plugin.seen] == ["T2"]


def test_what_a_plugin_wants_besides_calls_is_told_at_every_renewal(harness):
    harness.ready(harness.worker(Watcher))
    (found,) = harness.link.ask("HVALS", harness.keys.wants("default"))
    assert json.loads(found) == {"after": [["Authorize", "1.6"]], "on": ["StatusChanged", "Booted"]}


def test_an_after_handler_of_an_unknown_action_fails_the_start(harness):
    class Wrong(Plugin):
        @after("Nothing")
        def answered(self, call, answer):
            """Never called."""

    with pytest.raises(UnknownHandler, match="Nothing"):
        harness.worker(Wrong)


class Threads(Plugin):
    """Notes the threads that its handlers run in."""

    def __init__(self):
        self.threads = {}

    @passive(v16.Authorize)
    def authorize(self, call):
        self.threads["call"] = native_thread()
        return ACCEPTED

    @after(v16.Authorize)
    def answered(self, call, answer):
        self.threads["after"] = native_thread()

    @on(Booted)
    def booted(self, event):
        self.threads["on"] = native_thread()


class BlockingThreads(Threads):
    """The same, each handler with the mark."""

    @passive(v16.Authorize, blocking=True)
    def authorize(self, call):
        return super().authorize(call)

    @after(v16.Authorize, blocking=True)
    def answered(self, call, answer):
        super().answered(call, answer)

    @on(Booted, blocking=True)
    def booted(self, event):
        super().booted(event)


@pytest.mark.parametrize("spec", [BlockingThreads.spec(), Threads.spec(blocking=True, threads=2)])
def test_handlers_that_block_run_in_native_threads_of_the_plugin_host(harness, spec):
    plugin = harness.ready(harness.worker(spec=spec))
    assert harness.ask()["response"] == ACCEPTED
    harness.send(seen(answered("T1", response=ACCEPTED)))
    harness.send(booted())
    assert harness.answer({"id": "n-o:1"})["response"] == {}
    until(lambda: len(plugin.threads) == 3)
    assert native_thread() not in plugin.threads.values()
