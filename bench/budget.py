"""Budget of a call: what each of its steps costs in the server, with what the C code in it costs alone.

A step is a set of functions, so that the samples of `hotspots.py` add up to it. Its floor is measured here, with the
same messages: what no Python around it can undercut.
"""

import fnmatch
import select
import socket
import time
from collections import Counter
from collections.abc import Callable

from rich.table import Table

from chargehand import v16
from chargehand.protocol import frames
from chargehand.protocol.masking import mask
from chargehand.protocol.message import Message

REPEATS = 7
LOOPS = 2_000
READY = 32
"""Sockets that are ready at once when the floor of polling and reading is measured."""

STEPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "send",
        (
            "transport/outbox_socket.py *",
            "transport/hub_turn.py *",
            "transport/connection.py *.send_text",
            "protocol/websocket.py Codec.text",
        ),
    ),
    (
        "poll and read",
        (
            "gevent/*",
            "transport/reactor_transport.py *",
            "transport/greenlet_transport.py *",
            "transport/connection.py *.read",
        ),
    ),
    ("unmask, take the frame", ("protocol/websocket.py *", "protocol/masking.py *", "transport/*")),
    (
        "answer",
        (
            "protocol/payload.py *",
            "protocol/frames.py result",
            "protocol/frames.py error",
            "protocol/session.py Session.answer",
            "session/actor.py *._answered",
            "session/cell.py *.send*",
            "session/cell.py *.tell_answer",
        ),
    ),
    ("decode frame and payload", ("protocol/session.py *", "protocol/frames.py *", "protocol/message.py *")),
    ("flight recorder", ("session/recorder.py *",)),
    (
        "handler and store",
        ("plugins/*", "store/*", "protocol/*", "session/context.py *", "session/call.py *"),
    ),
    ("queues, actors, routing", ("runtime/*", "plugin/*", "session/*", "supervisor/*")),
    ("all else", ("*",)),
)
"""Steps of a call, and the functions of each as `hotspots.py` names them; the first that matches counts."""

METER = (
    b'[2,"17","MeterValues",{"connectorId":1,"transactionId":12,"meterValue":[{"timestamp":"2026-11-29T04:00:00Z",'
    b'"sampledValue":[{"value":"812345","measurand":"Energy.Active.Import.Register","unit":"Wh"},'
    b'{"value":"11040","measurand":"Power.Active.Import","unit":"W"},'
    b'{"value":"16.02","measurand":"Current.Import","phase":"L1","unit":"A"},'
    b'{"value":"15.98","measurand":"Current.Import","phase":"L2","unit":"A"},'
    b'{"value":"16.00","measurand":"Current.Import","phase":"L3","unit":"A"},'
    b'{"value":"230.1","measurand":"Voltage","phase":"L1-N","unit":"V"},'
    b'{"value":"229.7","measurand":"Voltage","phase":"L2-N","unit":"V"},'
    b'{"value":"54","measurand":"SoC","unit":"Percent","location":"EV"}]}]}]'
)
STATUS = (
    b'[2,"18","StatusNotification",{"connectorId":1,"errorCode":"NoError","status":"Charging",'
    b'"timestamp":"2026-11-29T04:00:00Z"}]'
)
MIX: tuple[tuple[float, type[Message], bytes], ...] = (
    (0.6, v16.MeterValues, METER),
    (0.2, v16.Heartbeat, b'[2,"19","Heartbeat",{}]'),
    (0.2, v16.StatusNotification, STATUS),  # a start and a stop are as long
)
"""Messages of the bench's mix, with their shares."""


def step_of(function: str) -> str:
    """Return the step that a function belongs to."""
    return next(
        name for name, patterns in STEPS if any(fnmatch.fnmatchcase(function, one) for one in patterns)
    )


def us(function: Callable[[], object]) -> float:
    """Measure the microseconds of a call of `function`: the best of some repeats, which others disturb least."""
    best = float("inf")
    for _ in range(REPEATS):
        began = time.process_time()
        for _ in range(LOOPS):
            function()
        best = min(best, time.process_time() - began)
    return best / LOOPS * 1e6


def in_mix(floor_of: Callable[[type[Message], bytes], Callable[[], object]]) -> float:
    """Weigh the floor of each message by its share."""
    return sum(share * us(floor_of(kind, frame)) for share, kind, frame in MIX)


def decoding(kind: type[Message], frame: bytes) -> Callable[[], object]:
    """Return what decodes a frame and its payload: the two compiled decoders."""
    decode_frame, decode_payload = frames.decode_call, kind.__decoder__.decode
    return lambda: decode_payload(decode_frame(frame)[3])


def unmasking(_: type[Message], frame: bytes) -> Callable[[], object]:
    """Return what unmasks a frame's payload."""
    return lambda: mask(frame, b"abcd")


def pair() -> tuple[socket.socket, socket.socket]:
    """Make a TCP connection within this process."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        near = socket.create_connection(server.getsockname())
        far, _ = server.accept()
    for one in (near, far):
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        one.settimeout(0.0)
    return near, far


def sending() -> float:
    """Measure one send of an answer over TCP; nobody is woken by it."""
    near, far = pair()
    answer = b"\x81\x16" + b'[3,"123456789",{"a":1}]'
    best = float("inf")
    with near, far:
        for _ in range(REPEATS * 20):
            began = time.process_time()
            for _ in range(LOOPS // 20):
                near.send(answer)
            best = min(best, time.process_time() - began)
            while len(far.recv(1 << 20)) == 1 << 20:
                pass
    return best / (LOOPS // 20) * 1e6


def reading() -> float:
    """Measure one read of a message over TCP, with its share of a poll that finds 32 sockets ready."""
    pairs = [pair() for _ in range(READY)]
    poll = select.epoll()
    by_fd = {far.fileno(): far for _, far in pairs}
    for fd in by_fd:
        poll.register(fd, select.EPOLLIN)
    best = float("inf")
    for _ in range(REPEATS * 20):
        for near, _ in pairs:
            near.send(METER)
        began = time.process_time()
        for fd, _ in poll.poll():
            by_fd[fd].recv(16_384)
        best = min(best, time.process_time() - began)
    poll.close()
    for near, far in pairs:
        near.close()
        far.close()
    return best / READY * 1e6


def floors() -> dict[str, float]:
    """Measure what C code alone costs in the steps that have some, in microseconds per call of the mix."""
    return {
        "send": sending(),
        "poll and read": reading(),
        "unmask, take the frame": in_mix(unmasking),
        "decode frame and payload": in_mix(decoding),
    }


def budget(own: dict[str, int], ticks: int, cpu_us: float) -> Table:
    """Return the table of the steps: what each costs per call, and its floor."""
    spent: Counter[str] = Counter()
    for function, count in own.items():
        spent[step_of(function)] += count
    least = floors()
    table = Table(title="budget of a call")
    table.add_column("step")
    for heading in ("us per call", "share", "floor of C, us"):
        table.add_column(heading, justify="right")
    for name, _ in STEPS:
        share = spent[name] / ticks
        floor = f"{least[name]:.1f}" if name in least else ""
        table.add_row(name, f"{share * cpu_us:.1f}", f"{share:.1%}", floor)
    table.add_row("a call", f"{cpu_us:.1f}", "", "")
    return table
