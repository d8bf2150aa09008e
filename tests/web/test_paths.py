"""Ids in paths, as they are sent and as they are meant."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargehand.web.requests import Segment, encoded_path, segment


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/a/b?c=/d", "/a/b"),
        ("/a%2Fb/%C3%BC%7C", "/a%2Fb/%C3%BC%7C"),
        ("/\xc3\xbc", "/%C3%BC"),  # raw UTF-8, a character a byte
        ("/a|b+c", "/a|b+c"),
        ("*", "*"),
    ],
)
def test_a_path_stays_as_it_was_sent(target, path):
    assert encoded_path(target) == path


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_every_id_comes_back(text):
    path = encoded_path(f"/{segment(text)}/x")
    assert path.isascii()
    _, first, last = path.split("/")
    assert Segment().convert(first) == text
    assert last == "x"


def test_a_segment_that_is_not_utf_8_matches_nothing():
    assert Segment().convert("%FF") is None
