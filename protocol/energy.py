"""Energy of a transaction, derived from its start, its stop and its meter readings, for every version of OCPP.

The one rule: pure functions of their arguments; a suspicion never changes a figure. A version reads samples out of its
payloads (`Version.samples`); `derive` makes an `Energy` of them.

- `energy_wh` is what the charge point claims, meterStop less meterStart, if it gave both; else what the readings say.
  A version without such figures (2.x) claims nothing.
- `supported_wh` is what the readings say: the rises of the register, from the Transaction.Begin reading, or else from
  meterStart; or the sum of the intervals.
- Readings count in the order of their own times, a Transaction.Begin first and a Transaction.End last, however they
  arrived; one that came twice counts once. A time that cannot be true is replaced by the time of receipt.
- A register that falls begins again where it fell to. A single reading below both of its neighbours, or far above both,
  is left out if the register went on as if it had not been.
"""

from __future__ import annotations

import contextlib
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from ..config.errors import ChargehandError

# -- Samples -------------------------------------------------------------------------------


class Quantity(StrEnum):
    """Measured quantities that tell of a transaction's energy."""

    REGISTER = "register"
    """Energy.Active.Import.Register, in Wh."""
    INTERVAL = "interval"
    """Energy.Active.Import.Interval, in Wh: the energy of the time up to the sample."""
    POWER = "power"
    """Power.Active.Import, in W."""


OUTLET = "Outlet"
"""Default location of a sample."""
BEGIN, END, CLOCK, TRIGGER = "Transaction.Begin", "Transaction.End", "Sample.Clock", "Trigger"
"""Contexts that matter; all others are alike."""


class Sample(NamedTuple):
    """Sample of one quantity, in Wh or W, with the charge point's own time."""

    at: datetime
    quantity: Quantity
    value: Decimal
    phase: str = ""
    context: str = ""
    location: str = OUTLET


class Unusable(NamedTuple):
    """Part of a payload that gives no sample: its element, its path, and the reason."""

    element: int | None
    """Index in the list of meter values; None if the list itself cannot be used."""
    path: str
    reason: str


class Samples(NamedTuple):
    """Samples of a payload, and its parts that cannot be used."""

    samples: tuple[Sample, ...]
    unusable: tuple[Unusable, ...] = ()


UNITS = {
    "wh": ("Wh", 0),
    "kwh": ("Wh", 3),
    "w": ("W", 0),
    "kw": ("W", 3),
    # Only so: the same in lower case is a thousandth.
    "MWh": ("Wh", 6),
    "MW": ("W", 6),
}
"""Units of energy and power, in any case if they stand here in lower case; base unit, and power of ten to it."""
BASE_UNITS = {Quantity.REGISTER: "Wh", Quantity.INTERVAL: "Wh", Quantity.POWER: "W"}

_NUMBER = re.compile(r"(?a:\s*([+-]?(?:\d{1,40}(?:\.\d{0,40})?|\.\d{1,40})(?:[eE][+-]?\d{1,2})?)\s*)")
_LARGEST = Decimal(10) ** 15
_SMALLEST = Decimal("1e-9")
_LARGEST_MULTIPLIER = 30


class NotUsable(ChargehandError, ValueError):
    """A value that is no figure of its quantity; the text says why."""


def number(value: object) -> Decimal:
    """Read a decimal number, given as text or as a number of JSON. Raises `NotUsable`."""
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        raise NotUsable("its value is no number")
    found = _NUMBER.fullmatch(value if isinstance(value, str) else _text(value))
    if found is None:
        raise NotUsable("its value is no number")
    return Decimal(found[1])


def _text(value: float | Decimal) -> str:
    # An integer that is longer than any figure is not converted: that would take long.
    return "" if isinstance(value, int) and value.bit_length() > 128 else str(value)


def in_base_unit(value: object, quantity: Quantity, unit: str = "", multiplier: int = 0) -> Decimal:
    """Return a value in Wh or W, exact to a billionth. Without a unit it is in the base unit.

    `multiplier` is the power of ten of a value in its unit (2.x, `unitOfMeasure.multiplier`). Raises `NotUsable`.
    """
    wanted, unit = BASE_UNITS[quantity], unit.strip()
    base, power = (UNITS.get(unit) or UNITS.get(unit.lower()) or ("", 0)) if unit else (wanted, 0)
    if base != wanted:
        raise NotUsable(f"its unit {unit[:20]!r} is no unit of {wanted}")
    figure = number(value)
    if abs(multiplier) > _LARGEST_MULTIPLIER:
        raise NotUsable(f"its multiplier {multiplier:.0e} is too large")
    figure = figure.scaleb(power + multiplier)
    if abs(figure) >= _LARGEST:
        raise NotUsable("its value is too large")
    return figure.quantize(_SMALLEST) + 0  # not -0


# -- Energy --------------------------------------------------------------------------------


class ClaimedFigures(NamedTuple):
    """Figures of a start and, if there is one, of its stop: meters in Wh, the charge point's times and ours.

    A version without meters at start and stop has None for both: its readings alone tell the energy.
    """

    meter_start: int | None
    started_at: datetime
    start_received_at: datetime
    meter_stop: int | None = None
    stopped_at: datetime | None = None
    stop_received_at: datetime | None = None


class LastStop(NamedTuple):
    """Figures of the transaction before this one at the same connector."""

    meter_start: int | None
    meter_stop: int
    stopped_at: datetime
    stop_received_at: datetime


class Limits(NamedTuple):
    """Limits beyond which a figure is suspicious."""

    power_w: float = 1_000_000
    """More power than any charger has."""
    difference_wh: float = 100
    """Difference between claim and readings that rounding explains; one part in a hundred is allowed besides."""
    ahead_s: float = 300
    """Seconds that a charge point's time may be after our time of receipt."""
    behind_s: float = 31_536_000
    """Seconds that a charge point's time may be before our time of receipt: it may have been offline for long."""

    def allow_time(self, at: datetime, received_at: datetime) -> bool:
        """Return whether a charge point's time can be true, given our time of receipt."""
        return -self.ahead_s <= (received_at - at).total_seconds() <= self.behind_s


class Finding(NamedTuple):
    """Suspicion: its stable code, and the reason with its figures."""

    code: str
    text: str


class Reading(NamedTuple):
    """Register at a time."""

    at: datetime
    wh: int | float


METER, REGISTER, INTERVALS, NO_SOURCE = "meter_start_stop", "register_readings", "interval_sums", ""
"""Sources of an energy."""


class Energy(NamedTuple):
    """Energy of a transaction and what it was derived from. None means unknown."""

    energy_wh: int | float | None
    source: str
    supported_wh: int | float | None
    first: Reading | None
    last: Reading | None
    peak_w: int | float | None
    duration_s: int | float | None
    findings: tuple[Finding, ...]
    idle_since: datetime | None = None
    """Time at which the last energy had come."""

    @property
    def energy_source(self) -> str:
        """Source, under the name that it has in a transaction."""
        return self.source

    @property
    def supported_energy_wh(self) -> int | float | None:
        """Energy by the readings, under the name that it has in a transaction."""
        return self.supported_wh

    @property
    def first_reading(self) -> Reading | None:
        """First reading, under the name that it has over HTTP and on the command line."""
        return self.first

    @property
    def last_reading(self) -> Reading | None:
        """Last reading, under the name that it has over HTTP and on the command line."""
        return self.last


class LastEnergy:
    """Readings, passed on while they are iterated; then `at` is when the last energy had come, if they say so."""

    def __init__(self, readings: Iterable[tuple[datetime, Iterable[Sample]]]) -> None:
        self._readings = readings
        self.at: datetime | None = None

    def __iter__(self) -> Iterator[tuple[datetime, Iterable[Sample]]]:
        register_wh: Decimal | None = None
        for received_at, samples in self._readings:
            found = tuple(samples)
            for sample in found:
                if sample.quantity is not Quantity.REGISTER or sample.phase:
                    continue
                # The first time of the highest value, in whichever order the readings came.
                if (
                    register_wh is None
                    or self.at is None
                    or sample.value > register_wh
                    or (sample.value == register_wh and sample.at < self.at)
                ):
                    register_wh, self.at = sample.value, sample.at
            yield received_at, found


FALL_WH = 1
"""Fall of a register that its rounding explains."""
SECOND_WH = 1000
"""Energy that nothing charges between a start and a stop with the same time, whatever the resolution of a clock."""
CLOCK_STEP_S = 60
"""Seconds that may have passed beyond those between two times of a clock: it is coarse, or was set in between."""
NO_CHARGER_W = 1_000_000
"""Power of a rise to a single reading that was not taken from the register."""
STEEPEST_W = 500_000
"""Power above which a rise from a meterStart of 0 to the first reading means that the 0 was not read from the meter."""
TRACE_WH, SOME_WH, LARGE_WH, LIFE_WH = 1000, 10_000, 100_000, 1_000_000
"""Registers that are not 0; that are a meter's past beside small rises; or if they rose fast; or in any case."""


class _Point(NamedTuple):
    """Register at a moment. `at` is the charge point's time, `known_at` that by which it is ordered."""

    rank: int
    known_at: datetime
    at: datetime
    wh: Decimal
    name: str

    @property
    def clock_is_right(self) -> bool:
        return self.at == self.known_at


def derive(
    claim: ClaimedFigures,
    readings: Iterable[tuple[datetime, Iterable[Sample]]] = (),
    *,
    last_stop: LastStop | None = None,
    limits: Limits = Limits(),  # noqa: B008 - a constant
) -> Energy:
    """Derive the energy of a transaction from its figures and its readings, each message with our time of receipt.

    `last_stop` is that of the transaction before it at its connector.
    """
    return _Derivation(claim, readings, last_stop, limits).energy()


class _Derivation:
    """Derivation of one energy."""

    def __init__(
        self,
        claim: ClaimedFigures,
        readings: Iterable[tuple[datetime, Iterable[Sample]]],
        last_stop: LastStop | None,
        limits: Limits,
    ) -> None:
        self._claim = claim
        self._last_stop = last_stop
        self._limits = limits
        self._power_w = Decimal(limits.power_w)
        self._findings: dict[str, str] = {}
        self._start = self._claimed_point(claim.meter_start or 0, claim.started_at, claim.start_received_at)
        self._stop: _Point | None = None
        if claim.meter_stop is not None:
            received_at = claim.stop_received_at or claim.stopped_at or claim.start_received_at
            self._stop = self._claimed_point(claim.meter_stop, claim.stopped_at or received_at, received_at)
        self._wrong_clocks: list[tuple[datetime, datetime]] = []
        self._samples = self._placed(readings)

    def _claimed_point(self, wh: int, at: datetime, received_at: datetime) -> _Point:
        known_at = at if self._limits.allow_time(at, received_at) else received_at
        return _Point(0, known_at, at, Decimal(wh), "meterStart")

    def _placed(
        self, readings: Iterable[tuple[datetime, Iterable[Sample]]]
    ) -> dict[Quantity, dict[str, dict[tuple[int, datetime, datetime], list[Sample]]]]:
        """Order samples by quantity, location and moment; count those whose time cannot be true."""
        placed: dict[Quantity, dict[str, dict[tuple[int, datetime, datetime], list[Sample]]]] = {}
        for received_at, samples in readings:
            for sample in samples:
                known_at = sample.at
                if not self._limits.allow_time(sample.at, received_at):
                    self._wrong_clocks.append((sample.at, received_at))
                    known_at = received_at
                rank = {BEGIN: -1, END: 1}.get(sample.context, 0)
                moments = placed.setdefault(sample.quantity, {}).setdefault(sample.location, {})
                moments.setdefault((rank, known_at, sample.at), []).append(sample)
        return placed

    def _at_one_place(
        self, quantity: Quantity
    ) -> tuple[str, list[tuple[tuple[int, datetime, datetime], list[Sample]]]]:
        """Return the samples at the outlet by moment; those at another location if there are none there."""
        places = self._samples.get(quantity, {})
        if not places:
            return OUTLET, []
        location = OUTLET if OUTLET in places else min(places)
        return location, sorted(places[location].items(), key=lambda item: item[0])

    def energy(self) -> Energy:
        """Derive the energy."""
        location, register = self._register()
        if self._claim.meter_start is None:
            register = self._without_unread_begin(register)
        intervals = self._intervals()
        peak = self._peak()
        duration_s = self._duration()
        points = self._with_start(register, location)
        supported: Decimal | None = None
        source = NO_SOURCE
        if register:
            supported, source = _rise(points), REGISTER
        elif intervals is not None:
            supported, source = intervals, INTERVALS
        claimed = (
            None if self._stop is None or self._claim.meter_start is None else self._stop.wh - self._start.wh
        )
        self._judge_clocks()
        self._judge_start(register)
        self._judge_register(points)
        self._judge_stop(register, points, claimed, supported, duration_s)
        stop_wh, start_wh = self._claim.meter_stop, self._claim.meter_start
        return Energy(
            # Integers: exact, however long a meter's figures are.
            figure(supported) if stop_wh is None or start_wh is None else stop_wh - start_wh,
            source if claimed is None else METER,
            figure(supported),
            _reading(register, 0),
            _reading(register, -1),
            figure(peak),
            duration_s,
            tuple(Finding(code, text) for code, text in self._findings.items()),
        )

    # -- Figures -------------------------------------------------------------------------------

    def _register(self) -> tuple[str, list[_Point]]:
        """List the register over time. Phases are summed where there is no total, each with its latest value."""
        location, moments = self._at_one_place(Quantity.REGISTER)
        phases: set[str] = set()
        for _, samples in moments:
            if all(sample.phase for sample in samples):
                phases |= _summed_phases(sample.phase for sample in samples)
        latest: dict[str, Decimal] = {}
        points = []
        for (rank, known_at, at), samples in moments:
            values = sorted({sample.value for sample in samples if not sample.phase})
            if phases:
                latest.update(sorted((sample.phase, sample.value) for sample in samples))
            if not values and phases and phases <= latest.keys():
                values = [sum((latest[phase] for phase in phases), Decimal(0))]
            points += [_Point(rank, known_at, at, value, "a reading") for value in values]
        return location, points

    def _with_start(self, register: list[_Point], location: str) -> list[_Point]:
        """Put meterStart before the readings, unless they have a first one of their own, or it was not read."""
        if self._claim.meter_start is None:
            return register
        if not register or register[0].rank < 0 or location != OUTLET or self._start_is_unread(register):
            return register
        return [self._start, *register]

    def _start_is_unread(self, register: Sequence[_Point]) -> bool:
        """Tell if a meterStart of 0 stands beside readings of a large register."""
        if self._claim.meter_start != 0 or not register:
            return False
        if register[0].rank < 0:
            return register[0].wh >= TRACE_WH
        return _is_unread(self._start, register)

    def _without_unread_begin(self, register: list[_Point]) -> list[_Point]:
        """Leave out a first reading of 0 that was not read from the meter, as those after it show."""
        if len(register) < 2 or register[0].wh != 0 or not _is_unread(register[0], register[1:]):
            return register
        text = f"its first reading is 0 Wh, the next one {_wh(register[1].wh)}"
        self._find("meter_start_zero", text)
        return register[1:]

    def _intervals(self) -> Decimal | None:
        """Sum the intervals that do not overlap: of those at one moment the largest, of several series the largest.

        Intervals that follow the clock, those that were asked for and those of the transaction are series of their own.
        """
        _, moments = self._at_one_place(Quantity.INTERVAL)
        by_moment: dict[tuple[str, datetime, datetime], list[Sample]] = {}
        for (_, known_at, at), samples in moments:
            for sample in samples:
                series = sample.context if sample.context in (CLOCK, TRIGGER) else ""
                by_moment.setdefault((series, known_at, at), []).append(sample)
        sums: dict[str, Decimal] = {}
        for (series, _, _), samples in by_moment.items():
            value = _at_a_moment(samples)
            if value is not None:
                sums[series] = sums.get(series, Decimal(0)) + value
        return max(sums.values(), default=None)

    def _peak(self) -> Decimal | None:
        _, moments = self._at_one_place(Quantity.POWER)
        values = (_at_a_moment(samples) for _, samples in moments)
        return max((value for value in values if value is not None), default=None)

    def _duration(self) -> int | float | None:
        """Return the seconds from start to stop, or to the last sample, by the charge point's clock if it is right."""
        claim = self._claim
        if claim.stopped_at is not None and claim.stop_received_at is not None:
            if self._clock_tells_duration():
                return _seconds((claim.stopped_at - claim.started_at).total_seconds())
            return _seconds((claim.stop_received_at - claim.start_received_at).total_seconds())
        times = [
            known_at
            for places in self._samples.values()
            for moments in places.values()
            for _, known_at, _ in moments
        ]
        return _seconds((max(times) - self._start.known_at).total_seconds()) if times else None

    def _clock_tells_duration(self) -> bool:
        """Tell if start and stop are of one clock: a right one, or one that is wrong at both."""
        claim = self._claim
        if claim.stopped_at is None or claim.stop_received_at is None:
            return False
        stop_is_right = self._limits.allow_time(claim.stopped_at, claim.stop_received_at)
        own_s = (claim.stopped_at - claim.started_at).total_seconds()
        if self._start.clock_is_right and stop_is_right:
            return True
        return not self._start.clock_is_right and not stop_is_right and 0 <= own_s <= self._limits.behind_s

    # -- Findings ------------------------------------------------------------------------------

    def _find(self, code: str, text: str) -> None:
        self._findings.setdefault(code, text)

    def _judge_clocks(self) -> None:
        """Find times that cannot be true."""
        claim = self._claim
        times = [("it started", claim.started_at, claim.start_received_at)]
        if claim.stopped_at is not None and claim.stop_received_at is not None:
            times.append(("it stopped", claim.stopped_at, claim.stop_received_at))
        times += [(f"{len(self._wrong_clocks)} samples, one", *one) for one in self._wrong_clocks[:1]]
        for name, at, received_at in times:
            if self._limits.allow_time(at, received_at):
                continue
            text = f"by the charge point's clock {name} at {_when(at)}, received at {_when(received_at)}"
            self._find("clock_ahead" if at > received_at else "clock_behind", text)

    def _judge_start(self, register: Sequence[_Point]) -> None:
        """Find a meterStart that was not read, and one that does not follow the last stop of the connector."""
        start, last = self._start, self._last_stop
        if self._claim.meter_start is None:
            return
        if self._start_is_unread(register):
            text = f"meterStart is 0 Wh, its first reading {_wh(register[0].wh)}"
            self._find("meter_start_zero", text)
        elif register and register[0].rank < 0 and self._start_differs(register):
            text = f"meterStart is {_wh(start.wh)}, its reading of Transaction.Begin {_wh(register[0].wh)}"
            self._find("energy_contradicts_readings", text)
        if last is None or (last.meter_start == 0 and start.wh == 0):
            return  # the second: a meter that counts each transaction from 0
        stop = self._claimed_point(last.meter_stop, last.stopped_at, last.stop_received_at)
        if stop.clock_is_right and start.clock_is_right and stop.at > start.at:
            return  # a stop that came late, from a queue
        if start.wh < stop.wh - FALL_WH and not self._start_is_unread(register):
            text = f"meterStart {_wh(start.wh)} is below {_wh(stop.wh)}, the last meterStop of its connector"
            self._find("meter_below_last_stop", text)
        self._judge_step(stop, start, "the last meterStop of its connector", "meterStart")

    def _start_differs(self, register: Sequence[_Point]) -> bool:
        """Tell if a meterStart is below its Transaction.Begin reading, both of them of one register."""
        stop, tolerance = self._stop, Decimal(self._limits.difference_wh)
        one_register = stop is None or stop.wh >= register[-1].wh - tolerance
        return self._start.wh < register[0].wh - tolerance and one_register

    def _judge_register(self, points: Sequence[_Point]) -> None:
        """Find falls, and rises that no charger can make."""
        falls = [(one, next_) for one, next_ in _pairs(points) if next_.wh < one.wh - FALL_WH]
        if falls:
            one, next_ = max(falls, key=lambda pair: pair[0].wh - pair[1].wh)
            text = (
                f"its register fell from {_wh(one.wh)} to {_wh(next_.wh)}, a reading of {_when(next_.at)}"
                f"{_more(falls)}"
            )
            self._find("register_falls", text)
        for one, next_ in _pairs(points):
            self._judge_step(one, next_, one.name, "a reading of ")

    def _judge_step(self, one: _Point, next_: _Point, before: str, after: str) -> None:
        power_w = _power_w(one, next_)
        if power_w is None or power_w <= self._power_w:
            return
        seconds = _seconds((next_.at - one.at).total_seconds())
        after = f"{after}{_when(next_.at)}" if after.endswith(" ") else after
        text = (
            f"its register rose from {_wh(one.wh)} ({before}) to {_wh(next_.wh)} ({after}) within {seconds} s"
        )
        self._find("register_jumps", text)

    def _judge_stop(
        self,
        register: Sequence[_Point],
        points: Sequence[_Point],
        claimed: Decimal | None,
        supported: Decimal | None,
        duration_s: float | None,
    ) -> None:
        """Find a stop that its readings, or its time, contradict."""
        if self._stop is None or claimed is None:
            return
        # A register that fell, or that counts each transaction from 0, is not the one that meterStop was read from.
        if points and "register_falls" not in self._findings and points[0].wh >= self._start.wh - FALL_WH:
            self._judge_step(points[-1], self._stop, "its last reading", "meterStop")
        self._judge_step(self._start, self._stop, "meterStart", "meterStop")
        if (
            claimed >= SECOND_WH
            and duration_s is not None
            and duration_s <= 0
            and self._clock_tells_duration()
        ):
            self._find("energy_without_duration", f"{_wh(claimed)} within {duration_s} s")
        if supported is None:
            return
        tolerance = Decimal(self._limits.difference_wh) + max(abs(claimed), supported) / 100
        if claimed < supported - tolerance:
            text = f"meterStart and meterStop are {_wh(claimed)} apart, its readings say {_wh(supported)}"
            self._find("energy_contradicts_readings", text)
        elif register and register[-1].rank > 0 and self._end_differs(register, points, supported, tolerance):
            text = f"meterStop is {_wh(self._stop.wh)}, its reading of Transaction.End {_wh(register[-1].wh)}"
            self._find("energy_contradicts_readings", text)

    def _end_differs(
        self, register: Sequence[_Point], points: Sequence[_Point], supported: Decimal, tolerance: Decimal
    ) -> bool:
        """Tell if a meterStop is above its Transaction.End reading, both of them of one register."""
        stop = self._stop
        if stop is None or stop.wh <= register[-1].wh + tolerance:
            return False
        if register[0].rank < 0:
            return stop.wh - self._start.wh > supported + tolerance
        return points[0].wh <= register[0].wh + FALL_WH


def _is_unread(start: _Point, register: Sequence[_Point]) -> bool:
    """Tell if a 0 stands beside readings of a register that no charger can have reached from it."""
    first = register[0]
    rise = max(point.wh for point in register) - first.wh
    is_large = first.wh >= LARGE_WH or (first.wh >= SOME_WH and 0 < rise * 10 <= first.wh)
    power_w = _power_w(start, first)
    return first.wh >= LIFE_WH or (is_large and power_w is not None and power_w > STEEPEST_W)


def _summed_phases(names: Iterable[str]) -> set[str]:
    """Choose the phases to sum: L1, L2, L3, or else those to neutral."""
    found = set(names)
    plain = found & {"L1", "L2", "L3"}
    return plain or found & {"L1-N", "L2-N", "L3-N"}


def _at_a_moment(samples: Sequence[Sample]) -> Decimal | None:
    """Return the total of a moment, or the sum of its phases; the largest if there are several."""
    values = [sample.value for sample in samples if not sample.phase]
    if values:
        return max(values)
    phases = _summed_phases(sample.phase for sample in samples)
    if not phases:
        return None
    return sum(
        (max(sample.value for sample in samples if sample.phase == phase) for phase in phases), Decimal(0)
    )


def latest_power_w(samples: Sequence[Sample]) -> int | float | None:
    """Return the power of the latest moment that has one, all phases together; None if there is none."""
    powers = [sample for sample in samples if sample.quantity is Quantity.POWER]
    if not powers:
        return None
    latest = max(sample.at for sample in powers)
    return figure(_at_a_moment([sample for sample in powers if sample.at == latest]))


def _rise(points: Sequence[_Point]) -> Decimal:
    """Return by how much a register rose; see the head of this file for one that fell."""
    rise, mark = Decimal(0), points[0].wh
    for point in _without_outliers(points)[1:]:
        value = point.wh
        if value > mark:
            rise += value - mark
            mark = value
        elif value < mark - FALL_WH:
            mark = value
    return rise


def _without_outliers(points: Sequence[_Point]) -> list[_Point]:
    """Leave out a single point after which the register went on as before.

    It is below both of its neighbours, or above both and further than any charger could have come.
    """
    steps = [next(same) for _, same in itertools.groupby(points, key=lambda point: point.wh)]
    kept = steps[:1]
    for point, after in itertools.pairwise(steps[1:]):
        before = kept[-1]
        if before.wh <= after.wh and (point.wh < before.wh or point.wh > after.wh):
            power_w = _power_w(before, point)
            if point.wh < before.wh or power_w is None or power_w > NO_CHARGER_W:
                continue
        kept.append(point)
    return kept + steps[1:][-1:]


def _power_w(one: _Point, next_: _Point) -> Decimal | None:
    """Return the least mean power between two points; None if their clocks do not tell."""
    if not (one.clock_is_right and next_.clock_is_right) or next_.at < one.at:
        return None
    seconds = Decimal((next_.at - one.at) // timedelta(microseconds=1)) / 1_000_000 + CLOCK_STEP_S
    return (next_.wh - one.wh) * 3600 / seconds


def _pairs(points: Sequence[_Point]) -> Iterator[tuple[_Point, _Point]]:
    return itertools.pairwise(points)


def _reading(points: Sequence[_Point], index: int) -> Reading | None:
    return Reading(points[index].at, _number(points[index].wh)) if points else None


def figure(value: Decimal | None) -> int | float | None:
    """Return a figure as a number of JSON, to a thousandth: an int if it is whole."""
    return None if value is None else _number(value)


def _number(value: Decimal) -> int | float:
    if abs(value) >= _LARGEST:
        return int(value)
    rounded = round(value, 3)
    return int(rounded) if rounded == rounded.to_integral_value() else float(rounded)


def _seconds(value: float) -> int | float:
    return _number(Decimal(value))


def _wh(value: Decimal) -> str:
    return f"{value:.3e} Wh" if abs(value) >= _LARGEST else f"{_number(value)} Wh"


def _when(at: datetime) -> str:
    with contextlib.suppress(OverflowError):  # the first and the last hours that there are keep their zone
        at = at.astimezone(UTC)
    return at.isoformat(timespec="seconds").replace("+00:00", "Z")


def _more(found: Sequence[object]) -> str:
    return f" ({len(found) - 1} more)" if len(found) > 1 else ""
