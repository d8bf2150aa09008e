"""A link that reconnects: with a real Redis that is killed, stopped and slow, in hosts patched and not."""

import subprocess
import sys
import time

import gevent
import gevent.socket
import pytest
from gevent.server import StreamServer

from chargehand.remote.redis import link as module
from chargehand.remote.redis.address import Address, RedisAway
from chargehand.remote.redis.link import Link, RedisCommandRefused

from ...hub import settle, until
from ..proxy import Proxy


@pytest.fixture
def start_link():
    started = []

    def start(url: str, **options) -> Link:
        link = Link(Address(url), "test", **options)
        started.append(link)
        link.start()
        return link

    yield start
    for link in started:
        link.stop()
    settle()


def test_what_many_greenlets_send_is_answered_in_order(redis_server, start_link):
    link = start_link(redis_server.url)
    assert link.wait(60)
    assert link.connected
    greenlets = [gevent.spawn(link.ask, "ECHO", f"é{number}") for number in range(2000)]
    gevent.joinall(greenlets)
    assert [one.value.decode() for one in greenlets] == [f"é{number}" for number in range(2000)]
    assert link.ask("ECHO", b"\x00\xff") == b"\x00\xff"
    assert link.ask("ECHO", 12) == b"12"


def test_a_wrong_command_is_refused_and_hurts_no_other(redis_server, start_link):
    link = start_link(redis_server.url)
    link.wait(60)
    results = [link.send("PING"), link.send("NONSENSE"), link.send("PING")]
    gevent.wait(results)
    assert [one.successful() for one in results] == [True, False, True]
    with pytest.raises(RedisCommandRefused, match="unknown command"):
        results[1].get()


def test_everything_fails_at_once_while_redis_is_away_and_it_comes_back_by_itself(own_redis, start_link):
    server = own_redis()
    seen = []
    link = start_link(server.url, up=lambda: seen.append("up"), down=seen.append)
    assert link.wait(60)
    blocked = gevent.spawn(link.ask, "BLPOP", "nothing", 0)
    settle()
    server.kill()
    blocked.join(60)
    assert isinstance(blocked.exception, RedisAway)
    assert not link.connected
    asked_at = time.monotonic()
    for _ in range(1000):
        with pytest.raises(RedisAway):
            link.ask("PING")
    assert time.monotonic() - asked_at < 60.0  # each waits for no answer
    assert not link.wait(0.01)
    assert len(link._waiting) == len(link._out) == 0
    server.start()
    assert link.wait(60)
    assert link.ask("PING") == b"PONG"
    assert [what if what == "up" else "down" for what in seen] == ["up", "down", "up"]
    assert server.url in seen[1]


def test_before_the_start_and_after_the_stop_everything_fails(redis_server, start_link):
    link = Link(Address(redis_server.url), "test")
    assert isinstance(link.send("PING").exception, RedisAway)
    link.stop()
    link = start_link(redis_server.url)
    link.wait(60)
    link.start()
    result = link.send("BLPOP", "nothing", 0)
    link.stop()
    assert isinstance(result.exception, RedisAway)
    assert isinstance(link.send("PING").exception, RedisAway)
    link.stop()


def test_no_more_than_the_limit_wait_for_their_answers(own_redis, start_link, monkeypatch):
    monkeypatch.setattr(module, "OUTSTANDING_LIMIT", 10)
    server = own_redis()
    link = start_link(server.url)
    link.wait(60)
    server.pause()
    results = [link.send("PING") for _ in range(12)]
    assert [one.ready() for one in results] == [False] * 10 + [True] * 2
    assert isinstance(results[-1].exception, RedisAway)
    server.resume()
    assert [one.get() for one in results[:10]] == [b"PONG"] * 10
    assert link.ask("PING") == b"PONG"


def test_a_silent_redis_is_found_within_its_time_counted_from_the_question(
    own_redis, start_link, monkeypatch
):
    monkeypatch.setattr(module, "REPLY_S", 1.0)
    monkeypatch.setattr(module, "PATIENCE_MIN_S", 0.05)
    server = own_redis()
    link = start_link(server.url)
    link.wait(60)
    idle_until = time.monotonic() + 0.8
    until(lambda: time.monotonic() > idle_until)  # the reader has waited for most of its time already
    server.pause()
    asked_at = time.monotonic()
    result = link.send("PING")
    result.wait(60.0)
    assert isinstance(result.exception, RedisAway)
    assert "no answer within" in str(result.exception)
    assert time.monotonic() - asked_at > 0.95  # not from when the reader began to wait
    server.resume()
    assert link.wait(60)
    assert link.ask("PING") == b"PONG"


def test_an_idle_link_stays(redis_server, start_link, monkeypatch):
    monkeypatch.setattr(module, "REPLY_S", 0.1)
    seen = []
    link = start_link(redis_server.url, up=lambda: seen.append("up"), down=seen.append)
    link.wait(60)
    idle_until = time.monotonic() + 0.5
    until(lambda: time.monotonic() > idle_until)
    assert link.ask("PING") == b"PONG"
    assert seen == ["up"]


def test_a_link_whose_commands_block_waits_for_them(redis_server, start_link, monkeypatch):
    monkeypatch.setattr(module, "REPLY_S", 0.2)
    link = start_link(redis_server.url, blocks_s=0.6)
    link.wait(60)
    assert link.ask("BLPOP", "nothing", 0.5) is None


def test_a_server_that_takes_nothing_in_is_left(own_redis, start_link, monkeypatch):
    monkeypatch.setattr(module, "REPLY_S", 0.5)
    server = own_redis()
    link = start_link(server.url)
    link.wait(60)
    server.pause()
    results = [link.send("ECHO", bytes(1_000_000)) for _ in range(20)]
    gevent.wait(results, timeout=5.0)
    assert all(isinstance(one.exception, RedisAway) for one in results)
    server.resume()
    assert link.wait(60)


@pytest.mark.parametrize("nonsense", [b"+OK\r\n" * 9, b"HTTP/1.1 400\r\n\r\n", b"$-7\r\n", b"\x00" * 50])
def test_a_server_that_talks_nonsense_is_tried_again_and_again(redis_server, start_link, nonsense):
    def serve(sock, _address):
        sock.recv(65_536)
        sock.sendall(nonsense)
        sock.close()

    server = StreamServer(("127.0.0.1", 0), serve)
    server.start()
    link = start_link(f"redis://127.0.0.1:{server.server_port}")
    why = link.why
    until(lambda: link.why != why)
    result = link.send("PING")
    result.wait(1.0)
    assert result.exception is not None
    assert not link._owner.ready()
    server.stop()
    settle()


def test_answers_that_nobody_asked_for_end_the_connection_but_not_the_link(redis_server, start_link):
    proxy = Proxy(redis_server.port)
    proxy.start()
    link = start_link(proxy.url)
    assert link.wait(60)
    for sock in list(proxy._open):
        if sock.getsockname()[1] == proxy.port:
            sock.sendall(b"+UNASKED\r\n")
    until(lambda: not link.connected)
    assert link.wait(60)
    assert link.ask("PING") == b"PONG"
    proxy.stop()


def test_an_answer_that_cannot_be_read_ends_the_connection_but_not_the_link(redis_server, start_link):
    link = start_link(redis_server.url)
    assert link.wait(60)
    answer = link.ask("ECHO", "no number")
    with pytest.raises(RedisAway, match="cannot be read"), link.reading():
        int(answer)
    until(lambda: not link.connected)
    assert "cannot be read" in link.why
    assert link.wait(60)
    with link.reading():
        assert link.ask("PING").decode() == "PONG"


def test_an_answer_without_an_end_fills_no_memory(redis_server, start_link, monkeypatch):
    monkeypatch.setattr(module, "REPLY_BYTES", 4 * module.LONG_BYTES)
    proxy = Proxy(redis_server.port)
    proxy.start()
    link = start_link(proxy.url)
    assert link.wait(60)
    (there,) = [sock for sock in proxy._open if sock.getsockname()[1] == proxy.port]
    there.sendall(b"$500000000\r\n")
    sender = gevent.spawn(there.sendall, bytes(64 * module.LONG_BYTES))
    until(lambda: not link.connected)
    assert "bytes" in link.why
    assert link.wait(60)
    sender.kill()
    proxy.stop()


def test_an_answer_to_the_login_without_an_end_is_not_read_to_it(start_link):
    read = []

    def serve(sock, _address):
        sock.recv(65_536)
        sock.sendall(b"$500000000\r\n")
        while True:
            sock.sendall(bytes(module.LONG_BYTES))
            read.append(1)

    server = StreamServer(("127.0.0.1", 0), serve)
    server.start()
    link = start_link(f"redis://127.0.0.1:{server.server_port}")
    until(lambda: "have no end" in link.why)
    assert len(read) < 100
    server.stop(timeout=0)
    settle()


def test_a_callback_that_raises_does_not_end_the_link(redis_server, start_link):
    times = []

    def up() -> None:
        times.append(1)
        if len(times) == 1:
            raise RuntimeError("planted")

    link = start_link(redis_server.url, up=up)
    until(lambda: len(times) == 2)
    assert link.wait(60)
    assert link.ask("PING") == b"PONG"


def test_a_replica_is_left_when_it_refuses_to_write(own_redis, start_link):
    server = own_redis()
    seen = []
    link = start_link(server.url, down=seen.append)
    link.wait(60)
    link.ask("REPLICAOF", "127.0.0.1", "1")
    with pytest.raises(RedisCommandRefused, match="READONLY"):
        link.ask("SET", "a", "b")
    until(lambda: seen)
    assert "READONLY" in seen[0]


HOST = """
import sys
if sys.argv[2] == "patched":
    from gevent import monkey
    monkey.patch_all()
import gevent
from gevent import monkey
from chargehand.remote.redis.address import Address
from chargehand.remote.redis.link import Link

ticks = []
def tick():
    while True:
        ticks.append(1)
        gevent.sleep(0.001)

ticking = gevent.spawn(tick)
link = Link(Address(sys.argv[1]), "host")
link.start()
assert link.wait(60)
before = len(ticks)
assert link.ask("BLPOP", "nothing", 0.3) is None
assert len(ticks) - before > 50, "the hub stood still"
gevent.joinall([gevent.spawn(link.ask, "PING") for _ in range(1000)], raise_error=True)
link.stop()
print(monkey.is_module_patched("socket"))
"""


@pytest.mark.parametrize(("host", "patched"), [("plain", "False"), ("patched", "True")])
def test_it_works_in_a_host_whether_patched_or_not(redis_server, host, patched):
    done = subprocess.run(
        [sys.executable, "-c", HOST, redis_server.url, host],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout.strip(), done.stderr, done.returncode) == (patched, "", 0)
