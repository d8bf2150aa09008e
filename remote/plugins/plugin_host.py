"""Plugin host: one plugin under supervision, fed from the streams that are assigned to this process.

It renews leases, reads streams and writes back answers. An entry is removed from its stream in the same step that
writes its answer; so the pending entries of a plugin host that died are handled by the next owner of the stream.
"""

from __future__ import annotations

import contextlib
import inspect
import itertools
import logging
from functools import partial
from typing import TYPE_CHECKING, Any

import gevent
from gevent.event import Event

from ...actors.plugin.circuit_breaker import CircuitBreakerPolicy
from ...actors.plugin.routing import Router, claimed_rows
from ...actors.plugin.spool import Spool
from ...actors.runtime.cell import Cell, CellPhase, Exit
from ...actors.runtime.scheduler import Scheduler
from ...actors.runtime.timers import HubTimers, SystemClock
from ...actors.session.context import SessionContext
from ...config.errors import ChargehandError
from ...protocol.session import SessionRules
from ...protocol.versions import VERSIONS
from ...store.memory import MemoryStore
from ...supervisor.child import ChildSpec
from ...supervisor.plugins import PluginSupervisor
from ...supervisor.rules import Policy, Strategy
from ..redis.address import RedisAway, process_name
from ..redis.link import Link, RedisCommandRefused
from .assignment import Assignment
from .entry_handler import EntryHandler, StreamEntry
from .envelopes import Wants, encode
from .host_cell import PluginHostCell
from .streams import ALIVE_S, DEFAULT_GROUP, LEASE_S, RELEASE, RENEW, RENEW_S, Keys

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ...actors.plugin.plugin import Plugin, PluginSpec
    from ...actors.plugin.plugin_system import PluginSystem
    from ...actors.session.context import Observer
    from ...protocol.actions import Version
    from ..redis.address import Address
    from .assignment import Stream

logger = logging.getLogger(__name__)

BLOCK_S = 0.5
"""Seconds that one read blocks in Redis for the first entry."""
ENTRIES_AT_ONCE = 64
PENDING_LIMIT = 1024
"""Pending entries above which no more are read."""
SWEEP_S = 0.25
"""Seconds between checks for calls whose deadline has passed."""
DRAIN_S = 3.0
"""Seconds that pending calls have to end when the plugin host stops."""


def _refuse_pass_on(spec: PluginSpec) -> None:
    """Raise `PluginHostFailed` for a plugin with a handler that passes calls on: the next plugin is in a node.

    Handshakes are in a node, too.
    """
    if spec.plugin.actions_of("authenticate"):
        raise PluginHostFailed(
            f"plugin {spec.name}: a plugin host has no handshakes for @authenticate; run the plugin in a node"
        )
    for name in dict.fromkeys(spec.plugin.handlers.values()):
        code = getattr(inspect.unwrap(getattr(spec.plugin, name)), "__code__", None)
        if code is not None and "pass_on" in code.co_names:
            raise PluginHostFailed(
                f"plugin {spec.name}: {name} uses call.pass_on(), which a plugin host does not have; "
                "run the plugin in a node"
            )


def _wants_of(plugin: type[Plugin]) -> Wants:
    """Return what a plugin wants besides calls."""
    return Wants(
        after=tuple((action, version) for kind, action, version in plugin.handlers if kind == "after"),
        on=tuple(plugin.actions_of("on")),
    )


class PluginHostFailed(ChargehandError):
    """The plugin host cannot go on: renewing or reading failed, or its supervisor gave up."""


class _Counters:
    """Observer that counts by name."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}

    def count(self, name: str, _charge_point_id: str) -> None:
        """Count one event."""
        self.counts[name] = self.counts.get(name, 0) + 1


class PluginHost:
    """Process that runs one plugin, fed through Redis. Use it with `start`, `wait` and `stop`, in one hub.

    `system` is the plugin's `self.system`: anything with `send`, as `Plugin.system` says; without one a plugin that
    asks for it gets a RuntimeError. `observer` is notified of everything that is counted.
    """

    def __init__(
        self,
        spec: PluginSpec,
        address: Address,
        *,
        prefix: str = "chargehand",
        group: str = DEFAULT_GROUP,
        policy: Policy | None = None,
        breaker_policy: CircuitBreakerPolicy | None = None,
        quarantine_s: float = 60.0,
        shutdown_s: float = 3.0,
        events_s: float = 10.0,
        system: PluginSystem | None = None,
        observer: Observer | None = None,
        node: str = "",
        versions: Mapping[str, Version] = VERSIONS,
    ) -> None:
        self._versions = versions
        self.name = process_name(node)
        self.group = group
        self.observer: Any = observer or _Counters()
        self._spec = spec
        self._wants = encode(_wants_of(spec.plugin))
        self._system = system
        self._keys = Keys(prefix)
        self._policy = policy or Policy()
        self._breaker_policy = breaker_policy or CircuitBreakerPolicy()
        self._quarantine_s = quarantine_s
        self._shutdown_s = shutdown_s if spec.shutdown_s is None else spec.shutdown_s
        self._events_s = events_s
        self._rules = SessionRules(version=next(iter(versions.values())))
        self._clock = SystemClock()
        self.assignment = Assignment()
        self._link = Link(address, f"{self.name}-commands", down=self._disconnected)
        self._blocking = Link(address, f"{self.name}-entries", blocks_s=BLOCK_S)
        self.entries = EntryHandler(
            self._link, self._keys, group, versions, self._clock, self.observer, self.assignment
        )
        self._changed = Event()
        self._stopping = False
        self._ended = Event()
        self._failure: str = ""
        self._greenlets: list[Any] = []
        self._root: Cell | None = None

    # -- Start and stop ----------------------------------------------------------------------------

    def start(self) -> None:
        """Start the plugin, then begin to connect. Raises what left the plugin's `on_start`."""
        self._scheduler = Scheduler()
        self._timers = HubTimers(self._clock)
        # Nodes have the spool: this store stays empty.
        store = MemoryStore()
        context = SessionContext(
            rules=self._rules,
            scheduler=self._scheduler,
            timers=self._timers,
            router=Router(),
            store=store,
            spool=Spool(store, [self._rules.version]),
            observer=self.observer,
            events_s=self._events_s,
        )
        child = ChildSpec(
            id=self._spec.name, make=partial(self._make_cell, context), shutdown_s=self._shutdown_s
        )
        make = PluginSupervisor.maker(
            [child],
            self._timers,
            Strategy.ONE_FOR_ONE,
            self._policy,
            per_child=True,
            context=context,
            quarantine_s=self._quarantine_s,
        )
        root = Cell(self._scheduler, "plugins", make)
        started = False
        try:
            root.start()
            started = True
        finally:
            if not started:
                self._timers.clear()
                self._scheduler.close()
        root.watch = self._gave_up
        self._root = root
        self._link.start()
        self._blocking.start()
        for task in (self._keep_leases, self._read):
            greenlet = gevent.spawn(task)
            greenlet.link_exception(self._task_failed)
            self._greenlets.append(greenlet)
        self._sweep()

    def _sweep(self) -> None:
        self.entries.sweep()
        self._timers.call_at(self._clock.monotonic() + SWEEP_S, self._sweep)

    def _make_cell(self, context: SessionContext, scheduler: Scheduler, watch: Any) -> PluginHostCell:
        _refuse_pass_on(self._spec)
        for kind in ("passive", "after"):  # only to check the names: nodes do the routing
            claimed_rows(self._spec, self._versions.values(), kind)
        cell = PluginHostCell(
            scheduler,
            self._spec,
            self._system,
            watch,
            self._clock.monotonic,
            self._breaker_policy,
            context=context,
            known=self.entries.answer_known,
        )
        self.entries.cell = cell
        return cell

    def wait(self) -> None:
        """Wait until it is stopped. Raises `PluginHostFailed`."""
        self._ended.wait()
        if self._failure:
            raise PluginHostFailed(self._failure)

    def stop(self) -> None:
        """Read no more, let pending calls end, give the streams back and stop the plugin. Safe to call again."""
        root, self._root = self._root, None
        if root is None:
            return
        self._stopping = self.entries.stopping = True
        ends_at = self._clock.monotonic() + DRAIN_S
        while self.assignment.busy and self._clock.monotonic() < ends_at and self._link.connected:
            gevent.sleep(SWEEP_S / 10)
        gevent.killall(self._greenlets)
        owners = [self._keys.owner(stream.number, self.group) for stream in self.assignment]
        with contextlib.suppress(RedisAway, RedisCommandRefused):
            if owners:
                self._link.ask("EVAL", RELEASE, len(owners), *owners, self.name)
            self._link.ask("ZREM", self._keys.hosts(self.group), self.name)
        root.watch = None
        if root.phase in (CellPhase.STARTING, CellPhase.RUNNING):
            root.ref.stop(block=False)
            if not root.join(self._shutdown_s + 1.0):
                root.kill()
                root.join(1.0)
        root.end()
        self._blocking.stop()
        self._link.stop()
        logger.info("plugin host %s: counters %s", self.name, getattr(self.observer, "counts", {}))
        self._timers.clear()
        self._scheduler.close()
        self._ended.set()

    def _gave_up(self, _cell: Cell, exit_: Exit) -> None:
        self._fail(
            f"the supervisor gave up: {exit_.failure.text if exit_.failure is not None else exit_.ending}"
        )

    def _task_failed(self, greenlet: Any) -> None:
        self._fail(f"{type(greenlet.exception).__name__}: {greenlet.exception}")

    def _fail(self, why: str) -> None:
        self._failure = self._failure or why
        self._ended.set()

    # -- Leases --------------------------------------------------------------------------------------

    def _keep_leases(self) -> None:
        while True:
            if self._link.wait(RENEW_S):
                with contextlib.suppress(RedisAway):  # the next round tries again
                    self._renew()
            gevent.sleep(RENEW_S)

    def _renew(self) -> None:
        keys, group = self._keys, self.group
        sent_at = self._clock.monotonic()
        names = (keys.hosts(group), keys.alive(group), keys.partitions, keys.wants(group), keys.groups)
        settings = (self.name, int(LEASE_S * 1000), int(ALIVE_S * 1000), keys.prefix, group, self._wants)
        answer = self._link.ask("EVAL", RENEW, len(names), *names, *settings)
        with self._link.reading():
            now_s, share, mine = int(answer[0]) / 1000, int(answer[1]), [int(number) for number in answer[2]]
        self.entries.redis_is_at(now_s)
        if self._stopping:
            return
        new, lost = self.assignment.renewed(mine, share, sent_at)
        if lost:
            logger.warning("plugin host %s lost the streams %s", self.name, lost)
        if new:
            logger.info("plugin host %s: assigned streams %s (target %d)", self.name, new, share)
            self._changed.set()

    def _disconnected(self, _why: str) -> None:
        self.assignment.clear()

    def _give_back(self) -> None:
        numbers = self.assignment.give_back()
        if numbers:
            logger.info("plugin host %s gives back the streams %s", self.name, numbers)
            owners = [self._keys.owner(number, self.group) for number in numbers]
            self._link.send("EVAL", RELEASE, len(owners), *owners, self.name)

    # -- Reading -------------------------------------------------------------------------------------

    def _read(self) -> None:
        while not self._stopping:
            self._changed.clear()
            self._give_back()  # between two reads, so that no entry is under way
            try:
                streams = [
                    stream
                    for stream in self.assignment.readable(self._clock.monotonic())
                    if stream.claimed or self._claim(stream)
                ]
                if streams and self.assignment.busy < PENDING_LIMIT and self._blocking.connected:
                    self.entries.take(self._next(streams))
                    continue
            except (RedisAway, RedisCommandRefused) as error:
                # The latter when Redis has lost its data, with the consumer groups.
                logger.warning("plugin host %s claims its streams again: %s", self.name, error)
                for stream in self.assignment:
                    stream.claimed = False
            self._changed.wait(BLOCK_S / 10)

    def _next(self, streams: list[Stream]) -> list[StreamEntry]:
        by_key = {self._keys.stream(stream.number, self.group).encode(): stream for stream in streams}
        found = self._blocking.ask(
            *("XREADGROUP", "GROUP", self.group, self.name, "COUNT", ENTRIES_AT_ONCE),
            *("BLOCK", int(BLOCK_S * 1000), "STREAMS", *by_key, *itertools.repeat(">", len(by_key))),
        )
        now = self._clock.monotonic()
        taken = []
        with self._blocking.reading():
            parts = [
                (by_key[key], [(bytes(id_), _data_of(fields)) for id_, fields in entries])
                for key, entries in found or ()
            ]
        for stream, entries in parts:
            if stream.lease_until > now and self.assignment.get(stream.number) is stream:
                taken += [StreamEntry(stream, id_, data) for id_, data in entries]
            else:
                stream.claimed = False  # the entries belong to the present owner
        return taken

    def _claim(self, stream: Stream) -> bool:
        """Take over the pending entries of the previous owner, and the epochs. Raises `RedisAway`."""
        key, group = self._keys.stream(stream.number, self.group), self.group
        with contextlib.suppress(RedisCommandRefused):  # the group exists already
            self._link.ask("XGROUP", "CREATE", key, group, "0", "MKSTREAM")
        epochs = self._link.ask("HGETALL", self._keys.epochs(stream.number, group))
        with self._link.reading():
            stream.epochs = {
                one.decode(): int(epoch) for one, epoch in zip(epochs[::2], epochs[1::2], strict=True)
            }
        cursor = b"0-0"
        while True:
            answer = self._link.ask("XAUTOCLAIM", key, group, self.name, 0, cursor, "COUNT", ENTRIES_AT_ONCE)
            with self._link.reading():
                cursor, found = (
                    bytes(answer[0]),
                    [(bytes(id_), _data_of(fields)) for id_, fields in answer[1]],
                )
            if found:
                logger.info(
                    "plugin host %s takes over %d pending entries of stream %d",
                    self.name,
                    len(found),
                    stream.number,
                )
                entries = [StreamEntry(stream, id_, data) for id_, data in found]
                self.entries.take(entries, again=True)
            if cursor == b"0-0":
                break
        stream.claimed = True
        return True


def _data_of(fields: list[bytes]) -> bytes:
    """Return the envelope among the fields of an entry."""
    if len(fields) == 2 and fields[0] == b"e":  # as nodes write it
        return fields[1]
    return dict(zip(fields[::2], fields[1::2], strict=False)).get(b"e", b"")
