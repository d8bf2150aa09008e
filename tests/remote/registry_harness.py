"""Coordinator in this process: several systems in one hub share their charge points over it, and a test can cut it."""

import gevent

from chargehand.remote.cluster.coordinator import (
    LEASE_S,
    MESSAGE_BYTES,
    Claim,
    CoordinatorUnavailable,
    Verified,
)


class LeaseRegistry:
    """Leases shared by all systems of a test."""

    def __init__(self):
        self.boards = {}
        self.held = {}  # charge point: (epoch, node)
        self.epochs = {}

    def board(self, node):
        return RegistryCoordinator(self, node)

    def die(self, node):
        """Remove a node with all its leases; the others are told."""
        self.boards.pop(node, None)
        for id_ in [id_ for id_, (_, holder) in self.held.items() if holder == node]:
            del self.held[id_]
        for board in list(self.boards.values()):
            board.listener.lost(node)


class RegistryCoordinator:
    def __init__(self, exchange, node):
        self.exchange = exchange
        self.node = node
        self.away = False
        self.held = True
        self.trouble = ""
        self.listener = None

    def _reach(self):
        if self.away:
            raise CoordinatorUnavailable("it was cut")
        gevent.sleep(0)

    def start(self, listener):
        self.listener = listener
        self.exchange.boards[self.node] = self
        gevent.get_hub().loop.run_callback(lambda: listener.lease_changed(held=True))

    def stop(self):
        if self.exchange.boards.get(self.node) is self:
            self.exchange.die(self.node)

    def cut(self):
        self.away = True
        self.held = False
        self.listener.lease_changed(held=False)

    def heal(self):
        self.away = False
        self.held = True
        self.listener.lease_changed(held=True)

    def claim(self, charge_point_id):
        self._reach()
        epoch, previous = self.exchange.held.get(charge_point_id, (0, ""))
        epoch = self.exchange.epochs.get(charge_point_id, 0) + 1
        self.exchange.epochs[charge_point_id] = epoch
        self.exchange.held[charge_point_id] = epoch, self.node
        return Claim(epoch, "", 0.0) if previous in ("", self.node) else Claim(epoch, previous, LEASE_S)

    def release(self, charge_point_id, epoch):
        if not self.away and self.exchange.held.get(charge_point_id) == (epoch, self.node):
            del self.exchange.held[charge_point_id]

    def verify(self, claims):
        self._reach()
        lost = []
        for id_, epoch in claims.items():
            now = self.exchange.held.setdefault(id_, (epoch, self.node))
            if now != (epoch, self.node):
                lost.append(id_)
        return Verified(frozenset(lost), 0.0)

    def find(self, charge_point_id):
        self._reach()
        return self.exchange.held.get(charge_point_id, (0, ""))[1]

    def send(self, node, message):
        if self.away or node not in self.exchange.boards:
            raise CoordinatorUnavailable("it is gone")
        if len(message) > MESSAGE_BYTES:
            raise ValueError("too long")
        gevent.get_hub().loop.run_callback(self._deliver, node, message)

    def _deliver(self, node, message):
        board = self.exchange.boards.get(node)
        if board is not None and not board.away:
            board.listener.received(self.node, message)

    def nodes(self):
        return list(self.exchange.boards)

    def charge_points(self):
        self._reach()
        return {id_: node for id_, (_, node) in self.exchange.held.items()}
