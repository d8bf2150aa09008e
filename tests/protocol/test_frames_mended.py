"""Frames with unambiguous slips are mended and reported as deviations; no others are."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargehand.protocol import frames
from chargehand.protocol.frames import (
    BrokenAnswer,
    BrokenCall,
    CallFrame,
    ErrorFrame,
    Junk,
    NumericId,
    ResultFrame,
    mend,
)

BOM = b"\xef\xbb\xbf"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)


def told(slips):
    return {str(one) for one in slips}


@pytest.mark.parametrize(
    ("data", "slips"),
    [
        (BOM + b'[2,"a","A",{}]', {"frame has a byte order mark"}),
        (b'[2,"a","A",{}]\0\0', {"frame has NUL bytes around it"}),
        (b'\0[2,"a","A",{}]', {"frame has NUL bytes around it"}),
        (b'[2,"a","A",{}]\x1a', {"frame has control characters around it"}),
        (b"\0" + BOM + b'[2,"a","A",{}]', {"frame has a byte order mark", "frame has NUL bytes around it"}),
        (b'[2,"a",\0"A",{}]', {"frame has control characters between its elements"}),
        (b'[2,"a","A",{},]', {"frame has a comma before a closing bracket"}),
    ],
)
def test_what_is_wrong_around_a_call_is_told(data, slips):
    frame, found = mend(data)
    assert frame == CallFrame("a", "A", b"{}")
    assert told(found) == slips


@pytest.mark.parametrize("id_", ["7", "-1", "0", "1e5", "1.50", "12345678901234567890"])
def test_a_numeric_id_is_answered_as_it_came(id_):
    frame, (slip,) = mend(f'[2,{id_},"A",{{}}]'.encode())
    assert frame == CallFrame(id_, "A", b"{}")
    assert str(slip) == "message id is a number"
    assert slip.value == id_
    assert frames.result(frame.unique_id, b"{}") == f"[3,{id_},{{}}]".encode()
    assert frames.error(frame.unique_id, "C").startswith(f"[4,{id_},".encode())


def test_a_broken_call_with_a_numeric_id_can_be_answered():
    frame, slips = mend(b'[2,17,"A",{"a":')
    assert isinstance(frame, BrokenCall)
    assert type(frame.unique_id) is NumericId
    assert slips == ()


def test_control_characters_in_strings_are_kept():
    frame, slips = mend(b'[3,"a",{"v":"\0\x01","w":"x\ty"}]')
    assert json.loads(frame.payload) == {"v": "\0\x01", "w": "x\ty"}
    assert told(slips) == {"frame has control characters in a string"}


def test_half_a_surrogate_pair_is_the_replacement_character():
    frame, slips = mend(rb'[3,"a",["\ud83d\ude00","\ud83d","x\ude00y","\\ud83d","\\\ud83d"]]')
    assert json.loads(frame.payload) == ["😀", "\ufffd", "x\ufffdy", "\\ud83d", "\\\ufffd"]
    assert told(slips) == {"frame has half a surrogate pair in a string"}


def test_commas_before_closing_brackets_are_left_out():
    frame, slips = mend(b'[3,"a",{"l":[1,"2" ,],"m":{"n":null, } , } ]')
    assert json.loads(frame.payload) == {"l": [1, "2"], "m": {"n": None}}
    assert told(slips) == {"frame has a comma before a closing bracket"}


@pytest.mark.parametrize(
    "payload",
    ["{,}", "[,1]", "[1,,2]", '{"a":,}', "[,]", "{'a':1}", '{"a":NaN}', "[1 2]", "[1,,]", '{"a":"\\q"}'],
)
def test_content_is_not_guessed_at(payload):
    frame, slips = mend(f'[2,"a","A",{payload}]'.encode())
    assert isinstance(frame, BrokenCall)
    assert slips == ()


def test_a_number_is_not_made_of_two():
    assert isinstance(mend(b'[3,"a",[1\x002]]')[0], BrokenAnswer)


def test_a_broken_frame_behind_a_byte_order_mark_still_tells_its_id():
    assert mend(BOM + b'[2,"a","A",{')[0].unique_id == "a"
    assert mend(BOM + b'[4,"a",')[0] == BrokenAnswer("a")


@pytest.mark.parametrize(
    "data", [b"", b"pong\0", BOM, b"{}", b"\0\0", b'[9,"a",{}]', b"[true,1]", b'["2","a","A",{}]']
)
def test_what_is_no_frame_is_junk(data):
    assert isinstance(mend(data)[0], Junk)


@given(JSON, st.sampled_from([b"", BOM, b"\0", b"\0\0 "]), st.sampled_from([b"", b"\0", b"\r\n\0"]))
def test_a_sound_answer_says_the_same_with_anything_around_it(payload, before, after):
    written = json.dumps(payload, ensure_ascii=False).encode()
    frame, slips = mend(before + b'[3,"a",' + written + b"]" + after)
    assert frame == ResultFrame("a", written)
    assert bool(slips) == any(byte in before + after for byte in (0, 0xEF))


@given(st.text(max_size=40).filter(lambda text: '"' not in text and "\\" not in text))
def test_any_text_is_kept_as_it_is_in_memory(text):
    frame, _ = mend(f'[4,"a","C","{text}",{{}}]'.encode())
    assert frame == ErrorFrame("a", "C", text, {})


@given(st.binary().map(lambda data: data.decode(errors="ignore").encode()))
def test_nothing_raises(data):
    mend(b'[3,"' + data)
    mend(data)


@pytest.mark.parametrize(
    "data",
    [
        BOM * 300_000,
        b'[2,"' + b'\\"' * 400_000,
        b"[" + b" ," * 400_000,
        b'[2,"' + b"\\" * 800_000,
        b'["",' * 200_000,
    ],
)
def test_a_long_frame_of_slips_takes_no_long_time(data):
    mend(data)
