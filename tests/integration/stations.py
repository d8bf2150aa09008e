"""Charge points for tests of the operator's page: simulated ones as processes, and one that has charged already."""

import datetime as dt
import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from websockets.sync.client import ClientConnection, connect

from .process import StepProcess
from .server import Server

SAMPLE_S = 30
WATTS = 140_000
"""Power of a charging curve at its height."""


@contextmanager
def station(server: Server, id_: str, *options: str) -> Iterator[StepProcess]:
    """Run a simulated charge point that charges, and answers commands."""
    url = server.ws.replace("{id}", "").rstrip("/")
    command = ["-m", "chargehand", "simulate", id_, "--url", url, "--duration", "600", "--interval", "1"]
    running = StepProcess(*command, *options)
    try:
        yield running
    finally:
        running.close()


class Charged:
    """Charge point of OCPP 1.6 with a transaction whose readings make curves of power, current, SoC and energy."""

    def __init__(self, socket: ClientConnection, samples: int) -> None:
        self._socket = socket
        self._number = 0
        now = dt.datetime.now(dt.UTC)
        begun = now - dt.timedelta(seconds=samples * SAMPLE_S)
        facts = {"chargePointVendor": "Acme", "chargePointModel": "Rapid 150", "firmwareVersion": "2.3.1"}
        self.call("BootNotification", facts)
        self.status("Charging")
        start = {"connectorId": 1, "idTag": "MARIA", "meterStart": 1_250_000, "timestamp": text(begun)}
        self.transaction_id: int = self.call("StartTransaction", start)["transactionId"]
        self.meter_wh = 1_250_000.0
        for number in range(samples):
            at = begun + dt.timedelta(seconds=SAMPLE_S * (number + 1))
            self.reading(at, watts_at(number / samples) * (1 + 0.02 * math.sin(number)))

    def call(self, action: str, payload: Any) -> Any:
        """Send a call and return the payload of its result; commands that come are accepted."""
        self._number += 1
        self._socket.send(json.dumps([2, str(self._number), action, payload]))
        while True:
            message = json.loads(self._socket.recv(timeout=60))
            if message[0] == 2:
                self._socket.send(json.dumps([3, message[1], {"status": "Accepted"}]))
            elif message[1] == str(self._number):
                assert message[0] == 3, message
                return message[2]

    def status(self, word: str, error: str = "NoError") -> None:
        """Tell the status of its connector."""
        self.call("StatusNotification", {"connectorId": 1, "errorCode": error, "status": word})

    def reading(self, at: dt.datetime, watts: float) -> None:
        """Send a reading after `SAMPLE_S` with this power."""
        self.meter_wh += watts * SAMPLE_S / 3600
        charge = min(100.0, 12 + 85 * (self.meter_wh - 1_250_000) / 75_000)
        values: list[dict[str, str]] = [
            {"value": f"{self.meter_wh:.0f}", "measurand": "Energy.Active.Import.Register", "unit": "Wh"},
            {"value": f"{watts / 1000:.2f}", "measurand": "Power.Active.Import", "unit": "kW"},
            {"value": f"{charge:.0f}", "measurand": "SoC", "unit": "Percent", "location": "EV"},
        ]
        values += [
            {"value": f"{watts / 690:.1f}", "measurand": "Current.Import", "unit": "A", "phase": f"L{phase}"}
            for phase in (1, 2, 3)
        ]
        value = {"timestamp": text(at), "sampledValue": values}
        self.call(
            "MeterValues", {"connectorId": 1, "transactionId": self.transaction_id, "meterValue": [value]}
        )

    def stop(self) -> None:
        """End the transaction."""
        end = {
            "transactionId": self.transaction_id,
            "meterStop": round(self.meter_wh),
            "reason": "EVDisconnected",
        }
        self.call("StopTransaction", end | {"timestamp": text(dt.datetime.now(dt.UTC))})
        self.status("Available")


def watts_at(part: float) -> float:
    """Power of a vehicle at a part of its charging: it rises, stays, and falls as its battery fills."""
    return min(WATTS, 20_000 + part * 2_400_000) if part < 0.45 else WATTS * math.exp(-3 * (part - 0.45))


def text(at: dt.datetime) -> str:
    """Write a time as OCPP has it."""
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


@contextmanager
def charged(server: Server, id_: str, samples: int = 90) -> Iterator[Charged]:
    """Connect a charge point that has charged for a while, and goes on."""
    url = server.ws.replace("{id}", "").rstrip("/")
    with connect(f"{url}/{id_}", subprotocols=["ocpp1.6"]) as socket:
        yield Charged(socket, samples)
