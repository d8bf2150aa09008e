"""Block I of OCPP 2.0.1, tariffs and costs.

The one rule: a response is declared before its request, for the request names it.
"""

from decimal import Decimal

from ..actions import Sender, request
from .base import Message, Request
from .types import Block, String36

# -- CostUpdated -------------------------------------------------------------------------


class CostUpdatedResponse(Message):
    """Confirm a cost. OCPP 2.0.1, 1.11.2."""


@request(
    "CostUpdated",
    Block.TARIFF_AND_COST,
    Sender.CENTRAL_SYSTEM,
    supersede_key=lambda request: request.transaction_id,
    transaction_of=lambda request: request.transaction_id,
)
class CostUpdated(Request[CostUpdatedResponse]):
    """Tell the cost of a transaction so far, in the currency of the station. OCPP 2.0.1, 1.11.1."""

    total_cost: Decimal
    transaction_id: String36
