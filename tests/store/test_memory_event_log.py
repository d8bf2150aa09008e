"""The log of events of a store in memory against a plain list that drops what is over its limit at once."""

import datetime as dt

from hypothesis import given
from hypothesis import strategies as st

from chargehand.protocol.events import ReservationEnded
from chargehand.store.memory_event_log import SLACK, MemoryEventLog

AT = dt.datetime(2026, 11, 28, tzinfo=dt.UTC)
HELD = ReservationEnded(at=AT, charge_point_id="CP1", reservation_id=1, evse=1, id_tag="TAG", state="used")

appended = st.integers(1, SLACK + 1)
kept = st.integers(1, 2 * SLACK)
steps = st.lists(st.tuples(st.just("append"), appended) | st.tuples(st.just("prune"), kept), max_size=8)


@given(limit=st.integers(1, SLACK), steps=steps, after=st.integers(0, 9 * SLACK), most=st.integers(1, 300))
def test_a_place_in_the_log_is_found_whatever_was_dropped_before(limit, steps, after, most):
    log, numbers = MemoryEventLog(limit=limit), []
    for what, number in steps:
        if what == "append":
            for _ in range(number):
                log.append("ReservationEnded", AT, HELD)
                numbers.append(log.last)
            numbers = numbers[-limit:]
        else:
            log.prune(keep=number, since=None)
            numbers = numbers[-number:]
    expected = [one for one in numbers if one > after][:most]
    assert [one.number for one in log.read(log.number, after, most)] == expected
    (origin,) = log.origins()
    assert origin.pruned_to == origin.last - len(numbers)
