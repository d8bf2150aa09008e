"""Transactions and answers of OCPP 2.0.1: events in any order, late, lost and again, and the energy that they tell."""

import datetime as dt
import json
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chargehand import Call, MemoryStore, Plugin, StoreError, Tag, TransactionFilter, passive, v201
from chargehand.plugins import missing_events, transactions_201
from chargehand.plugins.back_office_201 import BackOffice201
from chargehand.plugins.reports_201 import Reports201
from chargehand.protocol.energy import Limits
from chargehand.protocol.session import SessionRules
from chargehand.protocol.versions import VERSIONS
from chargehand.store.store import Receipt, RowRefused
from chargehand.system.assessment import Assessment
from chargehand.testing import Stage, StubStore

from ..hub import settle, until
from ..integration.smallest import smallest_payload

START = dt.datetime(2025, 12, 31, 23, 0, tzinfo=dt.UTC)
TOKEN = {"idToken": "T1", "type": "ISO14443"}


def at(minutes):
    return (START + dt.timedelta(minutes=minutes)).isoformat().replace("+00:00", "Z")


def reading(minutes, wh, context="Sample.Periodic", **sampled):
    return {"timestamp": at(minutes), "sampledValue": [{"value": wh, "context": context, **sampled}]}


def event(kind, seq, minutes=None, reason="MeterValuePeriodic", state=None, stopped=None, **more):
    info = {"transactionId": "tx-1", "chargingState": state, "stoppedReason": stopped}
    info["remoteStartId"] = more.pop("remoteStartId", None)
    return {
        "eventType": kind,
        "timestamp": at(seq if minutes is None else minutes),
        "triggerReason": reason,
        "seqNo": seq,
        "transactionInfo": {key: value for key, value in info.items() if value is not None},
        **more,
    }


def started(seq=0, **more):
    given_ = {"evse": {"id": 2, "connectorId": 1}, "idToken": TOKEN, "reason": "Authorized", **more}
    return event("Started", seq, meterValue=[reading(seq, 1000, "Transaction.Begin")], **given_)


def updated(seq, wh=None, **more):
    values = {} if wh is None else {"meterValue": [reading(seq, wh)]}
    return event("Updated", seq, **values, **more)


def ended(seq, wh=None, **more):
    values = {} if wh is None else {"meterValue": [reading(seq, wh, "Transaction.End")]}
    return event("Ended", seq, reason="EVDeparted", stopped="EVDisconnected", **values, **more)


@pytest.fixture
def store():
    return StubStore()


@pytest.fixture
def make(store):
    stages = []

    def make(store=store, **options):
        rules = SessionRules(version=v201.VERSION)
        now = lambda: START  # noqa: E731
        office = BackOffice201.spec(store, now=now, **{"ask_after_s": 0.0, **options})
        stage = Stage(office, Reports201.spec(store), store=store, rules=rules)
        stage.start()
        stages.append(stage)
        return stage

    yield make
    for stage in stages:
        stage.stop()


@pytest.fixture
def station(make):
    return make().connect("CP1")


@pytest.fixture
def send(station):
    def send(payload, unique_id=""):
        kind, _, answer = station.call("TransactionEvent", payload, unique_id)
        assert kind == 3, answer
        return answer

    return send


def energy(store, number=1):
    return Assessment(store, VERSIONS, Limits()).assessed(store.transaction(number))


def codes(known):
    return [finding.split(":")[0] for finding in known.findings]


def test_a_transaction_is_one_record_with_the_id_of_its_station(send, store):
    assert send(started()) == {"idTokenInfo": {"status": "Accepted"}}
    assert send(updated(1, 1500, state="Charging")) == {}
    known = store.transaction(1)
    assert (known.remote_id, known.evse_id, known.connector_id) == ("tx-1", 2, 2)
    assert (known.id_tag, known.charging_state, known.open) == ("T1", "Charging", True)
    assert (known.version, known.meter_start, known.started_at) == ("2.0.1", None, START)
    send(ended(2, 2500))
    known = energy(store)
    assert (known.open, known.stop_reason, known.stopped_at) == (
        False, "EVDisconnected", START + dt.timedelta(minutes=2)
    )  # fmt: skip
    assert (known.energy_wh, known.energy_source, known.findings) == (1500, "register_readings", ())


class SharedStub(StubStore):
    """Store in which another node has begun transactions a moment before; None if it does not."""

    others_write = True
    begun = None

    def start_transaction(self, transaction):
        if self.begun is None or transaction.id == self.begun:
            return super().start_transaction(transaction)
        if self.remote_transaction(transaction.charge_point_id, transaction.remote_id) is None:
            other = msgspec.structs.replace(transaction, id=self.begun, id_tag="")
            MemoryStore.start_transaction(self, other)
        return Receipt(done=True, error=RowRefused("it has another number"))


@pytest.mark.parametrize(
    "first", [started(), updated(1, 1500), ended(2, 2500)], ids=lambda one: one["eventType"]
)
def test_a_transaction_that_another_node_has_begun_a_moment_before_is_one_record(first, make):
    store = SharedStub()
    store.begun = 1000
    station = make(store=store).connect("CP1")
    for payload in (first, started(), updated(1, 1500), ended(2, 2500)):
        assert station.call("TransactionEvent", payload)[0] == 3
    (known,) = store.transactions()
    assert (known.id, known.id_tag, known.open) == (1000, "T1", False)
    assert energy(store, 1000).energy_wh == 1500
    assert len(store.meter_readings(1000)) == 3
    assert store.readings_of("CP1") == store.spooled() == []


def test_a_new_transaction_that_cannot_be_stored_among_nodes_is_spooled(make):
    store = SharedStub()
    station = make(store=store).connect("CP1")
    failing = lambda _: Receipt(done=True, error=RowRefused("of no reason"))  # noqa: E731
    store.start_transaction = failing
    assert station.call("TransactionEvent", started())[0] == 3
    assert len(store.spooled()) == 1
    assert store.transactions() == []


@pytest.mark.parametrize("order", [(2, 0, 1), (2, 1, 0), (1, 0, 2), (1, 2, 0), (0, 2, 1)], ids=str)
def test_events_may_come_in_any_order(order, send, store):
    events = [started(), updated(1, 1500, state="Charging"), ended(2, 2500)]
    for index in order:
        send(events[index])
    (known,) = store.transactions()
    known = energy(store, known.id)
    assert (known.id_tag, known.evse_id, known.started_at) == ("T1", 2, START)
    assert (known.open, known.energy_wh, known.flags) == (False, 1500, ())
    assert known.stopped_at == START + dt.timedelta(minutes=2)


@pytest.mark.parametrize("first", ["Started", "Updated", "Ended"])
def test_an_event_that_comes_again_is_answered_and_changes_nothing(first, send, store):
    events = {"Started": started(), "Updated": updated(1, 1500, idToken=TOKEN), "Ended": ended(2, 2500)}
    sent = events[first]
    answer = send(sent, "one")
    before = store.transactions(), store.meter_readings(1)
    assert send(sent, "another") == answer
    assert send({**sent, "offline": True}, "third") == answer
    assert send(dict(reversed(sent.items())), "fourth") == answer
    assert (store.transactions(), store.meter_readings(1)) == before


def test_the_same_key_with_another_payload_is_kept_and_is_a_finding(send, store):
    send(started())
    send(updated(1, 1500))
    send(updated(1, 1600))
    send(ended(2, 2500))
    assert len(store.meter_readings(1)) == 4
    assert codes(energy(store)) == ["events_differ"]


def test_seq_no_0_for_ever_is_no_repeat_and_no_hole(send, store):
    send(started())
    send({**updated(1, 1500), "seqNo": 0})
    send({**updated(2, 1700), "seqNo": 0})
    send({**ended(3, 2500), "seqNo": 0})
    assert len(store.meter_readings(1)) == 4
    assert (energy(store).energy_wh, codes(energy(store))) == (1500, [])


def test_an_end_without_a_start_is_a_flagged_transaction(send, store):
    send(ended(5, 2500))
    (known,) = store.transactions(TransactionFilter(flagged_only=True))
    assert (known.open, known.flags, known.id_tag) == (False, ("its start has not come",), "")


def test_an_end_that_differs_stands_beside_the_first(send, store):
    send(started())
    send(ended(1, 2500))
    send(ended(2, 2600))
    known = store.transaction(1)
    assert [one.stopped_at for one in known.other_stops] == [START + dt.timedelta(minutes=2)]
    assert known.stopped_at == START + dt.timedelta(minutes=1)


def test_evse_and_token_may_come_late_and_once(send, store):
    send(event("Started", 0, reason="CablePluggedIn"))
    assert (store.transaction(1).id_tag, store.transaction(1).evse_id) == ("", None)
    assert send(updated(1, reason="Authorized", idToken=TOKEN, evse={"id": 3})) == {
        "idTokenInfo": {"status": "Accepted"}
    }
    send(updated(2, 1500))
    known = store.transaction(1)
    assert (known.id_tag, known.evse_id, known.connector_id) == ("T1", 3, 3)
    assert [one.id for one in store.open_on_connector("CP1", 3)] == [1]
    assert not store.open_on_connector("CP1", 0)


def test_the_token_that_stops_is_answered_and_is_not_that_of_the_start(send, store):
    store.collections.tags.put(Tag(id_tag="T2", status="NoCredit", parent="FLEET"))
    send(started())
    token = {"idToken": "T2", "type": "Central"}
    answer = send(updated(1, reason="StopAuthorized", idToken=token))
    assert answer["idTokenInfo"] == {
        "status": "NoCredit", "groupIdToken": {"idToken": "FLEET", "type": "Central"}
    }  # fmt: skip
    send(ended(2, 2500, idToken=token))
    known = store.transaction(1)
    assert (known.id_tag, known.stop_id_tag) == ("T1", "T2")


@pytest.mark.parametrize(
    ("status", "answer"),
    [("Blocked", "Blocked"), ("NotAtThisTime", "NotAtThisTime"), ("Whatever", "Invalid")],
)
def test_a_token_is_answered_as_its_tag_is_and_again_in_the_same_way(status, answer, send, store):
    store.collections.tags.put(Tag(id_tag="t1", status=status))
    assert send(started())["idTokenInfo"]["status"] == answer
    store.collections.tags.put(Tag(id_tag="t1"))
    assert send(started())["idTokenInfo"]["status"] == answer
    assert store.transaction(1).verdict == answer


def test_an_unknown_token_and_none_at_all(make):
    station = make(accept_all_tags=False).connect("CP1")
    for token, status in ((TOKEN, "Unknown"), ({"idToken": "", "type": "NoAuthorization"}, "Accepted")):
        assert station.call("Authorize", {"idToken": token})[2] == {"idTokenInfo": {"status": status}}


def test_a_certificate_is_not_accepted_unseen(station):
    answer = station.call("Authorize", {"idToken": TOKEN, "certificate": "PEM"})[2]
    assert answer == {"idTokenInfo": {"status": "Invalid"}, "certificateStatus": "NoCertificateAvailable"}


def test_a_token_that_charges_already_is_concurrent(make):
    station = make(concurrent_transactions=False).connect("CP1")
    assert station.call("TransactionEvent", started())[2]["idTokenInfo"]["status"] == "Accepted"
    other = started(evse={"id": 1})
    other["transactionInfo"] = {"transactionId": "tx-2"}
    assert station.call("TransactionEvent", other)[2]["idTokenInfo"]["status"] == "ConcurrentTx"


@pytest.mark.parametrize(
    ("kind", "status"), [("ISO14443", "Blocked"), ("eMAID", "NoCredit"), ("Central", "Accepted")]
)
def test_one_text_under_two_types_is_two_tokens(kind, status, send, store):
    for tag in (
        Tag(id_tag="t1"),
        Tag(id_tag="T1", id_type="ISO14443", status="Blocked"),
        Tag(id_tag="T1", id_type="eMAID", status="NoCredit"),
    ):
        store.collections.tags.put(tag)
    token = {"idToken": "T1", "type": kind}
    assert send(started(idToken=token))["idTokenInfo"]["status"] == status
    assert (store.transaction(1).id_type, store.transaction(1).verdict) == (kind, status)


def test_a_token_of_another_type_is_not_concurrent(make):
    station = make(concurrent_transactions=False).connect("CP1")
    for name, kind in (("tx-1", "ISO14443"), ("tx-2", "eMAID"), ("tx-3", "eMAID")):
        payload = started(evse={"id": int(name[-1])}, idToken={"idToken": "T1", "type": kind})
        payload["transactionInfo"] = {"transactionId": name}
        status = station.call("TransactionEvent", payload)[2]["idTokenInfo"]["status"]
        assert status == ("ConcurrentTx" if name == "tx-3" else "Accepted")


def test_a_driver_is_told_in_words_how_long_and_by_which_group(station, store):
    store.collections.tags.put(
        Tag(id_tag="T1", parent="FLEET", expiry=START + dt.timedelta(1), language="nl", message="Welkom")
    )
    assert station.call("Authorize", {"idToken": TOKEN})[2]["idTokenInfo"] == {
        "status": "Accepted",
        "cacheExpiryDateTime": "2026-01-01T23:00:00Z",
        "language1": "nl",
        "groupIdToken": {"idToken": "FLEET", "type": "Central"},
        "personalMessage": {"format": "UTF8", "language": "nl", "content": "Welkom"},
    }
    store.collections.tags.put(Tag(id_tag="T1", expiry=START))
    assert station.call("Authorize", {"idToken": TOKEN})[2]["idTokenInfo"]["status"] == "Expired"


@pytest.mark.parametrize("kind", ["Updated", "Ended"])
@pytest.mark.parametrize(
    ("stops", "doubt"), [("T1", ""), ("T2", ""), ("T3", "T3"), ("MASTER", ""), ("UNKNOWN", "UNKNOWN")]
)
def test_a_stop_by_a_token_of_another_group_is_doubtful(stops, doubt, kind, make, store):
    tags = {"T1": "FLEET", "T2": "fleet", "T3": "OTHER", "MASTER": "PASS"}
    for id_tag, parent in tags.items():
        store.collections.tags.put(Tag(id_tag=id_tag, parent=parent))
    station = make(master_pass_group="pass").connect("CP1")
    station.call("TransactionEvent", started())
    token = {"idToken": stops, "type": "ISO14443"}
    stop = (
        ended(1, 2500, idToken=token)
        if kind == "Ended"
        else updated(1, reason="StopAuthorized", idToken=token)
    )
    assert station.call("TransactionEvent", stop)[2]["idTokenInfo"]["status"] == "Accepted"
    assert store.transaction(1).flags == (
        (f"it was stopped with {doubt}, whose parent is not the same",) if doubt else ()
    )


def test_a_master_pass_is_accepted_with_its_group_and_starts_nothing(make, store):
    store.collections.tags.put(Tag(id_tag="T1", parent="PASS"))
    station = make(master_pass_group="PASS").connect("CP1")
    info = station.call("Authorize", {"idToken": TOKEN})[2]["idTokenInfo"]
    assert info == {"status": "Accepted", "groupIdToken": {"idToken": "PASS", "type": "Central"}}
    assert station.call("TransactionEvent", started())[2]["idTokenInfo"] == {**info, "status": "Invalid"}
    assert store.transaction(1).verdict == "Invalid"


class Contracts(Plugin):
    """Accepts one certificate, and asks the back office about the token."""

    @passive(v201.Authorize)
    def authorize(self, call: Call[v201.Authorize]) -> v201.AuthorizeResponse:
        if call.request.certificate != "GOOD":
            return call.pass_on()
        token = call.pass_on(msgspec.structs.replace(call.request, certificate=None))
        return msgspec.structs.replace(token, certificate_status=v201.AuthorizeCertificateStatus.ACCEPTED)


def test_a_plugin_checks_the_certificate_and_the_back_office_the_token(store):
    store.collections.tags.put(Tag(id_tag="T1", status="Blocked"))
    office = BackOffice201.spec(store, now=lambda: START)
    with Stage(Contracts, office, store=store, rules=SessionRules(version=v201.VERSION)) as stage:
        station = stage.connect("CP1")
        answers = [
            station.call("Authorize", {"idToken": TOKEN, "certificate": certificate})[2]
            for certificate in ("GOOD", "BAD")
        ]
    assert answers == [
        {"idTokenInfo": {"status": "Blocked"}, "certificateStatus": "Accepted"},
        {"idTokenInfo": {"status": "Invalid"}, "certificateStatus": "NoCertificateAvailable"},
    ]


class Blocking(Plugin):
    """Blocks every token, and has events answered by the next plugin."""

    @passive(v201.Authorize)
    def authorize(self, _: Call[v201.Authorize]) -> v201.AuthorizeResponse:
        info = v201.IdTokenInfo(status=v201.AuthorizationStatus.BLOCKED)
        return v201.AuthorizeResponse(id_token_info=info)

    @passive(v201.TransactionEvent)
    def transaction_event(self, call: Call[v201.TransactionEvent]) -> v201.TransactionEventResponse:
        return call.pass_on()


def test_a_shadow_plugin_is_compared_and_answers_nothing(store):
    plugins = [Blocking.spec(shadow=True), BackOffice201.spec(store, now=lambda: START)]
    with Stage(*plugins, store=store, rules=SessionRules(version=v201.VERSION)) as stage:
        station = stage.connect("CP1")
        assert station.call("Authorize", {"idToken": TOKEN})[2]["idTokenInfo"]["status"] == "Accepted"
        assert station.call("TransactionEvent", started())[2]["idTokenInfo"]["status"] == "Accepted"
        until(lambda: stage.counts["shadow_same"] == stage.counts["shadow_differs"] == 1, "the comparison")
    assert len(store.transactions()) == 1


def test_there_is_no_answer_before_all_is_durable(make, store):
    stage = make()
    station = stage.connect("CP1")
    store.hold()
    assert station.call("TransactionEvent", started()) is None
    store.settle()
    stage.settle()
    assert [frame[0] for frame in station.take()] == [3]


def test_a_first_begin_of_0_that_was_not_read_is_left_out(send, store):
    first = started()
    first["meterValue"] = [reading(0, 0, "Transaction.Begin")]
    send(first)
    send(updated(1, 8_000_000))
    send(ended(2, 8_000_500))
    assert (energy(store).energy_wh, codes(energy(store))) == (500, ["meter_start_zero"])


def test_signed_values_are_kept_as_they_came(send, store):
    signed = {
        "signedMeterData": "T0NNRg==", "signingMethod": "", "encodingMethod": "OCMF", "publicKey": ""
    }  # fmt: skip
    payload = ended(1)
    payload["meterValue"] = [reading(1, 1200, "Transaction.End", signedMeterValue=signed)]
    send(payload)
    (kept,) = store.meter_readings(1)
    assert json.loads(kept.values) == payload


@pytest.mark.parametrize("missing", [(), (2,), (1, 2, 3)])
def test_the_station_is_asked_once_for_events_that_are_missing(missing, make):
    stage = make()
    station = stage.connect("CP1")
    for one in [started(3), *(updated(3 + seq, 1000 + seq) for seq in range(1, 5) if seq not in missing)]:
        station.call("TransactionEvent", one)
    station.call("TransactionEvent", ended(8, 1500))
    station.call("TransactionEvent", ended(8, 1500))
    settle()
    stage.settle()
    asked = [frame for frame in station.take() if frame[0] == 2]
    assert [frame[2:] for frame in asked] == (
        [["GetTransactionStatus", {"transactionId": "tx-1"}]] if missing else []
    )


def asked(station):
    return [frame[2:] for frame in station.take() if frame[0] == 2]


def test_a_question_outlives_the_process_and_is_asked_once(make, store):
    station = make(ask_after_s=1e6).connect("CP1")
    for one in (started(), updated(2), ended(4)):
        station.call("TransactionEvent", one)
    assert len(store.collections.status_queries) == 1
    for answers in (1, 0):  # another process, and one after that
        stage = make()
        station = stage.connect("CP1")
        settle()
        stage.settle()
        assert asked(station) == [["GetTransactionStatus", {"transactionId": "tx-1"}]] * answers
    assert not len(store.collections.status_queries)


def test_a_question_waits_for_a_station_that_is_away(make, store, monkeypatch):
    stage = make(ask_after_s=0.02)
    station = stage.connect("CP1")
    station.call("TransactionEvent", started())
    station.call("TransactionEvent", ended(4))
    station.close(1000)
    looked, find = [], stage.charge_point
    monkeypatch.setattr(stage, "charge_point", lambda id_: looked.append(id_) or find(id_))
    until(lambda: looked, "the time of the question")
    assert len(store.collections.status_queries) == 1
    station = stage.connect("CP1")
    until(lambda: station.frames, "the question")
    assert asked(station) == [["GetTransactionStatus", {"transactionId": "tx-1"}]]


def test_nothing_is_asked_or_stored_of_events_without_a_hole(make, store):
    station = make(ask_after_s=1e6).connect("CP1")
    for one in (started(3), updated(4), updated(4), updated(5), ended(6)):
        station.call("TransactionEvent", one)
    assert not len(store.collections.status_queries)


def test_the_questions_to_one_station_are_limited(make, store, monkeypatch):
    monkeypatch.setattr(missing_events, "QUERIES", 3)
    station = make(ask_after_s=1e6).connect("CP1")
    for number in range(5):
        end = ended(4)
        end["transactionInfo"] = {"transactionId": f"tx-{number}"}
        station.call("TransactionEvent", end)
    assert [one.remote_id for one in store.collections.status_queries] == ["tx-2", "tx-3", "tx-4"]


@pytest.mark.parametrize("row", v201.VERSION.actions.values(), ids=lambda row: row.name)
def test_every_message_of_a_station_has_an_answer(row, station):
    if row.sender.name == "CENTRAL_SYSTEM":
        return
    kind, _, payload = station.call(row.name, smallest_payload(f"{row.name}Request"))
    assert (kind, set(payload)) == (
        3,
        set(payload) & set(smallest_payload(f"{row.name}Response")) | set(payload),
    )


def test_an_end_without_a_time_that_can_be_read_is_the_same_when_it_comes_again(send, store):
    send(started())
    for unique_id in ("one", "another"):
        send({**ended(1, 2500), "timestamp": "noon"}, unique_id)
    known = store.transaction(1)
    assert (known.open, known.other_stops) == (False, ())


# -- Energy against a model ------------------------------------------------------------------------

FORMS = st.sampled_from(["wh", "kwh", "multiplier", "phases"])


def sampled(wh, form, context):
    register = {"context": context, "measurand": "Energy.Active.Import.Register"}
    if form == "kwh":
        return [{"value": wh / 1000, "unitOfMeasure": {"unit": "kWh"}, **register}]
    if form == "multiplier":
        return [{"value": wh / 100, "unitOfMeasure": {"unit": "Wh", "multiplier": 2}, **register}]
    return [{"value": wh, **register}]


@given(
    st.lists(st.integers(1, 500), min_size=2, max_size=12).flatmap(
        lambda steps: st.tuples(
            st.just(steps),
            st.lists(
                st.sampled_from(["wh", "kwh", "multiplier"]), min_size=len(steps) + 1, max_size=len(steps) + 1
            ),
            st.lists(st.integers(0, 3), min_size=len(steps) - 1, max_size=len(steps) - 1),
            st.randoms(use_true_random=False),
        )
    )
)
@settings(max_examples=60, deadline=None)
def test_energy_is_that_of_a_model_whatever_comes_late_twice_or_never(made):
    steps, forms, copies, random = made
    registers = [10_000]
    for step in steps:
        registers.append(registers[-1] + step)
    last = len(steps)
    contexts = ["Transaction.Begin", *["Sample.Periodic"] * (last - 1), "Transaction.End"]
    events = []
    for seq, (wh, form, context) in enumerate(zip(registers, forms, contexts, strict=True)):
        base = started() if seq == 0 else ended(seq) if seq == last else updated(seq)
        base["meterValue"] = [{"timestamp": at(seq), "sampledValue": sampled(wh, form, context)}]
        times = 1 if seq in (0, last) else copies[seq - 1]
        events += [base] * times
    random.shuffle(events)
    store = MemoryStore()
    office = BackOffice201.spec(store, now=lambda: START, ask_after_s=1e6)
    with Stage(office, store=store, rules=SessionRules(version=v201.VERSION)) as stage:
        station = stage.connect("CP1")
        for one in events:
            assert station.call("TransactionEvent", one)[0] == 3
    (known,) = store.transactions()
    found = Assessment(store, VERSIONS, Limits()).assessed(known)
    # The model: the register at the end less that at the beginning; each event once, holes as they are.
    assert (found.open, found.energy_wh) == (False, registers[-1] - registers[0])
    different = {one["seqNo"] for one in events}
    assert len(store.meter_readings(known.id)) == len(different)
    assert ("events_missing" in codes(found)) is (len(different) <= last)
    assert Decimal(str(found.supported_energy_wh)) == registers[-1] - registers[0]


@pytest.mark.parametrize(
    "sampled",
    [
        {"unitOfMeasure": {"unit": "W"}},
        {"unitOfMeasure": {"unit": "parsec"}},
        {"unitOfMeasure": {"multiplier": 31}},
        {"value": 10**16},
        {"measurand": "Power.Active.Import", "unitOfMeasure": {"unit": "kWh"}},
    ],
)
def test_an_event_with_a_value_that_cannot_be_used_is_kept_and_named(sampled, send, store):
    payload = updated(1, 1000)
    payload["meterValue"][0]["sampledValue"].append({"value": 1, **sampled})
    assert send(started())["idTokenInfo"]["status"] == "Accepted"
    assert send(payload) == {}
    (letter,) = store.dead_letters()
    assert letter.why.startswith("cannot be used: meterValue[0].sampledValue[1]: ")
    assert len(store.meter_readings(1)) == 2


SAMPLES = st.fixed_dictionaries(
    {"value": st.integers(-(10**16), 10**16) | st.decimals(-1000, 1000, places=3).map(float)},
    optional={
        "measurand": st.sampled_from([str(one) for one in v201.Measurand]),
        "unitOfMeasure": st.fixed_dictionaries(
            {},
            optional={
                "unit": st.sampled_from(["Wh", "kWh", "WH", "W", "kW", "MWh", "A", ""]),
                "multiplier": st.integers(-40, 40),
            },
        ),
    },
)


@given(st.lists(SAMPLES, min_size=1, max_size=3))
def test_what_seems_usable_is_usable(samples):
    payload = updated(1, meterValue=[{"timestamp": at(1), "sampledValue": samples}])
    data = json.dumps(payload).encode()
    request = v201.TransactionEvent.__decoder__.decode(data)
    if transactions_201._seem_usable(request.meter_value):
        assert not v201.VERSION.samples(data).unusable


def test_a_state_is_stored_again_until_it_is_durable(make, store, monkeypatch):
    stage = make()
    station = stage.connect("CP1")
    assert station.call("TransactionEvent", started())[0] == 3
    stored = []
    update = store.update_transaction
    monkeypatch.setattr(store, "update_transaction", lambda one: stored.append(one) or update(one))
    store.hold()
    station.call("TransactionEvent", updated(1, state="Charging"))
    assert len(stored) == 1
    store.settle(StoreError("the disk is full"))
    store.work()
    stage.settle()
    station.take()
    for seq in (2, 3):
        assert station.call("TransactionEvent", updated(seq, state="Charging"))[0] == 3
        assert [one.charging_state for one in stored] == ["Charging", "Charging"]


def test_a_boot_with_the_members_of_1_6_registers_a_station_all_the_same(station, store):
    kind, _, answer = station.call(
        "BootNotification", {"chargePointVendor": "V", "chargePointModel": "M", "firmwareVersion": "1"}
    )
    assert (kind, answer["status"]) == (3, "Accepted")
    (kept,) = store.events(charge_point_id="CP1", kind="boot")
    assert kept.data["chargePointModel"] == "M"


def test_an_end_in_another_unit_than_its_updates_is_a_finding_and_takes_nothing_away(send, store):
    send(started())
    send(updated(1, meterValue=[reading(1, 12.5, unitOfMeasure={"unit": "kWh"})]))
    send(ended(2, 12_600 / 1000))
    assert codes(energy(store)) == ["register_falls"]
    assert energy(store).energy_wh == 11_500
