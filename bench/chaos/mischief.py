"""Plugins that fail by chance and in every possible way, for the charge points that may be attacked.

Rule: for an untouched charge point they always answer correctly.
"""

import random
from collections.abc import Callable
from typing import Any

import gevent
from truth import Truth

from chargehand import Call, OcppError, Plugin, Ticket, on_outcome, passive, v16, v201

UNTOUCHED = "quiet-"
"""Prefix of the ids of the charge points that are not attacked."""

ACCEPTED = {"status": "Accepted"}
HANG_S = 3600.0
CALL_BACK_S = 0.5


def fail(name: str, call: Call[Any]) -> object:
    """Fail in the named way: return nonsense, raise, or hang."""
    if name == "raise":
        raise RuntimeError("planted")
    if name == "leak a gevent.Timeout":
        raise gevent.Timeout(1)
    if name == "leak a GreenletExit":
        raise gevent.GreenletExit
    if name == "hang":
        gevent.sleep(HANG_S)
    if name == "never answer":
        return call.later()
    return {"answer 42": 42, "answer nonsense": {"status": "Purple", "idTagInfo": 5}}.get(name)


FATES = (
    "raise",
    "leak a gevent.Timeout",
    "leak a GreenletExit",
    "hang",
    "never answer",
    "answer 42",
    "answer None",
    "answer nonsense",
)


class Chancy(Plugin):
    """Plugin that fails with the probability `chance` for each call, and at one start in five except the first."""

    def __init__(self, truth: Truth, seed: int, chance: float) -> None:
        super().__init__()
        self.truth = truth
        self.chance = chance
        started = len(truth.starts.get(type(self).__name__, ()))
        self.dice = random.Random(f"{seed}-{type(self).__name__}-{started}")
        self.may_start = not started or self.dice.random() > 0.2

    def on_start(self) -> None:
        """Start, or fail to."""
        self.truth.started(type(self).__name__)
        if not self.may_start:
            self.truth.fate("fail to start")
            raise RuntimeError("planted: it does not start")

    def answer(self, call: Call[Any], answer: Callable[[], object]) -> object:
        """Answer correctly, or fail."""
        if call.charge_point.id.startswith(UNTOUCHED) or call.redelivered or self.dice.random() > self.chance:
            return answer()
        name = self.dice.choice(FATES)
        self.truth.fate(name)
        return fail(name, call)


class Tags(Chancy):
    """Answers Authorize, and DataTransfer with the data that it was sent."""

    @passive(v16.Authorize)
    def authorize(self, call: Call[v16.Authorize]) -> object:
        """Accept an id tag."""
        return self._authorize(
            call, v16.GetConfiguration(key=("AuthorizeRemoteTxRequests",)), {"idTagInfo": ACCEPTED}
        )

    @passive(v201.Authorize)
    def authorize_201(self, call: Call[v201.Authorize]) -> object:
        """Accept an id token."""
        component, name = v201.Component(name="AuthCtrlr"), v201.Variable(name="AuthorizeRemoteStart")
        variable = v201.GetVariableData(component=component, variable=name)
        return self._authorize(
            call, v201.GetVariables(get_variable_data=(variable,)), {"idTokenInfo": ACCEPTED}
        )

    def _authorize(self, call: Call[Any], request: Any, response: object) -> object:
        """Accept; sometimes after a command to the charge point, sometimes with an error of its own."""
        dice = self.dice.random()
        if dice < 0.02:
            self.system.send(call.charge_point.id, request, timeout_s=CALL_BACK_S).wait(CALL_BACK_S)
        elif dice < 0.03:
            raise OcppError(description="on purpose")
        return self.answer(call, lambda: response)

    @passive("DataTransfer")
    def data_transfer(self, call: Call[Any]) -> object:
        """Return the data of the request; sometimes from another greenlet, and twice."""
        response = {"status": "Accepted", "data": call.request.data}
        if self.dice.random() < 0.1:
            later = call.later()
            gevent.spawn_later(0.01, later.answer, response)
            gevent.spawn_later(0.02, later.answer, response)
            return None
        return self.answer(call, lambda: response)

    @on_outcome()
    def heard(self, ticket: Ticket[Any]) -> None:
        """Note the outcome, and sometimes fail, which must not have any effect."""
        self.truth.heard(ticket.id)
        if not ticket.charge_point_id.startswith(UNTOUCHED) and self.dice.random() < self.chance:
            raise gevent.Timeout(1)


class Meters(Chancy):
    """Keeps transactions and meter values, each by the number that the charge point put into it."""

    @passive(v16.StartTransaction)
    def start_transaction(self, call: Call[v16.StartTransaction]) -> object:
        """Keep a start; its number is its meter value."""
        return self.answer(call, lambda: self._started(call))

    def _started(self, call: Call[v16.StartTransaction]) -> object:
        self.truth.keep(call.charge_point.id, call.request.meter_start)
        return {"idTagInfo": ACCEPTED, "transactionId": call.transaction_id}

    @passive(v16.MeterValues)
    def meter_values(self, call: Call[v16.MeterValues]) -> object:
        """Keep meter values; their number is the value of the first sample."""
        return self.answer(call, lambda: self._keep(call, number_of(call.request)))

    @passive(v16.StopTransaction)
    def stop_transaction(self, call: Call[v16.StopTransaction]) -> object:
        """Keep a stop; its number is its meter value."""
        return self.answer(call, lambda: self._keep(call, call.request.meter_stop))

    @passive(v201.TransactionEvent)
    def transaction_event(self, call: Call[v201.TransactionEvent]) -> object:
        """Keep an event; its number is the value of the first sample."""
        token = {"idTokenInfo": ACCEPTED} if call.request.id_token is not None else {}
        return self.answer(call, lambda: self._keep(call, number_of(call.request)) or token)

    def _keep(self, call: Call[Any], number: int) -> object:
        self.truth.keep(call.charge_point.id, number)
        return {}


def number_of(request: Any) -> int:
    """Return the number of a message with meter values."""
    return int(request.meter_value[0].sampled_value[0].value)
