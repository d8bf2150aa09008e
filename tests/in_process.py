"""Central systems in this process that stop quickly, simulated charge points that connect to them, and threads."""

import threading
from collections.abc import Callable
from typing import Any, TypeVar

from gevent.event import Event

from chargehand import CentralSystem, Settings, SupervisionSettings
from chargehand.simulator import ChargePoint

from .hub import until

T = TypeVar("T")

QUICK = SupervisionSettings(shutdown_s=0.05, stop_timeout_s=2.0)
SETTINGS = Settings(port=0, supervision=QUICK)


def system_with(*plugins: Any, settings: Settings = SETTINGS, **options: Any) -> CentralSystem:
    return CentralSystem(settings, plugins=plugins, **options)


def connect(system: CentralSystem, id_: str = "CP1", **options: Any) -> ChargePoint:
    return ChargePoint(f"ws://127.0.0.1:{system.port}/ocpp/", id_, **options)


def unanswered(_: object) -> None:
    """Wait for ever, as the answer of a charge point that never comes."""
    Event().wait()


def in_a_thread(function: Callable[[], T]) -> T:
    """Run a function in a native thread while the hub runs here; return its value, or raise its exception."""
    outcome: list[tuple[Any, Exception | None]] = []

    def run() -> None:
        try:
            outcome.append((function(), None))
        except Exception as error:  # noqa: BLE001 - it is raised below
            outcome.append((None, error))

    thread = threading.Thread(target=run)
    thread.start()
    until(lambda: not thread.is_alive())
    thread.join()
    ((value, error),) = outcome
    if error is not None:
        raise error
    return value
