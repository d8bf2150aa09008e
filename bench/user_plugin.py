"""Plugin as a user would write it, so that benchmarks measure more than the bundled back office.

Rule: it does the work of a small real one (looks tags up, keeps the state of connectors, counts), through the public
names of `chargehand` and nothing else. It never blocks.

    PYTHONPATH=bench python -m chargehand serve --plugin user_plugin:Depot
"""

import datetime as dt
from collections import Counter

from chargehand import Call, ChargePointOffline, Plugin, on, passive, v16

Tag = tuple[v16.AuthorizationStatus, dt.datetime | None]


class Depot(Plugin):
    """Depot with known tags that keeps the state of every connector of the connected charge points."""

    def __init__(self, *, heartbeat_limit_s: float = 900) -> None:
        super().__init__()
        self._tags: dict[str, Tag] = {
            f"04A1B2C3{number:02X}": (v16.AuthorizationStatus.ACCEPTED, None) for number in range(256)
        }
        self._heartbeat_limit = dt.timedelta(seconds=heartbeat_limit_s)
        self._states: dict[str, dict[int, v16.ChargePointStatus]] = {}
        self._last_seen: dict[str, dt.datetime] = {}
        self._faults: Counter[str] = Counter()
        self._late: Counter[str] = Counter()

    @passive(v16.Authorize)
    def authorize(self, call: Call[v16.Authorize]) -> v16.AuthorizeResponse:
        """Accept a known tag that has not expired."""
        status, expiry = self._tags.get(call.request.id_tag, (v16.AuthorizationStatus.INVALID, None))
        if expiry is not None and expiry <= call.received_at:
            status = v16.AuthorizationStatus.EXPIRED
        return v16.AuthorizeResponse(id_tag_info=v16.IdTagInfo(status=status, expiry_date=expiry))

    @passive(v16.StatusNotification)
    def status(self, call: Call[v16.StatusNotification]) -> v16.StatusNotificationResponse:
        """Keep the connector's state, and count faulted connectors."""
        request = call.request
        self._states.setdefault(call.charge_point.id, {})[request.connector_id] = request.status
        if request.error_code is not v16.ChargePointErrorCode.NO_ERROR:
            self._faults[call.charge_point.id] += 1
        return v16.StatusNotificationResponse()

    @passive(v16.Heartbeat)
    def heartbeat(self, call: Call[v16.Heartbeat]) -> v16.HeartbeatResponse:
        """Answer with the time, and count charge points that were silent too long."""
        last = self._last_seen.get(call.charge_point.id)
        if last is not None and call.received_at - last > self._heartbeat_limit:
            self._late[call.charge_point.id] += 1
        self._last_seen[call.charge_point.id] = call.received_at
        return v16.HeartbeatResponse(current_time=call.received_at.replace(microsecond=0))

    @on(ChargePointOffline)
    def offline(self, event: ChargePointOffline) -> None:
        """Forget the connectors of the charge point."""
        self._states.pop(event.charge_point_id, None)
