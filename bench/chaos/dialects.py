"""Messages of the run in each version of OCPP: those of the load, those of the commands, and what answers tell.

Rule: a dialect makes messages and reads them; it sends nothing.
"""

import datetime as dt
import random
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any, Protocol

from chargehand import v16, v201
from chargehand.simulator import Backoff, ChargePoint
from chargehand.simulator.v201 import Station

VENDOR = "Chargehand"  # simulated charge points echo the data of this vendor's DataTransfer
LOAD_VENDOR = "chaos"
TOKEN = v201.IdToken(id_token="TAG", type=v201.IdTokenType.ISO14443)

Make = Callable[[int, dt.datetime], Any]
"""Makes a transaction message with its number and a time."""
Deliver = Callable[[Make], Any]
"""Sends one until it is acknowledged; returns its response, None if it never was."""
Simulated = ChargePoint | Station


class Dialect(Protocol):
    """Messages of a version."""

    simulated: type[Simulated]
    readable: str
    """Action of the command `read`, which reads something."""

    def heartbeat(self) -> Any:
        """Make a Heartbeat."""

    def authorize(self, tag: str) -> Any:
        """Make an Authorize."""

    def status(self, dice: random.Random) -> Any:
        """Make a StatusNotification."""

    def data(self, vendor: str, token: str) -> Any:
        """Make a DataTransfer."""

    def transaction(self, name: str, updates: int, deliver: Deliver) -> Iterator[int | None]:
        """Deliver a transaction; yield the id that was allotted, or None, before each update."""

    def read(self, token: str) -> Any:
        """Make a command that reads what does not exist."""

    def write(self, token: str) -> Any:
        """Make a command that replaces a waiting one."""

    def trigger(self) -> Any:
        """Make a command that asks for a Heartbeat."""

    def reset(self) -> Any:
        """Make a Reset."""

    def token_in(self, response: Any) -> str | None:
        """Return the token in the response to `data` or `read`; None if there is none."""


class Dialect16:
    """OCPP 1.6."""

    simulated = ChargePoint
    readable = "GetConfiguration"

    def heartbeat(self) -> Any:
        """Make a Heartbeat."""
        return v16.Heartbeat()

    def authorize(self, tag: str) -> Any:
        """Make an Authorize."""
        return v16.Authorize(id_tag=tag)

    def status(self, dice: random.Random) -> Any:
        """Make a StatusNotification."""
        status = dice.choice((v16.ChargePointStatus.AVAILABLE, v16.ChargePointStatus.PREPARING))
        return v16.StatusNotification(
            connector_id=1, error_code=v16.ChargePointErrorCode.NO_ERROR, status=status
        )

    def data(self, vendor: str, token: str) -> Any:
        """Make a DataTransfer."""
        return v16.DataTransfer(vendor_id=vendor, data=token)

    def transaction(self, _name: str, updates: int, deliver: Deliver) -> Iterator[int | None]:
        """Deliver a start, meter values and a stop."""
        started = deliver(
            lambda number, now: v16.StartTransaction(
                connector_id=1, id_tag="TAG", meter_start=number, timestamp=now
            )
        )
        if started is None:
            return
        transaction_id: int = started.transaction_id

        def values(number: int, now: dt.datetime) -> Any:
            value = v16.MeterValue(timestamp=now, sampled_value=(v16.SampledValue(value=str(number)),))
            return v16.MeterValues(connector_id=1, transaction_id=transaction_id, meter_value=(value,))

        for _ in range(updates):
            yield transaction_id
            deliver(values)
        deliver(
            lambda number, now: v16.StopTransaction(
                meter_stop=number, timestamp=now, transaction_id=transaction_id
            )
        )
        yield transaction_id

    def read(self, token: str) -> Any:
        """Make a command that reads what does not exist."""
        return v16.GetConfiguration(key=(token,))

    def write(self, token: str) -> Any:
        """Make a command that replaces a waiting one."""
        return v16.ChangeConfiguration(key="Chaos", value=token)

    def trigger(self) -> Any:
        """Make a command that asks for a Heartbeat."""
        return v16.TriggerMessage(requested_message=v16.MessageTrigger.HEARTBEAT)

    def reset(self) -> Any:
        """Make a Reset."""
        return v16.Reset(type=v16.ResetType.SOFT)

    def token_in(self, response: Any) -> str | None:
        """Return the token in the response to `data` or `read`; None if there is none."""
        if isinstance(response, v16.DataTransferResponse):
            return response.data
        if isinstance(response, v16.GetConfigurationResponse) and response.unknown_key:
            return response.unknown_key[0]
        return None


class Dialect201:
    """OCPP 2.0.1."""

    simulated = Station
    readable = "GetVariables"

    def heartbeat(self) -> Any:
        """Make a Heartbeat."""
        return v201.Heartbeat()

    def authorize(self, tag: str) -> Any:
        """Make an Authorize."""
        return v201.Authorize(id_token=v201.IdToken(id_token=tag, type=TOKEN.type))

    def status(self, dice: random.Random) -> Any:
        """Make a StatusNotification."""
        status = dice.choice((v201.ConnectorStatus.AVAILABLE, v201.ConnectorStatus.OCCUPIED))
        now = dt.datetime.now(dt.UTC).replace(microsecond=0)
        return v201.StatusNotification(timestamp=now, connector_status=status, evse_id=1, connector_id=1)

    def data(self, vendor: str, token: str) -> Any:
        """Make a DataTransfer."""
        return v201.DataTransfer(vendor_id=vendor, data=token)

    def transaction(self, name: str, updates: int, deliver: Deliver) -> Iterator[int | None]:
        """Deliver the events of a transaction, whose id is the station's own."""
        kinds = v201.TransactionEventType

        def event(kind: v201.TransactionEventType, seq_no: int) -> Make:
            def make(number: int, now: dt.datetime) -> Any:
                value = v201.MeterValue(
                    timestamp=now, sampled_value=(v201.SampledValue(value=Decimal(number)),)
                )
                return v201.TransactionEvent(
                    event_type=kind,
                    timestamp=now,
                    trigger_reason=v201.TriggerReason.METER_VALUE_PERIODIC,
                    seq_no=seq_no,
                    transaction_info=v201.TransactionInfo(transaction_id=name),
                    meter_value=(value,),
                    evse=v201.EVSE(id=1) if seq_no == 0 else None,
                    id_token=TOKEN if seq_no == 0 else None,
                )

            return make

        if deliver(event(kinds.STARTED, 0)) is None:
            return
        for seq_no in range(1, updates + 1):
            yield None
            deliver(event(kinds.UPDATED, seq_no))
        deliver(event(kinds.ENDED, updates + 1))

    def read(self, token: str) -> Any:
        """Make a command that reads what does not exist."""
        variable = v201.GetVariableData(
            component=v201.Component(name="Chaos"), variable=v201.Variable(name=token)
        )
        return v201.GetVariables(get_variable_data=(variable,))

    def write(self, token: str) -> Any:
        """Make a command that replaces a waiting one."""
        variable = v201.SetVariableData(
            attribute_value=token,
            component=v201.Component(name="Chaos"),
            variable=v201.Variable(name="Written"),
        )
        return v201.SetVariables(set_variable_data=(variable,))

    def trigger(self) -> Any:
        """Make a command that asks for a Heartbeat."""
        return v201.TriggerMessage(requested_message=v201.MessageTrigger.HEARTBEAT)

    def reset(self) -> Any:
        """Make a Reset."""
        return v201.Reset(type=v201.ResetType.IMMEDIATE)

    def token_in(self, response: Any) -> str | None:
        """Return the token in the response to `data` or `read`; None if there is none."""
        if isinstance(response, v201.DataTransferResponse):
            return None if response.data is None else str(response.data)
        if isinstance(response, v201.GetVariablesResponse):
            return response.get_variable_result[0].variable.name
        return None


DIALECTS: dict[str, Dialect] = {"1.6": Dialect16(), "2.0.1": Dialect201()}


def simulated(dialect: Dialect, url: str, identity: str, timeout_s: float) -> Simulated:
    """Make a charge point that connects again whenever its connection breaks."""
    return dialect.simulated(
        url, identity, reconnect=Backoff(0.05, 0.5), timeout_s=timeout_s, record_limit=32
    )
