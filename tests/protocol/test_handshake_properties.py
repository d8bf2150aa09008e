"""Pure parts of the handshake, whatever the other end sends."""

import base64

from hypothesis import given
from hypothesis import strategies as st

from chargehand.protocol.handshake import (
    HandshakeError,
    ResponseReader,
    accept_key,
    check_key,
    choose_subprotocol,
    confirm,
    wants_upgrade,
)

SPOKEN = ["ocpp1.6", "ocpp2.0.1"]
values = st.one_of(
    st.text(st.characters(max_codepoint=255), max_size=60),
    st.lists(
        st.sampled_from(["ocpp1.6", "ocpp2.0.1", "OCPP1.6", ",", " ", "websocket", "Upgrade", "keep-alive"])
    ).map("".join),
)
heads = st.lists(
    st.one_of(
        st.binary(max_size=40),
        st.sampled_from(
            [b"HTTP/1.1 101 Switching\r\n", b"\r\n", b"\r\n\r\n", b"Upgrade: websocket\r\n", b"A : b\r\n"]
        ),
    ),
    max_size=10,
).map(b"".join)


@given(values)
def test_only_an_offered_subprotocol_that_is_spoken_is_chosen(offered):
    chosen = choose_subprotocol(offered, SPOKEN)
    if chosen is not None:
        assert chosen in SPOKEN
        assert chosen in [token.strip() for token in offered.split(",")]


@given(st.dictionaries(st.sampled_from(["upgrade", "connection", "host"]), values))
def test_headers_of_a_request_are_judged_without_an_error(headers):
    wrong = wants_upgrade(headers)
    assert wrong is not None or "websocket" in headers["upgrade"].lower()


@given(values)
def test_a_key_is_judged_without_an_error(key):
    if check_key(key):
        assert len(base64.b64decode(key)) == 16
    assert accept_key(key)


@given(st.binary(min_size=16, max_size=16))
def test_every_key_of_sixteen_bytes_is_one(key):
    assert check_key(base64.b64encode(key).decode())


def read(parts):
    """Read an answer in parts; return it, or the error's text."""
    reader, rest = ResponseReader(max_bytes=200), list(parts)
    try:
        while rest:
            found = reader.receive(rest.pop(0))
            if found is not None:
                return found.status, found.reason, dict(found.headers), found.leftover + b"".join(rest)
    except HandshakeError as error:
        return str(error)
    return None


@given(heads, st.integers(1, 7))
def test_an_answer_is_read_alike_however_it_is_cut(head, size):
    whole = read([head])
    cut = read([head[at : at + size] for at in range(0, len(head), size)])
    assert whole == cut or "over 200 bytes" in str(whole) + str(cut)


@given(heads)
def test_an_answer_that_is_read_is_confirmed_or_refused(head):
    reader = ResponseReader()
    try:
        found = reader.receive(head)
        if found is not None:
            assert confirm(found, "key", SPOKEN) in (None, *SPOKEN)
    except HandshakeError:
        pass
