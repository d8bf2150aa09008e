"""Attacks that need more than one socket: each runs in a process of its own, for some seconds, and returns figures.

Rule: an attack ends by itself; what it has seen is in its figures, and what must hold of them is in `wrong`.
"""

import base64
import contextlib
import json
import random
import resource
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

import gevent
from gevent import socket as gsocket
from gevent.pool import Pool

from chargehand.protocol.websocket import Codec, Role
from chargehand.simulator import Client

KEY = base64.b64encode(b"0123456789abcdef").decode()
VICTIM, PASSWORD = "VICTIM", "a password of twenty"
WRONG_LOGINS = 1000
STORM_PER_S = 500
ANSWERS_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Ports of the attacked server, a token of its HTTP API, and the length of the attack."""

    port: int
    http_port: int
    token: str
    seconds: float


Figures = dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """Attack with the settings of its server; `wrong` names what its figures must not be."""

    attack: Callable[[Target], Figures] = lambda _: {}
    config: str = ""
    password: str = ""  # of all charge points; without one nobody needs a password
    wrong: Callable[[Figures], list[str]] = lambda _: []


def upgrade(name: str, headers: str = "") -> bytes:
    """Write a request to open a WebSocket."""
    return (
        f"GET /ocpp/{name} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{headers}"
        f"Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: ocpp1.6\r\n\r\n"
    ).encode()


def dial(port: int, source: str = "127.0.0.1") -> "gsocket.socket":
    """Connect from an address of this machine."""
    return gsocket.create_connection(("127.0.0.1", port), 30, (source, 0))


def basic(name: str, password: str) -> str:
    """Write the credentials of a login."""
    return f"Basic {base64.b64encode(f'{name}:{password}'.encode()).decode()}"


def login(password: str) -> bytes:
    """Write a request of the victim to open a WebSocket."""
    return upgrade(VICTIM, f"Authorization: {basic(VICTIM, password)}\r\n")


def status_of(port: int, request: bytes, source: str = "127.0.0.1") -> int:
    """Send a request; return the status of the answer, 0 without one."""
    with contextlib.suppress(OSError):
        sock = dial(port, source)
        try:
            sock.sendall(request)
            return int(sock.recv(4096).split(b" ")[1])
        except (IndexError, ValueError):
            return 0
        finally:
            sock.close()
    return 0


# -- Slow ones --


def drip(port: int, head: bytes, text: bytes, until: float) -> str:
    """Send a head, then a byte a second until the server answers or closes, or the time is over; say how it ended."""
    try:
        sock = dial(port)
    except OSError:
        return "refused"
    with contextlib.closing(sock), contextlib.suppress(OSError):
        sock.sendall(head)
        sock.settimeout(1.0)
        for at in range(len(text)):
            if time.monotonic() >= until:
                break
            sock.sendall(text[at : at + 1])
            with contextlib.suppress(TimeoutError):
                return "answered" if sock.recv(4096) else "closed"
        return "open"
    return "closed"


def drips(port: int, number: int, seconds: float, text: bytes, head: bytes = b"") -> Figures:
    """Send to many sockets slowly; count how they ended."""
    pool, until = Pool(number), time.monotonic() + seconds
    ends = pool.map(lambda _: drip(port, head, text, until), range(number))
    return {"sockets": number} | {end: ends.count(end) for end in ("answered", "closed", "refused", "open")}


def slow_upgrades(target: Target) -> Figures:
    """1,000 handshakes of a byte a second."""
    return drips(target.port, 1000, target.seconds, upgrade("SLOW", "X-Long: " + "x" * 500 + "\r\n"))


def slow_http(target: Target, text: bytes, head: bytes = b"") -> Figures:
    """200 HTTP requests of a byte a second, and one of somebody else meanwhile."""
    slow = gevent.spawn(drips, target.http_port, 200, target.seconds, text, head)
    gevent.sleep(target.seconds / 2)
    found = asked(target)
    slow.join()
    return slow.value | found


def slow_headers(target: Target) -> Figures:
    """HTTP requests, the headers of which come a byte a second."""
    return slow_http(target, b"x" * 500, b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Long: ")


def slow_bodies(target: Target) -> Figures:
    """HTTP requests, the bodies of which come a byte a second behind their headers."""
    head = f"POST /api/v1/bulk HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {target.token}\r\n"
    head += "Content-Type: application/json\r\nContent-Length: 5000\r\n\r\n"
    return slow_http(target, b" " * 500, head.encode())


def idle_http(target: Target) -> Figures:
    """1,200 connections to the HTTP API that send nothing, and then one that asks."""
    socks = []
    with contextlib.suppress(OSError):
        for _ in range(1200):
            sock = socket.create_connection(("127.0.0.1", target.http_port), 5)
            socks.append(sock)
    gevent.sleep(min(2.0, target.seconds / 2))
    found = asked(target)
    gevent.sleep(target.seconds / 2)
    for sock in socks:
        sock.close()
    return {"sockets": len(socks)} | found


def asked(target: Target) -> Figures:
    """Ask the HTTP API for its health; return the milliseconds, 0 for no answer in time."""
    begun = time.perf_counter()
    status = 0
    with gevent.Timeout(ANSWERS_S, False):  # noqa: FBT003
        status = status_of(
            target.http_port, b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
        )
        status = status or status_of(
            target.http_port, b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
        )
    return {"http ms": round(1000 * (time.perf_counter() - begun), 1) if status else 0.0}


def http_must_answer(figures: Figures) -> list[str]:
    """Name an HTTP API that did not answer others meanwhile."""
    return [] if figures["http ms"] else ["the HTTP API did not answer others"]


# -- Many at once --


def storm(target: Target) -> Figures:
    """500 new connections a second, each of a charge point of its own that boots and stays."""
    boot = Codec(Role.CLIENT).text(
        b'[2,"1","BootNotification",{"chargePointVendor":"V","chargePointModel":"M"}]'
    )
    counts: dict[str, float] = {"asked": 0, "admitted": 0, "refused": 0, "booted": 0}
    kept = []

    def one(number: int) -> None:
        try:
            sock = dial(target.port)
            sock.sendall(upgrade(f"STORM-{number}") + boot)
            answer = sock.recv(4096)
            counts["admitted" if b" 101 " in answer else "refused"] += 1
            if b" 101 " in answer:
                kept.append(sock)
                while b"Accepted" not in answer:
                    more = sock.recv(4096)
                    if not more:
                        return
                    answer += more
                counts["booted"] += 1
        except OSError:
            counts["refused"] += 1

    pool, begun = Pool(5000), time.monotonic()
    while (passed := time.monotonic() - begun) < target.seconds:
        while counts["asked"] < passed * STORM_PER_S:
            pool.spawn(one, int(counts["asked"]))
            counts["asked"] += 1
        gevent.sleep(0.01)
    pool.join(120)
    for sock in kept:
        sock.close()
    return counts


def never_reads(target: Target) -> Figures:
    """20 charge points that send calls and read nothing, with commands to them."""
    names = [f"DEAF-{number}" for number in range(20)]
    calls = Codec(Role.CLIENT).text(b'[2,"1","Heartbeat",{}]') * 200
    counts: dict[str, float] = {"connections": 0, "calls": 0, "commands": 0, "commands refused": 0}
    until = time.monotonic() + target.seconds

    def one(name: str) -> None:
        while time.monotonic() < until:
            try:
                sock = gsocket.socket()
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                sock.connect(("127.0.0.1", target.port))
                sock.sendall(upgrade(name))
                sock.recv(4096)
                counts["connections"] += 1
                sock.settimeout(max(0.1, until - time.monotonic()))
                while time.monotonic() < until:
                    sock.sendall(calls)
                    counts["calls"] += 200
            except OSError:
                gevent.sleep(0.5)

    def command(name: str) -> None:
        body = json.dumps({"vendorId": "V", "data": "x" * 2_000}).encode()
        head = (
            f"POST /api/v1/charge-points/{name}/commands/DataTransfer?wait=0 HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        )
        head += (
            f"Authorization: Bearer {target.token}\r\nContent-Type: application/json\r\nConnection: close\r\n"
        )
        request = head.encode() + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
        while time.monotonic() < until:
            status = status_of(target.http_port, request)
            counts["commands" if 200 <= status < 300 else "commands refused"] += 1
            gevent.sleep(0.05)

    running = [gevent.spawn(one, name) for name in names] + [
        gevent.spawn(command, name) for name in names[:5]
    ]
    gevent.joinall(running, target.seconds + 120)
    gevent.killall(running)
    return counts


def garbage(target: Target) -> Figures:
    """Bytes that are no request, on both ports, from 50 sockets at a time."""
    chance = random.Random(18)
    counts: dict[str, float] = {"sockets": 0, "answered 400": 0, "closed": 0, "still open": 0}
    until = time.monotonic() + target.seconds

    def made() -> bytes:
        kind = chance.randrange(6)
        noise = chance.randbytes(chance.randint(1, 2000))
        return [
            noise,
            b"\x16\x03\x01" + noise,
            b"GET " + noise + b" HTTP/1.1\r\n\r\n",
            b"GET /ocpp/X HTTP/1.1\r\n" + noise + b"\r\n\r\n",
            upgrade("X").replace(b"13", noise[:40]),
            b"\r\n" * 500 + noise,
        ][kind]

    def one() -> None:
        while time.monotonic() < until:
            counts["sockets"] += 1
            try:
                sock = dial(chance.choice((target.port, target.http_port)))
                try:
                    sock.settimeout(ANSWERS_S)
                    sock.sendall(made())
                    sock.shutdown(socket.SHUT_WR)
                    counts["answered 400" if b" 400 " in sock.recv(4096) else "closed"] += 1
                except TimeoutError:
                    counts["still open"] += 1
                finally:
                    sock.close()
            except OSError:
                counts["closed"] += 1

    running = [gevent.spawn(one) for _ in range(50)]
    gevent.joinall(running)
    return counts


def nothing_stays_open(figures: Figures) -> list[str]:
    """Name garbage that the server did not close."""
    return (
        [f"{figures['still open']:g} sockets were neither answered nor closed"]
        if figures["still open"]
        else []
    )


# -- Who it is not --


def wrong_logins(target: Target) -> Figures:
    """1,000 wrong passwords of one charge point, which is online, and comes back from elsewhere."""
    victim = Client.connect(
        f"ws://127.0.0.1:{target.port}/ocpp/{VICTIM}",
        subprotocols=("ocpp1.6",),
        headers={"Authorization": basic(VICTIM, PASSWORD)},
    )
    counts: dict[str, float] = {"401": 0, "429": 0, "other": 0}

    def one(number: int) -> None:
        status = status_of(target.port, login(f"wrong password {number}"))
        counts[str(status) if str(status) in counts else "other"] += 1

    begun = time.monotonic()
    Pool(50).map(one, range(WRONG_LOGINS))
    rate = WRONG_LOGINS / (time.monotonic() - begun)
    victim.send_text(b'[2,"1","Heartbeat",{}]')
    live = 0
    with gevent.Timeout(ANSWERS_S, False):  # noqa: FBT003
        while not live and (texts := victim.receive()) is not None:
            live = int(any(text.startswith(b'[3,"1"') for text in texts))
    right = status_of(target.port, login(PASSWORD), "127.0.0.2")
    return counts | {"logins/s": round(rate), "live session answers": live, "right one elsewhere": right}


def right_one_gets_in(figures: Figures) -> list[str]:
    """Name wrong logins that were not limited, and a right one that was."""
    faults = []
    if figures["429"] < WRONG_LOGINS / 2:
        faults.append(f"only {figures['429']:g} of {WRONG_LOGINS} wrong logins were limited")
    if figures["other"]:
        faults.append(f"{figures['other']:g} wrong logins were answered otherwise than with 401 and 429")
    if figures["right one elsewhere"] != 101:
        faults.append(f"the right one was answered {figures['right one elsewhere']:g}")
    if not figures["live session answers"]:
        faults.append("the live session was disturbed")
    return faults


def more_files() -> None:
    """Raise the limit of file descriptors as far as this process may."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


TRIALS = {
    "slow-upgrades": Trial(attack=slow_upgrades),
    "storm": Trial(attack=storm),
    "never-reads": Trial(attack=never_reads),
    "slow-bodies": Trial(attack=slow_bodies, wrong=http_must_answer),
    "slow-headers": Trial(attack=slow_headers, wrong=http_must_answer),
    "idle-http": Trial(attack=idle_http, wrong=http_must_answer),
    "garbage": Trial(attack=garbage, wrong=nothing_stays_open),
    "wrong-logins": Trial(
        attack=wrong_logins,
        password=PASSWORD,
        wrong=right_one_gets_in,
    ),
}
