"""Simulated station of OCPP 2.0.1, on the core of the simulated charge point.

The one rule: it behaves correctly, unless it is told to misbehave. It never does what a `Station` does by its core:
network, conversation, log and jobs are in the folder above.

In reading order: `station`, `charging`, `transactions`, `evses`, `reservations`, `authorization`, `device_model`,
`commands`, `charging_profiles`, `monitors`, `maintenance`, `reports`, `sentences`.
"""

from .station import Station
from .transactions import Misbehaviour, StationTransaction

__all__ = ["Misbehaviour", "Station", "StationTransaction"]
