"""Ten thousand broken frames, made at random from a fixed seed."""

import contextlib
import json
import random

import pytest

from .conftest import ON_EACH_STORE, StartServer
from .rawsocket import EndedError, RawSocket, encode
from .test_bad_input import assert_fresh_connection_served

pytestmark = ON_EACH_STORE


SEED = 20261122
MUTATIONS = 10_000

VALID = [
    '[2,"{id}","Heartbeat",{}]',
    '[2,"{id}","BootNotification",{"chargePointVendor":"Acme","chargePointModel":"Wallbox 22"}]',
    '[2,"{id}","Authorize",{"idTag":"TAG1"}]',
    '[2,"{id}","StatusNotification",{"connectorId":1,"errorCode":"NoError","status":"Faulted","info":"ü⚡"}]',
    '[2,"{id}","StartTransaction",{"connectorId":1,"idTag":"TAG1","meterStart":5,"timestamp":"2026-05-04T12:34:56Z"}]',
    '[2,"{id}","MeterValues",{"connectorId":1,"meterValue":[{"timestamp":"2026-05-04T12:34:56Z","sampledValue":[]}]}]',
    '[2,"{id}","MeterValues",{"connectorId":1,"meterValue":[{"timestamp":"2026","sampledValue":[{"value":"1"}]}]}]',
    '[2,"{id}","StopTransaction",{"transactionId":1,"meterStop":9,"timestamp":"2026-05-04T12:34:56Z"}]',
    '[2,"{id}","DataTransfer",{"vendorId":"acme","data":"\\u00fc\\"quoted\\""}]',
    '[3,"{id}",{"status":"Accepted"}]',
    '[4,"{id}","NotSupported","no",{}]',
]


def mutated_text(text: bytes, chance: random.Random) -> bytes:
    """Return the text with one to four bytes or pieces changed, dropped, doubled or moved."""
    piece = bytearray(text)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(piece) + 1)
        end = min(len(piece), at + chance.randint(1, 12))
        match chance.randrange(6):
            case 0:
                piece[at:at] = bytes((chance.randrange(256),))
            case 1:
                del piece[at:end]
            case 2:
                piece[at:at] = piece[at:end]
            case 3 if at < len(piece):
                piece[at] ^= 1 << chance.randrange(8)
            case 4:
                piece[at:at] = chance.choice(
                    [b"null", b"1e999", b'"', b"\\u0000", b"[" * 40, b"{}", b"-0", b"\\ud800"]
                )
            case _:
                del piece[at:]
    return bytes(piece)


def mutated_wire(frame: bytes, chance: random.Random) -> bytes:
    """Return the frame with one to three of its bits flipped, head included, and perhaps truncated."""
    data = bytearray(frame)
    for _ in range(chance.randint(1, 3)):
        data[chance.randrange(min(len(data), 16))] ^= 1 << chance.randrange(8)
    return bytes(data[: chance.randint(1, len(data))] if chance.random() < 0.3 else data)


def survives(raw: RawSocket, sentinel: str) -> bool:
    """Return true if the Heartbeat `sentinel` is answered, false if the server closed the connection, which it may."""
    raw.send_call("Heartbeat", {}, sentinel)
    try:
        while True:
            message = json.loads(raw.text())
            assert message[0] in (3, 4), message  # a CALLERROR or an answer, never a CALL, never nonsense
            if message[1] == sentinel:
                return bool(message[0] == 3)
    except EndedError:
        return False


@pytest.mark.timeout(120)
def test_ten_thousand_mutations_of_valid_frames_leave_the_server_as_it_was(start_server: StartServer) -> None:
    server = start_server(config="[sessions]\nreconnect_rate = 0\n")
    chance = random.Random(SEED)
    sent = closed = 0
    number = 0
    while sent < MUTATIONS * 9 // 10:  # texts in sound frames, in batches of 20
        number += 1
        with RawSocket.open(f"{server.ws}MUTANT-{number % 10}") as raw:
            alive = True
            while alive and sent < MUTATIONS * 9 // 10:
                with contextlib.suppress(ConnectionError):
                    for _ in range(20):
                        sent += 1
                        raw.send(
                            mutated_text(chance.choice(VALID).replace("{id}", str(sent)).encode(), chance)
                        )
                    alive = survives(raw, f"sentinel-{sent}")
                    continue
                alive = False
            closed += not alive
    for _ in range(MUTATIONS // 10):  # broken frames, one a connection
        sent += 1
        with RawSocket.open(f"{server.ws}BROKEN-{sent % 10}") as raw, contextlib.suppress(ConnectionError):
            text = chance.choice(VALID).replace("{id}", str(sent)).encode()
            raw.send_bytes(mutated_wire(encode(text), chance))
            raw.socket.shutdown(1)  # nothing more will come, so the server need not wait for it
            raw.rest()
    assert sent == MUTATIONS
    assert closed > 0, "no mutation broke UTF-8: the mutations are too tame"
    assert_fresh_connection_served(server)
    assert server.ask("GET", "/healthz").status == 200
