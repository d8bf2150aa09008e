"""Samples of energy and power in payloads of OCPP 2.0.1: TransactionEvent and MeterValues.

The one rule: nothing is raised, whatever was kept; what cannot be used is named with its reason. OCPP 2.0.1,
SampledValueType.
"""

from datetime import UTC, datetime, tzinfo
from typing import Any

from ..energy import OUTLET, NotUsable, Sample, Samples, in_base_unit
from ..samples import quantity_of, read_samples, text_in


def samples_of(payload: bytes, naive_zone: tzinfo | None = UTC) -> Samples:
    """Read the samples of a payload as it was sent, or of the list of its meter values alone.

    Times without a zone are in `naive_zone`; with None they cannot be read.
    """
    return read_samples(payload, naive_zone, _sample)


def _sample(at: datetime, sampled: Any) -> Sample | None:
    """Read one sample; None if it tells nothing of energy or power. Raises `NotUsable`."""
    if not isinstance(sampled, dict):
        raise NotUsable("is not an object")
    quantity = quantity_of(sampled.get("measurand"))
    if quantity is None:
        return None  # shown as it was sent, and used in no figure
    measure = sampled.get("unitOfMeasure")
    if not isinstance(measure, dict):
        measure = {}
    multiplier = measure.get("multiplier", 0)
    if type(multiplier) is not int:
        raise NotUsable("its multiplier is no integer")
    return Sample(
        at,
        quantity,
        in_base_unit(sampled.get("value"), quantity, text_in(measure, "unit"), multiplier),
        text_in(sampled, "phase"),
        text_in(sampled, "context"),
        text_in(sampled, "location") or OUTLET,
    )
