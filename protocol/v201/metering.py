"""Block J of OCPP 2.0.1, meter values of no transaction.

The one rule: a response is declared before its request, for the request names it.
"""

from typing import Annotated

from ..actions import Sender, request
from ..message import EXPENDABLE, AtLeast
from .base import Message, Request
from .types import Block, Id, MeterValue

# -- MeterValues -------------------------------------------------------------------------


class MeterValuesResponse(Message):
    """Confirm meter values. OCPP 2.0.1, 1.32.2."""


@request(
    "MeterValues",
    Block.METERING,
    Sender.CHARGE_POINT,
    transaction=True,
    carries_readings=lambda _: True,
)
class MeterValues(Request[MeterValuesResponse]):
    """Send readings that belong to no transaction; EVSE 0 is the main meter. OCPP 2.0.1, 1.32.1."""

    evse_id: Id
    meter_value: Annotated[tuple[MeterValue, ...], AtLeast(1), EXPENDABLE]
