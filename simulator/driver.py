"""What a person does at a charge point: present a tag, plug in, charge, unplug, break it and mend it.

The one rule: each method returns when the central system has been told, or at once while it cannot be.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..protocol import v16

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .charging import Charging
    from .connectors import Connectors
    from .transactions import Transaction


class Driver:
    """The part of a charge point that people touch."""

    charging: Charging
    connectors: Connectors

    def authorize(self, id_tag: str) -> v16.IdTagInfo:
        """Present a tag: the central system decides, or the lists while it cannot be reached. OCPP 1.6, 4.1."""
        return self.charging.authorize(id_tag)

    def plug_in(self, connector_id: int = 1) -> None:
        """Bring a vehicle. Raises NotPossible if there is one."""
        self.charging.plug_in(connector_id)

    def start(self, id_tag: str, connector_id: int = 1) -> Transaction:
        """Start a transaction; a vehicle must be plugged in. Offline it starts as well, without an id yet.

        Raises NotPossible, or a `CallFailed` if the central system refused the message until it was thrown away.
        """
        return self.charging.start(id_tag, connector_id)

    def meter(self, wh: int = 100, connector_id: int = 1, *, values: Sequence[v16.SampledValue] = ()) -> None:
        """Move the meter on by `wh` and send MeterValues: `values`, or the reading of the meter."""
        self.charging.meter(connector_id, wh, values)

    def stop(self, connector_id: int = 1, *, reason: v16.Reason = v16.Reason.LOCAL) -> Transaction:
        """Stop the transaction. Raises like `start`."""
        running = self.connectors[connector_id].transaction
        id_tag = running.id_tag if running is not None and reason is v16.Reason.LOCAL else None
        return self.charging.stop(connector_id, reason, id_tag)

    def unplug(self, connector_id: int = 1) -> None:
        """Take the vehicle away; a transaction ends with that, or is suspended, as the configuration says."""
        self.charging.unplug(connector_id)

    def charge(
        self, id_tag: str, connector_id: int = 1, *, readings: int = 1, wh: int = 100
    ) -> Transaction | None:
        """A whole visit: plug in, authorize, start, some MeterValues, stop, unplug. None: the tag may not charge."""
        self.plug_in(connector_id)
        try:
            if self.authorize(id_tag).status != v16.AuthorizationStatus.ACCEPTED:
                return None
            transaction = self.start(id_tag, connector_id)
            for _ in range(readings):
                self.meter(wh, connector_id)
            return self.stop(connector_id) if transaction.running else transaction
        finally:
            if self.connectors[connector_id].plugged:
                self.unplug(connector_id)

    def suspend(self, connector_id: int = 1, *, by_vehicle: bool = True) -> None:
        """The vehicle, or the charge point, stops taking or giving energy. The transaction goes on."""
        status = v16.ChargePointStatus.SUSPENDED_EV if by_vehicle else v16.ChargePointStatus.SUSPENDED_EVSE
        self.charging.suspend(connector_id, status)

    def resume(self, connector_id: int = 1) -> None:
        """Charge on."""
        self.charging.suspend(connector_id, None)

    def break_down(
        self,
        connector_id: int = 1,
        error: v16.ChargePointErrorCode = v16.ChargePointErrorCode.OTHER_ERROR,
    ) -> None:
        """A connector, or the charge point as 0, becomes Faulted; with NO_ERROR it is repaired."""
        connector = self.connectors[connector_id] if connector_id else self.connectors.whole
        connector.error = error
        self.charging.tell(connector)
