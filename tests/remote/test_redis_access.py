"""Redis user of the documentation: may do what nodes and plugin hosts do, and nothing beyond the prefix."""

import re
from pathlib import Path

import gevent
import pytest

from chargehand import Plugin, passive, v16
from chargehand.actors.runtime.timers import SystemClock
from chargehand.remote.cluster.redis_coordinator import RedisCoordinator
from chargehand.remote.plugins.plugin_host import PluginHost
from chargehand.remote.plugins.stream_writer import StreamWriter
from chargehand.remote.plugins.streams import Keys
from chargehand.remote.redis.address import Address
from chargehand.remote.redis.link import Link, RedisCommandRefused

from ..hub import settle, until
from .conftest import LEASE_S
from .recording_listener import RecordingListener

DOCS = Path(__file__).parents[2] / "docs" / "scaling.md"


class Tags(Plugin):
    """A plugin for a plugin host."""

    @passive(v16.Authorize)
    def authorize(self, call):
        return {"idTagInfo": {"status": "Accepted"}}


@pytest.fixture
def address(own_redis):
    """Address of a Redis whose only user with rights there is that of the documentation."""
    server = own_redis()
    rules = re.search(r"^ACL SETUSER chargehand (.+)$", DOCS.read_text(encoding="utf-8"), re.MULTILINE)[1]
    admin = Link(Address(server.url), "admin")
    admin.start()
    assert admin.wait(60)
    admin.ask("ACL", "SETUSER", "chargehand", *rules.replace("PASSWORD", "pw").split())
    yield Address(f"redis://chargehand:pw@127.0.0.1:{server.port}")
    admin.stop()


def test_two_nodes_claim_find_send_and_let_go_as_that_user(address, caplog):
    clock, options = SystemClock(), {"lease_s": LEASE_S, "secret": "a secret of sixteen"}
    a, b = (RedisCoordinator(address, "chargehand", node, clock, **options) for node in "ab")
    heard = RecordingListener()
    a.start(RecordingListener())
    b.start(heard)
    try:
        until(lambda: a.held and b.held)
        claim = a.claim("CP1")
        assert b.find("CP1") == "a"
        assert b.charge_points() == {"CP1": "a"}
        a.send("b", b"hello")
        until(lambda: heard.messages == [("a", b"hello")])
        assert b.claim("CP1").previous == "a"
        assert a.verify({"CP1": claim.epoch}).others == {"CP1"}
        b.release("CP1", b.claim("CP1").epoch)
        until(lambda: not a.find("CP1"))
        assert "NOPERM" not in caplog.text
    finally:
        a.stop()
        b.stop()
        settle()


def test_a_plugin_host_and_the_streams_of_its_node_work_as_that_user(address, caplog):
    keys = Keys("chargehand")
    writer = StreamWriter(address, "n", keys, partitions=2, limit=100, down=lambda _: None)
    host = PluginHost(Tags.spec(), address, prefix="chargehand")
    link = Link(address, "test")
    host.start()
    writer.link.start()
    link.start()
    try:
        until(lambda: writer.partitions == 2)
        until(lambda: len([one for one in host.assignment if one.claimed]) == 2)
        there = gevent.event.AsyncResult()
        writer.look_for_readers(["default"], there.set)
        assert there.get(timeout=60) == "default"
        assert "NOPERM" not in caplog.text
        with pytest.raises(RedisCommandRefused):
            link.ask("GET", "somebody-elses")
        with pytest.raises(RedisCommandRefused):
            link.ask("FLUSHALL")
        with pytest.raises(RedisCommandRefused):
            link.ask("CONFIG", "GET", "*")
    finally:
        host.stop()
        writer.close()
        link.stop()
        settle()
