"""Events of offline times, and the messages about them that a real central system gets later."""

import datetime as dt

import gevent

from chargehand.simulator import Backoff

QUICK = Backoff(least_s=0.001, most_s=0.01)


def test_a_session_held_offline_is_sent_later_with_its_own_times(make, system, timers, clock):
    charge_point = make(timers=timers)
    with charge_point:
        charge_point.plug_in()
        charge_point.faults.cut()
        charge_point.wait_offline()
        transaction = charge_point.start("TAG1")
        clock.advance(600)
        charge_point.meter(700)
        clock.advance(600)
        charge_point.stop()
        clock.advance(86_400)
        assert (transaction.id, len(charge_point.backlog)) == (None, 3)
        before = charge_point.record.count
        charge_point.connect()
        assert charge_point.backlog.empty.wait(60)
        stored = system.store.transaction(transaction.id)
        start = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
        assert (stored.started_at, stored.stopped_at) == (start, start + dt.timedelta(seconds=1200))
        assert (stored.meter_stop, stored.id_tag) == (700, "TAG1")
        names = [entry.action for entry in charge_point.record if entry.number > before and entry.action]
        assert [name for name in names if name != "StatusNotification"] == [
            "StartTransaction",
            "MeterValues",
            "StopTransaction",
        ]
        assert "BootNotification" not in names


def test_a_start_that_is_cut_off_is_sent_again_and_counts_once(make, system):
    charge_point = make(reconnect=QUICK)
    with charge_point:
        charge_point.plug_in()
        starting = gevent.spawn(charge_point.start, "TAG1")
        charge_point.record.wait_for_call("StartTransaction")
        charge_point.faults.cut()
        with gevent.Timeout(60):
            transaction = starting.get()
        assert charge_point.backlog.empty.wait(60)
        assert len(charge_point.record.calls("StartTransaction")) == 2
        assert system.store.transaction(transaction.id).id_tag == "TAG1"
