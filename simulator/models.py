"""Simulated charge points by version of OCPP: `MODELS` says how one is made, and what may be asked of it."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .charge_point import ChargePoint
from .oddities import ODDITIES, Oddness
from .sentences import SENTENCES
from .v201 import Misbehaviour, Station
from .v201.sentences import SENTENCES as SENTENCES_201

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from .sentences import Payload
    from .transactions import Transaction
    from .v201 import StationTransaction

    AnyChargePoint = ChargePoint | Station
    AnyTransaction = Transaction | StationTransaction


@dataclass(frozen=True, slots=True)
class Model:
    """Simulated charge points of one version.

    `build` makes one that shows faults of its version alone; `sentences` tell its calls to people.
    """

    version: str
    build: Callable[..., AnyChargePoint]
    sentences: Mapping[str, Callable[[Payload, Payload], str]]
    own: Mapping[str, str]
    """Faults that only this version can show, each with what becomes of the energy: see `Oddity.energy`."""

    @property
    def misbehaviours(self) -> Mapping[str, str]:
        """Names of the faults that it can show, each with what becomes of the energy."""
        shared = {name: odd.energy for name, odd in ODDITIES.items() if self.version in odd.versions}
        return {**shared, **self.own}

    def make(
        self,
        url: str,
        identity: str,
        places: int,
        interval_s: int,
        misbehaviour: Iterable[str] = (),
        **options: Any,
    ) -> tuple[AnyChargePoint, Oddness]:
        """Make one with a number of connectors (EVSEs), and with the seconds between its meter readings."""
        named = list(misbehaviour)
        own = [name for name in named if name in self.own]
        charge_point = self.build(url, identity, places, interval_s, own, **options)
        odd = [name for name in named if name not in own]
        return charge_point, Oddness(charge_point, odd, random.Random(identity))  # noqa: S311 - no secret


def _charge_point(
    url: str, identity: str, places: int, interval_s: int, _: Iterable[str], **options: Any
) -> ChargePoint:
    configuration = {"MeterValueSampleInterval": str(interval_s)}
    return ChargePoint(url, identity, connectors=places, configuration=configuration, **options)


def _station(
    url: str, identity: str, places: int, interval_s: int, misbehaviour: Iterable[str], **options: Any
) -> Station:
    return Station(
        url,
        identity,
        evses=places,
        variables={"SampledDataCtrlr.TxUpdatedInterval": str(interval_s)},
        misbehaviour=[Misbehaviour(one) for one in misbehaviour],
        **options,
    )


MODELS: Mapping[str, Model] = {
    "1.6": Model("1.6", _charge_point, SENTENCES, {}),
    "2.0.1": Model(
        "2.0.1",
        _station,
        SENTENCES_201,
        {str(one): "told" if one is Misbehaviour.BEGIN_ZERO else "exact" for one in Misbehaviour},
    ),
}
"""Models by the version of OCPP; the first is the default."""
