"""Frames: from bytes to messages, and back."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chargehand.protocol import frames
from chargehand.protocol.errors import ErrorCode
from chargehand.protocol.frames import (
    BrokenAnswer,
    BrokenCall,
    CallFrame,
    ErrorFrame,
    Junk,
    ResultFrame,
    read,
)

LONG_ID = "x" * 255

# Reading what is whole


@pytest.mark.parametrize("spaced", [False, True])
def test_a_call_is_its_id_its_action_and_its_raw_payload(spaced):
    text = '[2, "a", "Heartbeat", {"b" : [1, 2]}]' if spaced else '[2,"a","Heartbeat",{"b":[1,2]}]'
    frame = read(text.encode())
    assert isinstance(frame, CallFrame)
    assert (frame.unique_id, frame.action) == ("a", "Heartbeat")
    assert json.loads(frame.payload) == {"b": [1, 2]}


def test_the_quick_way_reads_the_same():
    kind, unique_id, action, payload = frames.decode_call(b'[2,"a","Heartbeat",{"b":1}]')
    assert (kind, unique_id, action, bytes(payload)) == (2, "a", "Heartbeat", b'{"b":1}')


def test_a_result_is_its_id_and_its_raw_payload():
    assert read(b'[3,"a",{"b":1}]') == ResultFrame("a", b'{"b":1}')


@pytest.mark.parametrize(
    ("rest", "expected"),
    [
        ('"C","text",{"d":1}', ("C", "text", {"d": 1})),
        ('"C","text"', ("C", "text", {})),
        ('"C"', ("C", "", {})),
        ('"C","text",{"d":1},"more"', ("C", "text", {"d": 1})),
        ("5,6,7", ("", "", {})),
        ('"C",null,[]', ("C", "", {})),
    ],
)
def test_an_error_has_three_to_five_elements_and_what_is_missing_is_empty(rest, expected):
    assert read(f'[4,"a",{rest}]'.encode()) == ErrorFrame("a", *expected)


def test_a_call_with_three_elements_is_a_formation_violation():
    frame = read(b'[2,"a","Heartbeat"]')
    assert frame == BrokenCall("a", ErrorCode.FORMATION_VIOLATION, "a CALL has 4 elements, this one 3")


@pytest.mark.parametrize("text", ['[2,"a"]', '[2,"a","A",{},5]', '[2,"a","A",{},{},{}]'])
def test_a_call_with_another_number_of_elements_is_a_formation_violation(text):
    frame = read(text.encode())
    assert isinstance(frame, BrokenCall)
    assert (frame.unique_id, frame.code) == ("a", ErrorCode.FORMATION_VIOLATION)


@pytest.mark.parametrize("action", ["5", "null", "{}", "[]", "true"])
def test_an_action_that_is_no_string_is_a_type_constraint_violation(action):
    frame = read(f'[2,"a",{action},{{}}]'.encode())
    assert (frame.unique_id, frame.code) == ("a", ErrorCode.TYPE_CONSTRAINT_VIOLATION)


# Ids


@pytest.mark.parametrize("unique_id", ["", "a", "äöü😀", 'a"b', "a\\b", "a\nb", LONG_ID])
def test_ids_of_up_to_255_characters_are_taken_and_echoed(unique_id):
    data = json.dumps([2, unique_id, "A", {}]).encode()
    assert read(data).unique_id == unique_id
    assert json.loads(frames.result(unique_id, b"{}"))[1] == unique_id


def test_a_longer_one_is_not():
    assert read(json.dumps([2, LONG_ID + "x", "A", {}]).encode()) == Junk("message id too long")
    assert read(json.dumps([2, LONG_ID + "x", "A", {}])[:-3].encode()) == Junk("broken call")


@pytest.mark.parametrize("unique_id", ["5", "null", "{}", "[]"])
def test_a_call_whose_id_is_no_string_is_junk(unique_id):
    assert read(f"[2,{unique_id},1,2]".encode()) == Junk("no message id")


@pytest.mark.parametrize("unique_id", ["5", "null", "{}", "[]"])
@pytest.mark.parametrize("kind", [3, 4])
def test_an_answer_whose_id_is_no_string_is_a_broken_one(kind, unique_id):
    assert read(f"[{kind},{unique_id},1,2]".encode()) == BrokenAnswer("")


@pytest.mark.parametrize("text", ['[3,"",{}]', '[4,"","GenericError","",{}]'])
def test_an_answer_with_an_empty_id_is_a_broken_one(text):
    assert read(text.encode()) == BrokenAnswer("")


@pytest.mark.parametrize("kind", ['"3"', "3.0", '"4"', "4e0"])
def test_an_answer_whose_type_is_no_integer_is_a_broken_one(kind):
    assert read(f'[{kind},"a",{{}}]'.encode()) == BrokenAnswer("a")


# What is broken


@pytest.mark.parametrize(
    "text",
    [
        '[2,"a","A",{"b":}]',
        '[2,"a","A",{"b":1',
        '[2,"a","A"',
        '[2,"a',
        '[2,"a","A",{"b":"\\q"}]',
        '[2,"a","MeterValues",{"transactionId":,"b":1}]',
        '[2,"a","A",{}] trailing',
        ' [ 2 , "a" , "A" , {',
        '[2,"a","A",' + "[" * 100_000,
        '[2,"a","A",{"a":NaN}]',
    ],
)
def test_a_broken_call_keeps_its_id_if_that_is_whole(text):
    frame = read(text.encode())
    if text == '[2,"a':
        assert frame == Junk("broken call")
    else:
        assert (frame.unique_id, frame.code) == ("a", ErrorCode.FORMATION_VIOLATION)


@pytest.mark.parametrize(
    "text", ['[2,5,"A",{', '[2,"a\\', "[2", "[2,", '[2,"\\q","A",{', '[2,"\\ud800","A",{']
)
def test_a_broken_call_without_a_whole_id_cannot_be_answered(text):
    assert read(text.encode()) == Junk("broken call")


@pytest.mark.parametrize(
    ("text", "unique_id"),
    [
        ("[3", ""),
        ('[3,"a"', "a"),
        ('[4,"a","C",', "a"),
        (" [ 3 ,", ""),
        ('[3,"a",{}] more', "a"),
        ("[3]", ""),
        ('["3","a",{', "a"),
        ('["4","\\ud800","C",{}]', ""),
        (' [ "3" , 5, {', ""),
        ('["3"', ""),
    ],
)
def test_a_broken_answer_tells_its_id_if_that_is_whole(text, unique_id):
    assert read(text.encode()) == BrokenAnswer(unique_id)


@pytest.mark.parametrize("text", ["pong", "PONG", '"pong"', "pong\r\n"])
def test_the_word_pong_as_text_is_known(text):
    assert read(text.encode()) == Junk("pong as text", None)


@pytest.mark.parametrize(
    ("text", "unique_id"),
    [
        ("[1,2]", ""),
        ('[7,"a"]', "a"),
        ('[7,"a"', ""),
        ('["2","a","A",{}]', "a"),
        ('[2.0,"a","A",{}]', "a"),
        ('[true,"a"]', "a"),
        ("[null]", ""),
        ("[[2]]", ""),
        (f'[7,"{LONG_ID}x"]', ""),
    ],
)
def test_another_message_type_is_junk_that_names_its_id_and_its_error(text, unique_id):
    assert read(text.encode()) == Junk(
        "unknown message type", ErrorCode.MESSAGE_TYPE_NOT_SUPPORTED, unique_id
    )


@pytest.mark.parametrize(
    "text", ['[5,"a","GenericError","",{}]', '[6,"a","A",{}]', '[5,"a"', '["6","a"]', "[3]"]
)
def test_messages_that_are_never_answered_have_no_error(text):
    frame = read(text.encode())
    assert not isinstance(frame, Junk) or frame.code is None


@pytest.mark.parametrize("text", ["", " ", "{}", '"a"', "2", "null", "hello", "\x00", "]["])
def test_what_is_no_array_is_junk(text):
    assert read(text.encode()) == Junk("not a frame")


def test_an_empty_array_is_junk():
    assert read(b"[]") == Junk("empty array")


def test_a_long_and_hostile_text_is_read_in_no_time():
    for hostile in ("[2," + '"' * 500_000, "[" * 500_000, '[2,"a",' + '"\\' * 250_000, " " * 500_000 + "[2"):
        read(hostile.encode())  # the bound of the pattern keeps this from taking minutes


# Writing


def test_what_is_written_is_compact_and_in_order():
    assert frames.call("a", "Heartbeat", b'{"b":1}') == b'[2,"a","Heartbeat",{"b":1}]'
    assert frames.result("a", b"{}") == b'[3,"a",{}]'
    assert frames.error("a", "InternalError", "why", {"b": 1}) == b'[4,"a","InternalError","why",{"b":1}]'
    assert frames.error("a", "InternalError") == b'[4,"a","InternalError","",{}]'


def test_a_description_is_cut_to_255_characters():
    assert json.loads(frames.error("a", "C", "ä" * 300))[3] == "ä" * 255


@pytest.mark.parametrize(
    "details", [{"a": Ellipsis}, {("a", 1): 1}, {"a": b"\xff"}, {"a": "\ud800"}], ids=repr
)
def test_details_that_cannot_be_written_do_not_keep_the_error_from_its_receiver(details):
    written = json.loads(frames.error("a", "C", "why", details))
    assert written[:4] == [4, "a", "C", "why"]


def test_details_without_an_end_do_not_either():
    endless: dict = {}
    endless["again"] = endless
    assert json.loads(frames.error("a", "C", "why", endless)) == [4, "a", "C", "why", {}]


def test_a_description_that_cannot_be_written_is_written_as_far_as_it_can():
    assert json.loads(frames.error("a", "C", "lone \ud800 surrogate")) == [
        4,
        "a",
        "C",
        "lone ? surrogate",
        {},
    ]


# Whatever comes

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=20,
)
patient = settings(deadline=None)  # a slow machine is no failure
FRAME = CallFrame | ResultFrame | ErrorFrame | BrokenCall | Junk


@patient
@given(st.text())
def test_no_text_ever_raises(text):
    assert isinstance(read(text.encode()), FRAME)


@patient
@given(JSON)
def test_no_json_ever_raises(value):
    assert isinstance(read(json.dumps(value).encode()), FRAME)


@patient
@given(st.integers(2, 4), st.text(max_size=300), st.lists(JSON, max_size=5))
def test_what_has_a_readable_id_keeps_it(kind, unique_id, rest):
    data = json.dumps([kind, unique_id, *rest]).encode()
    frame = read(data)
    if len(unique_id) > 255:
        assert frame == Junk("message id too long")
    else:
        assert frame.unique_id == unique_id


@patient
@given(st.text(max_size=255), st.text(max_size=50), st.dictionaries(st.text(), JSON, max_size=3))
def test_what_is_written_can_be_read(unique_id, action, payload):
    written = frames.call(unique_id, action, json.dumps(payload).encode())
    frame = read(written)
    assert (frame.unique_id, frame.action) == (unique_id, action)
    assert json.loads(frame.payload) == payload


# At a glance


@pytest.mark.parametrize(
    "data", [b'[3,"a",{}]', b'[4,"a","C","",{}]', b' [ 3 , "a"]', b"\n[\t4,", b"[3,broken"]
)
def test_what_begins_like_an_answer_looks_like_one(data):
    assert frames.looks_like_answer(data)


@pytest.mark.parametrize(
    "data",
    [
        b'[2,"a","Heartbeat",{}]',
        b"",
        b"pong",
        b"[",
        b"[3",
        b"[33,",
        b"[3.0,",
        b'["3",',
        b"{}",
        b" " * 65 + b"[3,",
    ],
)
def test_what_begins_like_anything_else_does_not(data):
    assert not frames.looks_like_answer(data)


@given(st.text(max_size=300), st.sampled_from([3, 4]), st.sampled_from([None, 1]))
def test_every_answer_that_json_can_write_looks_like_one(text, kind, indent):
    data = json.dumps([kind, text, {}], indent=indent).encode()
    assert frames.looks_like_answer(data)
    assert not frames.looks_like_answer(b"[2," + data)
