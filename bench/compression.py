"""Cost and gain of compression: bytes on the wire, CPU time per call, and memory of idle connections.

Rule: bytes are those of whole WebSocket frames, as sent; CPU time is that of the server's process. The same stations
come with compression and without, each to a fresh server; a station with compression compresses each of its messages.

    python bench/compression.py [--transport reactor] [--idle 5000] [--turns 3] [--calls 20000]
"""

import argparse
import json
import os
import socket
import statistics
import zlib
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from contestants import Contestant, Running, ours, running
from load import GRACE_S, Generator
from machine import cores, make_room
from scenarios import IDLE_S, warm

from chargehand.protocol.deflate import OFFER, Deflate, read_answer
from chargehand.protocol.deflate_codec import DeflateCodec
from chargehand.protocol.handshake import ResponseReader, confirm, handshake_request
from chargehand.protocol.websocket import Codec, Role

STATIONS = 20
AT = "2026-11-28T18:00:00.000Z"
TICK_S = 1 / os.sysconf("SC_CLK_TCK")

SAMPLED = [
    ("Energy.Active.Import.Register", "", "Wh", 1_234_567.0),
    ("Power.Active.Import", "", "W", 11_040.0),
    *(("Current.Import", f"L{phase}", "A", 15.9 + phase) for phase in (1, 2, 3)),
    *(("Voltage", f"L{phase}-N", "V", 229.8 + phase) for phase in (1, 2, 3)),
]


def meter_values(number: int) -> dict[str, object]:
    """Make MeterValues of eight samples."""
    samples = []
    for measurand, phase, unit, value in SAMPLED:
        sample: dict[str, object] = {
            "value": value + number,
            "context": "Sample.Periodic",
            "measurand": measurand,
            "location": "Outlet",
            "unitOfMeasure": {"unit": unit},
        }
        samples.append({**sample, "phase": phase} if phase else sample)
    return {"evseId": 1, "meterValue": [{"timestamp": AT, "sampledValue": samples}]}


def report(number: int) -> dict[str, object]:
    """Make a NotifyReport of 50 variables."""
    components = ("ChargingStation", "EVSE", "Connector", "OCPPCommCtrlr", "SampledDataCtrlr")
    data = [
        {
            "component": {"name": components[at % 5], "evse": {"id": at % 3 + 1}},
            "variable": {"name": f"Variable{at * 7919 % 1000}"},
            "variableAttribute": [
                {
                    "type": "Actual",
                    "value": str(at * 31 + number),
                    "mutability": ("ReadOnly", "ReadWrite")[at % 2],
                }
            ],
            "variableCharacteristics": {
                "dataType": "integer",
                "unit": "s",
                "supportsMonitoring": at % 2 == 0,
            },
        }
        for at in range(50)
    ]
    return {"requestId": 1, "generatedAt": AT, "seqNo": number, "tbc": True, "reportData": data}


MESSAGES = {"MeterValues": meter_values, "NotifyReport": report, "Heartbeat": lambda _number: {}}


@dataclass
class Wire:
    """Connection of one station."""

    sock: socket.socket
    codec: Codec

    @classmethod
    def open(cls, port: int, name: str, *, compression: bool) -> "Wire":
        """Connect, shake hands and boot."""
        headers = {"Sec-WebSocket-Extensions": OFFER} if compression else {}
        request, key = handshake_request(f"127.0.0.1:{port}", f"/ocpp/{name}", ["ocpp2.0.1"], headers)
        sock = socket.create_connection(("127.0.0.1", port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(request)
        reader = ResponseReader()
        while (response := reader.receive(sock.recv(65536))) is None:
            pass
        confirm(response, key, ["ocpp2.0.1"], extensions=compression)
        agreed = read_answer(response.headers.get("sec-websocket-extensions", ""))
        if (agreed is not None) is not compression:
            raise SystemExit(f"compression: {agreed}")
        wire = cls(sock, Codec(Role.CLIENT) if agreed is None else DeflateCodec(Role.CLIENT, agreed))
        boot = {"reason": "PowerUp", "chargingStation": {"model": "M", "vendorName": "V"}}
        wire.exchange(wire.frame("boot", "BootNotification", boot))
        return wire

    def frame(self, number: str, action: str, payload: object) -> bytes:
        """Write a call."""
        return self.codec.text(json.dumps([2, number, action, payload], separators=(",", ":")).encode())

    def exchange(self, frame: bytes) -> None:
        """Send a call and read its answer."""
        self.sock.sendall(frame)
        while not (events := self.codec.receive(self.sock.recv(65536))):
            pass
        if not (isinstance(events[0], bytes) and events[0].startswith(b"[3,")):
            raise SystemExit(f"not answered: {events}")


def cpu_s(pid: int) -> float:
    """Return the CPU time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * TICK_S


def cpu_us(server: Running, action: str, calls: int, *, compression: bool) -> float:
    """Measure the server's CPU time per call, each message with figures of its own."""
    names = [f"{'C' if compression else 'P'}{number}" for number in range(STATIONS)]
    wires = [Wire.open(server.port, name, compression=compression) for name in names]
    frames = [
        wires[0].frame(f"m{number}", action, MESSAGES[action](number)) for number in range(calls // STATIONS)
    ]
    for frame in frames[:20]:
        for wire in wires:
            wire.exchange(frame)
    before = cpu_s(server.pid)
    for frame in frames[20:]:
        for wire in wires:
            wire.sock.sendall(frame)
        for wire in wires:
            wire.sock.recv(65536)
    spent = cpu_s(server.pid) - before
    for wire in wires:
        wire.sock.close()
    return spent / ((len(frames) - 20) * STATIONS) * 1e6


def sizes(action: str) -> tuple[int, int, dict[int, int]]:
    """Return the bytes of a frame without compression, with it, and with it by the window in bits."""
    plain = Wire(None, Codec(Role.CLIENT)).frame("m123456", action, MESSAGES[action](7))  # type: ignore[arg-type]
    by_window = {}
    for bits in range(9, 16):
        codec = DeflateCodec(Role.CLIENT, Deflate(client_bits=bits))
        by_window[bits] = len(Wire(None, codec).frame("m123456", action, MESSAGES[action](7)))  # type: ignore[arg-type]
    return len(plain), by_window[12], by_window


def kib(server: Running, connections: int, *, compression: bool) -> float:
    """Measure the resident memory of an idle, booted connection."""
    warm(server, "2.0.1")
    options: dict[str, float | str | None] = {
        "connections": connections,
        "seconds": IDLE_S,
        "rate": 1500,
        "idle": None,
    }
    if compression:
        options["compression"] = None
    with Generator(server, cores()[1], ocpp="2.0.1", **options) as load:
        load.connected(2 * GRACE_S)
        found = load.kib(IDLE_S + GRACE_S)
        load.finish()
    return found


def main() -> None:
    """Measure and print a line for each figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--transport", default="reactor", choices=("reactor", "greenlet"))
    parser.add_argument("--idle", type=int, default=5000, help="idle connections; 0 leaves the memory out")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--calls", type=int, default=20_000, help="0 leaves the CPU time out")
    args = parser.parse_args()
    print(f"zlib {zlib.ZLIB_RUNTIME_VERSION}, {args.transport}")
    for action in MESSAGES:
        plain, compressed, by_window = sizes(action)
        print(
            f"{action}: {plain} bytes on the wire, {compressed} with compression; by window in bits {by_window}"
        )
    make_room(max(args.idle, STATIONS))
    one = Contestant("chargehand", args.transport, ours(args.transport))
    for action in MESSAGES if args.calls else ():
        found: dict[bool, list[float]] = {False: [], True: []}
        for _ in range(args.turns):
            with ExitStack() as stack:
                server = stack.enter_context(running(one, cores()[0]))
                for compression in (False, True):
                    found[compression].append(cpu_us(server, action, args.calls, compression=compression))
        plain_us, compressed_us = (statistics.median(one) for one in found.values())
        print(
            f"{action}: {plain_us:.1f} us of CPU per call, {compressed_us:.1f} with compression", flush=True
        )
    for compression in (False, True) if args.idle else ():
        figures = []
        for _ in range(args.turns):
            with running(one, cores()[0]) as server:
                figures.append(kib(server, args.idle, compression=compression))
        label = "with compression" if compression else "without"
        print(
            f"{args.idle} idle: {statistics.median(figures):.2f} KiB each {label} {sorted(figures)}",
            flush=True,
        )


if __name__ == "__main__":
    main()
