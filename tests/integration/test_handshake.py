"""Before the upgrade: refusals and their status, subprotocols, and identities in paths."""

import pytest

from .conftest import ON_EACH_TRANSPORT, StartServer
from .process import until
from .rawsocket import KEY, SUBPROTOCOL, Handshake, RawSocket, encode
from .server import Server

pytestmark = ON_EACH_TRANSPORT


def knock(server: Server, path: str, *lines: str, without: str = "") -> Handshake:
    """Make one handshake, and close its socket; return the answer."""
    with RawSocket(server.ws) as raw:
        return raw.handshake(path, *lines, without=without)


def assert_refused(answer: Handshake, *statuses: int) -> None:
    """Check for one of the statuses, with a reason that a technician can read."""
    assert answer.status in statuses, answer
    assert answer.headers["content-type"].startswith("text/plain"), answer
    assert answer.body.strip(), answer


# Refusals


def test_a_plain_get_is_told_to_upgrade(server: Server) -> None:
    with RawSocket(server.ws) as raw:
        answer = raw.request("/ocpp/CP1")
    assert_refused(answer, 426)
    assert answer.headers["upgrade"].lower() == "websocket"


def test_a_request_without_connection_upgrade_is_refused(server: Server) -> None:
    assert_refused(knock(server, "/ocpp/CP1", SUBPROTOCOL, without="Connection"), 400, 426)


def test_another_version_of_the_protocol_is_told_which_one_we_speak(server: Server) -> None:
    answer = knock(
        server, "/ocpp/CP1", SUBPROTOCOL, "Sec-WebSocket-Version: 8", without="Sec-WebSocket-Version"
    )
    assert_refused(answer, 426)
    assert answer.headers["sec-websocket-version"] == "13"


@pytest.mark.parametrize("lines", [[], ["Sec-WebSocket-Key: c2hvcnQ="], ["Sec-WebSocket-Key: ****"]])
def test_a_missing_or_broken_key_is_refused_with_400(server: Server, lines: list[str]) -> None:
    assert_refused(knock(server, "/ocpp/CP1", SUBPROTOCOL, *lines, without="Sec-WebSocket-Key"), 400)


@pytest.mark.parametrize("path", ["/", "/other/CP1", "/ocpp", "/ocpp/", "/ocpp///", "/ocppx/CP1", "/CP1"])
def test_a_path_that_names_no_charge_point_is_refused_with_404(server: Server, path: str) -> None:
    assert_refused(knock(server, path, SUBPROTOCOL), 404)


def test_an_identity_that_is_not_utf8_is_refused(server: Server) -> None:
    assert_refused(knock(server, "/ocpp/CP%FF%FE", SUBPROTOCOL), 400, 404)


def test_a_request_that_is_not_http_ends_with_its_connection_and_not_with_the_server(server: Server) -> None:
    with RawSocket(server.ws) as raw:
        raw.send_bytes(b"\x16\x03\x01\x00\xa5\x01\x00\r\n\r\n")  # somebody spoke TLS to the ws port
        assert b"101" not in raw.rest()
    assert knock(server, "/ocpp/CP1", SUBPROTOCOL).status == 101
    assert server.alive


# Subprotocols


@pytest.mark.parametrize(
    ("offer", "chosen"),
    [
        (["Sec-WebSocket-Protocol: ocpp1.6"], "ocpp1.6"),
        (["Sec-WebSocket-Protocol: ocpp2.1, ocpp1.6"], "ocpp1.6"),
        (["Sec-WebSocket-Protocol: ocpp2.0.1, ocpp1.6"], "ocpp2.0.1"),
        (["Sec-WebSocket-Protocol: ocpp1.6, ocpp2.0.1"], "ocpp1.6"),
        (["Sec-WebSocket-Protocol: ocpp1.5,ocpp1.6 , soap"], "ocpp1.6"),
        (["Sec-WebSocket-Protocol: ocpp1.5", "Sec-WebSocket-Protocol: ocpp1.6"], "ocpp1.6"),
        (["Sec-WebSocket-Protocol: ocpp1.6", "Sec-WebSocket-Protocol: ocpp1.5"], "ocpp1.6"),
    ],
)
def test_a_subprotocol_that_we_speak_is_chosen_from_the_offer(
    server: Server, offer: list[str], chosen: str
) -> None:
    answer = knock(server, "/ocpp/CP1", *offer)
    assert answer.status == 101, answer
    assert answer.headers["sec-websocket-protocol"] == chosen


@pytest.mark.parametrize(
    "offer",
    [
        [],
        ["Sec-WebSocket-Protocol: ocpp1.5"],
        ["Sec-WebSocket-Protocol: xocpp1.6"],
        ["Sec-WebSocket-Protocol: ocpp1.60"],
        ["Sec-WebSocket-Protocol: OCPP1.6"],
        ["Sec-WebSocket-Protocol: "],
    ],
)
def test_an_offer_without_a_subprotocol_of_ours_is_refused_with_400(server: Server, offer: list[str]) -> None:
    answer = knock(server, "/ocpp/CP1", *offer)
    assert_refused(answer, 400)
    assert "ocpp1.6" in answer.body


def test_a_charge_point_known_to_forget_its_subprotocol_is_let_in_by_setting(
    start_server: StartServer,
) -> None:
    server = start_server(config='[sessions]\nassume_subprotocol = ["OLD"]\n')
    assert knock(server, "/ocpp/OLD").status == 101
    assert knock(server, "/ocpp/NEW").status == 400


# Identity


@pytest.mark.parametrize(
    ("path", "identity"),
    [
        ("/ocpp/PLAIN", "PLAIN"),
        ("/ocpp///SLASHES", "SLASHES"),
        ("/ocpp/TRAILING/", "TRAILING"),
        ("/ocpp/first/SECOND", "SECOND"),
        ("/ocpp/RDAM%7C123", "RDAM|123"),
        ("/ocpp/RDAM|124", "RDAM|124"),
        ("/ocpp/WITH%20SPACE", "WITH SPACE"),
        ("/ocpp/PLUS+SIGN", "PLUS+SIGN"),
        ("/ocpp/CO:LON", "CO:LON"),
        ("/ocpp/Z%C3%BCrich%E2%9A%A1", "Zürich⚡"),
        ("/ocpp/QUERY?key=value", "QUERY"),
        ("/ocpp/a%2Fb", "a/b"),
    ],
)
def test_the_identity_is_the_last_segment_of_the_path_decoded(
    server: Server, path: str, identity: str
) -> None:
    with RawSocket(server.ws) as raw:
        assert raw.handshake(path, SUBPROTOCOL).status == 101
        raw.boot()
        until(lambda: server.connected(identity), f"{identity!r} is not connected: {server.charge_points()}")


def test_the_path_of_charge_points_can_be_set(start_server: StartServer) -> None:
    server = start_server("--path", "/central/{id}")
    assert knock(server, "/central/CP1", SUBPROTOCOL).status == 101
    assert_refused(knock(server, "/ocpp/CP1", SUBPROTOCOL), 404)


# The first frames


def test_a_frame_sent_in_the_same_packet_as_the_handshake_is_not_lost(server: Server) -> None:
    with RawSocket(server.ws) as raw:
        head = "\r\n".join(
            (
                "GET /ocpp/EAGER HTTP/1.1",
                f"Host: {raw.host}:{raw.port}",
                "Upgrade: websocket",
                "Connection: Upgrade",
                f"Sec-WebSocket-Key: {KEY}",
                "Sec-WebSocket-Version: 13",
                SUBPROTOCOL,
            )
        )
        raw.send_bytes(head.encode() + b"\r\n\r\n" + encode(b'[2,"1","Heartbeat",{}]'))
        assert raw.response().status == 101
        assert raw.answer_to("1")[0] == 3


def test_a_second_socket_of_the_same_id_takes_over(server: Server) -> None:
    with RawSocket.open(server.ws + "TWICE") as first:
        first.boot()
        with RawSocket.open(server.ws + "TWICE") as second:
            assert second.call("Heartbeat", {})[0] == 3
            first.close_code()  # returns only when the server has closed the first one
            assert second.call("Heartbeat", {})[0] == 3
            until(lambda: server.connected("TWICE"), "the second socket is connected")
