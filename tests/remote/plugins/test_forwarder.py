"""The forwarding plugin in a central system on real sockets, with plugin hosts beside it and a real Redis."""

import uuid

import gevent
import pytest

from chargehand import (
    Booted,
    CentralSystem,
    ChargePointOffline,
    ChargePointOnline,
    ErrorCode,
    OcppError,
    Plugin,
    RedisSettings,
    Settings,
    StatusChanged,
    SupervisionSettings,
    TransactionEnded,
    TransactionStarted,
    after,
    on,
    v16,
)
from chargehand.actors.plugin.plugin import on_outcome, passive
from chargehand.config.errors import ConfigError
from chargehand.config.sessions import DeadlineSettings
from chargehand.config.settings import EventSettings
from chargehand.protocol.actions import Sender
from chargehand.protocol.versions import VERSIONS
from chargehand.remote.plugins.forwarder import Remote
from chargehand.remote.plugins.plugin_host import PluginHost
from chargehand.remote.plugins.streams import Keys, partition_of
from chargehand.remote.redis.address import Address
from chargehand.simulator import CallDeclined, ChargePoint
from chargehand.simulator.client import Client

from ...hub import until

QUICK = SupervisionSettings(shutdown_s=0.05, stop_timeout_s=2.0, redelivery_delay_s=0.05)
ALL = ("*",)


class ForwardedPlugin(Plugin):
    """Plugin that runs in the node and in a plugin host."""

    def __init__(self):
        self.seen = []
        self.heard = []

    @passive(v16.Authorize)
    def authorize(self, call):
        self.seen.append(call)
        if call.request.id_tag == "refuse":
            raise OcppError(ErrorCode.SECURITY_ERROR, "no", {"why": 1})
        if call.request.id_tag == "fail":
            raise RuntimeError("it failed")
        return {"idTagInfo": {"status": "Blocked"}}

    @passive(v16.StartTransaction)
    def begun(self, call):
        self.seen.append(call)
        return {"transactionId": call.transaction_id, "idTagInfo": {"status": "Accepted"}}

    @on(ChargePointOnline)
    def came(self, event):
        self.heard.append(("online", event.charge_point_id))

    @on(ChargePointOffline)
    def went(self, event):
        self.heard.append(("offline", event.charge_point_id))

    @on_outcome()
    def ended(self, ticket):
        self.heard.append((ticket.action, ticket.state))


class ForwarderHarness:
    """Node and its plugin hosts."""

    def __init__(self, url, actions=("Authorize", "StartTransaction"), plugins=(), attempts=10, **more):
        self.url = url
        self.prefix = f"t{uuid.uuid4().hex[:8]}"
        redis = RedisSettings(url=url, prefix=self.prefix, remote_actions=actions, partitions=4, **more)
        settings = Settings(
            port=0,
            supervision=QUICK,
            redis=redis,
            deadlines=DeadlineSettings(actions={"Authorize": 3.0}),
            events=EventSettings(attempts=attempts),
        )
        self.workers = []
        self.system = CentralSystem(settings, plugins=plugins)
        self.system.start()
        self.remote = self.system._parts.router.plugin("remote").actor

    def work(self, plugin=ForwardedPlugin, **options):
        worker = PluginHost(plugin.spec(), Address(self.url), prefix=self.prefix, **options)
        worker.start()
        self.workers.append(worker)
        until(lambda: [one for one in worker.assignment if one.claimed])
        return worker.entries.cell.actor

    def connect(self, id_="CP1", **options):
        return ChargePoint(f"ws://127.0.0.1:{self.system.port}/ocpp/", id_, **options)

    @property
    def counts(self):
        return self.system.counters.counts

    def close(self):
        self.system.stop()
        for worker in self.workers:
            worker.stop()


@pytest.fixture
def build(redis_server):
    houses = []

    def build(*args, url=redis_server.url, **options):
        houses.append(ForwarderHarness(url, *args, **options))
        return houses[-1]

    yield build
    for harness in houses:
        harness.close()


def start(at="2026-01-01T00:00:00Z"):
    return v16.StartTransaction(
        connector_id=1, id_tag="T", meter_start=1, timestamp=v16.StartTransaction.__decoder__.decode(
            f'{{"connectorId":1,"idTag":"T","meterStart":1,"timestamp":"{at}"}}'
        ).timestamp,
    )  # fmt: skip


def status_of(charge_point, tag="T1"):
    return charge_point.send(v16.Authorize(id_tag=tag)).id_tag_info.status


def test_a_worker_answers_as_if_it_were_here(build):
    harness = build()
    plugin = harness.work()
    with harness.connect() as charge_point:
        assert status_of(charge_point) == "Blocked"
        assert charge_point.send(v16.Heartbeat()).current_time  # the back office's, as ever
        with pytest.raises(CallDeclined, match="no") as declined:
            status_of(charge_point, "refuse")
        assert declined.value.code == ErrorCode.SECURITY_ERROR
        started = charge_point.send(start())
    call = plugin.seen[-1]
    assert call.transaction_id == started.transaction_id
    assert call.request == start()
    assert call.charge_point.peer.startswith("127.0.0.1:")
    assert not call.redelivered


def test_events_and_outcomes_reach_the_plugin_host(build):
    harness = build()
    plugin = harness.work()
    until(lambda: watching(harness))
    with harness.connect():
        ticket = harness.system.send("CP1", v16.ClearCache())
        ticket.wait()
    until(lambda: len(plugin.heard) == 3)
    assert plugin.heard == [("online", "CP1"), ("ClearCache", ticket.state), ("offline", "CP1")]


def test_a_failure_in_a_worker_is_counted_there_and_its_fallback_answers(build):
    harness = build()
    harness.work()
    with harness.connect() as charge_point:
        for _ in range(4):
            with pytest.raises(CallDeclined, match="failed"):
                status_of(charge_point, "fail")
    assert harness.counts["fallback"] == 4
    assert not harness.remote._cell.breakers.failing
    assert harness.workers[0].entries.cell.breakers.list_open() == [("CP1", "Authorize")]


def test_without_plugin_hosts_fallbacks_answer_and_their_messages_are_redelivered(build):
    harness = build()
    until(lambda: harness.remote._streams.partitions)
    with harness.connect() as charge_point:
        started = charge_point.send(start())
        with pytest.raises(CallDeclined):
            status_of(charge_point)
        assert harness.counts["remote_nobody"] >= 2
        plugin = harness.work()
        until(lambda: plugin.seen)
        assert status_of(charge_point) == "Blocked"
    first = plugin.seen[0]
    assert (first.action, first.redelivered, first.transaction_id) == (
        "StartTransaction",
        True,
        started.transaction_id,
    )
    until(lambda: not harness.system.store.spooled())


def test_a_transaction_message_that_comes_again_is_answered_the_same_by_the_node(build):
    harness = build()
    plugin = harness.work()
    frame = b'[2,"1","StartTransaction",{"connectorId":1,"idTag":"","meterStart":1,"timestamp":"2026-01-01T00:00:00Z"}]'
    answers = set()
    for _ in range(2):
        client = Client.connect(f"ws://127.0.0.1:{harness.system.port}/ocpp/CP1", subprotocols=["ocpp1.6"])
        client.send_text(frame)
        answers.add(client.receive()[0])
        client.close()
    assert len(answers) == len(plugin.seen) == 1
    assert harness.counts["remote_known"] == 1


def test_a_full_stream_is_not_filled_further(build):
    harness = build(stream_limit=1)
    harness.remote._streams.link.wait(60)
    harness.remote._streams.link.ask(
        "SET", Keys(harness.prefix).alive("default"), "somebody"
    )  # who reads nothing
    until(lambda: harness.remote._streams.partitions)
    stream = Keys(harness.prefix).stream(partition_of("CP1", 4), "default")
    harness.remote._streams.link.ask("XADD", stream, "*", "e", "the one")
    with harness.connect() as charge_point, pytest.raises(CallDeclined):
        status_of(charge_point)
    assert harness.counts["remote_full"] == 1


def test_while_redis_is_away_fallbacks_answer_and_plugin_hosts_again_after_it(build, own_redis):
    server = own_redis()
    harness = build(url=server.url)
    plugin = harness.work()
    with harness.connect() as charge_point:
        assert status_of(charge_point) == "Blocked"
        server.kill()
        until(lambda: not harness.remote._streams.link.connected)
        started = charge_point.send(start())
        with pytest.raises(CallDeclined):
            status_of(charge_point)
        assert harness.counts["remote_away"] >= 1
        server.start()
        until(lambda: any(call.redelivered for call in plugin.seen))
        assert status_of(charge_point) == "Blocked"
    redelivered = [call for call in plugin.seen if call.redelivered]
    assert [call.transaction_id for call in redelivered] == [started.transaction_id]
    assert not harness.remote._cell.quarantined


def test_calls_on_their_way_when_redis_goes_end_at_once(build, own_redis):
    server = own_redis()

    class Slow(ForwardedPlugin):
        @passive(v16.Authorize)
        def authorize(self, call):
            self.seen.append(call)
            call.later()

    harness = build(url=server.url)
    plugin = harness.work(Slow)
    with harness.connect() as charge_point:
        waiting = gevent.spawn(status_of, charge_point)
        until(lambda: plugin.seen)
        server.kill()
        with pytest.raises(CallDeclined, match="failed"):
            waiting.get(timeout=2.5)


def test_an_answer_that_is_none_is_left_and_the_deadline_holds(build):
    class Silent(ForwardedPlugin):
        @passive(v16.Authorize)
        def authorize(self, call):
            call.later()

    harness = build()
    harness.work(Silent)
    answers = Keys(harness.prefix).answers(harness.remote.node)
    with harness.connect() as charge_point:
        for data in ("no JSON", '{"kind":"answer","id":"of nobody","response":{}}'):
            harness.remote._streams.link.ask("XADD", answers, "*", "a", data)
        with pytest.raises(CallDeclined, match="in time"):
            status_of(charge_point)
    assert (harness.counts["remote_unreadable"], harness.counts["remote_late"]) == (1, 1)
    until(lambda: not harness.remote._open)


def test_actions_go_to_the_group_that_they_are_for(build):
    class Starts(ForwardedPlugin):
        pass

    harness = build(remote_groups={"StartTransaction": "starts"})
    tags, starts = harness.work(), harness.work(Starts, group="starts")
    until(lambda: len(harness.remote._wants) == 2)
    with harness.connect() as charge_point:
        status_of(charge_point)
        charge_point.send(start())
        until(lambda: tags.heard and starts.heard)
    assert ([call.action for call in tags.seen], [call.action for call in starts.seen]) == (
        ["Authorize"],
        ["StartTransaction"],
    )


def test_a_claim_that_was_given_back_counts_until_everything_is_told(build):
    harness = build()
    plugin = harness.work()
    until(lambda: watching(harness))
    epochs = {"CP1": 7}
    harness.remote._epoch_of = lambda id_: epochs.get(id_, 0)
    with harness.connect() as charge_point:
        status_of(charge_point)
        epochs.clear()
        assert status_of(charge_point) == "Blocked"
        assert harness.remote._epochs == {"CP1": 7}
    until(lambda: len(plugin.heard) == 2)
    assert plugin.heard[1] == ("offline", "CP1")
    assert harness.remote._epochs == {}


def test_the_epoch_of_the_charge_point_goes_along(redis_server):
    prefix = f"t{uuid.uuid4().hex[:8]}"
    epochs = {"CP1": 7}
    spec = Remote.spec(
        redis_server.url, prefix=prefix, epoch_of=lambda id_: epochs[id_], actions=["Authorize"]
    )
    with CentralSystem(Settings(port=0, supervision=QUICK), plugins=[spec]) as system:
        worker = PluginHost(ForwardedPlugin.spec(), Address(redis_server.url), prefix=prefix)
        worker.start()
        try:
            until(lambda: len([one for one in worker.assignment if one.claimed]) == 16)
            with ChargePoint(f"ws://127.0.0.1:{system.port}/ocpp/", "CP1") as charge_point:
                assert status_of(charge_point) == "Blocked"
                epochs["CP1"] = 6
                with pytest.raises(CallDeclined):
                    status_of(charge_point)
        finally:
            worker.stop()
        assert worker.observer.counts["plugin_host_fenced"] >= 1


# What plugin hosts want besides calls


class Watcher(Plugin):
    """Sees answers, and events of both kinds; claims no action."""

    def __init__(self):
        self.seen = []
        self.failures = 0

    @after("Authorize")
    def answered(self, call, answer):
        self.seen.append((call.action, call.request.id_tag, answer, call.fallback))

    @after(v16.BootNotification)
    def boot_answered(self, call, answer):
        self.seen.append((call.action, call.charge_point.id, answer, call.fallback))

    @on(StatusChanged)
    def status(self, event):
        self.seen.append(("StatusChanged", event.status))

    @on(Booted, TransactionStarted, TransactionEnded)
    def happened(self, event):
        self.seen.append((type(event).__name__, event.charge_point_id))
        if self.failures:
            self.failures -= 1
            raise RuntimeError("it failed")


def vanish(worker):
    """Leave the state of a kill -9."""
    gevent.killall(worker._greenlets)
    worker._blocking.stop()
    worker._link.stop()


def watching(harness):
    return harness.remote._after or harness.remote._events


def names_of(plugin):
    return [one[0] for one in plugin.seen]


def test_a_plugin_host_sees_answers_whoever_gave_them(build):
    harness = build(actions=())
    plugin = harness.work(Watcher, group="watchers")
    until(lambda: watching(harness))
    with harness.connect() as charge_point:
        for tag in ("A", "B"):
            assert status_of(charge_point, tag) == "Accepted"
        until(lambda: ("Authorize", "B") in [one[:2] for one in plugin.seen])
    seen = [one for one in plugin.seen if one[0] == "Authorize"]
    assert [one[1] for one in seen] == ["A", "B"]
    assert {(one[2].id_tag_info.status, one[3]) for one in seen} == {("Accepted", False)}
    boot = next(one for one in plugin.seen if one[0] == "BootNotification")
    assert (boot[1], boot[2].status, boot[3]) == ("CP1", "Accepted", False)


def test_answers_are_seen_in_order_with_the_calls_of_their_charge_point(build):
    class Both(Watcher):
        @passive(v16.Authorize)
        def authorize(self, call):
            self.seen.append(("call", call.request.id_tag))
            return {"idTagInfo": {"status": "Accepted"}}

    harness = build()
    plugin = harness.work(Both)
    until(lambda: watching(harness))
    with harness.connect() as charge_point:
        for number in range(20):
            status_of(charge_point, f"T{number}")
        until(lambda: ("Authorize", "T19") in [one[:2] for one in plugin.seen])
    seen = [one[:2] for one in plugin.seen if one[0] in ("call", "Authorize")]
    assert seen == [(kind, f"T{number}") for number in range(20) for kind in ("call", "Authorize")]


def test_answers_that_redis_does_not_take_are_lost_and_counted_and_nobody_waits(build, own_redis):
    server = own_redis()
    harness = build(actions=(), url=server.url)
    harness.work(Watcher, group="watchers")
    until(lambda: watching(harness))
    with harness.connect() as charge_point:
        server.kill()
        until(lambda: not harness.remote._streams.link.connected)
        for _ in range(3):
            assert status_of(charge_point) == "Accepted"
        until(lambda: harness.counts.get("remote_event_lost", 0) >= 3)
        assert not harness.remote._cell.quarantined


def test_answers_do_not_fill_a_stream_that_nobody_reads(build):
    harness = build(actions=(), stream_limit=4)
    harness.work(Watcher, group="watchers")
    until(lambda: watching(harness))
    vanish(harness.workers[0])
    with harness.connect() as charge_point:
        until(lambda: status_of(charge_point) and harness.counts.get("remote_event_lost"))
    stream = Keys(harness.prefix).stream(partition_of("CP1", 4), "watchers")
    assert harness.remote._streams.link.ask("XLEN", stream) <= 3  # two of answers, and an event


def test_a_plugin_host_sees_what_a_fallback_answered(build):
    harness = build()
    plugin = harness.work(Watcher)  # it handles no calls, so that fallbacks answer
    until(lambda: watching(harness))
    with harness.connect() as charge_point, pytest.raises(CallDeclined):
        status_of(charge_point)
    until(lambda: "Authorize" in names_of(plugin))
    (seen,) = [one for one in plugin.seen if one[0] == "Authorize"]
    assert isinstance(seen[2], OcppError)
    assert seen[3]


def test_nothing_is_forwarded_for_nobody_nor_for_a_plugin_host_that_has_gone(build):
    harness = build()
    harness.work()
    with harness.connect() as charge_point:
        status_of(charge_point)
        assert not harness.system._parts.router.watched
        harness.work(Watcher, group="watchers")
        until(lambda: harness.system._parts.router.watched)
        harness.workers.pop().stop()
        until(lambda: not harness.system._parts.router.watched)


def test_live_and_durable_events_reach_a_plugin_host_that_claims_no_action(build):
    harness = build(actions=())
    plugin = harness.work(Watcher, group="watchers")
    until(lambda: watching(harness))
    with harness.connect() as charge_point:
        charge_point.send(v16.StatusNotification(connector_id=1, error_code="NoError", status="Available"))
        transaction = charge_point.send(start()).transaction_id
        until(lambda: "TransactionStarted" in names_of(plugin))
        charge_point.send(
            v16.StopTransaction(transaction_id=transaction, meter_stop=2, timestamp=start().timestamp)
        )
        until(lambda: "TransactionEnded" in names_of(plugin))
    assert ("StatusChanged", "Available") in plugin.seen
    durable = [one for one in names_of(plugin) if one in ("Booted", "TransactionStarted", "TransactionEnded")]
    assert durable == ["Booted", "TransactionStarted", "TransactionEnded"]


def test_an_event_that_a_plugin_host_fails_at_comes_again_until_it_is_dead(build):
    harness = build(actions=(), attempts=2)
    plugin = harness.work(Watcher, group="watchers")
    until(lambda: watching(harness))
    plugin.failures = 3
    with harness.connect() as charge_point:
        charge_point.send(start())
        until(lambda: "TransactionStarted" in names_of(plugin) and not plugin.failures)
        until(lambda: names_of(plugin).count("TransactionStarted") == 2)
    durable = [one for one in names_of(plugin) if one in ("Booted", "TransactionStarted")]
    assert durable == ["Booted", "Booted", "TransactionStarted", "TransactionStarted"]
    (letter,) = harness.system.store.event_log.dead_letters()
    assert (letter.consumer, letter.kind) == ("plugin-hosts/watchers", "Booted")
    assert "it failed" in letter.why
    harness.system.retry_event(letter.number)
    assert names_of(plugin)[-1] == "Booted"


def test_events_wait_for_a_plugin_host_that_is_away(build):
    harness = build(actions=())
    harness.work(Watcher, group="watchers")
    until(lambda: watching(harness))
    harness.workers.pop().stop()
    until(lambda: not watching(harness))
    with harness.connect() as charge_point:
        charge_point.send(start())
    plugin = harness.work(Watcher, group="watchers")
    until(lambda: "TransactionStarted" in names_of(plugin))
    durable = [one for one in names_of(plugin) if one in ("Booted", "TransactionStarted")]
    assert durable == ["Booted", "TransactionStarted"]


def test_events_on_their_way_come_again_when_redis_has_lost_them(build, own_redis):
    server = own_redis()
    harness = build(actions=(), url=server.url)
    harness.work(Watcher, group="watchers")
    until(lambda: watching(harness))
    vanish(harness.workers[0])
    with harness.connect() as charge_point:
        charge_point.send(start())
        until(lambda: harness.remote._deliveries)
        server.kill()
        until(lambda: not harness.remote._deliveries)
        server.start()
        plugin = harness.work(Watcher, group="watchers")
        until(lambda: "TransactionStarted" in names_of(plugin), timeout_s=60)


# What it claims


def claimed(*args, **options):
    return set(Remote.spec("redis://h", *args, **options).plugin.actions_of("passive"))


def test_it_claims_what_it_is_told_and_with_a_star_all_that_others_do_not():
    possible = {row.name for version in VERSIONS.values() for row in version.sent_by(Sender.CHARGE_POINT)}
    assert claimed(actions=["Authorize"]) == {"Authorize"}
    assert claimed() == possible
    assert claimed(others=["Authorize"]) == possible - {"Authorize"}
    assert (
        claimed(actions=["*", "Authorize"], others=["Authorize"]) == possible
    )  # two claim it, and the start fails
    with pytest.raises(ValueError, match="RemoteStartTransaction"):
        claimed(actions=["RemoteStartTransaction"])


def test_an_action_that_a_plugin_of_this_process_claims_too_is_passed_on_to_it(build):
    router = build(("Authorize",), plugins=[ForwardedPlugin]).system._parts.router
    row = v16.Authorize.__action__
    first = router.find(row)
    assert (first.urn, router.next_of(row, first).urn) == ("ForwardedPlugin", "remote")


def test_a_star_leaves_a_plugin_of_this_process_what_it_claims(build):
    find = build(ALL, plugins=[ForwardedPlugin]).system._parts.router.find
    assert find(v16.Authorize.__action__).urn == "ForwardedPlugin"
    assert find(v16.Heartbeat.__action__).urn == "remote"


def test_remote_actions_need_an_address():
    with pytest.raises(ConfigError, match=r"redis\.url: missing"):
        CentralSystem(Settings(redis=RedisSettings(remote_actions=("*",))))
