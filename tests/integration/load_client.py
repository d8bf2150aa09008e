"""Charge points of the PyPI library `ocpp` that charge, meter, print the limits that they are given, and come again.

python load_client.py URL[,URL...] NAME...

They begin at the addresses in turn, and go to the next one when theirs is lost.
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

METER_S = 0.5
MOST_A = 32.0


class Charging(ChargePoint):  # type: ignore[misc]
    """Charge point with a car that takes as much as it may."""

    limit_a = MOST_A

    @on(Action.set_charging_profile)  # type: ignore[untyped-decorator]
    def limited(
        self, connector_id: int, cs_charging_profiles: dict[str, Any], **_: Any
    ) -> call_result.SetChargingProfile:
        """Accept a limit, and print it."""
        (period,) = cs_charging_profiles["charging_schedule"]["charging_schedule_period"]
        self.limit_a = float(period["limit"])
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

    async def meter(self) -> None:
        """Send what the car takes, now and then."""
        while True:
            sample = {"value": f"{self.limit_a:g}", "measurand": "Current.Import", "unit": "A"}
            values = [{"timestamp": datetime.now(UTC).isoformat(), "sampled_value": [sample]}]
            await self.call(call.MeterValues(connector_id=1, meter_value=values))
            await asyncio.sleep(METER_S)


async def live(urls: list[str], name: str) -> None:
    """Charge, over as many connections as it takes."""
    again = False
    limit_a = MOST_A
    while True:
        try:
            async with connect(urls[0] + name, subprotocols=[Subprotocol("ocpp1.6")]) as connection:
                charge_point = Charging(name, connection)
                charge_point.limit_a = limit_a
                serving = asyncio.create_task(charge_point.start())
                await charge_point.charge(again=again)
                again = True
                metering = asyncio.create_task(charge_point.meter())
                try:
                    await serving
                finally:
                    metering.cancel()
                    limit_a = charge_point.limit_a
        except (OSError, WebSocketException, TimeoutError):
            urls = [*urls[1:], urls[0]]
            await asyncio.sleep(0.2)


async def main(urls: list[str], names: list[str]) -> None:
    """Charge at all of them."""
    places = (place % len(urls) for place in range(len(names)))
    turned = ([*urls[place:], *urls[:place]] for place in places)
    await asyncio.gather(*map(live, turned, names))


asyncio.run(main(sys.argv[1].split(","), sys.argv[2:]))
