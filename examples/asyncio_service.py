"""An asyncio service and a central system in one process: each has its own thread, and they talk.

Run it:    python examples/asyncio_service.py
The charge point here is the simulator's; it lives in the thread of the system.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import gevent

from chargehand import (
    Call,
    CentralSystem,
    ChargePointOnline,
    DomainEvent,
    Plugin,
    Settings,
    Ticket,
    passive,
    v16,
)
from chargehand.simulator import ChargePoint

T = TypeVar("T")


class Tags(Plugin):
    """Asks the asyncio service about id tags: its handler blocks, in a native thread of the plugin."""

    def __init__(self, loop: asyncio.AbstractEventLoop, directory: "Directory") -> None:
        super().__init__()
        self.loop = loop
        self.directory = directory

    @passive(v16.Authorize, blocking=True)
    def authorize(self, call: Call[v16.Authorize]) -> v16.AuthorizeResponse:
        """Run a coroutine in the loop, and wait for it; at the deadline the fallback answers."""
        looked_up: Coroutine[Any, Any, bool] = self.directory.knows(call.request.id_tag)
        known = asyncio.run_coroutine_threadsafe(looked_up, self.loop).result()
        status = v16.AuthorizationStatus.ACCEPTED if known else v16.AuthorizationStatus.INVALID
        return v16.AuthorizeResponse(id_tag_info=v16.IdTagInfo(status=status))


class Directory:
    """Tags that the asyncio service knows; imagine a database with an asyncio driver."""

    async def knows(self, id_tag: str) -> bool:
        """Return whether a tag is known."""
        await asyncio.sleep(0.01)
        return id_tag == "T1"


class Charging:
    """Central system in a native thread, for the loop that made it. `events` are those of charge points."""

    def __init__(self, directory: Directory) -> None:
        self.loop = asyncio.get_running_loop()
        self.events: asyncio.Queue[DomainEvent] = asyncio.Queue()
        self.started: asyncio.Future[CentralSystem] = self.loop.create_future()
        self.directory = directory

    def serve(self) -> None:
        """Run the system until it is stopped. For its thread, whose hub it belongs to."""
        plugins = [Tags.spec(loop=self.loop, directory=self.directory)]
        try:
            with CentralSystem(Settings(port=0), plugins=plugins) as system:
                system.subscribe(ChargePointOnline, self.publish)
                self.loop.call_soon_threadsafe(self.started.set_result, system)
                system.wait()
        finally:
            gevent.get_hub().destroy(destroy_loop=True)  # the thread's own

    def publish(self, event: DomainEvent) -> None:
        """Hand an event to the loop."""
        self.loop.call_soon_threadsafe(self.events.put_nowait, event)


@asynccontextmanager
async def charging(directory: Directory) -> AsyncIterator[tuple[CentralSystem, Charging]]:
    """Have a system run beside the loop."""
    beside = Charging(directory)
    thread = threading.Thread(target=beside.serve, name="charging")
    thread.start()
    system = await beside.started
    try:
        yield system, beside
    finally:
        await asyncio.to_thread(system.stop)
        await asyncio.to_thread(thread.join)


async def result(system: CentralSystem, ticket: Ticket[T]) -> T:
    """Wait for the end of a command without a thread that waits. For a few, `to_thread(ticket.result)` does."""
    loop = asyncio.get_running_loop()
    settled = loop.create_future()

    def wake() -> None:
        loop.call_soon_threadsafe(settled.set_result, None)

    await asyncio.to_thread(system.run_in_hub, ticket.when_settled, wake)
    await settled
    return ticket.result()


def drive(port: int, left: "asyncio.Future[list[str]]", loop: asyncio.AbstractEventLoop) -> None:
    """Be a charge point for some seconds; in the hub of the system."""
    with ChargePoint(f"ws://127.0.0.1:{port}/ocpp/", "CP1") as charge_point:
        statuses = [
            str(charge_point.send(v16.Authorize(id_tag=tag)).id_tag_info.status) for tag in ("T1", "T9")
        ]
        loop.call_soon_threadsafe(left.set_result, statuses)
        gevent.sleep(0.5)


async def main() -> None:
    """Serve one charge point; send it a command, and see its events."""
    loop = asyncio.get_running_loop()
    async with charging(Directory()) as (system, beside):
        asked: asyncio.Future[list[str]] = loop.create_future()
        driven = asyncio.create_task(asyncio.to_thread(system.run_in_hub, drive, system.port, asked, loop))
        event = await beside.events.get()
        print(type(event).__name__, event.charge_point_id)
        print("Authorize:", *await asked)
        ticket = system.send("CP1", v16.ClearCache(), timeout_s=10)  # from any thread, and never blocks
        print("ClearCache:", (await result(system, ticket)).status)
        print("connected:", await asyncio.to_thread(system.run_in_hub, lambda: len(system.charge_points())))
        await driven


if __name__ == "__main__":
    asyncio.run(main())
