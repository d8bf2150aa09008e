"""Message classes as their class statements make them."""

import datetime as dt
import pickle
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, ClassVar

import pytest

from chargehand.protocol import rules
from chargehand.protocol.actions import Request
from chargehand.protocol.errors import InvalidPayload, Refused
from chargehand.protocol.message import EXPENDABLE, AtLeast, Message, WireName
from chargehand.protocol.payload import build, strict


class Colour(StrEnum):
    RED = "Red"


class Inner(Message):
    when: dt.datetime


class Outer(Message):
    """Has a member of every kind."""

    LIMIT: ClassVar[int] = 3

    evse_id: Annotated[int, WireName("evseID")]
    some_text: str
    short_text: Annotated[str, rules.Text(5)] | None = None
    colour: Colour
    flag: bool
    limit: Annotated[Decimal, rules.Tenths()]
    when: dt.datetime | None = None
    inner: Inner | None = None
    inners: Annotated[tuple[Inner, ...], AtLeast(2), EXPENDABLE]
    words: tuple[str, ...] | None = None


def outer(**changes: Any) -> Outer:
    members: dict[str, Any] = {
        "evse_id": 1,
        "some_text": "x",
        "colour": Colour.RED,
        "flag": True,
        "limit": Decimal(1),
        "inners": (),
    }
    return Outer(**(members | changes))


def test_names_are_camel_case_but_for_an_explicit_key():
    assert list(Outer.__members__) == [
        "evseID", "someText", "shortText", "colour", "flag", "limit", "when", "inner", "inners", "words",
    ]  # fmt: skip


def test_an_annotation_makes_its_rule():
    kinds = {name: type(rule) for name, rule in Outer.__members__.items()}
    assert kinds == {
        "evseID": rules.Integer,
        "someText": rules.Text,
        "shortText": rules.Text,
        "colour": rules.Choice,
        "flag": rules.Boolean,
        "limit": rules.Tenths,
        "when": rules.Timestamp,
        "inner": rules.Part,
        "inners": rules.Items,
        "words": rules.Items,
    }


def test_marks_reach_their_rule():
    members: Any = Outer.__members__
    assert (members["inners"].at_least, members["inners"].expendable) == (2, True)
    assert (members["words"].at_least, members["words"].expendable) == (0, False)
    assert members["shortText"].size == 5


def test_a_member_with_a_default_is_optional():
    optional = {name for name, rule in Outer.__members__.items() if not rule.required}
    assert optional == {"shortText", "when", "inner", "words"}


def test_a_rule_that_two_members_share_is_not_shared():
    shared = Annotated[str, rules.Text(5)]

    class Two(Message):
        first: shared
        second: shared | None = None

    assert Two.__members__["first"].required
    assert not Two.__members__["second"].required


def test_a_message_knows_which_members_hold_times():
    assert Outer.__timed__ == ("when", "inner", "inners")


def test_a_message_is_a_value():
    assert outer() == outer()
    assert hash(outer()) == hash(outer())
    assert outer(evse_id=2) != outer()
    assert repr(Inner(when=dt.datetime(2026, 1, 1, tzinfo=dt.UTC))).startswith("Inner(when=datetime")


def test_a_message_cannot_be_changed():
    with pytest.raises(AttributeError):
        outer().evse_id = 2  # type: ignore[misc]
    with pytest.raises(AttributeError):
        outer().new = 2  # type: ignore[attr-defined]


def test_a_message_takes_only_keywords_that_it_declares():
    with pytest.raises(TypeError):
        Inner()  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        Inner(dt.datetime.now(dt.UTC))  # type: ignore[misc]
    with pytest.raises(TypeError):
        Inner(when=dt.datetime.now(dt.UTC), other=1)  # type: ignore[call-arg]


def test_a_message_survives_pickling():
    message = outer(words=("a",))
    assert pickle.loads(pickle.dumps(message)) == message


def test_none_must_be_in_the_type_and_the_default():
    with pytest.raises(TypeError, match=r"Half\.text: None must be both"):

        class Half(Message):
            text: str | None

    with pytest.raises(TypeError, match=r"Other\.text: None must be both"):

        class Other(Message):
            text: str = None  # type: ignore[assignment]


def test_a_type_without_a_rule_is_refused():
    with pytest.raises(TypeError, match=r"Strange\.number: no rule is known for <class 'float'>"):

        class Strange(Message):
            number: float


def test_a_message_cannot_inherit_from_another():
    with pytest.raises(TypeError, match="Child: a message cannot inherit"):

        class Child(Inner):
            more: int


def test_annotations_may_be_text():
    scope: dict[str, Any] = {"__name__": __name__, "Message": Message}
    source = "from __future__ import annotations\nclass Late(Message):\n    number: int\n    text: str | None = None\n"
    exec(compile(source, "late", "exec", dont_inherit=True), scope)
    late = scope["Late"]
    assert {name: type(rule) for name, rule in late.__members__.items()} == {
        "number": rules.Integer,
        "text": rules.Text,
    }


def test_a_request_is_a_message():
    class Question(Request[Inner]):
        number: int

    assert Question(number=1).number == 1
    assert list(Question.__members__) == ["number"]


class Base(Message, shared=True):
    """Has what all messages of a version have."""

    extra: int | None = None


class Derived(Base):
    text: str
    part: Inner | None = None


def test_a_shared_base_gives_its_members_to_messages():
    assert list(Derived.__members__) == ["extra", "text", "part"]
    assert Derived.__timed__ == ("part",)
    derived = Derived(text="a", extra=5)
    assert strict(Derived, b'{"text":"a","extra":5}') == derived
    assert build(Derived, derived) == b'{"extra":5,"text":"a"}'
    with pytest.raises(Refused, match="extra is not an integer"):
        strict(Derived, b'{"text":"a","extra":"5"}')


def test_a_message_of_a_shared_base_cannot_be_inherited_from():
    with pytest.raises(TypeError, match="Child: a message cannot inherit"):

        class Child(Derived):
            more: int


def test_a_member_may_be_named_message():
    class Telling(Message):
        message: str
        when: dt.datetime | None = None

    # Times that the compiled decoder does not know go to the contract.
    assert strict(Telling, b'{"message":"a","when":"20261122T120000Z"}').message == "a"


def test_an_answer_without_required_members_is_written_of_an_empty_mapping():
    class Empty(Base):
        pass

    assert build(Empty, {}) == b"{}"
    assert build(Empty, Empty()) == b"{}"
    with pytest.raises(InvalidPayload):
        build(Derived, {})
