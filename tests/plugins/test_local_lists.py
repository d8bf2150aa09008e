"""The assumed content of a local list is the content that the charge point has confirmed."""

import datetime as dt

import pytest

from chargehand import LocalList, Tag, v16
from chargehand.plugins import local_lists

OK, BLOCKED = {"status": "Accepted"}, {"status": "Blocked"}
FULL, DIFFERENTIAL = v16.UpdateType.FULL, v16.UpdateType.DIFFERENTIAL


def request(version, tags, kind=FULL):
    entries = tuple(
        v16.AuthorizationData(id_tag=id_tag, id_tag_info=v16.IdTagInfo(status=status) if status else None)
        for id_tag, status in tags.items()
    )
    return v16.SendLocalList(list_version=version, local_authorization_list=entries or None, update_type=kind)


@pytest.fixture
def send(stage, charge_point):
    """Send a list that is answered with a status, refused with a code, or not answered."""

    def send(version, tags, kind=FULL, *, status="Accepted", code=""):
        stage.send("CP1", request(version, tags, kind))
        stage.settle()
        call = charge_point.take()[-1]
        if code:
            charge_point.refuse(call, code)
        elif status:
            charge_point.answer(call, {"status": status})

    return send


@pytest.fixture
def ask(stage, charge_point):
    def ask(version):
        stage.send("CP1", v16.GetLocalListVersion())
        stage.settle()
        charge_point.answer(charge_point.take()[-1], {"listVersion": version})

    return ask


@pytest.fixture
def believed(store):
    """Return version, tags, and certainty of the assumed list."""

    def believed():
        record = store.collections.local_lists.get("CP1")
        return (record.version, record.tags, record.certain)

    return believed


# Sent


def test_a_full_list_is_all_it_holds(send, believed):
    send(1, {"T1": "Accepted", "T2": "Blocked"})
    assert believed() == (1, {"T1": OK, "T2": BLOCKED}, True)
    send(2, {"T3": "Accepted"})
    assert believed() == (2, {"T3": OK}, True)
    send(3, {})
    assert believed() == (3, {}, True)


def test_a_differential_adds_changes_and_takes_out_whatever_the_spelling(send, believed):
    send(1, {"T1": "Accepted", "T2": "Accepted", "T3": "Accepted"})
    send(2, {"t1": "Blocked", "T2": "", "T4": "Accepted", "T9": ""}, DIFFERENTIAL)
    assert believed() == (2, {"T3": OK, "t1": BLOCKED, "T4": OK}, True)


@pytest.mark.parametrize("status", ["Failed", "VersionMismatch"])
def test_a_list_that_was_not_taken_leaves_it_uncertain(send, store, believed, status):
    send(1, {"T1": "Accepted"})
    send(2, {"T2": "Accepted"}, DIFFERENTIAL, status=status)
    assert believed() == (1, {"T1": OK}, False)
    assert store.collections.local_lists.get("CP1").last_sent == 2


def test_a_lost_answer_leaves_it_uncertain(send, charge_point, store, believed):
    send(1, {"T1": "Accepted"})
    send(2, {"T2": "Accepted"}, status="")
    charge_point.hang_up()
    assert believed() == (1, {"T1": OK}, False)
    assert store.collections.local_lists.get("CP1").last_sent == 2


def test_no_answer_in_time_leaves_it_uncertain(send, stage, believed):
    send(1, {"T1": "Accepted"})
    send(2, {"T2": "Accepted"}, status="")
    stage.advance(61)
    assert believed() == (1, {"T1": OK}, False)


def test_what_was_never_sent_changes_nothing(stage, store):
    stage.send("CP9", request(1, {"T1": "Accepted"}))
    stage.settle()
    assert len(store.collections.local_lists) == 0


@pytest.mark.parametrize(
    "ended", [{"status": "NotSupported"}, {"code": "NotSupported"}, {"code": "NotImplemented"}]
)
def test_a_charge_point_without_lists_has_none(send, believed, ended):
    send(1, {"T1": "Accepted"}, **ended)
    assert believed() == (-1, {}, True)


def test_another_refusal_leaves_it_uncertain(send, believed):
    send(1, {"T1": "Accepted"})
    send(2, {"T1": "Accepted"}, code="InternalError")
    assert believed() == (1, {"T1": OK}, False)


def test_a_differential_on_top_of_what_is_not_known_is_not_known_either(send, ask, believed):
    send(7, {"T1": "Accepted"}, DIFFERENTIAL)
    assert believed() == (7, {}, False)
    ask(7)
    assert believed() == (7, {}, False)


def test_a_full_list_makes_it_certain_again(send, believed):
    send(1, {"T1": "Accepted"})
    send(2, {"T2": "Accepted"}, DIFFERENTIAL, status="Failed")
    send(3, {"T2": "Accepted"})
    assert believed() == (3, {"T2": OK}, True)


def test_a_list_that_is_too_large_is_not_remembered(send, ask, believed, monkeypatch):
    monkeypatch.setattr(local_lists, "LARGEST", 2)
    send(1, {"T1": "Accepted", "T2": "Accepted"})
    send(2, {"T3": "Accepted"}, DIFFERENTIAL)
    assert believed() == (2, {}, False)
    ask(2)
    assert believed() == (2, {}, False)


# Asked


def test_the_same_version_is_as_certain_as_its_content(send, ask, believed):
    send(1, {"T1": "Accepted"})
    ask(1)
    assert believed() == (1, {"T1": OK}, True)
    send(2, {"T2": "Accepted"}, DIFFERENTIAL, status="Failed")
    ask(1)
    assert believed() == (1, {"T1": OK}, True)


def test_another_version_leaves_it_uncertain_and_the_next_is_higher(send, ask, store, believed):
    send(1, {"T1": "Accepted"})
    ask(57)
    assert believed() == (57, {}, False)
    assert store.collections.local_lists.get("CP1").last_sent == 57
    ask(57)
    assert believed() == (57, {}, False)


@pytest.mark.parametrize("version", [0, -1])
def test_an_empty_list_and_none_at_all_are_certain(send, ask, store, believed, version):
    send(5, {"T1": "Accepted"})
    ask(version)
    assert believed() == (version, {}, True)
    assert store.collections.local_lists.get("CP1").last_sent == 5


def test_an_empty_list_that_keeps_its_version_stays_certain(send, ask, believed):
    send(5, {})
    ask(5)
    assert believed() == (5, {}, True)


def test_the_first_answer_is_kept_too(ask, believed):
    ask(3)
    assert believed() == (3, {}, False)


def test_a_refused_question_says_nothing(stage, charge_point, store):
    stage.send("CP1", v16.GetLocalListVersion())
    stage.settle()
    charge_point.refuse(charge_point.take()[-1])
    assert len(store.collections.local_lists) == 0


def test_nothing_is_sent_unasked(stage, charge_point, store):
    store.collections.tags.put(Tag(id_tag="T1"))
    store.collections.local_lists.put(
        LocalList(
            charge_point_id="CP1", version=3, changed_at=dt.datetime(2026, 1, 1, tzinfo=dt.UTC), certain=False
        )
    )
    stage.connect("CP1")
    stage.advance(3600)
    assert [frame for frame in charge_point.sent() if frame[0] == 2] == []
