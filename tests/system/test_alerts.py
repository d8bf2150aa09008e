"""Alerts of a running system: an event, a line of the log and a count, raised from any thread."""

import logging

from chargehand import AlertRaised, Settings

from ..hub import until
from ..in_process import QUICK, in_a_thread, system_with


def test_an_alert_is_an_event_a_warning_and_a_count_from_any_thread(caplog):
    caplog.set_level(logging.WARNING)
    seen = []
    facts = {"severity": 1, "source": "watchman", "subject": "Gate", "text": "open\x1b[31m"}
    with system_with(settings=Settings(port=0, supervision=QUICK)) as system:
        system.subscribe(AlertRaised, seen.append)
        in_a_thread(lambda: system.raise_alert("CP1", **facts).wait(60))
        system.raise_alert("CP1", severity=None, source="watchman", subject="Gate", data={"a": 1})
        until(lambda: len(seen) == 2)
        assert system.counters.counts["alert_raised"] == 2
    first, second = seen
    assert (first.charge_point_id, first.severity, first.source, first.subject) == (
        "CP1",
        1,
        "watchman",
        "Gate",
    )
    assert (second.severity, second.text, second.data) == (None, "", {"a": 1})
    assert first.id != second.id
    assert "charge point CP1: alert of severity 1: Gate: open" in caplog.text
    assert "alert of severity unknown: Gate" in caplog.text
    assert "\x1b" not in caplog.text
