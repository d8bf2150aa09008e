"""Charge points of the PyPI library `ocpp` that charge, print the limits that they are given, and come again.

python load_client.py URL NAME...
"""

import asyncio
import json
import sys
from datetime import UTC, datetime
from typing import Any

from ocpp.routing import on
from ocpp.v16 import ChargePoint, call, call_result
from ocpp.v16.enums import Action, ChargePointErrorCode, ChargePointStatus, ChargingProfileStatus
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException
from websockets.typing import Subprotocol


class Charging(ChargePoint):  # type: ignore[misc]
    """Charge point with a car that takes as much as it may."""

    @on(Action.set_charging_profile)  # type: ignore[untyped-decorator]
    def limited(
        self, connector_id: int, cs_charging_profiles: dict[str, Any], **_: Any
    ) -> call_result.SetChargingProfile:
        """Accept a limit, and print it."""
        (period,) = cs_charging_profiles["charging_schedule"]["charging_schedule_period"]
        told = {"id": self.id, "connector": connector_id, "amps": float(period["limit"])}
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()
        return call_result.SetChargingProfile(status=ChargingProfileStatus.accepted)

    async def charge(self, *, again: bool) -> None:
        """Boot, and start a transaction the first time."""
        await self.call(call.BootNotification(charge_point_model="M", charge_point_vendor="V"))
        await self.call(
            call.StatusNotification(
                connector_id=1, error_code=ChargePointErrorCode.no_error, status=ChargePointStatus.charging
            )
        )
        if not again:
            now = datetime.now(UTC).isoformat()
            await self.call(call.StartTransaction(connector_id=1, id_tag="T1", meter_start=0, timestamp=now))


async def live(url: str, name: str) -> None:
    """Charge, over as many connections as it takes."""
    again = False
    while True:
        try:
            async with connect(url + name, subprotocols=[Subprotocol("ocpp1.6")]) as connection:
                charge_point = Charging(name, connection)
                serving = asyncio.create_task(charge_point.start())
                await charge_point.charge(again=again)
                again = True
                await serving
        except (OSError, WebSocketException, TimeoutError):
            await asyncio.sleep(0.2)


async def main(url: str, names: list[str]) -> None:
    """Charge at all of them."""
    await asyncio.gather(*(live(url, name) for name in names))


asyncio.run(main(sys.argv[1], sys.argv[2:]))
