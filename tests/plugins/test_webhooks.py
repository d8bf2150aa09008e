"""Webhooks: what is posted, when again, in which order, and to which addresses."""

import base64
import datetime as dt
import json
from collections import defaultdict

import gevent
import gevent.socket
import pytest
from gevent.pool import Pool
from gevent.server import StreamServer
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from chargehand import Booted, PluginSettings
from chargehand.config.errors import ConfigError
from chargehand.plugins import webhooks
from chargehand.plugins.webhooks import AddressRefused, Endpoint, Reply, Webhooks, WebhookSettings, signature
from chargehand.system.plugin_packages import load_plugin
from chargehand.testing import Stage

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
OLD = "whsec_" + base64.b64encode(bytes(range(40, 80))).decode()
HOUR_S = 3600.0


class Receiver:
    """Endpoint that answers as it is told, and keeps what it was sent and what it took."""

    def __init__(self):
        self.answer = 200
        self.sent, self.taken = [], []
        self.of_charge_point = {}

    def post(self, body, headers, timeout_s):
        message = json.loads(body)
        self.sent.append((headers["webhook-id"], message, headers, body))
        answer = self.of_charge_point.get(message["data"].get("charge_point"), self.answer)
        if isinstance(answer, Exception):
            raise answer
        reply = answer if isinstance(answer, Reply) else Reply(answer)
        if reply.status == 200:
            self.taken.append((headers["webhook-id"], message))
        return reply

    def order(self):
        """Return the kinds and transactions that were taken, by charge point; each id counts once."""
        seen, found = set(), defaultdict(list)
        for id_, message in self.taken:
            if id_ not in seen:
                seen.add(id_)
                transaction = message["data"].get("transaction", {}).get("transaction_id")
                found[message["data"]["charge_point"]].append((message["type"], transaction))
        return found


def options(**more):
    return WebhookSettings(url="https://a.example/hook", secret=SECRET, **more)


@pytest.fixture
def receiver():
    return Receiver()


@pytest.fixture
def stage(receiver):
    return lambda **more: Stage(
        Webhooks.spec(options(**more), post=receiver.post, jitter=0.0, name="webhooks"), bundled=True
    )


def charge(stage, *ids, times=1):
    for _ in range(times):
        for id_ in ids:
            fleet = vars(stage).setdefault("fleet", {})
            charge_point = fleet[id_] = fleet.get(id_) or stage.simulate(id_)
            charge_point.plug_in()
            charge_point.start("T1")
            stage.advance(60)
            charge_point.stop()
            charge_point.unplug()
            stage.settle()


def test_a_message_is_signed_as_standard_webhooks_says(stage, receiver, monkeypatch):
    with stage(kinds=("Booted",), old_secret=OLD) as running:
        running.simulate("CP1")
        running.settle()
    ((id_, message, headers, body),) = receiver.sent
    assert message["type"] == "Booted"
    assert message["data"]["charge_point"] == "CP1"
    assert (id_, message["data"]["id"]) == (headers["webhook-id"], id_)
    # The library refuses a timestamp that is not now.
    now = int(dt.datetime.now(dt.UTC).timestamp())
    for secret in (SECRET, OLD):
        keys = [webhooks.key_of(one) for one in (SECRET, OLD)]
        fresh = headers | {
            "webhook-timestamp": str(now),
            "webhook-signature": signature(keys, id_, now, body),
        }
        assert Webhook(secret).verify(body, fresh) == message
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(body + b" ", fresh)


@given(
    st.binary(min_size=24, max_size=64), st.text(st.characters(codec="utf-8")), st.text("abc:0-9", min_size=1)
)
def test_any_signature_is_the_librarys(key, text, id_):
    secret = base64.b64encode(key).decode()
    now = dt.datetime.now(dt.UTC)
    wanted = Webhook(secret).sign(id_, now, text)
    assert signature([webhooks.key_of(secret)], id_, int(now.timestamp()), text.encode()) == wanted


def test_only_the_wanted_kinds_are_posted(stage, receiver):
    with stage(kinds=("TransactionEnded",)) as running:
        charge(running, "CP1")
    assert [message["type"] for _, message in receiver.taken] == ["TransactionEnded"]
    assert receiver.taken[0][1]["data"]["transaction"]["id_tag"] == "T1"


@pytest.mark.parametrize(
    "failure",
    [
        500,
        503,
        429,
        302,
        404,
        TimeoutError("no answer"),
        ConnectionRefusedError("refused"),
        ValueError("lies"),
    ],
)
def test_an_endpoint_that_fails_for_an_hour_misses_nothing(stage, receiver, failure):
    with stage() as running:
        charge(running, "CP1", "CP2")
        before = len(receiver.taken)
        receiver.answer = failure
        charge(running, "CP1", "CP2", "CP3", times=2)
        running.advance(HOUR_S)
        assert len(receiver.taken) == before
        tries = len(receiver.sent) - before
        receiver.answer = 200
        running.advance(HOUR_S)
        ended = [event for event in running.events.all if event.id and event.charge_point_id]
    wanted = defaultdict(list)
    for event in ended:
        transaction = getattr(getattr(event, "transaction", None), "id", None)
        wanted[event.charge_point_id].append((type(event).__name__, transaction))
    assert receiver.order() == wanted
    assert len(wanted) == 3
    # With growing intervals: 5 s, 10 s, … for the endpoint, or for each charge point whose event is refused.
    assert 8 < tries < 50
    assert running.events.failed == []


def test_a_charge_point_whose_events_are_refused_holds_up_no_other(stage, receiver):
    receiver.of_charge_point["CP1"] = 400
    with stage(kinds=("TransactionEnded",)) as running:
        charge(running, "CP1", "CP2", times=2)
        assert list(receiver.order()) == ["CP2"]
        receiver.of_charge_point.clear()
        running.advance(HOUR_S)
    assert {name: len(events) for name, events in receiver.order().items()} == {"CP1": 2, "CP2": 2}


def test_an_endpoint_that_fails_is_tried_by_one_event_at_a_time(stage, receiver):
    with stage(kinds=("Booted",), retry_min_s=10.0) as running:
        receiver.answer = 500
        for number in range(20):
            running.simulate(f"CP{number}")
        running.settle()
        first = len(receiver.sent)
        running.advance(11)
        assert len(receiver.sent) == first + 1
        running.advance(20)
        assert len(receiver.sent) == first + 2
        receiver.answer = 200
        running.advance(HOUR_S)
    assert len(receiver.taken) == 20


def test_retry_after_is_heeded_up_to_the_longest_delay(stage, receiver):
    receiver.answer = Reply(503, 600.0)
    with stage(kinds=("Booted",)) as running:
        running.simulate("CP1")
        running.advance(599)
        assert len(receiver.sent) == 1
        receiver.answer = Reply(429, 10.0**9)
        running.advance(2)
        assert len(receiver.sent) == 2
        receiver.answer = 200
        running.advance(HOUR_S + 1)
    assert len(receiver.taken) == 1


def test_what_is_too_old_is_a_dead_letter_and_the_next_goes_on(stage, receiver):
    with stage(kinds=("TransactionStarted", "TransactionEnded"), give_up_h=2.0) as running:
        receiver.of_charge_point["CP1"] = 422
        charge(running, "CP1", "CP2")
        running.advance(1.9 * HOUR_S)
        assert running.events.failed == []
        running.advance(2 * HOUR_S)
        assert [one.event.charge_point_id for one in running.events.failed] == ["CP1", "CP1"]
        assert "status 422 (try " in str(running.events.failed[0].error)
        receiver.of_charge_point.clear()
        charge(running, "CP1")
    assert [kind for kind, _ in receiver.order()["CP1"]] == ["TransactionStarted", "TransactionEnded"]


def test_the_state_of_an_endpoint_can_be_asked_for_and_tested(stage, receiver):
    with stage(kinds=("Booted",)) as running:
        receiver.answer = 500
        running.simulate("CP1")
        running.settle()
        status = running.request("webhooks", "GET", "status")
        assert (status["failures"], status["last_failure"]["why"]) == (1, "status 500")
        with pytest.raises(webhooks.ResourceRefused, match="status 500"):
            running.request("webhooks", "POST", "test")
        receiver.answer = 204
        assert running.request("webhooks", "POST", "test") == {"status": 204}
        assert receiver.sent[-1][1]["type"] == "Test"


# -- Settings ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"url": "ftp://a"}, "url: must be a URL with https"),
        ({"url": "https://user:pw@a.example/"}, "url: must be a URL with https"),
        ({"url": "https://a.example:99999/"}, "url: Port out of range"),
        ({"secret": "short"}, "secret: must be"),
        ({"secret": "A" * 100}, "secret: must be 24 to 64 bytes as base64"),
        ({"kinds": ["TransactionEnd"]}, 'did you mean "TransactionEnded"'),
        ({"allowed_networks": ["10.0.0.1/8"]}, "allowed_networks.0: 10.0.0.1/8 has host bits set"),
        ({"retry_min_s": 10, "retry_max_s": 5}, "retry_max_s: must be at least retry_min_s"),
    ],
)
def test_settings_of_no_use_are_told(given, error):
    settings = {"url": "https://a.example/", "secret": SECRET} | given
    with pytest.raises(ConfigError) as caught:
        load_plugin(PluginSettings(class_name="chargehand.plugins.webhooks:Webhooks", settings=settings))
    assert error in str(caught.value)
    assert settings["secret"] not in str(caught.value)


# -- Addresses and sockets -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "10.1.2.3",
        "192.168.0.1",
        "172.16.5.5",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "[::1]",
        "[::]",
        "[fe80::1]",
        "[fd00::1]",
        "[::ffff:10.0.0.1]",
        "[64:ff9b::a00:1]",
        "[2002:a00:1::1]",
        "2130706433",
        "0x7f000001",
        "017700000001",
        "localhost",
    ],
)
def test_addresses_that_are_not_public_are_refused_however_they_are_written(host):
    endpoint = Endpoint(WebhookSettings(url=f"http://{host}/", secret=SECRET))
    with pytest.raises((AddressRefused, OSError)):
        endpoint.addresses()


def test_a_name_is_refused_for_each_address_that_is_not_public(monkeypatch):
    found = [(2, 1, 6, "", ("10.0.0.1", 443)), (2, 1, 6, "", ("93.184.216.34", 443))]
    monkeypatch.setattr(gevent.socket, "getaddrinfo", lambda *_: found)
    endpoint = Endpoint(options())
    assert endpoint.addresses() == [(2, ("93.184.216.34", 443))]
    del found[1]
    with pytest.raises(AddressRefused, match=r"a\.example is 10\.0\.0\.1, no public address"):
        endpoint.addresses()
    allowed = Endpoint(options(allowed_networks=("10.0.0.0/8",)))
    assert allowed.addresses() == [(2, ("10.0.0.1", 443))]


@pytest.fixture
def serve():
    """Serve bytes on loopback; return the endpoint and what it was sent."""
    servers, pool = [], Pool()

    def start(answer):
        sent = []

        def handle(sock, _address):
            sent.append(sock.recv(65536))
            if callable(answer):
                answer(sock)
            else:
                sock.sendall(answer)

        server = StreamServer(("127.0.0.1", 0), handle, spawn=pool)
        server.start()
        servers.append(server)
        url = f"http://127.0.0.1:{server.server_port}/hook?a=1"
        settings = WebhookSettings(url=url, secret=SECRET, allowed_networks=("127.0.0.0/8",))
        return Endpoint(settings), sent

    yield start
    for server in servers:
        server.stop(timeout=0)
    pool.kill()


def test_a_request_is_posted_to_the_url(serve):
    endpoint, sent = serve(b"HTTP/1.1 204 No Content\r\nRetry-After: 7\r\n\r\n")
    assert endpoint.post(b"{}", {"webhook-id": "1"}, 5.0) == Reply(204, 7.0)
    head, _, body = sent[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /hook?a=1 HTTP/1.1\r\n")
    assert (b"webhook-id: 1" in head, body) == (True, b"{}")


def test_a_connection_is_used_again_and_one_that_was_closed_there_is_made_again(serve):
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    more = []

    def two(sock):
        sock.sendall(answer)
        if sock.recv(65536):
            more.append(1)
            sock.sendall(answer)

    endpoint, sent = serve(two)
    for _ in range(4):
        assert endpoint.post(b"{}", {}, 5.0).status == 200
    endpoint.close()
    assert (len(sent), len(more)) == (2, 2)


def forever(sock):
    sock.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        sock.sendall(b"X-More: 1\r\n")
        gevent.sleep(0.001)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"\x00" * 100_000,
        lambda _sock: gevent.sleep(60),
        lambda sock: (sock.sendall(b"HTTP/1.1 200"), gevent.sleep(60)),
        forever,
        b"HTTP/1.1 200",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 1000,
    ],
    ids=[
        "nothing",
        "another protocol",
        "no status",
        "zeros",
        "a hang",
        "a half status",
        "headers without end",
        "a close within the status",
        "a close behind the status",
        "a close within a header",
        "no more than promises",
    ],
)
def test_an_endpoint_that_hangs_or_lies_has_not_taken_it(serve, answer):
    endpoint, _ = serve(answer)
    with pytest.raises((OSError, webhooks.http.client.HTTPException, ValueError)):
        endpoint.post(b"{}", {}, 0.2)


def endless(sock):
    sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        sock.sendall(b"4\r\nmore\r\n")
        gevent.sleep(0.001)


@pytest.mark.parametrize(
    "answer",
    [
        endless,
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n{",
        b'HTTP/1.1 200 OK\r\nContent-Length: 18\r\n\r\n{"error": "no way"}',
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Encoding: gzip\r\n\r\nno",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nno chunk",
    ],
    ids=["without end", "that is cut off", "that says otherwise", "of another encoding", "of no chunks"],
)
def test_the_status_counts_whatever_the_body_is_and_its_connection_is_left(serve, answer):
    endpoint, sent = serve(answer)
    for _ in range(2):
        assert endpoint.post(b"{}", {}, 60.0).status == 200
    assert len(sent) == 2


def test_a_redirect_is_not_followed(serve):
    other, asked = serve(b"HTTP/1.1 200 OK\r\n\r\n")
    location = f"http://127.0.0.1:{other._port}/".encode()
    endpoint, _ = serve(b"HTTP/1.1 307 Temporary Redirect\r\nLocation: " + location + b"\r\n\r\n")
    assert endpoint.post(b"{}", {}, 5.0).status == 307
    assert asked == []


def test_an_endpoint_that_hangs_holds_up_no_other(receiver):
    def hang(*_):
        gevent.sleep(600)

    hanging = Webhooks.spec(options(), post=hang, name="hanging")
    with Stage(hanging, Webhooks.spec(options(), post=receiver.post, name="quick"), bundled=True) as stage:
        stage.simulate("CP1")
        stage.settle()
        assert [message["type"] for _, message in receiver.taken] == ["Booted"]
        assert Booted in {type(event) for event in stage.events.all}
