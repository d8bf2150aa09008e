"""The device model of a charge point in the words of no version: variables, and how a version reads and sets them.

The one rule: the functions of an adapter are pure.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from .actions import Request

ACTUAL = "Actual"
"""Attribute that is meant where none is named."""


class VariableName(NamedTuple):
    """Name of a variable: the component that it is of, with its instance and place, and its own name and instance.

    Texts are "" and numbers 0 where there is none.
    """

    component: str
    variable: str
    component_instance: str = ""
    instance: str = ""
    evse: int = 0
    connector: int = 0

    @property
    def text(self) -> str:
        """Text that names it, as in `1/2/Connector.Enabled` or `OCPPCommCtrlr.MessageAttempts[TransactionEvent]`."""
        place = f"{self.evse}/{self.connector}/" if self.evse or self.connector else ""
        owner = self.component + (f"[{self.component_instance}]" if self.component_instance else "")
        return f"{place}{owner}.{self.variable}" + (f"[{self.instance}]" if self.instance else "")

    @property
    def key(self) -> str:
        """The same without case: names are compared so."""
        return self.text.lower()


class VariableAccess(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Use that an attribute allows: its mutability, and whether its value persists and never changes."""

    mutability: str = "ReadWrite"
    persistent: bool = False
    constant: bool = False


class VariableCharacteristics(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Unit, type and limits of a variable; limits have the digits that were sent."""

    data_type: str = ""
    unit: str = ""
    min_limit: str = ""
    max_limit: str = ""
    values_list: str = ""
    supports_monitoring: bool = False


class ToldVariable(msgspec.Struct, frozen=True, kw_only=True):
    """Facts of an attribute of a variable that a message tells; what it does not tell is None.

    `value` counts with `has_value` only: None is an attribute without a value then.
    """

    name: VariableName
    attribute: str = ACTUAL
    value: str | None = None
    has_value: bool = False
    access: VariableAccess | None = None
    characteristics: VariableCharacteristics | None = None


class WantedVariable(NamedTuple):
    """Attribute of a variable that is to be read, or to get a value."""

    name: VariableName
    attribute: str = ACTUAL
    value: str = ""


class VariableAnswer(NamedTuple):
    """Result for an attribute of a variable: the charge point's status, and the value that was read or set."""

    name: VariableName
    attribute: str
    status: str
    value: str | None
    reason: str = ""


class MessageLimits(NamedTuple):
    """Limits of a charge point for messages of one action; None where it is not known."""

    items: int | None = None
    size_bytes: int | None = None


UNLIMITED = MessageLimits()


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceModelAdapter:
    """Functions by which a version reads and sets variables."""

    name_of: Callable[[str], VariableName]
    """Variable that a text names, or a configuration key of OCPP 1.6. Raises `VerbRefused`."""
    get: Callable[[Sequence[WantedVariable]], Request[Any]]
    """Request that reads variables. Raises `VerbRefused`."""
    set: Callable[[Sequence[WantedVariable]], Request[Any]]
    """Request that sets variables. Raises `VerbRefused`."""
    answers: Callable[[Any, Any], Sequence[VariableAnswer]]
    """Results in the response to such a request, in its order."""
    told: Callable[[Any], Sequence[ToldVariable]]
    """Variables in a part of a report."""
    told_by: Callable[[Any, Any], Sequence[ToldVariable]]
    """Variables that the response to one of these requests tells."""
    report: Callable[[str], Request[Any]]
    """Request for a report of the variables, by its extent. Raises `VerbRefused`."""
    reports: Callable[[Any], bool]
    """Announcement of parts, by the response to that request."""
    part_action: str
    """Action of the parts of that report."""
    limits: Mapping[str, tuple[VariableName, VariableName | None]] = field(default_factory=dict)
    """Variables with the most items and the most bytes of one message, by action."""
    get_action: str = ""
    set_action: str = ""
    """Names of the actions of `get` and `set` in the table of limits."""
