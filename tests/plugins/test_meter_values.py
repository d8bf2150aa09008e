"""Meter values are stored byte for byte as they were sent, with flags for the parts that could not be used."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chargehand import UNKNOWN_TRANSACTION, v16
from chargehand.plugins.back_office import BackOffice
from chargehand.plugins.kept_messages import FLAGS
from chargehand.protocol.session import SessionRules
from chargehand.testing import Stage, StubStore

from ..actors.messages_of_v16 import METER_VALUES, START, STOP, TIME

SAMPLE = {"value": "12.5", "unit": "kWh", "measurand": "Energy.Active.Import.Register"}
ELEMENT = {"timestamp": TIME, "sampledValue": [SAMPLE]}


@pytest.fixture
def charge_point(make):
    return make().connect("CP1")


def deliver(charge_point, action, payload):
    """Send a call with exactly these bytes as payload; return the answer's type, or None."""
    charge_point.send(b'[2,"1","%b",%b]' % (action.encode(), payload))
    return next((frame[0] for frame in charge_point.take()), None)


def send(charge_point, *elements, **members):
    payload = json.dumps({"connectorId": 1, "meterValue": elements, **members}).encode()
    assert deliver(charge_point, "MeterValues", payload) == 3
    return payload


# As they were sent


@pytest.mark.parametrize(
    "payload",
    [
        b'{"connectorId":1,"transactionId":7,"meterValue":[%b]}' % json.dumps(ELEMENT).encode(),
        b'{ "meterValue" : [%b ] ,\n"connectorId":1,"transactionId":7}' % json.dumps(ELEMENT).encode(),
        b'{"connectorId":1,"transactionId":7,"vendor":{"x":[1e2,null]},"meterValue":[%b]}'
        % json.dumps(ELEMENT).encode(),
        b'{"connectorId":1,"transactionId":7,"meterValue":[{"timestamp":"%b","sampledValue":'
        b'[{"value":12.50,"format":"SignedData","signingMethod":"x","publicKey":"\\u0000"}]}]}'
        % TIME.encode(),
    ],
)
def test_a_message_is_kept_byte_for_byte(charge_point, store, payload):
    assert deliver(charge_point, "MeterValues", payload) == 3
    (reading,) = store.readings_of("CP1")
    assert (reading.values, reading.connector_id, reading.version) == (payload, 1, "1.6")


@pytest.mark.parametrize(
    "slip",
    [b'"v":"\\ud800",', b'"v":"a\0b",', b'"v":[1,],', b'\x01"v":2,', b'"v":"\x1f\\"]",', b'"v":{"x":1 , } ,'],
)
@pytest.mark.parametrize("around", [b"%b", b"\0%b\0", b"\xef\xbb\xbf%b\r\n", b" %b ,"])
def test_the_payload_of_a_frame_that_had_to_be_mended_is_kept_as_it_was_sent(
    charge_point, store, slip, around
):
    charge_point.call("StartTransaction", START)
    payload = b'{%b"transactionId":1,"connectorId":1,"meterValue":[%b]}' % (
        slip,
        json.dumps(ELEMENT).encode(),
    )
    frame = b'[2, "\\"id" ,"MeterValues",%b]' % (around if around.endswith(b",") else b"%b") % payload
    charge_point.send(frame if around.endswith(b",") else around % frame)
    assert charge_point.take() == [[3, '"id', {}]]
    (reading,) = store.meter_readings(1)
    assert reading.values == payload
    assert reading.flags[0].startswith("frame has ")
    assert store.dead_letters() == []
    (sample,) = v16.VERSION.samples(reading.values).samples
    assert sample.value == 12500
    assert json.loads(v16.VERSION.meter_values(reading.values)) == [ELEMENT]


def test_what_was_mended_is_flagged_with_its_value(charge_point, store):
    send(charge_point, {**ELEMENT, "sampledValue": [{"value": 12}]}, transactionId=7, vendor=[1])
    (reading,) = store.readings_of("CP1")
    assert reading.flags[1:] == (
        "meterValue[0].sampledValue[0].value is not a string: 12",
        "vendor is not a member of this object: [1]",
    )
    assert store.dead_letters() == []


def test_only_so_many_deviations_are_flagged_one_by_one(charge_point, store):
    send(charge_point, {**ELEMENT, "sampledValue": [{"value": n} for n in range(FLAGS + 5)]}, transactionId=7)
    (reading,) = store.readings_of("CP1")
    assert len(reading.flags) == FLAGS + 2
    assert reading.flags[-1] == "5 more deviations"


def test_values_are_kept_once_and_other_bytes_are_other_values(charge_point, store):
    for value in ("1", "1", "2", "1"):
        send(charge_point, {**ELEMENT, "sampledValue": [{"value": value}]}, transactionId=7)
    assert len(store.readings_of("CP1")) == 2


# What cannot be used


@pytest.mark.parametrize(
    "bad",
    [
        {"sampledValue": [SAMPLE]},
        {**ELEMENT, "timestamp": ""},
        {**ELEMENT, "timestamp": None},
        {**ELEMENT, "timestamp": "28.11.2026 02:00"},
        {**ELEMENT, "sampledValue": [{}]},
        {**ELEMENT, "sampledValue": {"value": "5"}},
        "reading",
    ],
)
def test_a_part_that_cannot_be_used_makes_a_dead_letter_of_its_transaction(charge_point, store, bad):
    charge_point.call("StartTransaction", START)
    payload = send(charge_point, bad, ELEMENT, transactionId=1)
    (reading,) = store.meter_readings(1)
    assert reading.values == payload
    (letter,) = store.transaction_dead_letters(1)
    assert letter.payload == payload
    assert "meterValue[0]" in letter.why
    assert letter.why in reading.flags
    assert store.spooled() == []


@pytest.mark.parametrize(
    "sample",
    [
        {"value": "unknown"}, {"value": "1,5"}, {"value": "1 500"}, {"value": "0x10"}, {"value": "NaN"},
        {"value": "9" * 60}, {"value": "-Infinity"}, {"value": "16", "unit": "A"},
    ],
)  # fmt: skip
def test_a_value_without_a_deviation_that_is_no_figure_makes_a_dead_letter(charge_point, store, sample):
    charge_point.call("StartTransaction", START)
    payload = send(charge_point, ELEMENT, {**ELEMENT, "sampledValue": [SAMPLE, sample]}, transactionId=1)
    (letter,) = store.transaction_dead_letters(1)
    assert (letter.payload, letter.why in store.meter_readings(1)[0].flags) == (payload, True)
    assert "meterValue[1].sampledValue[1]" in letter.why
    data = [{**ELEMENT, "sampledValue": [sample]}]
    charge_point.call("StopTransaction", {**STOP, "transactionData": data})
    assert "transactionData[0].sampledValue[0]" in store.transaction_dead_letters(1)[1].why


def test_signed_data_and_other_units_are_no_dead_letters(charge_point, store):
    samples = [
        {"value": "OCMF|{}", "format": "SignedData"}, {"value": "230", "unit": "V", "measurand": "Voltage"},
        {"value": "1e3"}, {"value": "-0.5", "unit": "kWh"}, {"value": " 7 "},
    ]  # fmt: skip
    send(charge_point, {**ELEMENT, "sampledValue": samples}, transactionId=7)
    assert store.dead_letters() == []


def test_what_the_strict_policy_refuses_is_a_dead_letter_of_its_transaction(store, now):
    rules = SessionRules(version=v16.VERSION, strict=True)
    with Stage(BackOffice.spec(store, now=now), store=store, rules=rules) as stage:
        one, other = stage.connect("CP1"), stage.connect("CP2")
        one.call("StartTransaction", START)
        for sender in (other, one):
            sender.call("StopTransaction", {**STOP, "transactionId": 1, "meterStop": "200"})
        (letter,) = store.transaction_dead_letters(1)
        assert letter.charge_point_id == "CP1"
        assert len(store.dead_letters()) == 2


# Stops that are kept whole


@pytest.mark.parametrize(
    "members",
    [
        b'"transactionData":{"a":[1.50]}',
        b'"transactionData":"none"',
        b'"transactionData":[%b],"transactionData":[]' % json.dumps(ELEMENT).encode(),
        b'"vendorSignature":"%b"' % (b"s" * 600),
    ],
)
def test_a_stop_of_which_figures_and_flags_do_not_say_all_is_kept_whole(charge_point, store, members):
    charge_point.call("StartTransaction", START)
    payload = json.dumps(STOP).encode()[:-1] + b"," + members + b"}"
    assert deliver(charge_point, "StopTransaction", payload) == 3
    assert not store.transaction(1).open
    (reading,) = store.meter_readings(1)
    assert reading.values == payload


def test_transaction_data_that_is_no_list_is_a_dead_letter_of_the_closed_transaction(charge_point, store):
    charge_point.call("StartTransaction", START)
    charge_point.call("StopTransaction", {**STOP, "transactionData": {"value": "5"}})
    assert not store.transaction(1).open
    assert [one.why for one in store.transaction_dead_letters(1)] == [
        "cannot be used: transactionData: is not a list"
    ]


def test_a_start_with_a_long_unknown_member_is_kept_whole(charge_point, store):
    payload = json.dumps({**START, "vendor": "v" * 600}).encode()
    for _ in range(2):
        assert deliver(charge_point, "StartTransaction", payload) == 3
    (reading,) = store.meter_readings(1)
    assert reading.values == payload


def test_transaction_data_that_cannot_be_used_makes_a_dead_letter_too(charge_point, store):
    charge_point.call("StartTransaction", START)
    data = [{"sampledValue": [SAMPLE]}, ELEMENT]
    charge_point.call("StopTransaction", {**STOP, "transactionData": data})
    (letter,) = store.transaction_dead_letters(1)
    assert "transactionData[0]" in letter.why
    (reading,) = store.meter_readings(1)
    assert reading.values == letter.payload
    assert not store.transaction(1).open


def test_what_belongs_to_no_transaction_makes_a_dead_letter_of_none(charge_point, store):
    send(charge_point, {"sampledValue": [SAMPLE]}, transactionId=2**31 - 1)
    (letter,) = store.dead_letters()
    assert letter.transaction_id is None


# Whose they are


@pytest.mark.parametrize("action", ["MeterValues", "StopTransaction"])
def test_what_names_a_transaction_of_another_charge_point_is_a_dead_letter(make, store, action):
    stage = make()
    first, second = stage.connect("CP1"), stage.connect("CP2")
    first.call("StartTransaction", START)
    payload = {**METER_VALUES, "transactionId": 1} if action == "MeterValues" else {**STOP, "idTag": "T1"}
    for _ in range(2):
        assert second.call(action, payload)[0] == 3
    letter = store.dead_letters()[0]
    assert (letter.charge_point_id, letter.transaction_id) == ("CP2", None)
    assert letter.why == "transaction 1 is one of CP1"
    assert (store.transaction(1).open, store.transaction(1).flags) == (True, ())
    assert store.meter_readings(1) == []


@pytest.mark.parametrize("number", [None, 0, -16, 77, 2**31 - 1, 2**63 - 1])
def test_what_names_no_known_transaction_is_listed_with_its_charge_point(charge_point, store, number):
    more = {} if number is None else {"transactionId": number}
    send(charge_point, ELEMENT, **more)
    (reading,) = store.readings_of("CP1")
    assert (reading.transaction_id, reading.connector_id) == (number, 1)
    assert store.dead_letters() == []


def test_what_named_a_number_before_it_was_given_out_is_not_of_that_transaction(charge_point, store):
    send(charge_point, ELEMENT, transactionId=1)
    charge_point.call("StartTransaction", START)
    assert store.meter_readings(1, charge_point_id="CP1") == []
    (reading,) = store.readings_of("CP1")
    assert reading.flags == (UNKNOWN_TRANSACTION,)
    send(charge_point, {**ELEMENT, "sampledValue": [{"value": "13"}]}, transactionId=1)
    assert len(store.meter_readings(1, charge_point_id="CP1")) == 1


# Whatever is sent

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
SAMPLES = st.fixed_dictionaries(
    {"value": st.from_regex(r"-?[0-9]{1,8}(\.[0-9]{1,3})?", fullmatch=True) | JSON},
    optional={
        "context": st.sampled_from(["Transaction.Begin", "Transaction.End", "x"]) | JSON,
        "measurand": st.sampled_from([*v16.Measurand, "x"]) | JSON,
        "unit": st.sampled_from([*v16.UnitOfMeasure, "x"]) | JSON,
        "vendor": JSON,
    },
)
ELEMENTS = st.fixed_dictionaries(
    {"sampledValue": st.lists(SAMPLES, max_size=3) | JSON},
    optional={"timestamp": st.sampled_from([TIME, "", "20260101T000000Z", "soon"]) | JSON, "vendor": JSON},
)
READINGS = st.fixed_dictionaries(
    {"connectorId": st.integers(0, 3), "meterValue": st.lists(ELEMENTS | JSON, max_size=3)},
    optional={"transactionId": st.integers(-2, 3) | JSON, "vendor": JSON},
)
STOPS = st.fixed_dictionaries(
    {
        "meterStop": st.integers(0, 500) | JSON,
        "timestamp": st.just(TIME) | JSON,
        "transactionId": st.integers(-2, 3) | JSON,
        "transactionData": st.lists(ELEMENTS | JSON, min_size=1, max_size=3),
    },
    optional={"idTag": st.sampled_from(["T1", "", "T2"]) | JSON, "reason": JSON, "vendor": JSON},
)


@given(
    message=st.tuples(st.just("MeterValues"), READINGS) | st.tuples(st.just("StopTransaction"), STOPS),
    strict=st.booleans(),
    spaced=st.booleans(),
)
@settings(deadline=None)
def test_what_was_acknowledged_is_kept_as_it_was_sent(message, strict, spaced):
    action, members = message
    payload = json.dumps(members, separators=(" , ", " : ") if spaced else (",", ":")).encode()
    store = StubStore()
    with Stage(
        BackOffice.spec(store), store=store, rules=SessionRules(version=v16.VERSION, strict=strict)
    ) as stage:
        charge_point = stage.connect("CP1")
        charge_point.call("StartTransaction", START)
        stage.connect("CP2").call("StartTransaction", {**START, "idTag": "T2"})
        kind = deliver(charge_point, action, payload)
    readings = {one.values for one in store.readings_of("CP1", without_transaction=False)}
    letters = {one.payload for one in store.dead_letters()}
    assert kind in (3, 4)
    assert kind == 3 or strict
    if kind == 3:
        assert payload in readings | letters
        assert readings | letters == {payload}
    else:
        assert (readings, letters) == (set(), {payload})
    assert all(one.charge_point_id == "CP1" for one in store.dead_letters())


def test_a_value_that_is_used_in_no_figure_may_be_any_text(charge_point, store):
    charge_point.call("StartTransaction", START)
    sample = {"value": "n/a", "measurand": "Voltage", "unit": "V"}
    payload = send(charge_point, {**ELEMENT, "sampledValue": [SAMPLE, sample]}, transactionId=1)
    assert [one.values for one in store.meter_readings(1)] == [payload]
    assert store.transaction_dead_letters(1) == []
