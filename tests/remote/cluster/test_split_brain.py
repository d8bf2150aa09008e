"""Two nodes never both command a charge point: in any order of events, and with a broken network."""

import random
import time
from dataclasses import dataclass, field
from typing import Any

import gevent
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from chargehand.actors.runtime.timers import SystemClock
from chargehand.remote.cluster.coordinator import Claim, CoordinatorUnavailable
from chargehand.remote.cluster.lease import Lease
from chargehand.remote.cluster.lease_registry import LeaseRegistry
from chargehand.remote.cluster.redis_coordinator import RedisCoordinator
from chargehand.remote.cluster.unix_coordinator import UnixCoordinator
from chargehand.remote.redis.address import Address
from chargehand.testing import ManualClock

from ...hub import settle
from ..proxy import Proxy

CP = "CP1"
NODES = ("a", "b", "c")


@dataclass
class ModelNode:
    """Model of a node: it commands the charge points it has claimed, has waited for, and was not fenced off from."""

    node: str
    clock: Any
    world: dict[str, "ModelNode"]
    held: Any = None  # whether it has its lease
    claim: Claim | None = None
    free_at: float = 0.0
    verified: bool = True
    let_go: int = 0
    claims: int = 0

    def took(self, claim: Claim) -> None:
        if claim.epoch > self.let_go_before:
            self.claim = claim
            self.free_at = self.clock.monotonic() + claim.wait_s
            self.verified = True
            self.claims += 1
            other = self.world.get(claim.previous)
            if other is not None and other.let_go >= claim.epoch:
                self.free_at = self.clock.monotonic()

    @property
    def let_go_before(self) -> int:
        return self.claim.epoch if self.claim is not None else 0

    def fenced(self, charge_point_id: str, epoch: int) -> None:
        if self.claim is not None and self.claim.epoch < epoch:
            self.claim = None
        self.let_go = max(self.let_go, epoch)
        for other in self.world.values():  # the word that it has let go, at once
            if other.claim is not None and other.claim.epoch <= epoch and other.claim.previous == self.node:
                other.free_at = min(other.free_at, self.clock.monotonic())

    def received(self, sender: str, message: bytes) -> None:
        pass

    def lost(self, node: str) -> None:
        pass

    def lease_changed(self, *, held: bool) -> None:
        if held:
            self.verified = False

    def checked(self, epoch: int, others: frozenset[str], wait_s: float) -> None:
        if self.claim is not None and self.claim.epoch == epoch:
            if others:
                self.claim = None
            else:
                self.verified = True
                self.free_at = max(self.free_at, self.clock.monotonic() + wait_s)

    def commands(self) -> bool:
        return (
            self.claim is not None
            and self.verified
            and self.held()
            and self.clock.monotonic() >= self.free_at
        )


def commanding(world: dict[str, ModelNode]) -> list[str]:
    return [name for name, holder in world.items() if holder.commands()]


# -- Every order, with a clock of its own ---------------------------------------------------------


@dataclass
class DelayedLink:
    """Link between a node and the registry with the questions and answers that are on their way."""

    lease: Lease
    holder: ModelNode
    asked: list[Any] = field(default_factory=list)
    answered: list[Any] = field(default_factory=list)
    told: list[Any] = field(default_factory=list)


class Model:
    """Nodes, links and the registry; each step moves one thing."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.wires: dict[str, DelayedLink] = {}
        world: dict[str, ModelNode] = {}
        self.begin_anew()
        for node in NODES:
            lease = Lease(self.clock, node, 5.0)
            world[node] = ModelNode(node, self.clock, world, held=lambda lease=lease: lease.held)
            self.wires[node] = DelayedLink(lease, world[node])
            self.clock.drive(lease.timers)
            lease.start(world[node], lambda node=node: self.renew(node))
        self.world = world

    def begin_anew(self) -> None:
        self.registry = LeaseRegistry(self.clock, self.fence, 5.0)
        for wire in self.wires.values():
            wire.asked.clear()
            wire.answered.clear()

    def close(self) -> None:
        for wire in self.wires.values():
            wire.lease.stop()

    def fence(self, node: str, charge_point_id: str, epoch: int) -> None:
        self.wires[node].told.append(epoch)

    def renew(self, node: str) -> None:
        wire = self.wires.get(node)
        if wire is not None:
            sent_at, acks = wire.lease.sending()
            wire.asked.append(("renew", sent_at, acks, wire.lease.seen))

    def claim(self, node: str) -> None:
        wire = self.wires[node]
        if wire.lease.held:
            wire.asked.append(("claim", wire.lease.seen))

    def verify(self, node: str) -> None:
        claim = self.world[node].claim
        if claim is not None:
            self.wires[node].asked.append(("verify", claim.epoch))

    def release(self, node: str) -> None:
        holder = self.world[node]
        if holder.claim is not None:
            self.wires[node].asked.append(("release", holder.claim.epoch))
            holder.claim = None

    def deliver(self, node: str) -> None:
        """Have the registry take the next question."""
        wire, registry = self.wires[node], self.registry
        match wire.asked.pop(0) if wire.asked else None:
            case ("renew", sent_at, acks, seen):
                wire.answered.append(("renewed", sent_at, registry.renew(node, seen, acks)))
            case ("claim", seen):
                wire.answered.append(("claimed", registry.claim(node, CP, seen)))
            case ("verify", epoch):
                wire.answered.append(("verified", epoch, registry.verify(node, {CP: epoch})))
            case ("release", epoch):
                registry.release(node, CP, epoch)

    def receive(self, node: str) -> None:
        """Have the node take the next answer."""
        wire = self.wires[node]
        match wire.answered.pop(0) if wire.answered else None:
            case ("renewed", sent_at, renewal):
                wire.lease.renewed(sent_at, renewal)
            case ("claimed", claim) if claim is not None:
                wire.lease.saw(claim.epoch)
                wire.holder.took(claim)
                if wire.holder.let_go > claim.epoch:  # as `Lease.claiming` has it come again
                    wire.holder.fenced(CP, wire.holder.let_go)
            case ("verified", epoch, verified) if verified is not None:
                wire.holder.checked(epoch, *verified)

    def hear(self, node: str) -> None:
        """Tell the node a fence by message, whatever is on its other link."""
        wire = self.wires[node]
        if wire.told:
            wire.lease.fenced(CP, wire.told.pop(0))

    def cut(self, node: str) -> None:
        """Lose the questions and answers on their way; the lease may run on."""
        wire = self.wires[node]
        wire.asked.clear()
        wire.answered.clear()
        wire.told.clear()

    def hang_up(self, node: str) -> None:
        """Have the node give up its lease and close: the registry is told at once."""
        self.cut(node)
        self.wires[node].lease.end()
        self.registry.end(node)

    def round_trip(self, node: str) -> None:
        self.renew(node)
        while self.wires[node].asked:
            self.deliver(node)
        while self.wires[node].answered:
            self.receive(node)


STEPS = [
    "renew",
    "claim",
    "claim",
    "verify",
    "release",
    "deliver",
    "receive",
    "hear",
    "cut",
    "hang_up",
    "round_trip",
]
step = st.one_of(
    st.tuples(st.sampled_from(STEPS), st.sampled_from(NODES)),
    st.tuples(st.just("advance"), st.sampled_from([0.05, 0.5, 1.5, 3.0, 4.9, 5.0, 5.2])),
    st.just(("begin_anew", "")),
)


@examples(max_examples=300)
@given(st.lists(step, max_size=80))
def test_whatever_the_order_two_nodes_never_command_the_same(steps):
    model = Model()
    try:
        for name, argument in steps:
            if name == "advance":
                model.clock.advance(argument)
            elif name == "begin_anew":
                model.begin_anew()
            else:
                getattr(model, name)(argument)
            assert len(commanding(model.world)) <= 1
    finally:
        model.close()


def test_random_walks_of_many_steps_never_have_two_that_command_and_often_one():
    chance = random.Random(6)
    commanded = dict.fromkeys(NODES, 0)
    for _ in range(60):
        model = Model()
        for _ in range(400):
            node = chance.choice(NODES)
            name = chance.choices(
                [*STEPS, "advance", "begin_anew"], [3, 1, 1, 3, 1, 9, 9, 6, 0.3, 0.2, 9, 8, 0.1]
            )[0]
            if name == "advance":
                model.clock.advance(chance.choice([0.05, 0.2, 0.5, 1.5]))
            elif name == "begin_anew":
                model.begin_anew()
            else:
                getattr(model, name)(node)
            found = commanding(model.world)
            assert len(found) <= 1
            for one in found:
                commanded[one] += 1
        model.close()
    assert all(count > 100 for count in commanded.values()), commanded


# -- With real sockets, and a network that is cut ---------------------------------------------------

RUN_S = 6.0
MORE_S = 120.0
"""Time after a run within which each node must have had the charge point, on a slow machine."""
LEASE_S = 0.6


class Node:
    """Holder with a real coordinator: it claims again and again, and verifies when its lease is back."""

    def __init__(self, coordinator: Any, world: dict[str, ModelNode]) -> None:
        self.coordinator = coordinator
        self.holder = ModelNode(coordinator.node, SystemClock(), world, held=lambda: coordinator.held)
        self.chance = random.Random(coordinator.node)
        world[coordinator.node] = self.holder

    def run(self) -> None:
        while True:
            try:
                claim = self.holder.claim
                if claim is not None and not self.holder.verified:
                    self.holder.checked(claim.epoch, *self.coordinator.verify({CP: claim.epoch}))
                elif self.chance.random() < 0.1:
                    self.holder.took(self.coordinator.claim(CP))
            except CoordinatorUnavailable:
                pass
            gevent.sleep(self.chance.uniform(0.0, 0.2))


def watch(world: dict[str, ModelNode], run_s: float, least: int) -> dict[str, int]:
    """Count the times that each node commands; fail when two do at once.

    It ends after `run_s`, when each node has had the charge point and it was commanded `least` times.
    """
    seen = dict.fromkeys(world, 0)
    ends_at = time.monotonic() + run_s
    while (now := time.monotonic()) < ends_at or (
        now < ends_at + MORE_S
        and (sum(seen.values()) <= least or not all(node.claims for node in world.values()))
    ):
        found = commanding(world)
        assert len(found) <= 1, {name: holder.claim for name, holder in world.items()}
        for one in found:
            seen[one] += 1
        gevent.sleep(0.001)
    return seen


def disturb(proxies: list[Proxy], chance: random.Random) -> None:
    while True:
        gevent.sleep(chance.uniform(0.05, 0.5))
        proxy = chance.choice(proxies)
        what = chance.choice([proxy.cut, proxy.black_hole, lambda: proxy.delay(chance.uniform(0, 0.2))])  # noqa: B023
        what()
        gevent.sleep(chance.uniform(0.05, 0.8))
        proxy.heal()


def run_with(
    nodes: list[Node], world: dict[str, ModelNode], *disturbances: Any, least: int = 10
) -> dict[str, int]:
    greenlets = [gevent.spawn(node.run) for node in nodes]
    greenlets += [gevent.spawn(*one) for one in disturbances]
    try:
        seen = watch(world, RUN_S, least)
        failed = [one.exception for one in greenlets if one.exception is not None]
        assert not failed
        return seen
    finally:
        gevent.killall(greenlets)
        for node in nodes:
            node.coordinator.stop()
        settle()


@pytest.mark.parametrize("seed", [1])
def test_cuts_between_nodes_and_redis_never_have_two_that_command(redis_server, seed):
    proxies = [Proxy(redis_server.port) for _ in NODES]
    for proxy in proxies:
        proxy.start()
    world: dict[str, ModelNode] = {}
    nodes = []
    for name, proxy in zip(NODES, proxies, strict=True):
        address = Address(proxy.url)
        nodes.append(
            Node(RedisCoordinator(address, f"split{seed}", name, SystemClock(), lease_s=LEASE_S), world)
        )
        nodes[-1].coordinator.start(nodes[-1].holder)
    try:
        seen = run_with(nodes, world, (disturb, proxies, random.Random(seed)), least=100)
    finally:
        for proxy in proxies:
            proxy.stop()
    assert sum(seen.values()) > 100, seen
    assert all(node.holder.claims for node in nodes)


def restart(server: Any, chance: random.Random) -> None:
    while True:
        gevent.sleep(chance.uniform(0.5, 2.0))
        server.kill()
        gevent.sleep(chance.uniform(0.0, 0.5))
        server.start()


def test_a_redis_that_comes_back_empty_again_and_again_never_has_two_that_command(own_redis):
    server = own_redis()
    world: dict[str, ModelNode] = {}
    nodes = []
    for name in NODES:
        address = Address(server.url)
        nodes.append(Node(RedisCoordinator(address, "p", name, SystemClock(), lease_s=LEASE_S), world))
        nodes[-1].coordinator.start(nodes[-1].holder)
    seen = run_with(nodes, world, (restart, server, random.Random(3)))
    assert sum(seen.values()) > 10, seen


def break_pipes(nodes: list[Node], chance: random.Random) -> None:
    while True:
        gevent.sleep(chance.uniform(0.05, 0.3))
        pipe = chance.choice(nodes).coordinator._pipe
        if pipe is not None:
            pipe._sock.close()


def test_workers_that_keep_losing_their_coordinator_never_command_the_same(
    coordinator_server,
):
    world: dict[str, ModelNode] = {}
    nodes = [Node(UnixCoordinator(coordinator_server.path, name, SystemClock()), world) for name in NODES]
    for node in nodes:
        node.coordinator.start(node.holder)
    seen = run_with(nodes, world, (break_pipes, nodes, random.Random(4)))
    assert all(node.holder.claims for node in nodes)
    assert sum(seen.values()) > 10, seen
