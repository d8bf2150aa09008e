"""Stations of OCPP 2.0.1 with a real central system in the same process that speaks both versions."""

from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest

from chargehand import CentralSystem, Plugin, Settings, passive, v16, v201
from chargehand.simulator.v201 import Station

from ..conftest import DEADLINE_S, url_of

BOTH = {one.subprotocol: one for one in (v16.VERSION, v201.VERSION)}
TIME = "2026-05-04T12:00:00Z"


class Office:
    """Answers of a back office, and what it was told.."""

    def __init__(self) -> None:
        self.registration = "Accepted"
        self.status = "Accepted"
        self.events: list[Any] = []
        self.seen: list[Any] = []

    def of(self, action: type) -> list[Any]:
        """List the requests of an action."""
        return [one for one in self.seen if isinstance(one, action)]


class OfficePlugin(Plugin):
    """Back office of the tests."""

    def __init__(self, office: Office) -> None:
        super().__init__()
        self.office = office

    @passive(v201.BootNotification)
    def boot(self, call: Any) -> Any:
        """Register a station."""
        self.office.seen.append(call.request)
        return {"status": self.office.registration, "currentTime": TIME, "interval": 300}

    @passive(v201.Authorize)
    def authorize(self, call: Any) -> Any:
        """Judge a token."""
        self.office.seen.append(call.request)
        return {"idTokenInfo": {"status": self.office.status}}

    @passive(v201.TransactionEvent)
    def event(self, call: Any) -> Any:
        """Keep an event."""
        self.office.events.append(call.request)
        return {"idTokenInfo": {"status": self.office.status}} if call.request.id_token else {}

    @passive(v201.SignCertificate)
    def sign(self, call: Any) -> Any:
        """Refuse to sign."""
        self.office.seen.append(call.request)
        return {"status": "Rejected"}

    @passive(v201.StatusNotification)
    @passive(v201.MeterValues)
    @passive(v201.NotifyReport)
    @passive(v201.NotifyMonitoringReport)
    @passive(v201.NotifyEvent)
    @passive(v201.NotifyChargingLimit)
    @passive(v201.ClearedChargingLimit)
    @passive(v201.NotifyDisplayMessages)
    @passive(v201.NotifyCustomerInformation)
    @passive(v201.ReportChargingProfiles)
    @passive(v201.ReservationStatusUpdate)
    @passive(v201.FirmwareStatusNotification)
    @passive(v201.PublishFirmwareStatusNotification)
    @passive(v201.LogStatusNotification)
    def keep(self, call: Any) -> Any:
        """Keep what has an empty answer."""
        self.office.seen.append(call.request)
        return {}


@pytest.fixture
def office() -> Office:
    """Answers of the back office."""
    return Office()


@pytest.fixture
def system(office: Office) -> Iterator[CentralSystem]:
    """Central system of both versions."""
    plugins = [OfficePlugin.spec(office)]
    with CentralSystem(Settings(port=0), plugins=plugins, versions=BOTH) as system:
        yield system


@pytest.fixture
def make(system: CentralSystem) -> Iterator[Callable[..., Station]]:
    """Make stations of that system, not connected yet; close them all at the end."""
    made: list[Station] = []

    def make(identity: str = "CP1", **options: Any) -> Station:
        station = Station(url_of(system), identity, **options)
        made.append(station)
        return station

    yield make
    for station in made:
        station.close()


@pytest.fixture
def booted(make: Callable[..., Station]) -> Station:
    """Station that is connected, accepted, and has sent its statuses."""
    station = make()
    station.connect()
    station.boot()
    return station


@pytest.fixture
def call(system: CentralSystem, booted: Station) -> Callable[..., Any]:
    """Send a command to the booted station and return its answer."""

    def call(request: Any, timeout_s: float = DEADLINE_S) -> Any:
        return system.send(booted.identity, request, timeout_s=timeout_s).result()

    return call


@pytest.fixture
def until() -> Callable[[Callable[[], Any]], Any]:
    """Wait until a condition holds, and return what it gave."""

    def until(condition: Callable[[], Any]) -> Any:
        with gevent.Timeout(DEADLINE_S):
            while not (found := condition()):
                gevent.sleep(0.01)
        return found

    return until
