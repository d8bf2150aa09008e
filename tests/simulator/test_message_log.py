import gevent
import pytest

from chargehand.simulator.message_log import Kind, MessageLog

CALL = b'[2,"7","StatusNotification",{"connectorId":1,"status":"Charging"}]'


@pytest.fixture
def record():
    return MessageLog(3, lambda: 12.5)


def test_the_oldest_entries_go(record):
    for word in (b"a", b"b", b"c", b"d"):
        record.add(Kind.SENT, word)
    assert [(entry.number, entry.data) for entry in record] == [(2, b"b"), (3, b"c"), (4, b"d")]


def test_an_entry_is_read_when_it_is_asked(record):
    record.add(Kind.SENT, CALL)
    record.add(Kind.RECEIVED, b'[3,"7",{"a":1}]')
    record.add(Kind.CLOSED, b"1006 lost")
    call, answer, closed = record
    assert (call.action, call.unique_id, call.payload["status"]) == ("StatusNotification", "7", "Charging")
    assert (answer.action, answer.unique_id, answer.payload) == ("", "7", {"a": 1})
    assert (closed.frame, closed.payload, closed.at) == (None, None, 12.5)


def test_calls_are_found_by_action_and_members(record):
    record.add(Kind.SENT, CALL)
    record.add(Kind.RECEIVED, CALL)
    assert [entry.number for entry in record.calls("StatusNotification")] == [1]
    (entry,) = record.calls("StatusNotification", Kind.RECEIVED)
    assert entry.is_call("StatusNotification", Kind.RECEIVED, status="Charging")
    assert not entry.is_call("StatusNotification", Kind.RECEIVED, status="Available")


def test_waiting_finds_what_has_happened_and_what_will(record):
    record.add(Kind.SENT, CALL)
    assert record.wait_for_call("StatusNotification").number == 1
    waiting = gevent.spawn(record.wait_for_call, "StatusNotification", after=1)
    gevent.idle()
    record.add(Kind.SENT, b'[2,"8","Heartbeat",{}]')
    record.add(Kind.SENT, CALL)
    with gevent.Timeout(60):
        assert waiting.get().number == 3


def test_waiting_in_vain_ends(record):
    with pytest.raises(TimeoutError):
        record.wait_for_call("Heartbeat", timeout_s=0.001)


def test_a_record_of_nothing_counts_and_still_wakes():
    record = MessageLog(0, lambda: 0.0)
    record.add(Kind.SENT, CALL)
    waiting = gevent.spawn(record.wait_for_answer, "7")
    gevent.idle()
    record.add(Kind.RECEIVED, b'[3,"7",{}]')
    with gevent.Timeout(60):
        assert waiting.get().number == 2
    assert (record.count, len(record)) == (2, 0)


def test_a_tap_hears_everything():
    record = MessageLog(0, lambda: 0.0)
    heard = []
    record.tap = lambda kind, data: heard.append((kind, data))
    record.add(Kind.SENT, b"a")
    record.add(Kind.CLOSED, b"b")
    assert heard == [(Kind.SENT, b"a"), (Kind.CLOSED, b"b")]
