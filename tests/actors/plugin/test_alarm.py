"""Alarms of a plugin: methods that are due later, by the system's clock."""

import datetime as dt

import gevent

from chargehand import Plugin, on
from chargehand.protocol.events import StatusChanged
from chargehand.testing import Stage


class Ringing(Plugin):
    def __init__(self):
        super().__init__()
        self.rung = []

    def ring(self, *words):
        self.rung.append((self.now(), *words))


def test_an_alarm_rings_when_its_time_has_come_and_once():
    with Stage(Ringing) as stage:
        plugin = stage.actor(Ringing)
        start = plugin.now()
        plugin.call_later(60, plugin.ring, "a")
        stage.advance(59)
        assert plugin.rung == []
        stage.advance(3600)
        assert plugin.rung == [(start + dt.timedelta(seconds=60), "a")]


def test_alarms_ring_in_the_order_of_their_times():
    with Stage(Ringing) as stage:
        plugin = stage.actor(Ringing)
        for seconds in (3, 1, 2):
            plugin.call_later(seconds, plugin.ring, seconds)
        stage.advance(5)
        assert [words for _, words in plugin.rung] == [1, 2, 3]


def test_a_cancelled_alarm_does_not_ring():
    with Stage(Ringing) as stage:
        plugin = stage.actor(Ringing)
        alarm = plugin.call_later(1, plugin.ring)
        alarm.cancel()
        stage.advance(2)
        assert plugin.rung == []


def test_an_alarm_that_fails_is_logged_and_the_next_one_rings(caplog):
    with Stage(Ringing) as stage:
        plugin = stage.actor(Ringing)
        plugin.call_later(1, int, "no number")
        plugin.call_later(1, plugin.ring)
        stage.advance(2)
        assert len(plugin.rung) == 1
        assert stage.actor(Ringing) is plugin
    assert "no number" in caplog.text


def test_alarms_of_a_plugin_that_was_started_again_are_dropped():
    with Stage(Ringing) as stage:
        before = stage.actor(Ringing)
        before.call_later(1, before.ring)
        stage.plugins[0].kill()
        stage.settle()
        stage.advance(2)
        assert stage.actor(Ringing) is not before
        assert before.rung == stage.actor(Ringing).rung == []


def test_an_alarm_may_be_set_in_a_native_thread():
    class Threaded(Ringing):
        @on(StatusChanged, blocking=True)
        def changed(self, _event):
            self.call_later(1, self.ring)

    with Stage(Threaded, bundled=True) as stage:
        plugin = stage.actor(Threaded)
        charge_point = stage.simulate("CP1")
        charge_point.break_down(1)
        stage.wait_for(lambda: len(stage.timers))
        gevent.sleep(0)
        stage.wait_for(lambda: stage.advance(1) or plugin.rung)
