"""Listener that keeps all messages."""

from typing import Any


class RecordingListener:
    def __init__(self) -> None:
        self.messages: list[tuple[str, bytes]] = []
        self.fences: list[tuple[str, int]] = []
        self.lost_nodes: list[str] = []
        self.leases: list[bool] = []
        self.refusals: list[str] = []

    def received(self, sender: str, message: bytes) -> None:
        self.messages.append((sender, message))

    def fenced(self, charge_point_id: str, epoch: int) -> None:
        self.fences.append((charge_point_id, epoch))

    def lost(self, node: str) -> None:
        self.lost_nodes.append(node)

    def refused(self, why: str) -> None:
        self.refusals.append(why)

    def lease_changed(self, *, held: bool) -> None:
        self.leases.append(held)


def refused(error: type[Exception], ask: Any, *arguments: Any) -> bool:
    """Tell if asking raises this error."""
    try:
        ask(*arguments)
    except error:
        return True
    return False
