"""Properties of sessions for every frame, in both roles, under both policies, with any registration."""

import json
import re
from itertools import product

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from chargehand.protocol import v16, v201
from chargehand.protocol.actions import Sender
from chargehand.protocol.errors import ErrorCode
from chargehand.protocol.frames import NumericId
from chargehand.protocol.outgoing import Outgoing
from chargehand.protocol.payload import build
from chargehand.protocol.session import (
    Answered,
    Declined,
    Ignored,
    Incoming,
    RefusedCall,
    Registration,
    Session,
    SessionRules,
)

# The same examples on every machine, and however slow it is.
patient = settings(
    deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
ROLES = (Sender.CHARGE_POINT, Sender.CENTRAL_SYSTEM)
REGISTRATIONS = (None, *Registration)
OURS = {
    ("1.6", Sender.CHARGE_POINT): v16.GetConfiguration(key=("a",)),
    ("1.6", Sender.CENTRAL_SYSTEM): v16.Authorize(id_tag="T1"),
    ("2.0.1", Sender.CHARGE_POINT): v201.GetLocalListVersion(),
    ("2.0.1", Sender.CENTRAL_SYSTEM): v201.Authorize(id_token=v201.IdToken(id_token="T1", type="Local")),
}
"""Command by the version and the side that receives frames."""

ON_WIRE = "ours-1"
LIKE_AN_ANSWER = re.compile(rb"[\x00-\x20\xef\xbb\xbf]*\[\s*\"?[34](?![0-9.eE])")
TIME = "2026-01-01T00:00:00Z"
SCHEDULE = {
    "chargingRateUnit": "A",
    "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 16.1, "numberPhases": 3}],
}
PROFILE = {
    "chargingProfileId": 1,
    "stackLevel": 0,
    "chargingProfilePurpose": "TxProfile",
    "chargingProfileKind": "Relative",
    "chargingSchedule": SCHEDULE,
}
SAMPLE = {"value": "1.5", "measurand": "Energy.Active.Import.Register", "unit": "Wh"}
READINGS = [{"timestamp": TIME, "sampledValue": [SAMPLE]}]
EVENT = {
    "eventType": "Updated",
    "timestamp": TIME,
    "triggerReason": "MeterValuePeriodic",
    "seqNo": 1,
    "transactionInfo": {"transactionId": "t", "chargingState": "Charging"},
    "evse": {"id": 1, "connectorId": 1},
    "idToken": {"idToken": "T", "type": "ISO14443"},
    "meterValue": [{"timestamp": TIME, "sampledValue": [{"value": 1.5, "unitOfMeasure": {"multiplier": 3}}]}],
    "customData": {"vendorId": "V", "more": [1.5]},
}
EVENT_DATA = {
    "eventId": 1,
    "timestamp": TIME,
    "trigger": "Alerting",
    "actualValue": "1",
    "eventNotificationType": "CustomMonitor",
    "component": {"name": "C", "evse": {"id": 1}},
    "variable": {"name": "V"},
}
LOG = {"remoteLocation": "ftp://host/a", "oldestTimestamp": TIME}
VALID = [
    [2, "1", "Authorize", {"idTag": "T1"}],
    [2, "1", "BootNotification", {"chargePointVendor": "V", "chargePointModel": "M"}],
    [2, "1", "StartTransaction", {"connectorId": 1, "idTag": "T", "meterStart": 0, "timestamp": TIME}],
    [2, "1", "StopTransaction", {"transactionId": 1, "meterStop": 5, "timestamp": TIME}],
    [2, "1", "MeterValues", {"connectorId": 1, "transactionId": 1, "meterValue": READINGS}],
    [2, "1", "StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": "Available"}],
    [2, "1", "ChangeConfiguration", {"key": "HeartbeatInterval", "value": "5"}],
    [2, "1", "RemoteStartTransaction", {"idTag": "T1", "connectorId": 1, "chargingProfile": PROFILE}],
    [2, "1", "SetChargingProfile", {"connectorId": 1, "csChargingProfiles": PROFILE}],
    [2, "1", "GetLog", {"logType": "SecurityLog", "requestId": 1, "log": LOG}],
    [2, "1", "DataTransfer", {"vendorId": "V", "data": "{}"}],
    [3, ON_WIRE, {"idTagInfo": {"status": "Accepted"}}],
    [3, ON_WIRE, {"configurationKey": [{"key": "a", "readonly": False, "value": "1"}]}],
    [4, ON_WIRE, "OccurenceConstraintViolation", "why", {"a": 1}],
    [2, "1", "BootNotification", {"reason": "PowerUp", "chargingStation": {"vendorName": "V", "model": "M"}}],
    [2, "1", "TransactionEvent", EVENT],
    [2, "1", "NotifyEvent", {"generatedAt": TIME, "seqNo": 0, "eventData": [EVENT_DATA]}],
    [2, "1", "DataTransfer", {"vendorId": "V", "data": [{"a": None}, 1.5]}],
    [2, "1", "Reset", {"type": "OnIdle", "customData": {"vendorId": "V", "x": 1}}],
    [3, ON_WIRE, {"idTokenInfo": {"status": "Accepted"}}],
    [3, ON_WIRE, {"versionNumber": 5}],
]

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=30)
    | st.sampled_from([TIME, "T1", "1", "Accepted", "A" * 600, 10**30]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=20), inner, max_size=4),
    max_leaves=12,
)
LONE_SURROGATE = "\ud800"
"""Lone surrogate: Python writes it as JSON, and no reader of Unicode accepts it."""

IDS = st.sampled_from(["1", ON_WIRE, "", "ä" * 255, "a" * 256]) | st.text(max_size=40)
NAMES = st.sampled_from([*v16.VERSION.actions, *v201.VERSION.actions, "NoSuchAction", ""]) | st.text(
    max_size=60
)


def sessions(version):
    """Make a session for every role, policy and registration, each with a command of its own on the wire."""
    for receives, strict, registration in product(ROLES, (False, True), REGISTRATIONS):
        rules = SessionRules(version=version, receives=receives, strict=strict)
        session = Session(rules, "ours-", registration)
        request = OURS[version.name, receives]
        action = version.row_of(request)
        session.submit(Outgoing(object(), action, request, build(action.request, request), 30.0))
        if session.next_call(0.0) is None:
            session.registration = Registration.ACCEPTED
            session.next_call(0.0)
            session.registration = registration
        assert session.calls.on_wire.unique_id == ON_WIRE
        yield session


def heard(data):
    """Return the results of all sessions of OCPP 1.6 for a frame, after the check of the properties of all versions."""
    results_of(v201.VERSION, data)
    return results_of(v16.VERSION, data)


def results_of(version, data):
    events = []
    codes = {str(version.spell(code)) for code in ErrorCode}
    for session in sessions(version):
        event = session.receive(data, 5.0)
        events.append(event)
        if isinstance(event, RefusedCall):
            answer = json.loads(event.frame)
            assert len(answer) == 5
            assert answer[0] == 4
            assert answer[2] in codes
            assert len(answer[3]) <= 255
            assert not session.incoming
        elif isinstance(event, Incoming):
            assert list(session.incoming) == [event]
            frame = json.loads(session.answer(event, b"{}"))
            quoted = not isinstance(event.unique_id, NumericId)
            assert frame == [3, event.unique_id if quoted else json.loads(event.unique_id), {}]
        else:
            assert isinstance(event, Answered | Declined | Ignored)
            assert not session.incoming
        ours_ended = isinstance(event, Answered | Declined)
        assert (session.calls.on_wire is None) == ours_ended
        if LIKE_AN_ANSWER.match(data):
            assert not isinstance(event, RefusedCall | Incoming)
        else:
            assert not ours_ended
    return events


def compact(value):
    return json.dumps(value, separators=(",", ":")).encode()


# Anything at all


@patient
@given(st.text())
def test_no_text_raises(text):
    heard(text.encode())


@patient
@given(st.binary().map(lambda data: data.decode(errors="ignore").encode()))
@example(b"\xef\xbb\xbf[2]")
@example(b'[2,"1","Heartbeat",{}]\x00')
def test_no_valid_utf8_raises(data):
    heard(data)


@patient
@given(JSON)
def test_no_json_raises(value):
    heard(compact(value))


@patient
@given(st.integers() | st.sampled_from([2, 3, 4, 2.0, True, "2"]), st.lists(JSON | IDS | NAMES, max_size=6))
def test_no_array_raises(kind, rest):
    heard(compact([kind, *rest]))


# Frames


@patient
@given(IDS, NAMES, JSON)
@example("1", "Heartbeat", {})
@example("1", "MeterValues", None)
@example("1", "Authorize", {"idTag": LONE_SURROGATE})
@example("1", LONE_SURROGATE, {})
def test_a_call_that_can_be_read_is_taken_or_refused_under_its_own_id(unique_id, name, payload):
    for event in heard(compact([2, unique_id, name, payload])):
        if len(unique_id) > 255:
            assert isinstance(event, Ignored)
        elif isinstance(event, RefusedCall):
            assert json.loads(event.frame)[1] == unique_id
        else:
            assert event.unique_id == unique_id


@patient
@given(st.sampled_from([3, 4]), IDS, st.lists(JSON, max_size=4))
@example(3, ON_WIRE, [])
@example(4, ON_WIRE, [])
def test_an_answer_ends_the_call_with_its_id_and_no_other(kind, unique_id, rest):
    for event in heard(compact([kind, unique_id, *rest])):
        # One without an id is that of the only command there is.
        assert isinstance(event, Ignored) == (unique_id not in (ON_WIRE, ""))


@patient
@given(st.text(max_size=255), st.sampled_from(["", ",", ',"Heartbeat"', ',"Heartbeat",{', ',"A",{"a":}]']))
@example("😀" * 255, ",")
@example("ä" * 255, ',"MeterValues",{"transactionId":,')
def test_a_broken_call_is_a_formation_violation_under_its_own_id(unique_id, rest):
    # Both ways of writing an id: as it is, and with everything escaped that can be.
    for escaped in (True, False):
        written = json.dumps(unique_id, ensure_ascii=escaped)
        for event in heard(f"[2,{written}{rest}".encode()):
            answer = json.loads(event.frame)
            assert (answer[1], answer[2]) == (unique_id, "FormationViolation")


def test_an_answer_that_cannot_be_read_ends_its_call():
    for kind in (3, 4):
        assert Ignored not in {type(event) for event in heard(compact([kind, ON_WIRE, LONE_SURROGATE]))}


@patient
@given(st.text(), st.integers(7) | st.sampled_from([0, 1, True, None, "x", [], {}]), JSON)
def test_a_session_of_ocpp_2_0_1_answers_what_is_no_frame_with_an_error(text, kind, rest):
    for data in (compact([kind, "1", rest]), compact([2]), compact({"a": text})):
        for event in results_of(v201.VERSION, data):
            assert isinstance(event, RefusedCall)
            assert json.loads(event.frame)[2] in ("RpcFrameworkError", "MessageTypeNotSupported")


# Valid frames, spoilt


@st.composite
def garbled(draw):
    """Draw valid frames with some bytes removed, inserted, flipped, or cut off; the result is still UTF-8."""
    data = bytearray(compact(draw(st.sampled_from(VALID))))
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(data)))
        kind = draw(st.sampled_from(["out", "in", "flip", "cut"]))
        if kind == "in":
            data[place:place] = draw(st.sampled_from([b'"', b",", b"[", b"}", b"\\", b"null", b" ", b"0"]))
        elif kind == "cut":
            del data[place:]
        elif kind == "out":
            del data[place : place + draw(st.integers(1, 5))]
        elif place < len(data):
            data[place] ^= 1 << draw(st.integers(0, 6))
    return bytes(data).decode(errors="ignore").encode()


@settings(patient, max_examples=300)
@given(garbled())
def test_a_garbled_frame_is_survived(data):
    heard(data)


def paths(value, path=()):
    """Return the paths of all values inside a value."""
    yield path
    members = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, inner in members:
        yield from paths(inner, (*path, key))


def replaced(value, path, new):
    """Return a copy of a value with another one at one path."""
    if not path:
        return new
    copy = value.copy()
    copy[path[0]] = replaced(value[path[0]], path[1:], new)
    return copy


def at(value, path):
    for step in path:
        value = value[step]
    return value


def swapped(value):
    """Return a number as text, a text as a number, a list for an object."""
    if isinstance(value, dict):
        return [value]
    if isinstance(value, list):
        return value[0] if value else {}
    if isinstance(value, str):
        return len(value) + 0.5
    return json.dumps(value)


@st.composite
def misshapen(draw):
    """Draw valid frames with some values replaced: of the wrong kind, missing, or anything."""
    frame = draw(st.sampled_from(VALID))
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from([path for path in paths(frame) if path] or [()]))
        old = at(frame, path)
        new = draw(st.sampled_from([swapped(old), None, [], {}, -1, "", 2**31, 1e300, LONE_SURROGATE]) | JSON)
        frame = replaced(frame, path, new)
        if not isinstance(frame, list):
            break
    return frame


@settings(patient, max_examples=300)
@given(misshapen())
@example(["3", LONE_SURROGATE, {}])
@example(["2", LONE_SURROGATE, "Heartbeat", {}])
@example(["5", LONE_SURROGATE, {}])
def test_a_misshapen_frame_is_survived(frame):
    heard(compact(frame))


@st.composite
def repeated(draw):
    """Draw valid frames in whose objects members come twice, the second time with any value."""
    frame = draw(st.sampled_from(VALID))
    text = compact(frame).decode()
    holders = [
        path for path in paths(frame) if path and isinstance(at(frame, path), dict) and at(frame, path)
    ]
    holder = at(frame, draw(st.sampled_from(holders)))
    name = draw(st.sampled_from(sorted(holder)))
    more = f"{json.dumps(name)}:{json.dumps(draw(JSON | st.just(holder[name])))}"
    written = compact(holder).decode()
    before = draw(st.booleans())
    return text.replace(
        written, f"{{{more},{written[1:]}" if before else f"{written[:-1]},{more}}}", 1
    ).encode()


@patient
@given(repeated())
def test_members_that_come_twice_are_survived(data):
    heard(data)


@pytest.mark.parametrize("depth", [10, 500, 2_000, 100_000])
@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_a_deep_nest_is_survived(opening, depth):
    closing = b"]" if opening == b"[" else b"}"
    nest = opening * depth + b"1" + closing * depth
    heard(nest)
    heard(b'[2,"1","DataTransfer",{"vendorId":"V","data":' + nest + b"}]")
    heard(b'[3,"ours-1",' + nest + b"]")
    heard(b'[4,"ours-1","GenericError","",' + nest + b"]")
    heard(b'[2,"1",' + nest + b",{}]")
    heard(b'[2,"1","Heartbeat",' + opening * depth)
