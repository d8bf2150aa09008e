"""Simulated charge points by version of OCPP: `MODELS` says how one is made, and what may be asked of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .charge_point import ChargePoint
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

    `make(url, identity, places, interval_s, misbehaviour, **options)` makes one with a number of connectors (EVSEs),
    and with the seconds between its meter readings; `sentences` tell its calls to people.
    """

    make: Callable[..., AnyChargePoint]
    sentences: Mapping[str, Callable[[Payload, Payload], str]]
    misbehaviours: tuple[str, ...] = ()
    """Names of the faults that it can show."""


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
    "1.6": Model(_charge_point, SENTENCES),
    "2.0.1": Model(_station, SENTENCES_201, tuple(str(one) for one in Misbehaviour)),
}
"""Models by the version of OCPP; the first is the default."""
