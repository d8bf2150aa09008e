"""The pure parts of the opening handshake: sections 1.3, 4.1 and 4.2.2 of RFC 6455."""

import base64

import pytest

from chargehand.protocol.handshake import (
    HandshakeError,
    HandshakeResponse,
    ResponseReader,
    accept_key,
    confirm,
    handshake_request,
)

KEY, ACCEPT = "dGhlIHNhbXBsZSBub25jZQ==", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # of section 1.3
ANSWER = (
    b"HTTP/1.1 101 Switching Protocols\r\n"
    b"Upgrade: WebSocket\r\n"
    b"Connection: keep-alive, upgrade\r\n"
    b"SEC-WEBSOCKET-ACCEPT:s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
    b"Sec-WebSocket-Protocol: \t ocpp1.6 \r\n"
    b"\r\n"
)


def read(raw: bytes) -> HandshakeResponse:
    response = ResponseReader().receive(raw)
    assert response is not None
    return response


def test_the_accept_key_is_that_of_the_example_in_section_1_3() -> None:
    assert accept_key(KEY) == ACCEPT


def test_a_request_has_the_headers_of_section_4_1_and_a_fresh_key() -> None:
    raw, key = handshake_request(
        "csms:9000", "/ocpp/CP%201?x=1", ["ocpp2.0.1", "ocpp1.6"], {"Authorization": "Basic QTpC"}
    )
    assert raw.decode().split("\r\n") == [
        "GET /ocpp/CP%201?x=1 HTTP/1.1",
        "Host: csms:9000",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {key}",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Protocol: ocpp2.0.1, ocpp1.6",
        "Authorization: Basic QTpC",
        "",
        "",
    ]
    assert len(base64.b64decode(key, validate=True)) == 16
    assert handshake_request("csms", "/")[1] != key


def test_a_request_offers_no_subprotocol_unless_asked() -> None:
    assert b"protocol" not in handshake_request("csms", "/")[0].lower()


def test_a_header_of_the_caller_takes_the_place_of_ours() -> None:
    raw, _ = handshake_request("csms", "/", headers={"Connection": "keep-alive"})
    assert raw.count(b"Connection: ") == raw.count(b"Connection: keep-alive\r\n") == 1


@pytest.mark.parametrize("path", ["", "ocpp", "http://csms/", "/a b", "/a\r\nX: y", "/ä", "/a\0"])
def test_a_path_that_would_break_the_request_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="path"):
        handshake_request("csms", path)


@pytest.mark.parametrize("name", ["", "X Y", "X:", "X\r\n", "Ä"])
def test_a_header_name_that_would_break_the_request_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="header"):
        handshake_request("csms", "/", headers={name: "1"})


@pytest.mark.parametrize("value", ["secret\r\nX: y", "secret\n", "secret\0", "secretä"])
def test_a_header_value_that_would_break_the_request_is_refused_and_not_shown(value: str) -> None:
    with pytest.raises(ValueError, match="Authorization") as refusal:
        handshake_request("csms", "/", headers={"Authorization": value})
    assert "secret" not in str(refusal.value)


def test_a_host_or_subprotocol_that_would_break_the_request_is_refused() -> None:
    with pytest.raises(ValueError, match="Host"):
        handshake_request("csms\r\nX: y", "/")
    with pytest.raises(ValueError, match="Sec-WebSocket-Protocol"):
        handshake_request("csms", "/", ["ocpp1.6\r\nX: y"])


def test_an_answer_is_read_wherever_the_reads_are_cut() -> None:
    stream = ANSWER + b"\x81\x02hi"
    for cut in range(len(ANSWER)):
        reader = ResponseReader()
        assert reader.receive(stream[:cut]) is None
        response = reader.receive(stream[cut:])
        assert response == HandshakeResponse(
            101,
            "Switching Protocols",
            {
                "upgrade": "WebSocket",
                "connection": "keep-alive, upgrade",
                "sec-websocket-accept": ACCEPT,
                "sec-websocket-protocol": "ocpp1.6",
            },
            b"\x81\x02hi",
        )


def test_an_answer_is_read_from_single_bytes() -> None:
    reader = ResponseReader()
    answers = [reader.receive(bytes((byte,))) for byte in ANSWER]
    assert answers[:-1] == [None] * (len(ANSWER) - 1)
    assert answers[-1] == read(ANSWER)


def test_a_refusal_is_read_with_the_beginning_of_its_text() -> None:
    response = read(b"HTTP/1.0 404\r\nX: a\r\nx: b\r\n\r\nno such charge point")
    assert response == HandshakeResponse(404, "", {"x": "a, b"}, b"no such charge point")


@pytest.mark.parametrize(
    "raw",
    [
        b"\x15\x03\x01\x00\x02\x02\x16\r\n\r\n",
        b"\r\n\r\n",
        b"HTTP/2 101 x\r\n\r\n",
        b"HTTP/1.1 10 x\r\n\r\n",
        b"HTTP/1.1 1010 x\r\n\r\n",
        b"HTTP/1.1 101 x\r\nno-colon\r\n\r\n",
        b"HTTP/1.1 101 x\r\n: no name\r\n\r\n",
        b"HTTP/1.1 101 x\r\nX : y\r\n\r\n",
        b"HTTP/1.1 101 x\r\nX: y\r\n folded\r\n\r\n",
    ],
)
def test_what_is_not_http_is_a_handshake_error(raw: bytes) -> None:
    with pytest.raises(HandshakeError, match="not an HTTP"):
        ResponseReader().receive(raw)


def test_a_head_may_be_as_long_as_the_limit_and_no_longer() -> None:
    size = len(ANSWER)
    assert ResponseReader(max_bytes=size).receive(ANSWER + bytes(1000)) is not None
    with pytest.raises(HandshakeError, match=str(size - 1)):
        ResponseReader(max_bytes=size - 1).receive(ANSWER)
    reader = ResponseReader(max_bytes=size - 1)
    assert [reader.receive(ANSWER[at : at + 1]) for at in range(size - 2)] == [None] * (size - 2)
    with pytest.raises(HandshakeError, match=str(size - 1)):
        reader.receive(ANSWER[size - 2 : size - 1])


def test_a_proper_answer_confirms_the_subprotocol() -> None:
    assert confirm(read(ANSWER), KEY, ["ocpp2.0.1", "ocpp1.6"]) == "ocpp1.6"


def test_an_answer_without_a_subprotocol_confirms_none() -> None:
    line = b"Sec-WebSocket-Protocol: \t ocpp1.6 \r\n"
    assert confirm(read(ANSWER.replace(line, b"")), KEY, ["ocpp1.6"]) is None


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        (b"101 Switching Protocols", b"401 Unauthorized", "refused with 401 Unauthorized"),
        (b"101 Switching Protocols", b"200", "refused with 200"),
        (b"Upgrade: WebSocket", b"Upgrade: h2c", "upgrade"),
        (b"Upgrade: WebSocket\r\n", b"", "upgrade"),
        (b"Connection: keep-alive, upgrade", b"Connection: keep-alive, upgraded", "upgrade"),
        (b"Connection: keep-alive, upgrade\r\n", b"", "upgrade"),
        (b"s3pPLMBi", b"S3pPLMBi", "key"),
        (b"SEC-WEBSOCKET-ACCEPT", b"X", "key"),
        (b"ocpp1.6", b"ocpp1.5", "subprotocol 'ocpp1.5'"),
        (b"ocpp1.6", b"OCPP1.6", "subprotocol 'OCPP1.6'"),
        (b"Upgrade: ", b"Sec-WebSocket-Extensions: permessage-deflate\r\nUpgrade: ", "extension"),
    ],
)
def test_an_answer_that_opens_no_websocket_of_ours_is_a_handshake_error(
    old: bytes, new: bytes, fault: str
) -> None:
    assert old in ANSWER
    with pytest.raises(HandshakeError, match=fault):
        confirm(read(ANSWER.replace(old, new)), KEY, ["ocpp1.6"])
