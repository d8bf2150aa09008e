"""Samples of energy and power out of stored payloads, whatever the version: lists of meter values, as they were sent.

The one rule: nothing is raised, whatever was kept; what cannot be used is named with its reason. A version has
functions of its own, made of these, with its reader of a single sample.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from typing import Any

import msgspec

from . import times
from .energy import NotUsable, Quantity, Sample, Samples, Unusable
from .frames import mended

LISTS = ("meterValue", "transactionData")
"""Members with meter values."""
ReadSample = Callable[[datetime, Any], Sample | None]
"""Reader of one sample: None for one that tells nothing of energy or power. Raises `NotUsable`."""
QUANTITIES = {
    "energy.active.import.register": Quantity.REGISTER,
    "energy.active.import.interval": Quantity.INTERVAL,
    "power.active.import": Quantity.POWER,
}
"""Quantities by measurand, in lower case: the names are those of all versions."""
UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError)
AROUND = b"\x00\xef\xbb\xbf \t\r\n"
"""Bytes around a payload that mean nothing: NUL, byte order mark, blanks."""


class _Lists(msgspec.Struct):
    """Payload as far as its meter values go, as they were sent."""

    meter_value: msgspec.Raw = msgspec.field(default=msgspec.Raw(b"[]"), name=LISTS[0])
    transaction_data: msgspec.Raw = msgspec.field(default=msgspec.Raw(b"[]"), name=LISTS[1])


_lists = msgspec.json.Decoder(_Lists).decode
_untouched = msgspec.json.Decoder(msgspec.Raw).decode

# Numbers stay text: exact, and refused when they are longer than any figure.
_decode = msgspec.json.Decoder(float_hook=str).decode


def read_samples(payload: bytes, naive_zone: tzinfo | None, read_sample: ReadSample) -> Samples:
    """Read the samples of a payload as it was sent, or of the list of its meter values alone.

    Times without a zone are in `naive_zone`; with None they cannot be read.
    """
    try:
        told = _read(payload)
    except UNREADABLE:
        return Samples((), (Unusable(None, "", "is not readable JSON"),))
    name, elements = "", told
    if isinstance(told, dict):
        name = next((member for member in LISTS if told.get(member) is not None), "")
        elements = told[name] if name else []
    if not isinstance(elements, list):
        return Samples((), (Unusable(None, name, "is not a list"),))
    found: list[Sample] = []
    unusable: list[Unusable] = []
    for index, element in enumerate(elements):
        _read_element(index, f"{name}[{index}]", element, naive_zone, read_sample, found, unusable)
    return Samples(tuple(found), tuple(unusable))


def meter_values_of(payload: bytes) -> bytes:
    """Return the list of meter values in a payload, as JSON, as it was sent; an empty one if there is none."""
    payload = payload.strip(AROUND)
    try:
        return _list_in(payload)
    except UNREADABLE:
        payload, slips = mended(payload)
    try:
        return _list_in(payload) if slips else b"[]"
    except UNREADABLE:
        return b"[]"


def _list_in(payload: bytes) -> bytes:
    payload.decode()
    if payload.startswith(b"["):
        return bytes(_untouched(payload))
    told = _lists(payload)
    first = bytes(told.meter_value)
    return first if first not in (b"[]", b"null") else bytes(told.transaction_data)


def _read(payload: bytes) -> Any:
    payload = payload.strip(AROUND)
    try:
        return _decode(payload)
    except UNREADABLE:
        payload, _ = mended(payload)
    try:
        return _decode(payload)
    except UNREADABLE:
        # Half a surrogate, and text that is no UTF-8, are in a member that does not matter here.
        text = payload.decode(errors="replace")
        return json.loads(text, parse_float=str, parse_int=str, parse_constant=str, strict=False)


def _read_element(
    index: int,
    path: str,
    element: Any,
    naive_zone: tzinfo | None,
    read_sample: ReadSample,
    found: list[Sample],
    unusable: list[Unusable],
) -> None:
    if not isinstance(element, dict):
        unusable.append(Unusable(index, path, "is not an object"))
        return
    listed = element.get("sampledValue")
    if not isinstance(listed, list):
        missing = "has no sampledValue" if listed is None else "has a sampledValue that is not a list"
        unusable.append(Unusable(index, path, missing))
        return
    at = moment(element.get("timestamp"), naive_zone)
    if at is None:
        unusable.append(Unusable(index, path, "has no readable timestamp"))
        return
    for position, sampled in enumerate(listed):
        try:
            sample = read_sample(at, sampled)
        except NotUsable as error:
            unusable.append(Unusable(index, f"{path}.sampledValue[{position}]", str(error)))
        else:
            found += [sample] if sample is not None else []


def quantity_of(measurand: Any) -> Quantity | None:
    """Return the quantity of a measurand as it was sent, a register by default; None for one that no figure uses."""
    if measurand is None:
        return Quantity.REGISTER
    return QUANTITIES.get(measurand.lower()) if isinstance(measurand, str) else None


def text_in(sampled: dict[str, Any], name: str) -> str:
    """Return a member that is a text, else an empty one."""
    value = sampled.get(name)
    return value if isinstance(value, str) else ""


def moment(value: Any, naive_zone: tzinfo | None = UTC) -> datetime | None:
    """Read a time as the lenient policy does, in UTC; None if it cannot be read."""
    time = times.read(value) if isinstance(value, str) else None
    if time is None:
        return None
    zone = time.moment.tzinfo or naive_zone
    if zone is None:
        return None
    at = time.moment.replace(tzinfo=zone)
    try:
        return at.astimezone(UTC)
    except OverflowError:  # the first or the last hours that there are
        return None
