"""Oddities of real charge points, by name, that simulated ones of both versions show when they are told to.

The one rule: a charge point knows what it did, however it tells it: an oddity changes texts on their way, the
handshake, or the network, and never a meter. `ODDITIES` is the table of them; a station of OCPP 2.0.1 has further ones
of its own, `v201.Misbehaviour`.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import gevent
from gevent.event import Event

from ..protocol.handshake import HandshakeError
from .errors import Disconnected
from .jobs import PeriodicTask

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterable, Mapping

    from .models import AnyChargePoint

CALL, RESULT = 2, 3
MINUTE_S, HOUR_S, DAY_S = 60, 3600, 86_400
V16, V201 = "1.6", "2.0.1"
BOTH = (V16, V201)
FAST_S = 0.02
TRANSACTION = frozenset({"StartTransaction", "StopTransaction", "MeterValues", "TransactionEvent"})
ENERGY = "Energy.Active.Import.Register"
COMPRESSED = bytes([0xC1, 0x80, 0, 0, 0, 0])
"""Frame of a text with the bit of compression, masked, empty."""


@dataclass(slots=True)
class Frame:
    """Frame on its way out, to be changed: a CALL, or the answer to one."""

    kind: int
    unique_id: str
    action: str
    payload: dict[str, Any]
    before: list[bytes] = field(default_factory=list)
    """Texts that go out before it."""
    after: list[bytes] = field(default_factory=list)
    text: bytes | None = None
    """Text that goes out in its place."""
    answer: dict[str, Any] | None = None
    """Answer that the charge point pretends to have: the frame itself is not sent."""

    @property
    def event(self) -> str:
        """Type of a TransactionEvent; empty for everything else."""
        return str(self.payload.get("eventType", "")) if self.action == "TransactionEvent" else ""

    def texts(self) -> Iterable[bytes]:
        """Return what goes out."""
        return (*self.before, *(() if self.answer is not None else (self.text or self.plain(),)), *self.after)

    def plain(self, unique_id: str | None = None) -> bytes:
        """Write it as a frame, under another message id if there is one."""
        named = [self.action] if self.kind == CALL else []
        return _compact([self.kind, unique_id or self.unique_id, *named, self.payload])

    def starts(self) -> bool:
        """Tell if it begins a transaction."""
        return self.action == "StartTransaction" or self.event == "Started"

    def stops(self) -> bool:
        """Tell if it ends a transaction."""
        return self.action == "StopTransaction" or self.event == "Ended"


class Oddness:
    """Oddities of one charge point, with what they have to remember; `shown` counts them by name."""

    def __init__(self, charge_point: AnyChargePoint, names: Iterable[str], dice: random.Random) -> None:
        self.charge_point = charge_point
        self.core = charge_point.core
        self.dice = dice
        self.shown: dict[str, int] = {}
        self.over = False
        """True once what happens from time to time happens no more."""
        self.offset: dict[str, float] = {}
        self.held: list[bytes] = []
        self.first_times: dict[str, str] = {}
        self._extra = 0
        self._turns: dict[str, int] = {}
        self._frames = [(name, frame) for name in names if (frame := ODDITIES[name].frame) is not None]
        self.core.conversation.distort = self._distort if self._frames else None
        for name in names:
            self.shown[name] = 0
            if (begin := ODDITIES[name].begin) is not None:
                begin(self, name)

    def show(self, name: str) -> None:
        """Count an oddity."""
        self.shown[name] += 1

    def turn(self, name: str, of: int) -> bool:
        """Return true every so many times."""
        self._turns[name] = self._turns.get(name, 0) + 1
        return self._turns[name] % of == 0

    def new_id(self) -> str:
        """Return a message id for a text that nobody waits for the answer of."""
        self._extra += 1
        return f"odd-{self._extra}"

    def every(self, name: str, seconds: float, do: Callable[[], object]) -> None:
        """Do something again and again, from a time on that the dice say."""
        first_s = self.dice.uniform(0, seconds)

        def done() -> None:
            if self.over:
                return
            with contextlib.suppress(Disconnected):
                do()
                self.show(name)

        def first() -> None:
            task.restart()
            done()

        task = PeriodicTask(self.core.jobs, lambda: seconds, done)
        self.core.jobs.later(first_s, first)

    def _distort(self, text: bytes) -> Iterable[bytes]:
        try:
            read = json.loads(text)
        except ValueError:
            return (text,)
        if not isinstance(read, list) or read[0] not in (CALL, RESULT) or not isinstance(read[-1], dict):
            return (text,)
        frame = Frame(read[0], read[1], read[2] if read[0] == CALL else "", read[-1])
        for name, change in self._frames:
            if change(self, frame):
                self.show(name)
        if frame.answer is not None:
            pretended = _compact([RESULT, frame.unique_id, frame.answer])
            gevent.spawn(self.core.conversation.pretend_answered, pretended)
        return frame.texts()


@dataclass(frozen=True, slots=True)
class Oddity:
    """Row of the table. `frame` changes a frame and returns true if it did; `begin` does the rest, once.

    `energy`: "exact" if the central system can know the energy all the same, "told" if it is told another one, which
    it can only flag, "unknown" if it is told none.
    """

    text: str
    frame: Callable[[Oddness, Frame], bool] | None = None
    begin: Callable[[Oddness, str], object] | None = None
    versions: tuple[str, ...] = BOTH
    energy: str = "exact"


def _compact(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _samples(frame: Frame) -> Iterable[dict[str, Any]]:
    """Yield the samples of a frame."""
    for value in frame.payload.get("meterValue") or ():
        yield from value.get("sampledValue", ())


def _registers(frame: Frame) -> Iterable[dict[str, Any]]:
    return (one for one in _samples(frame) if one.get("measurand", ENERGY) == ENERGY)


def _change_times(value: Any, change: Callable[[str], str]) -> bool:
    """Change every member `timestamp`; return true if there was one."""
    found = False
    if isinstance(value, dict):
        for name, member in value.items():
            if name == "timestamp" and isinstance(member, str):
                value[name] = change(member)
                found = True
            else:
                found = _change_times(member, change) or found
    elif isinstance(value, list):
        for member in value:
            found = _change_times(member, change) or found
    return found


# -- The handshake ---------------------------------------------------------------------------------


def _odd_url(oddness: Oddness, name: str) -> None:
    charge_point = oddness.charge_point
    base = charge_point.url.rpartition("/")[0]
    charge_point.url = f"{base}//serial-4711//{quote(charge_point.identity, safe='')}/"
    oddness.show(name)


def _before(oddness: Oddness, name: str, headers: Mapping[str, str], *subprotocols: str) -> None:
    """Have another connection made, and left, before each one."""

    def dial() -> None:
        oddness.show(name)
        with contextlib.suppress(OSError, HandshakeError, ValueError):
            oddness.core.dial(subprotocols, headers).cut(reset=False)

    oddness.core.connection.before = dial


def _empty_offer(oddness: Oddness, name: str) -> None:
    oddness.core.subprotocols = ("", *oddness.core.subprotocols)
    oddness.show(name)


# -- The network -----------------------------------------------------------------------------------


def _cut(oddness: Oddness, name: str, every_s: float) -> None:
    oddness.every(name, every_s, lambda: oddness.core.faults.cut(reset=oddness.turn(name, 2)))


def _offline(oddness: Oddness, name: str) -> None:
    hours = 12

    def be_away() -> None:
        back = Event()
        oddness.core.jobs.later(hours * HOUR_S, back.set)

        def away() -> None:
            back.wait()

        oddness.core.connection.redial(between=away)

    oddness.every(name, 3 * DAY_S, be_away)


def _power_loss(oddness: Oddness, name: str) -> None:
    def lose() -> None:
        oddness.charge_point.charging.read_all()
        oddness.charge_point.reset()

    oddness.every(name, 2 * DAY_S, lose)


def _ids_from_one(oddness: Oddness, name: str) -> None:
    oddness.core.conversation.number_from_one()
    oddness.show(name)


def _drops_fast_answers(oddness: Oddness, name: str) -> None:
    """Cut the connection when an answer comes too fast, once in so many."""
    sent_at = [0.0]
    before = oddness.core.record.tap

    def tap(kind: Any, data: bytes) -> None:
        if before is not None:
            before(kind, data)
        now = gevent.get_hub().loop.now()
        if kind == "sent":
            sent_at[0] = now
        elif (
            kind == "received" and data[:2] == b"[3" and now - sent_at[0] < FAST_S and oddness.turn(name, 50)
        ):
            oddness.show(name)
            gevent.spawn(_quietly, oddness.core.faults.cut)

    oddness.core.record.tap = tap


def _quietly(do: Callable[[], object]) -> None:
    with contextlib.suppress(Disconnected):
        do()


# -- Commands --------------------------------------------------------------------------------------

READS = ("GetConfiguration", "GetVariables", "TriggerMessage")
NEWER = ("GetLog", "ExtendedTriggerMessage", "CustomerInformation", "GetInstalledCertificateIds")


def _on_commands(
    oddness: Oddness, name: str, actions: Iterable[str], do: Callable[[AnyChargePoint], object]
) -> None:
    """Have commands left without an answer, and this done."""

    def answer(_: Any) -> None:
        oddness.show(name)
        oddness.core.jobs.start(do, oddness.charge_point)

    oddness.charge_point.answers.update(dict.fromkeys(actions, answer))


def _unreadable_answer(_: Oddness, frame: Frame) -> bool:
    if frame.kind == RESULT:
        frame.text = frame.plain()[:-2] + b',"status":]'
    return frame.kind == RESULT


def _schedule_start_zero(_: Oddness, frame: Frame) -> bool:
    for name in ("chargingSchedule", "schedule"):
        schedule = frame.payload.get(name)
        if frame.kind == RESULT and isinstance(schedule, dict):
            frame.payload["scheduleStart"] = schedule["scheduleStart"] = "0"
            return True
    return False


# -- Frames ----------------------------------------------------------------------------------------


def _pong(oddness: Oddness, frame: Frame) -> bool:
    if frame.action == "Heartbeat" and oddness.turn("pong", 4):
        frame.before.append(b"pong")
        return True
    return False


def _truncated(oddness: Oddness, frame: Frame) -> bool:
    """Break a transaction message; it is refused, and its next attempt is whole."""
    if frame.action in TRANSACTION and oddness.turn("truncated", 5):
        frame.text = frame.plain()[:-1] + b',"transactionId":,'
        return True
    return False


def _loose_json(_: Oddness, frame: Frame) -> bool:
    """Write a frame with a byte order mark, a comma too much and a NUL at the end."""
    if frame.kind == CALL and frame.text is None:
        frame.text = b"\xef\xbb\xbf" + frame.plain()[:-1] + b",]\x00"
        return True
    return False


def _null_members(_: Oddness, frame: Frame) -> bool:
    absent = {
        "StartTransaction": ("reservationId",),
        "StopTransaction": ("transactionData",),
        "StatusNotification": ("info", "vendorId") if "errorCode" in frame.payload else ("customData",),
        "TransactionEvent": ("cableMaxCurrent", "reservationId", "numberOfPhasesUsed"),
        "BootNotification": ("iccid", "imsi") if "chargePointModel" in frame.payload else ("customData",),
    }
    names = [name for name in absent.get(frame.action, ()) if name not in frame.payload]
    frame.payload.update(dict.fromkeys(names))
    return bool(names)


def _wrong_types(_: Oddness, frame: Frame) -> bool:
    samples = list(_samples(frame))
    for sample in samples:
        value = sample["value"]
        sample["value"] = json.loads(value) if isinstance(value, str) else str(value)
    return bool(samples)


def _odd_boot(_: Oddness, frame: Frame) -> bool:
    if frame.action == "StatusNotification" and "errorCode" in frame.payload:
        frame.payload.update(info="i" * 80, vendorErrorCode="0x0000", errorCode="NoErrors", firmware=[1])
        return True
    if frame.action != "BootNotification":
        return False
    station = frame.payload.get("chargingStation", frame.payload)
    prefix = "chargePoint" if station is frame.payload else ""
    station[f"{prefix}SerialNumber" if prefix else "serialNumber"] = "S" * 34
    station["chargePointVendor" if prefix else "vendorName"] = ""
    station["bootCounter"] = 7
    return True


def _empty_samples(oddness: Oddness, frame: Frame) -> bool:
    values = frame.payload.get("meterValue")
    if values and oddness.turn("empty-samples", 3):
        values[-1]["sampledValue"].append({"value": "", "measurand": "Temperature"})
        values.append({"timestamp": values[-1]["timestamp"], "sampledValue": []})
        return True
    return False


def _signed_values(_: Oddness, frame: Frame) -> bool:
    values = frame.payload.get("meterValue")
    if not values or frame.action not in TRANSACTION:
        return False
    signed: dict[str, Any] = {"value": "OCMF|{}|{}", "format": "SignedData", "vendorSignature": "ab12"}
    if frame.event:
        signed = {"value": 0, "measurand": "Temperature", "signedMeterValue": {"signedMeterData": "T0NNRg=="}}
    values.append({"sampledValue": [signed], "vendorCounter": 3})
    return True


def _kwh(_: Oddness, frame: Frame) -> bool:
    found = False
    for one in _registers(frame):
        found = True
        if isinstance(one["value"], str):
            wh = int(one["value"])
            one.update(value=f"{wh // 1000}.{wh % 1000:03}", unit="kWh")
        else:
            one.update(value=one["value"] / 1000, unitOfMeasure={"unit": "kWh"})
    return found


def _stop_without_number(_: Oddness, frame: Frame) -> bool:
    if frame.action == "StopTransaction" and frame.payload.get("idTag"):
        frame.payload["transactionId"] = -1
        return True
    return False


def _foreign_number(oddness: Oddness, frame: Frame) -> bool:
    if frame.action == "MeterValues" and "transactionId" in frame.payload and oddness.turn("foreign", 3):
        frame.payload["transactionId"] = max(1, frame.payload["transactionId"] - 1)
        return True
    return False


def _odd_times(oddness: Oddness, frame: Frame) -> bool:
    def change(text: str) -> str:
        at = dt.datetime.fromisoformat(text)
        form = oddness.dice.randrange(6)
        if form == 0:
            return at.strftime("%Y%m%dT%H%M%SZ")
        if form == 1:
            year, week, day = at.isocalendar()
            return at.strftime(f"{year}-W{week:02}-{day}T%H:%M:%SZ")
        if form == 2:
            return (at + dt.timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M:%S+02")
        if form == 3:
            return at.strftime("%Y-%m-%dT%H:%M:%S,000000Z")
        if at.second == 0:
            return (at - dt.timedelta(minutes=1)).strftime("%Y-%m-%dT%H:%M:60Z")
        if (at.hour, at.minute) == (0, 0):
            return (at - dt.timedelta(days=1)).strftime("%Y-%m-%dT24:00:00Z")
        return at.strftime("%Y-%m-%d %H:%M:%SZ")

    return frame.kind == CALL and _change_times(frame.payload, change)


def _empty_times(_: Oddness, frame: Frame) -> bool:
    if frame.action in {"StartTransaction", "StopTransaction"} or frame.event in {"Started", "Ended"}:
        frame.payload["timestamp"] = ""
        return True
    return False


def _shift(seconds: float) -> Callable[[Oddness, Frame], bool]:
    def shifted(text: str) -> str:
        at = dt.datetime.fromisoformat(text) + dt.timedelta(seconds=seconds)
        return at.strftime("%Y-%m-%dT%H:%M:%SZ")

    return lambda _, frame: frame.kind == CALL and _change_times(frame.payload, shifted)


def _years_1970(_: Oddness, frame: Frame) -> bool:
    return frame.kind == CALL and _change_times(frame.payload, lambda text: f"1970-01{text[7:]}")


def _begin_zero(_: Oddness, frame: Frame) -> bool:
    if frame.action == "StartTransaction":
        frame.payload["meterStart"] = 0
    return frame.action == "StartTransaction"


def _register_restarts(oddness: Oddness, frame: Frame) -> bool:
    """Let the register of readings and stop begin again at the second reading of a transaction."""
    place = str(
        frame.payload.get("connectorId") or frame.payload.get("transactionInfo", {}).get("transactionId")
    )
    if frame.starts():
        oddness.offset.pop(place, None)
        return False
    shown = False
    for one in _registers(frame):
        if frame.action in TRANSACTION:
            value = int(one["value"])
            offset = oddness.offset.setdefault(place, value)
            oddness.offset["last"] = offset
            one["value"] = str(value - int(offset)) if isinstance(one["value"], str) else value - int(offset)
            shown = True
    if frame.action == "StopTransaction" and "last" in oddness.offset:
        frame.payload["meterStop"] -= int(oddness.offset["last"])
        shown = True
    return shown


def _never_stops(_: Oddness, frame: Frame) -> bool:
    if frame.stops():
        frame.answer = {}
    return frame.stops()


def _start_lost(_: Oddness, frame: Frame) -> bool:
    if frame.event == "Started":
        frame.answer = {"idTokenInfo": {"status": "Accepted"}} if "idToken" in frame.payload else {}
        return True
    return False


def _late_updated(oddness: Oddness, frame: Frame) -> bool:
    """Hold every fourth Updated back until the Ended is out."""
    if frame.event == "Updated" and "idToken" not in frame.payload and oddness.turn("late-updated", 4):
        frame.answer = {}
        oddness.held.append(frame.plain(oddness.new_id()))
        return True
    if frame.event == "Ended":
        frame.after.extend(oddness.held)
        oddness.held.clear()
    return False


def _resends(oddness: Oddness, frame: Frame) -> bool:
    if frame.action in TRANSACTION and oddness.turn("resends", 2):
        frame.after.append(frame.plain(oddness.new_id()))
        return True
    return False


def _speaks_early(oddness: Oddness, frame: Frame) -> bool:
    """Say something before the boot, which is to be refused or ignored."""
    if frame.action != "BootNotification":
        return False
    now = oddness.core.jobs.now().strftime("%Y-%m-%dT%H:%M:%SZ")
    payload: dict[str, Any] = {"type": "StartupOfTheDevice", "timestamp": now}
    frame.before.append(_compact([CALL, oddness.new_id(), "SecurityEventNotification", payload]))
    return True


def _no_trigger_reason(_: Oddness, frame: Frame) -> bool:
    return bool(frame.event) and frame.payload.pop("triggerReason", None) is not None


def _empty_token(_: Oddness, frame: Frame) -> bool:
    if "idToken" in frame.payload:
        frame.payload["idToken"] = {"idToken": "", "type": "NoAuthorization"}
        return True
    return False


def _station_status(oddness: Oddness, frame: Frame) -> bool:
    if frame.action == "StatusNotification" and "evseId" in frame.payload:
        other = Frame(CALL, oddness.new_id(), frame.action, {**frame.payload, "evseId": 0, "connectorId": 0})
        frame.before.append(other.plain())
        return True
    return False


def _available_first(oddness: Oddness, frame: Frame) -> bool:
    member = "status" if "status" in frame.payload else "connectorStatus"
    if frame.action == "StatusNotification" and frame.payload.get(member) == "Unavailable":
        other = Frame(CALL, oddness.new_id(), frame.action, {**frame.payload, member: "Available"})
        frame.before.append(other.plain())
        return True
    return False


def _no_energy(oddness: Oddness, frame: Frame) -> bool:
    """Report a state of charge alone, in every second reading."""
    if frame.event == "Updated" and frame.payload.get("meterValue") and oddness.turn("no-energy", 2):
        for value in frame.payload["meterValue"]:
            value["sampledValue"] = [{"value": 50, "measurand": "SoC"}]
        return True
    return False


def _three_digits(_: Oddness, frame: Frame) -> bool:
    return frame.kind == CALL and _change_times(frame.payload, lambda text: text.replace("Z", ".123456789Z"))


def _boots_again(oddness: Oddness, name: str) -> None:
    def before() -> None:
        if oddness.core.connection.connections:
            oddness.charge_point.boot_sequence.forget()
            oddness.charge_point.boot_sequence.want()
            oddness.show(name)

    oddness.core.connection.before = before
    _cut(oddness, name, 6 * HOUR_S)


ODDITIES: Mapping[str, Oddity] = {
    # The handshake
    "odd-url": Oddity("slashes and a serial number around its identity in the URL", begin=_odd_url),
    "no-upgrade": Oddity(
        "a first handshake without `Connection: Upgrade`, before each connection",
        begin=lambda oddness, name: _before(oddness, name, {"Connection": "keep-alive"}),
    ),
    "probes-1.6": Oddity(
        "a short connection with OCPP 1.6 before each one",
        begin=lambda oddness, name: _before(oddness, name, {}, "ocpp1.6"),
        versions=(V201,),
    ),
    "empty-offer": Oddity("an empty item in the list of subprotocols", begin=_empty_offer),
    # The network
    "cuts": Oddity(
        "the connection is cut every 4 hours, by a reset or plainly",
        begin=lambda oddness, name: _cut(oddness, name, 4 * HOUR_S),
    ),
    "flapping": Oddity(
        "the connection is cut every 20 seconds",
        begin=lambda oddness, name: _cut(oddness, name, 20),
    ),
    "half-open": Oddity(
        "every 8 hours the network changes: the old connection stays half-open, a new one is made",
        begin=lambda oddness, name: oddness.every(name, 8 * HOUR_S, oddness.core.faults.abandon),
    ),
    "offline": Oddity("12 hours without a network every 3 days, then the backlog", begin=_offline),
    "power-loss": Oddity("power is lost every 2 days: transactions end, it boots", begin=_power_loss),
    "boots-again": Oddity(
        "it boots at each reconnect, statuses before what was queued, and is cut every 6 hours",
        begin=_boots_again,
    ),
    "drops-fast-answers": Oddity(
        "it cuts the connection at answers within 20 ms, one in 50", begin=_drops_fast_answers
    ),
    # Frames
    "compressed": Oddity(
        "a compressed frame every 6 hours, which nobody agreed on",
        begin=lambda oddness, name: oddness.every(
            name, 6 * HOUR_S, lambda: oddness.core.faults.send_raw(COMPRESSED)
        ),
        versions=(V16,),
    ),
    "pong": Oddity("the text `pong` beside every fourth heartbeat", _pong),
    "truncated": Oddity("every fifth transaction message is cut off, and sent again", _truncated),
    "loose-json": Oddity("a byte order mark, a comma before the last bracket, a NUL at the end", _loose_json),
    "ids-from-one": Oddity("message ids are numbers that restart at 1", begin=_ids_from_one),
    "resends": Oddity("every second transaction message comes twice, with another message id", _resends),
    "speaks-early": Oddity("a security event before each boot is accepted", _speaks_early),
    # Payloads
    "null-members": Oddity("`null` for members that are absent", _null_members),
    "wrong-types": Oddity("numbers for texts, and texts for numbers, in samples", _wrong_types),
    "odd-boot": Oddity("an empty vendor, a long serial number, unknown members and codes", _odd_boot),
    "empty-samples": Oddity("samples without a value, and lists without samples", _empty_samples),
    "signed-values": Oddity("signed values with a vendor's members, without a time", _signed_values),
    "kwh": Oddity("registers in kWh", _kwh),
    "odd-times": Oddity(
        "times in basic format, as week dates, with short offsets, 24:00:00, :60", _odd_times
    ),
    "long-fractions": Oddity("times with nine digits of fractions", _three_digits),
    "empty-times": Oddity("transactions begin and end at an empty time", _empty_times),
    "clock-ahead": Oddity("its clock is an hour ahead", _shift(HOUR_S)),
    "clock-1970": Oddity("its clock is in January 1970", _years_1970),
    "available-first": Oddity("Available for a moment before it is Unavailable", _available_first),
    "station-status": Oddity("statuses of EVSE 0, connector 0", _station_status, versions=(V201,)),
    "no-trigger-reason": Oddity("events without a reason", _no_trigger_reason, versions=(V201,)),
    "empty-token": Oddity("an empty token of type NoAuthorization", _empty_token, versions=(V201,)),
    # Transactions
    "stop-without-number": Oddity(
        "stops name the transaction -1, with their tag", _stop_without_number, versions=(V16,)
    ),
    "foreign-number": Oddity(
        "every third reading names a transaction that is not its own", _foreign_number, versions=(V16,)
    ),
    "late-updated": Oddity("every fourth Updated comes after the Ended", _late_updated, versions=(V201,)),
    "no-energy": Oddity("every second Updated has a state of charge alone", _no_energy, versions=(V201,)),
    "meter-start-zero": Oddity(
        "meterStart is 0, whatever the meter says", _begin_zero, versions=(V16,), energy="told"
    ),
    "register-restarts": Oddity(
        "the register begins again in mid-transaction", _register_restarts, energy="told"
    ),
    "start-lost": Oddity("the Started never comes", _start_lost, versions=(V201,), energy="told"),
    "never-stops": Oddity("no stop ever comes", _never_stops, energy="unknown"),
    # Commands
    "reboots-on-command": Oddity(
        "it reboots when it is asked to read something",
        begin=lambda oddness, name: _on_commands(oddness, name, READS, lambda one: one.reset()),
    ),
    "crashes-on-unknown": Oddity(
        "the connection is cut by newer commands",
        begin=lambda oddness, name: _on_commands(oddness, name, NEWER, lambda one: one.faults.cut()),
    ),
    "unreadable-answer": Oddity("answers to commands are broken JSON", _unreadable_answer),
    "schedule-start-zero": Oddity('composite schedules with `"scheduleStart": "0"`', _schedule_start_zero),
}
"""Oddities by name."""
