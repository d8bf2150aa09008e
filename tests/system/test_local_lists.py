"""Synchronizing a local list: by its differences or as a whole, and only on request. A real server and a simulator."""

import contextlib
import datetime as dt

import gevent
import pytest
from gevent.event import Event
from hypothesis import given
from hypothesis import strategies as st

from chargehand import (
    BackOfficeSettings,
    CentralSystem,
    LocalListSyncRunning,
    Settings,
    Tag,
    Ticket,
    TicketState,
    v16,
    v201,
)
from chargehand.plugins.local_lists import after_sending
from chargehand.protocol.local_lists import as_sent
from chargehand.protocol.payload import encode
from chargehand.protocol.v16.local_lists import LOCAL_LISTS, entry
from chargehand.simulator import ChargePoint
from chargehand.simulator.authorization import LocalAuthorizationList
from chargehand.simulator.configuration import Configuration
from chargehand.simulator.v201 import Station
from chargehand.store.records import LocalList as Believed

from ..hub import until

EXPIRY = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)


@pytest.fixture
def system():
    settings = Settings(port=0, back_office=BackOfficeSettings(local_list_limit=50))
    with CentralSystem(settings) as running:
        yield running


@pytest.fixture
def charge_point(system):
    with ChargePoint(f"ws://127.0.0.1:{system.port}/ocpp", "CP1") as charge_point:
        yield charge_point


@pytest.fixture
def tags(system):
    """Enter tags by their ids."""

    def tags(*ids, **facts):
        for id_tag in ids:
            system.store.collections.tags.put(Tag(id_tag=id_tag, **facts))

    return tags


@pytest.fixture
def sent(charge_point):
    """Return the SendLocalLists that the charge point was sent."""
    asked = []
    answer = charge_point.answers["SendLocalList"]

    def note(request):
        asked.append(
            (str(request.update_type), request.list_version, len(request.local_authorization_list or ()))
        )
        return answer(request)

    charge_point.answers["SendLocalList"] = note
    return asked


def held(charge_point):
    return {
        id_tag: str(info.status) for id_tag, info in charge_point.charging.authorization.list.tags.items()
    }


def test_the_first_list_is_a_full_one(system, charge_point, tags, sent):
    tags("T1", "T2")
    tags("B1", status="Blocked", expiry=EXPIRY, parent="FLEET")
    update = system.push_local_list("CP1")
    assert (update.kind, update.entries, update.version, update.in_step) == ("Full", 3, 1, True)
    assert held(charge_point) == {"T1": "Accepted", "T2": "Accepted", "B1": "Blocked"}
    info = charge_point.charging.authorization.list.tags["B1"]
    assert (info.expiry_date, info.parent_id_tag) == (EXPIRY, "FLEET")
    assert sent == [("Full", 1, 3)]


def test_what_is_in_step_is_sent_nothing(system, tags, sent):
    tags("T1")
    tags("T2", expiry=EXPIRY, parent="FLEET")
    system.push_local_list("CP1")
    update = system.push_local_list("CP1")
    assert (update.kind, update.entries, update.tickets, update.in_step) == ("", 0, (), True)
    assert len(sent) == 1


def test_then_only_changes_are_sent(system, charge_point, tags, sent):
    tags("T1", "T2", "T3")
    system.push_local_list("CP1")
    tags("t1", status="Blocked")  # spelled as the list has it when it is sent
    tags("T4")
    system.store.collections.tags.remove("t2")
    update = system.push_local_list("CP1")
    assert (update.kind, update.entries, update.version) == ("Differential", 3, 2)
    assert held(charge_point) == {"T1": "Blocked", "T3": "Accepted", "T4": "Accepted"}
    assert system.push_local_list("CP1").kind == ""


def test_more_than_one_message_may_carry_goes_in_parts(system, charge_point, tags, sent):
    tags(*(f"T{number}" for number in range(120)))
    assert system.push_local_list("CP1").in_step
    assert sent == [("Full", 1, 50), ("Differential", 2, 50), ("Differential", 3, 20)]
    assert len(held(charge_point)) == 120
    tags(*(f"N{number}" for number in range(60)))
    assert system.push_local_list("CP1", local_list_limit=40).kind == "Differential"
    assert sent[3:] == [("Differential", 4, 40), ("Differential", 5, 20)]
    assert len(held(charge_point)) == 180


def test_an_empty_list_empties_it(system, charge_point, tags):
    tags("T1")
    system.push_local_list("CP1")
    system.store.collections.tags.remove("t1")
    update = system.push_local_list("CP1")
    assert (update.kind, update.entries, update.in_step) == ("Full", 0, True)
    assert held(charge_point) == {}
    assert system.send("CP1", v16.GetLocalListVersion()).result().list_version == 0
    assert system.push_local_list("CP1").kind == ""


def test_full_sends_all_of_it_again(system, tags, sent):
    tags("T1")
    system.push_local_list("CP1")
    assert system.push_local_list("CP1", full=True).kind == "Full"
    assert [version for _, version, _ in sent] == [1, 2]


def test_after_a_version_mismatch_all_of_it_is_sent_once(system, charge_point, tags, sent):
    tags("T1")
    system.push_local_list("CP1")
    charge_point.charging.authorization.list._version = 40  # another back office was here
    tags("T2")
    update = system.push_local_list("CP1")
    assert [kind for kind, *_ in sent] == ["Full", "Differential", "Full"]
    assert [ticket.response.status for ticket in update.tickets] == ["VersionMismatch", "Accepted"]
    assert (update.kind, update.in_step) == ("Full", True)
    assert held(charge_point) == {"T1": "Accepted", "T2": "Accepted"}


def test_a_full_list_that_fails_is_not_sent_again(system, charge_point, tags, sent):
    tags("T1")
    system.push_local_list("CP1")
    charge_point.configuration.set("SendLocalListMaxLength", "0")
    tags("T2")
    update = system.push_local_list("CP1")
    assert [kind for kind, *_ in sent[1:]] == ["Differential", "Full"]
    assert not update.in_step
    assert not system.store.collections.local_lists.get("CP1").certain
    charge_point.configuration.set("SendLocalListMaxLength", "10")
    assert (system.push_local_list("CP1").kind, system.push_local_list("CP1").kind) == ("Full", "")


def test_versions_go_on_from_what_the_charge_point_said(system, charge_point, tags, sent):
    tags("T1")
    charge_point.charging.authorization.list.update(
        v16.SendLocalList(
            list_version=57,
            update_type="Full",
            local_authorization_list=(
                v16.AuthorizationData(id_tag="X", id_tag_info=v16.IdTagInfo(status="Accepted")),
            ),
        )
    )
    system.send("CP1", v16.GetLocalListVersion()).result()
    until(lambda: system.store.collections.local_lists.get("CP1"), "the version is known")
    assert system.push_local_list("CP1").version == 58
    assert held(charge_point) == {"T1": "Accepted"}


def test_a_list_that_others_sent_is_known(system, charge_point, tags, sent):
    tags("T1")
    entry = v16.AuthorizationData(id_tag="T1", id_tag_info=v16.IdTagInfo(status="Accepted"))
    system.send(
        "CP1", v16.SendLocalList(list_version=9, update_type="Full", local_authorization_list=(entry,))
    ).result()
    until(lambda: system.store.collections.local_lists.get("CP1"), "the list is known")
    assert system.push_local_list("CP1").kind == ""


def test_the_cache_is_cleared_if_that_is_asked_for(system, charge_point, tags):
    tags("T1")
    assert system.push_local_list("CP1").cache is None
    charge_point.authorize("T1")
    charge_point.charging.authorization.cache["T5"] = v16.IdTagInfo(status="Accepted")
    assert system.push_local_list("CP1", clear_cache=True).cache.response.status == "Accepted"
    assert charge_point.charging.authorization.cache == {}


def test_lists_that_are_not_supported_are_said_so(system, charge_point, tags):
    charge_point.configuration.set("LocalAuthListEnabled", "false")
    tags("T1")
    update = system.push_local_list("CP1")
    assert (update.in_step, update.tickets[0].response.status) == (False, "NotSupported")
    assert system.store.collections.local_lists.get("CP1").version == -1
    charge_point.configuration.set("LocalAuthListEnabled", "true")
    update = system.push_local_list("CP1")
    assert (update.in_step, update.kind, update.version) == (True, "Full", 2)


def test_one_that_is_away_is_not_in_step(system, tags):
    tags("T1")
    update = system.push_local_list("CP9", clear_cache=True)
    assert (update.in_step, update.tickets[0].state, update.cache.state) == (
        False,
        "never_sent",
        "never_sent",
    )
    assert system.store.collections.local_lists.get("CP9") is None


def test_tags_that_are_too_long_are_left_out(system, charge_point, tags):
    tags("T1", "x" * 21)
    update = system.push_local_list("CP1")
    assert (update.left_out, held(charge_point)) == (1, {"T1": "Accepted"})


def test_one_list_at_a_time_is_on_its_way(system, charge_point, tags):
    tags("T1")
    answer, refused = charge_point.answers["SendLocalList"], []

    def meanwhile(request):
        with contextlib.suppress(LocalListSyncRunning):
            system.push_local_list("CP1")
            return answer(request)
        refused.append(request)
        return answer(request)

    charge_point.answers["SendLocalList"] = meanwhile
    assert system.push_local_list("CP1").in_step
    assert len(refused) == 1
    assert system.push_local_list("CP1", full=True).in_step


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_below_1_is_an_error(system, limit):
    with pytest.raises(ValueError, match="at least 1"):
        system.push_local_list("CP1", local_list_limit=limit)


def test_a_system_that_does_not_run_says_so(system, tags):
    tags("T1")
    system.stop()
    with pytest.raises(RuntimeError, match="not running"):
        system.push_local_list("CP1")


def test_a_system_that_stops_ends_it(system, tags, charge_point):
    tags("T1")
    asked, free = Event(), Event()

    def wait(_):
        asked.set()
        free.wait()

    charge_point.answers["SendLocalList"] = wait
    update = gevent.spawn(system.push_local_list, "CP1")
    assert asked.wait(60)
    system.stop()
    assert not update.get(timeout=60).in_step
    free.set()


# As a verb


def numbered(system):
    known = system.store.collections.local_lists.get("CP1")
    return 0 if known is None else known.version


def test_the_verb_returns_the_ticket_of_what_is_sent_then(system, charge_point, tags, sent):
    tags("T1")
    ticket = system.sync_local_list("CP1")
    tags("T2")  # entered before it is sent
    assert ticket.result().status == "Accepted"
    assert (ticket.action, ticket.request.list_version) == ("SendLocalList", 1)
    assert held(charge_point) == {"T1": "Accepted", "T2": "Accepted"}
    until(lambda: numbered(system) == 1)
    tags("T3")
    assert system.sync_local_list("CP1").result().status == "Accepted"
    assert sent == [("Full", 1, 2), ("Differential", 2, 1)]
    until(lambda: numbered(system) == 2)
    assert system.sync_local_list("CP1", full=True).result().status == "Accepted"
    assert sent[2:] == [("Full", 3, 3)]


def test_the_verb_asks_a_list_that_is_in_step_for_its_version(system, charge_point, tags, sent):
    tags("T1")
    system.push_local_list("CP1")
    ticket = system.sync_local_list("CP1")
    assert (ticket.result().list_version, ticket.action) == (1, "GetLocalListVersion")
    charge_point.charging.authorization.list._version = 40  # another back office was here
    assert system.sync_local_list("CP1").result().list_version == 40
    until(lambda: numbered(system) == 41)
    assert sent == [("Full", 1, 1), ("Full", 41, 1)]


def test_the_parts_behind_that_of_the_ticket_follow_by_themselves(system, charge_point, tags, sent):
    tags(*(f"T{number}" for number in range(120)))
    assert system.sync_local_list("CP1").result().status == "Accepted"
    until(lambda: len(sent) == 3)
    assert sent == [("Full", 1, 50), ("Differential", 2, 50), ("Differential", 3, 20)]
    until(lambda: numbered(system) == 3)
    assert len(held(charge_point)) == 120


def test_a_differential_of_the_verb_that_is_declined_is_followed_by_one_full(
    system, charge_point, tags, sent
):
    tags("T1")
    system.push_local_list("CP1")
    charge_point.configuration.set("SendLocalListMaxLength", "0")
    tags("T2")
    assert system.sync_local_list("CP1").result().status == "Failed"
    until(lambda: len(sent) == 3)
    assert system.send("CP1", v16.ClearCache()).wait(60)
    assert [kind for kind, *_ in sent] == ["Full", "Differential", "Full"]


def test_a_verb_that_waited_sends_the_tags_of_when_the_charge_point_is_back(system, tags):
    tags("T1")
    with ChargePoint(f"ws://127.0.0.1:{system.port}/ocpp", "CP1"):
        pass
    until(lambda: not system.charge_point("CP1").connected)
    ticket = system.sync_local_list("CP1", when_offline="queue")
    until(lambda: ticket.state in (TicketState.QUEUED, TicketState.HELD))
    tags("T2")
    with ChargePoint(f"ws://127.0.0.1:{system.port}/ocpp", "CP1") as charge_point:
        assert ticket.result().status == "Accepted"
        assert held(charge_point) == {"T1": "Accepted", "T2": "Accepted"}


def test_a_station_of_2_0_1_has_the_verb_too(system, tags):
    tags("T1")
    with Station(f"ws://127.0.0.1:{system.port}/ocpp", "ST1"):
        ticket = system.sync_local_list("ST1")
        assert ticket.result().status == v201.SendLocalListStatus.ACCEPTED
        assert isinstance(ticket.request, v201.SendLocalList)


# What it is believed to hold, and what a charge point makes of the changes

ids = st.sampled_from(["T1", "t1", "T2", "T3", "T4"])
facts = st.tuples(
    st.sampled_from(["Accepted", "Blocked"]), st.sampled_from([None, EXPIRY]), st.sampled_from(["", "P"])
)


def stored(drawn):
    """Return tags as the collection has them: one of each, whatever its spelling."""
    return list(
        {
            id_tag.lower(): Tag(id_tag=id_tag, status=status, expiry=expiry, parent=parent)
            for id_tag, (status, expiry, parent) in drawn.items()
        }.values()
    )


def changed(believed, drawn):
    """Return the content of a differential update."""
    return [
        change
        for change in LOCAL_LISTS.changes(believed.tags, map(entry, stored(drawn)))
        if change is not None
    ]


@given(st.dictionaries(ids, facts), st.dictionaries(ids, facts))
def test_the_changes_make_the_list_that_there_is_the_one_that_is_wanted(before, after):
    there = LocalAuthorizationList(Configuration({}))

    def take(version, kind, entries):
        request = v16.SendLocalList(
            list_version=version, update_type=kind, local_authorization_list=tuple(entries)
        )
        assert there.update(request) == "Accepted"

    def wire():
        return {id_tag: as_sent(info) for id_tag, info in there.tags.items()}

    take(1, "Full", map(entry, stored(before)))
    believed = Believed(charge_point_id="CP1", version=1, changed_at=EXPIRY, tags=wire())
    take(2, "Differential", changed(believed, after))
    wanted = {tag.id_tag.lower(): as_sent(entry(tag).id_tag_info) for tag in stored(after)}
    assert {id_tag.lower(): info for id_tag, info in wire().items()} == wanted
    assert len(wire()) == len(wanted)
    again = Believed(charge_point_id="CP1", version=2, changed_at=EXPIRY, tags=wire())
    assert changed(again, after) == []


# -- OCPP 2.0.1


@pytest.fixture
def station(system):
    with Station(f"ws://127.0.0.1:{system.port}/ocpp", "CP2") as station:
        yield station


def listed(station):
    return {token: str(info.status) for (token, _), info in station.charging.authorization.listed.items()}


def test_a_station_of_2_0_1_gets_all_tags_then_changes_then_nothing(system, station, tags):
    tags("T1", "T2", "T3")
    tags("B1", status="NoCredit", expiry=EXPIRY, parent="FLEET")
    update = system.push_local_list("CP2", clear_cache=True)
    assert (update.kind, update.entries, update.version, update.in_step) == ("Full", 4, 1, True)
    assert update.cache.response.status == "Accepted"
    believed = system.store.collections.local_lists.get("CP2")
    assert (believed.ocpp, believed.certain) == ("2.0.1", True)
    assert believed.tags["B1 ISO14443"] == {
        "status": "NoCredit",
        "cacheExpiryDateTime": "2030-01-01T00:00:00Z",
        "groupIdToken": {"idToken": "FLEET", "type": "Central"},
    }
    tags("T1", status="Blocked")
    system.store.collections.tags.remove("t2")
    update = system.push_local_list("CP2")
    assert (update.kind, update.entries, update.version) == ("Differential", 2, 2)
    assert listed(station) == {"t1": "Blocked", "t3": "Accepted", "b1": "NoCredit"}
    assert system.push_local_list("CP2").kind == ""
    assert system.send("CP2", v201.GetLocalListVersion()).result().version_number == 2
    assert system.push_local_list("CP2").kind == ""


def test_a_charge_point_that_comes_back_with_another_version_gets_all_tags(system, charge_point, tags):
    tags("T1")
    assert system.push_local_list("CP1").version == 1
    charge_point.close()
    with Station(f"ws://127.0.0.1:{system.port}/ocpp", "CP1") as station:
        update = system.push_local_list("CP1")
        assert (update.kind, update.version, update.in_step) == ("Full", 2, True)
        assert listed(station) == {"t1": "Accepted"}


@given(st.dictionaries(ids, facts), st.dictionaries(ids, facts))
def test_changes_of_2_0_1_make_the_list_that_is_wanted(before, after):
    adapter = v201.VERSION.local_lists

    def after_list(known, number, entries, *, full):
        request = adapter.update(number, list(entries), full)
        ticket = Ticket("1", "CP1", "SendLocalList", request, encode(request), timeout_s=1, created_at=0)
        ticket.state, ticket.response = TicketState.ANSWERED, v201.SendLocalListResponse(status="Accepted")
        return after_sending(known, ticket, EXPIRY)

    believed = after_list(None, 1, map(adapter.entry, stored(before)), full=True)
    changes = [one for one in adapter.changes(believed.tags, map(adapter.entry, stored(after))) if one]
    if changes:
        believed = after_list(believed, 2, changes, full=False)
    wanted = {
        adapter.key(one).lower(): as_sent(adapter.info(one)) for one in map(adapter.entry, stored(after))
    }
    assert {name.lower(): info for name, info in believed.tags.items()} == wanted
    assert not any(adapter.changes(believed.tags, map(adapter.entry, stored(after))))


def test_of_the_tags_of_one_text_each_version_lists_those_that_it_can_tell_apart(
    system, charge_point, station, tags
):
    tags("T1", id_type="ISO14443", status="Blocked")
    tags("T1", id_type="eMAID", status="Expired")
    tags("T1")
    tags("T2", id_type="KeyCode", language="en", message="Hello")
    assert system.push_local_list("CP1").in_step
    assert held(charge_point) == {"T1": "Accepted", "T2": "Accepted"}
    assert system.push_local_list("CP2").entries == 3
    believed = system.store.collections.local_lists.get("CP2").tags
    assert {name: info["status"] for name, info in believed.items()} == {
        "T1 ISO14443": "Blocked", "T1 eMAID": "Expired", "T2 KeyCode": "Accepted"
    }  # fmt: skip
    assert believed["T2 KeyCode"]["personalMessage"]["content"] == "Hello"
    assert (system.push_local_list("CP1").kind, system.push_local_list("CP2").kind) == ("", "")


@pytest.fixture
def limited(system):
    """Connect a station with these limits of its local list."""
    with contextlib.ExitStack() as stack:

        def limited(items, size_bytes=None):
            variables = {"LocalAuthListCtrlr.ItemsPerMessage": str(items)}
            if size_bytes is not None:
                variables["LocalAuthListCtrlr.BytesPerMessage"] = str(size_bytes)
            station = Station(f"ws://127.0.0.1:{system.port}/ocpp", "CP2", variables=variables)
            stack.enter_context(station)
            until(lambda: station.ready, "it is accepted")
            return station

        yield limited


def entries_of(system):
    return [
        len(ticket.request.local_authorization_list or ())
        for ticket in reversed(system.tickets("CP2"))
        if ticket.action == "SendLocalList"
    ]


def test_a_station_of_2_0_1_gets_no_more_tags_in_a_message_than_it_says(system, limited, tags):
    station = limited(3)
    tags(*[f"T{number}" for number in range(8)])
    update = system.push_local_list("CP2", timeout_s=5)
    assert (update.in_step, entries_of(system), len(listed(station))) == (True, [3, 3, 2], 8)
    assert system.push_local_list("CP2", full=True, local_list_limit=7, timeout_s=5).in_step
    assert entries_of(system)[3:] == [3, 3, 2]


def test_a_station_of_2_0_1_gets_no_larger_list_in_a_message_than_it_says(system, limited, tags):
    station = limited(100, 500)
    tags(*[f"T{number}" for number in range(8)])
    assert system.push_local_list("CP2", timeout_s=5).in_step
    assert len(listed(station)) == 8
    payloads = [len(one.payload) for one in system.tickets("CP2") if one.action == "SendLocalList"]
    assert len(payloads) > 1
    assert max(payloads) <= 500


def test_the_verb_asks_how_much_a_station_takes_when_it_has_refused_a_list(system, limited, tags):
    station = limited(3)
    tags(*[f"T{number}" for number in range(8)])
    assert system.sync_local_list("CP2").result().status == v201.SendLocalListStatus.FAILED
    until(lambda: len(listed(station)) == 8, "the list is in step")
    assert entries_of(system) == [8, 3, 3, 2]
