"""Mutated frames from a seed, sent to a server over real sockets, each batch of which must be answered or closed.

Own mutations of valid messages: of the text, of its bytes, of the frame on the wire, and of compressed frames. With
PyPI `pyradamsa`, if it is installed, a share of the texts is mutated by radamsa.
"""

import contextlib
import importlib
import json
import random
import socket
from dataclasses import asdict, dataclass

import gevent
from gevent.pool import Group

from chargehand.protocol.deflate import read_answer
from chargehand.protocol.deflate_codec import DeflateCodec
from chargehand.protocol.websocket import Codec, Role
from chargehand.simulator import Client, Disconnected

BATCH = 25
"""Frames between two sentinels."""
HANG_S = 30.0
"""Longest wait for the sentinel's answer, or for the end of the connection."""
WIRE_SHARE = 0.005
"""Share of the frames that are mutated on the wire: each costs its connection."""
BYTES_SHARE = 0.02
"""Share of the texts that are mutated as bytes: most are no UTF-8 then, and cost their connection."""
RADAMSA_POOL = 200
"""Texts that radamsa mutates, for each of which it needs some ms; they are sent again and again."""

MESSAGES = {
    "ocpp1.6": (
        ("Heartbeat", "{}"),
        ("BootNotification", '{"chargePointVendor":"Acme","chargePointModel":"Wallbox 22"}'),
        ("Authorize", '{"idTag":"TAG1"}'),
        (
            "StatusNotification",
            '{"connectorId":1,"errorCode":"NoError","status":"Faulted","info":"ü⚡"}',
        ),
        (
            "StartTransaction",
            '{"connectorId":1,"idTag":"TAG1","meterStart":5,"timestamp":"2026-05-04T12:34:56Z"}',
        ),
        (
            "MeterValues",
            '{"connectorId":1,"meterValue":[{"timestamp":"2026-05-04T12:34:56Z","sampledValue":[]}]}',
        ),
        (
            "MeterValues",
            (
                '{"connectorId":1,"transactionId":7,"meterValue":[{"timestamp":"2026-05-04T12:34:56Z","sampledValue":'
                '[{"value":"1","measurand":"Power.Active.Import","unit":"kW","phase":"L1"}]}]}'
            ),
        ),
        ("StopTransaction", '{"transactionId":1,"meterStop":9,"timestamp":"2026-05-04T12:34:56Z"}'),
        ("DataTransfer", '{"vendorId":"acme","data":"\\u00fc\\"quoted\\""}'),
        ("FirmwareStatusNotification", '{"status":"Downloading"}'),
        ("SecurityEventNotification", '{"type":"InvalidTLSVersion","timestamp":"2026-05-04T12:34:56Z"}'),
        ("SignCertificate", '{"csr":"-----BEGIN CERTIFICATE REQUEST-----\\nMIIB\\n"}'),
    ),
    "ocpp2.0.1": (
        ("Heartbeat", "{}"),
        (
            "BootNotification",
            '{"reason":"PowerUp","chargingStation":{"model":"Wallbox 22","vendorName":"Acme"}}',
        ),
        ("Authorize", '{"idToken":{"idToken":"TAG1","type":"ISO14443"}}'),
        (
            "StatusNotification",
            '{"timestamp":"2026-05-04T12:34:56Z","connectorStatus":"Occupied","evseId":1,"connectorId":1}',
        ),
        (
            "TransactionEvent",
            (
                '{"eventType":"Started","timestamp":"2026-05-04T12:34:56Z","triggerReason":"Authorized","seqNo":0,'
                '"transactionInfo":{"transactionId":"T-{id}"},"evse":{"id":1,"connectorId":1},"idToken":{"idToken":"TAG1",'
                '"type":"ISO14443"}}'
            ),
        ),
        (
            "TransactionEvent",
            (
                '{"eventType":"Updated","timestamp":"2026-05-04T12:34:56Z","triggerReason":"MeterValuePeriodic","seqNo":1,'
                '"transactionInfo":{"transactionId":"T-1","chargingState":"Charging"},"meterValue":[{"timestamp":'
                '"2026-05-04T12:34:56Z","sampledValue":[{"value":1.5,"unitOfMeasure":{"unit":"kWh","multiplier":1}}]}]}'
            ),
        ),
        (
            "TransactionEvent",
            (
                '{"eventType":"Ended","timestamp":"2026-05-04T12:34:56Z","triggerReason":"EVDeparted","seqNo":2,'
                '"transactionInfo":{"transactionId":"T-1","stoppedReason":"Local"}}'
            ),
        ),
        (
            "MeterValues",
            '{"evseId":1,"meterValue":[{"timestamp":"2026-05-04T12:34:56Z","sampledValue":[{"value":3}]}]}',
        ),
        (
            "NotifyReport",
            (
                '{"requestId":1,"generatedAt":"2026-05-04T12:34:56Z","seqNo":0,"reportData":[{"component":{"name":'
                '"OCPPCommCtrlr"},"variable":{"name":"HeartbeatInterval"},"variableAttribute":[{"value":"300"}]}]}'
            ),
        ),
        (
            "NotifyEvent",
            (
                '{"generatedAt":"2026-05-04T12:34:56Z","seqNo":0,"eventData":[{"eventId":1,"timestamp":'
                '"2026-05-04T12:34:56Z","trigger":"Alerting","actualValue":"1","eventNotificationType":'
                '"HardWiredNotification","component":{"name":"Connector"},"variable":{"name":"Problem"}}]}'
            ),
        ),
        ("DataTransfer", '{"vendorId":"acme","data":{"any":["\\u00fc",null,1e3]}}'),
        ("SecurityEventNotification", '{"type":"InvalidTLSVersion","timestamp":"2026-05-04T12:34:56Z"}'),
        ("SignCertificate", '{"csr":"-----BEGIN CERTIFICATE REQUEST-----\\nMIIB\\n"}'),
    ),
}
"""Valid calls by subprotocol: action and payload."""
ANSWERS = ('[3,"{id}",{"status":"Accepted"}]', '[4,"{id}","NotSupported","no",{}]')
"""Answers to calls that nobody made."""
PIECES = [
    *(
        "null",
        "1e999",
        '"',
        "\\u0000",
        "[" * 40,
        "{}",
        "-0",
        "\\ud800",
        "9" * 30,
        "\\",
        "true",
        ",",
        "\x7f",
        "\u202e",
    ),
    *(
        '"' + "x" * 300 + '"',
        "-1",
        "1.0",
        "0x1",
        " ",
        "NaN",
        "[[]]",
        "\U0001f50c",
        '{"a":1,"a":2}',
        "2147483648",
    ),
]


class HangError(Exception):
    """A connection was neither answered nor closed."""


@dataclass(slots=True)
class Sent:
    """Counts of what was sent, and of how it ended."""

    frames: int = 0
    batches_answered: int = 0
    closed: int = 0
    connections: int = 0
    wire: int = 0
    radamsa: int = 0


def mutated(text: str, chance: random.Random) -> str:
    """Return a text with one to four pieces put in, dropped, doubled, moved or changed."""
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(text) + 1)
        end = min(len(text), at + chance.randint(1, 12))
        match chance.randrange(7):
            case 0:
                text = text[:at] + chr(chance.randrange(0x250)) + text[at:]
            case 1:
                text = text[:at] + text[end:]
            case 2:
                text = text[:end] + text[at:]
            case 3:
                text = text[:at] + text[end:] + text[at:end]
            case 4 | 5:
                text = text[:at] + chance.choice(PIECES) + text[end:]
            case _:
                text = text[:at] if chance.random() < 0.2 else text[at:] + text[:at]
    return text


def flipped(data: bytes, chance: random.Random, within: int) -> bytes:
    """Return bytes with one to three bits flipped, perhaps truncated."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, 3)):
        changed[chance.randrange(min(len(changed), within))] ^= 1 << chance.randrange(8)
    return bytes(changed[: chance.randint(1, len(changed))] if chance.random() < 0.2 else changed)


def radamsa_texts(texts: list[str], seed: int) -> list[bytes]:
    """Return texts that radamsa has mutated; none if it is not installed."""
    try:
        radamsa = importlib.import_module("pyradamsa")
    except ImportError:
        return []
    fuzz = radamsa.Radamsa().fuzz
    pool = (fuzz(texts[number % len(texts)].encode(), seed=seed + number) for number in range(RADAMSA_POOL))
    return [one for one in pool if 0 < len(one) <= 65_536]


class Mutator:
    """Source of mutated messages; the same seed gives the same ones."""

    def __init__(self, subprotocol: str, seed: int, *, radamsa: bool) -> None:
        self.chance = random.Random(seed)
        self._texts = [f'[2,"{{id}}","{action}",{payload}]' for action, payload in MESSAGES[subprotocol]]
        self._texts += ANSWERS
        self._pool = radamsa_texts(self._texts, seed) if radamsa else []
        self.has_radamsa = bool(self._pool)
        self.from_radamsa = 0
        self._number = 0

    def message(self) -> bytes:
        """Return a mutated message."""
        chance = self.chance
        if self._pool and chance.random() < 0.25:
            self.from_radamsa += 1
            return chance.choice(self._pool)
        self._number += 1
        text = chance.choice(self._texts).replace("{id}", str(self._number))
        if chance.random() < BYTES_SHARE:
            return flipped(text.encode(), chance, len(text))
        return mutated(text, chance).encode("utf-8", "surrogatepass")


def speak(client: "Speaker", mutator: Mutator, codec: Codec, sent: Sent, most: int) -> None:
    """Send batches until the server closes, a frame is broken on the wire, or `most` frames are sent."""
    chance, number = mutator.chance, 0
    while number < most:
        frames, broken = [], False
        for _ in range(min(BATCH, most - number)):
            frame = codec.text(mutator.message())
            broken = chance.random() < WIRE_SHARE
            frames.append(flipped(frame, chance, 24) if broken else frame)
            number += 1
            sent.frames += 1
            if broken:
                sent.wire += 1
                break
        sentinel = f"sentinel-{sent.frames}"
        with gevent.Timeout(HANG_S, HangError(f"nothing within {HANG_S:g} s")):
            client.send_raw(b"".join(frames))
            if broken:
                client.half_close()
            else:
                client.send_text(f'[2,"{sentinel}","Heartbeat",{{}}]'.encode())
            if not answered(client, sentinel):
                sent.closed += 1
                return
        sent.batches_answered += 1


def answered(client: Client, sentinel: str) -> bool:
    """Wait for the sentinel's answer; return false at the end of the connection. Raises for what is no answer."""
    while (texts := client.receive()) is not None:
        for text in texts:
            message = json.loads(text)
            if message[0] not in (2, 3, 4) or not isinstance(message[1], str | int | float):
                raise ValueError(f"this is no message of OCPP: {text[:200]!r}")
            if message[1] == sentinel:
                return True
    return False


class Speaker(Client):
    """Client that can end its half of the connection, so that the server need not wait for the rest of a frame."""

    def half_close(self) -> None:
        """Send nothing any more, and still read."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Frames to send, and how."""

    port: int
    subprotocol: str
    compression: bool
    frames: int
    seed: int
    peers: int = 8
    radamsa: bool = True


def run(plan: Plan) -> Sent:
    """Send mutated frames through some connections at once; return the counts. Raises `HangError`, ValueError."""
    found, group = [], Group()
    for number in range(plan.peers):
        share = plan.frames // plan.peers + (number < plan.frames % plan.peers)
        found.append(group.spawn(one_peer, plan, number, share))
    try:
        group.join(raise_error=True)
    finally:
        group.kill()
    counts = [asdict(one.value) for one in found]
    return Sent(**{name: sum(one[name] for one in counts) for name in counts[0]})


def one_peer(plan: Plan, number: int, frames: int) -> Sent:
    """Send frames, with a new connection whenever the server has closed one."""
    name = f"MUTANT-{plan.subprotocol}-{'deflate' if plan.compression else 'plain'}-{number}"
    mutator = Mutator(plan.subprotocol, plan.seed * 1000 + number, radamsa=plan.radamsa and number == 0)
    sent = Sent()
    agreed = read_answer("permessage-deflate; server_no_context_takeover; client_no_context_takeover")
    assert agreed is not None
    while sent.frames < frames:
        client = Speaker.connect(
            f"ws://127.0.0.1:{plan.port}/ocpp/{name}",
            subprotocols=(plan.subprotocol,),
            timeout_s=HANG_S,
            compression=plan.compression,
        )
        sent.connections += 1
        codec = DeflateCodec(Role.CLIENT, agreed) if client.compressed else Codec(Role.CLIENT)
        with contextlib.suppress(Disconnected):
            speak(client, mutator, codec, sent, frames - sent.frames)
        client.cut(reset=False)
    sent.radamsa = mutator.from_radamsa
    return sent
