"""Declaration of messages: for each a class statement, its members annotated with their rules.

    CiString20 = Annotated[str, Text(20)]

    @request("Authorize", Profile.CORE, Sender.CHARGE_POINT)
    class Authorize(Request[AuthorizeResponse]):
        id_tag: CiString20

The class is a frozen, slotted, keyword-only msgspec struct.  Its metaclass makes the rules of its members
from the annotations, and from the rules a compiled decoder; a marshmallow schema when one is needed, which
few messages ever do.

The one rule: marshmallow is the contract; the compiled decoder may only ever say "yes, at once".  A
constructor checks no values: what goes out is checked where it is written (see `payload`).
"""

import copy
import datetime as dt
import sys
from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from operator import attrgetter
from types import NoneType
from typing import (
    Annotated,
    Any,
    ClassVar,
    Generic,
    dataclass_transform,
    get_args,
    get_origin,
    get_type_hints,
)

import marshmallow
import msgspec

from . import rules, violations
from .rules import Rule

if sys.version_info >= (3, 14):
    import annotationlib


class AtLeast(int):
    """Annotates a tuple with the number of items that it needs."""


class AtMost(int):
    """Annotates a tuple with the number of items that it may have."""


class WireName(str):
    """Annotation of a member whose wire name is not its Python name in camel case."""

    __slots__ = ()


class Expendable:
    """Annotation of a tuple: the lenient policy leaves out elements that it cannot mend."""


EXPENDABLE = Expendable()


class StandIn:
    """Annotates a required member with the value that the lenient policy gives it where it is missing or unusable.

    `RECEIVED` is the time of receipt.
    """

    __slots__ = ("value",)

    def __init__(self, value: object) -> None:
        self.value = value


RECEIVED = StandIn(rules.TIME_OF_RECEIPT)
LEFT_OUT = StandIn(rules.NOTHING)
"""Annotates an optional member that the lenient policy leaves out even if its shape is wrong: the rest is money."""


class Contract(marshmallow.Schema):
    """The base of every message's schema: members that are not declared are refused."""

    __message__: ClassVar[Any]  # named so that no member has its name
    error_messages: Any = {"type": violations.NOT_OBJECT}  # noqa: RUF012 (marshmallow's own is no ClassVar)

    class Meta(marshmallow.Schema.Meta):
        """Unknown members are refused below: marshmallow's own way takes quadratic time."""

        unknown = marshmallow.EXCLUDE
        register = False

    @marshmallow.validates_schema(pass_original=True, skip_on_field_errors=False)
    def refuse_unknown(self, _: Any, original: Any, **__: Any) -> None:
        """Refuse all unknown members at once."""
        if isinstance(original, dict) and (unknown := original.keys() - self.__message__.__members__.keys()):
            raise marshmallow.ValidationError(
                {name: [violations.UNKNOWN] for name in original if name in unknown}
            )

    @marshmallow.post_load
    def build(self, members: dict[str, Any], **_: object) -> Any:
        """Make the message."""
        return self.__message__(**members)


class Declaration(msgspec.StructMeta):
    """Makes the struct, the rules, the decoder and the schema from one class statement."""

    @property
    def __contract__(self) -> Contract:
        """Marshmallow's schema of the message, made when it is first asked for: hundreds of them take a while."""
        message: Any = self
        if message.__schema__ is None:
            members = dict(zip(message.__struct_fields__, message.__members__.values(), strict=True))
            schema: Any = type(f"{self.__name__}Schema", (Contract,), {**members, "__message__": self})
            message.__schema__ = schema()
        contract: Contract = message.__schema__
        return contract

    def __new__(
        mcs,
        name: str,
        bases: tuple[type, ...],
        namespace: dict[str, Any],
        *,
        shared: bool = False,
        **options: Any,
    ) -> Any:
        """Read the annotations, and make rules and decoder from them.

        A class that is `shared` declares members that all messages of a version have, and is a base for them.
        """
        if not shared and (msgspec.Struct in bases or Generic in bases):  # Message and Request
            return super().__new__(mcs, name, bases, namespace, **options)
        members: dict[str, Rule] = {}
        for base in bases:
            if getattr(base, "__members__", None) is not None:
                if not base.__shared__:  # type: ignore[attr-defined]
                    raise TypeError(f"{name}: a message cannot inherit from another message")
                members |= dict(zip(base.__struct_fields__, base.__members__.values(), strict=True))  # type: ignore[attr-defined]
        hints = _hints(name, namespace)
        own = {key: _rule(name, key, hint, optional=key in namespace) for key, hint in hints.items()}
        members |= own
        namespace["__annotations__"] = {key: rule.fast for key, rule in own.items()}
        wire_names = {key: str(rule.data_key) for key, rule in members.items()}
        cls: Any = super().__new__(
            mcs,
            name,
            bases,
            namespace,
            frozen=True,
            kw_only=True,
            omit_defaults=True,
            forbid_unknown_fields=True,
            gc=False,  # a message is a tree of values: it cannot be part of a cycle
            rename=wire_names,
        )
        cls.__shared__ = shared
        cls.__members__ = {wire_names[key]: rule for key, rule in members.items()}
        cls.__schema__ = None
        cls.__decoder__ = msgspec.json.Decoder(cls, dec_hook=rules.ask, float_hook=number)
        cls.__timed__ = tuple(key for key, rule in members.items() if _timed(rule))
        cls.__untimed__ = attrgetter("__class__", *(key for key in members if key not in cls.__timed__))
        cls.__bare__ = not any(rule.required for rule in members.values())
        cls.__exact__ = all(map(_exact, members.values()))
        return cls


@dataclass_transform(kw_only_default=True, frozen_default=True)
class Message(msgspec.Struct, metaclass=Declaration, frozen=True):
    """Base of all messages and of the objects inside them.

    `None` in a member means that it is absent.  Read under the lenient policy, a member may hold what its
    rule refuses: an unknown value of an enumeration is then a plain `str`.
    """

    __members__: ClassVar[Mapping[str, Rule]]  # by wire name, in wire order
    __shared__: ClassVar[bool]  # no message of its own: the base of those of a version
    __schema__: ClassVar[Contract | None]  # once `__contract__` was asked for
    __decoder__: ClassVar[msgspec.json.Decoder[Any]]
    __untimed__: ClassVar[Any]  # the values of all other members
    __timed__: ClassVar[tuple[str, ...]]  # the members that hold times, or hold objects that hold times
    __bare__: ClassVar[bool]  # all members are optional
    __exact__: ClassVar[bool]  # no member is a number in tenths, or holds objects that hold some


def wire_name(kind: type[Message], member: str) -> str:
    """Return the wire name of a member."""
    return kind.__struct_encode_fields__[kind.__struct_fields__.index(member)]


def number(text: str) -> Decimal:
    """Read a number with a fraction or an exponent; ValueError where a Decimal has no room for it."""
    try:
        return Decimal(text)
    except ArithmeticError:
        raise ValueError("number out of range") from None


def _hints(name: str, namespace: dict[str, Any]) -> dict[str, Any]:
    """Read the annotations of a class statement, whichever way this Python keeps them."""
    annotations = namespace.get("__annotations__", {})
    if sys.version_info >= (3, 14) and "__annotations__" not in namespace:
        annotate = annotationlib.get_annotate_from_class_namespace(namespace)
        annotations = annotate(annotationlib.Format.VALUE) if annotate else {}
        for key in ("__annotate__", "__annotate_func__"):
            namespace.pop(key, None)
    bare = {"__annotations__": annotations, "__module__": namespace["__module__"]}
    hints = get_type_hints(type(name, (), bare), include_extras=True)
    return {key: hint for key, hint in hints.items() if get_origin(hint) is not ClassVar}


PLAIN: Mapping[Any, type[Rule]] = {
    str: rules.Text,
    int: rules.Integer,
    bool: rules.Boolean,
    dt.datetime: rules.Timestamp,
    Decimal: rules.Number,
    Any: rules.Anything,
}


def _rule(owner: str, name: str, hint: Any, *, optional: bool) -> Rule:
    """Read the rule of a member off its annotation."""
    if optional != (NoneType in get_args(hint)):
        raise TypeError(f"{owner}.{name}: None must be both in the type and the default, or in neither")
    if optional:
        hint = next(arm for arm in get_args(hint) if arm is not NoneType)
    rule, marks = _read(f"{owner}.{name}", hint)
    head, *tail = name.split("_")
    camel = head + "".join(word.capitalize() for word in tail)
    rule.data_key = next((str(mark) for mark in marks if isinstance(mark, WireName)), camel)
    rule.required = not optional
    rule.stand_in = next((mark.value for mark in marks if isinstance(mark, StandIn)), violations.ABSENT)
    return rule


def _read(where: str, hint: Any) -> tuple[Rule, list[Any]]:
    hint, *marks = get_args(hint) if get_origin(hint) is Annotated else (hint,)
    for mark in marks:
        if isinstance(mark, Rule):
            return copy.copy(mark), marks
    if get_origin(hint) is tuple:
        inner, _ = _read(where, get_args(hint)[0])
        at_least = next((int(mark) for mark in marks if isinstance(mark, AtLeast)), 0)
        at_most = next((int(mark) for mark in marks if isinstance(mark, AtMost)), None)
        return rules.Items(inner, at_least, at_most, expendable=EXPENDABLE in marks), marks
    if isinstance(hint, Declaration):
        return rules.Part(hint), marks  # type: ignore[arg-type]
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return rules.Choice(hint), marks
    if hint not in PLAIN:
        raise TypeError(f"{where}: no rule is known for {hint}")
    return PLAIN[hint](), marks


def _timed(rule: Any) -> bool:
    if isinstance(rule, rules.Items):
        return _timed(rule.inner)
    if isinstance(rule, rules.Part):
        return bool(rule.kind.__timed__)
    return isinstance(rule, rules.Timestamp)


def _exact(rule: Any) -> bool:
    if isinstance(rule, rules.Items):
        return _exact(rule.inner)
    if isinstance(rule, rules.Part):
        return rule.kind.__exact__
    return not isinstance(rule, rules.Tenths)
