"""A simulated station of OCPP 2.0.1: hardware, driver and network in one object, on the protocol core of the server.

The one rule: it behaves correctly, unless it is told to misbehave, a test changes an answer (`answers`), makes a fault
(`faults`), or sends what nobody should send. It patches nothing; everything of it runs in greenlets that end
with `close`.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Self, TypeVar

from ...protocol import v201
from ...protocol.session import Registration
from ...protocol.websocket import CloseCode
from ..boot_sequence import BootSequence
from ..core import SimulatorCore
from ..jobs import PeriodicTask
from .charging import StationCharging
from .commands import StationCommands
from .device_model import BASIC_AUTH_PASSWORD, HEARTBEAT_INTERVAL, PARTS_PER_EVSE, DeviceModel
from .evses import Evses
from .maintenance import StationMaintenance
from .monitors import Monitors
from .transactions import Misbehaviour, Trigger

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from datetime import datetime

    from gevent import ssl

    from ...actors.runtime.timers import Timers
    from ...protocol.actions import Request
    from ...protocol.message import Message
    from ..answers import Answerer
    from ..backlog import Backlog
    from ..connection import Backoff
    from ..memory_client import Dial
    from ..vehicle import AnyVehicle
    from .evses import Evse
    from .transactions import StationTransaction

R = TypeVar("R", bound="Message")

Token = str | v201.IdToken
"""Id token: a text alone is one of the type ISO14443."""
METER_WH = 250_000
"""Energy that the meter of a station has counted before it is simulated."""
ID_BYTES = 12


def _token(token: Token) -> v201.IdToken:
    if isinstance(token, str):
        return v201.IdToken(id_token=token, type=v201.IdTokenType.ISO14443)
    return token


class Station:
    """A station at `url` (its own id is added to it). In a `with` it connects and boots, and is closed at the end.

    It has `evses` EVSEs with `connectors` each, whose meters begin at `meter_wh`. `variables` sets those of the device
    model at the factory, by names as `TxCtrlr.TxStartPoint`. `misbehaviour` names the faults that it shows.
    All other options are those of a `ChargePoint`.
    """

    def __init__(
        self,
        url: str,
        identity: str,
        *,
        password: str | bytes | None = None,
        cafile: str | None = None,
        tls: ssl.SSLContext | None = None,
        vendor: str = "Chargehand",
        model: str = "Simulator",
        serial_number: str | None = None,
        firmware_version: str | None = None,
        evses: int = 2,
        connectors: int = 1,
        meter_wh: int = METER_WH,
        variables: Mapping[str, str] | None = None,
        misbehaviour: Collection[Misbehaviour] = (),
        reconnect: Backoff | None = None,
        auto_plug: bool = True,
        strict: bool = True,
        subprotocols: Sequence[str] = ("ocpp2.0.1",),
        compression: bool = True,
        id_prefix: str | None = None,
        timeout_s: float = 30.0,
        connect_timeout_s: float = 10.0,
        close_timeout_s: float = 2.0,
        record_limit: int = 1000,
        timers: Timers | None = None,
        dial: Dial | None = None,
    ) -> None:
        self.core = core = SimulatorCore(
            url,
            identity,
            version=v201.VERSION,
            password=password,
            cafile=cafile,
            tls=tls,
            reconnect=reconnect,
            strict=strict,
            subprotocols=subprotocols,
            compression=compression,
            id_prefix=id_prefix,
            timeout_s=timeout_s,
            connect_timeout_s=connect_timeout_s,
            close_timeout_s=close_timeout_s,
            record_limit=record_limit,
            timers=timers,
            dial=dial,
            opened=self._opened,
            lost=self._lost,
        )
        self.identity = identity
        self.record = core.record
        self.connection = core.connection
        self.faults = core.faults
        self.answers: dict[str, Answerer] = core.answers
        self.evses = Evses(evses, connectors, meter_wh)
        self.model = DeviceModel(self._places(), variables, self._live)
        self.model.set("ChargingStation.Model", model)
        self.model.set("ChargingStation.VendorName", vendor)
        self.model.set("SecurityCtrlr.Identity", identity)
        jobs, conversation = core.jobs, core.conversation
        self.monitors = Monitors(self.model, jobs, conversation.send, lambda: self.evses.busy)
        self.charging = StationCharging(
            self.evses,
            self.model,
            jobs,
            conversation.send,
            lambda: self.ready,
            new_id=lambda: os.urandom(ID_BYTES).hex(),
            idle=self._idle,
            auto_plug=auto_plug,
            misbehaviour=frozenset(misbehaviour),
            changed=self.monitors.check,
        )
        self._hardware = v201.ChargingStation(
            serial_number=serial_number,
            model=model,
            vendor_name=vendor,
            firmware_version=firmware_version,
        )
        self.boot_sequence = BootSequence(
            self._boot_request(v201.BootReason.POWER_UP),
            v201.Heartbeat(),
            conversation,
            self.model,
            jobs,
            self._start_talking,
            interval_key=HEARTBEAT_INTERVAL,
        )
        self.maintenance = StationMaintenance(
            self.model, conversation, jobs, serial_number or identity, core.use_certificate
        )
        self.commands = StationCommands(
            self, self.charging, self.model, self.maintenance, self.monitors, vendor
        )
        self.answers.update({**self.commands.answers(), **self.maintenance.answers()})
        self._pinging = PeriodicTask(
            jobs, lambda: self.model.integer("OCPPCommCtrlr.WebSocketPingInterval"), core.ping
        )
        self._beats = (self._pinging, self.charging.metering, self.boot_sequence.heartbeat)
        self._reset_when_idle = False

    def __repr__(self) -> str:
        return f"Station({self.identity!r})"

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as undo:
            undo.callback(self.close)
            self.connect()
            self.boot()
            undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- The device model ------------------------------------------------------------------------

    def _places(self) -> Iterator[tuple[int, int]]:
        for evse in self.evses:
            yield evse.id, PARTS_PER_EVSE
            yield from ((evse.id, connector.id) for connector in evse.connectors)

    def _live(self, key: str) -> str | None:
        """Value of a variable that follows from facts; None for all others."""
        place, _, name = key.rpartition("/")
        name = name.lower()
        if name == "clockctrlr.datetime":
            return self.now().isoformat().replace("+00:00", "Z")
        if name == "displaymessagectrlr.displaymessages":
            return str(len(self.commands.displayed))
        if name == "localauthlistctrlr.entries":
            return str(len(self.charging.authorization.listed))
        if name.endswith(".availabilitystate") and place:
            evse, _, connector = place.partition("/")
            found = self.evses[int(evse)]
            return str(found[int(connector)].status if int(connector) else found.status)
        return None

    def now(self) -> datetime:
        """Return the time of the station."""
        return self.core.jobs.now()

    # -- The connection --------------------------------------------------------------------------

    def connect(self) -> None:
        """Connect, without booting. Blocks. Raises like `ChargePoint.connect`."""
        self.core.jobs.begin()
        self.connection.open()

    def close(self, code: int = CloseCode.NORMAL, reason: str = "") -> None:
        """Close the connection and end all jobs; its state stays, and it may `connect` again. Safe to repeat."""
        for beat in self._beats:
            beat.stop()
        self.monitors.stop()
        self.boot_sequence.stop()
        self.core.jobs.end()
        self.connection.close(code, reason)

    @property
    def online(self) -> bool:
        """True while the station has a connection."""
        return self.core.online

    @property
    def registration(self) -> Registration | None:
        """Registration of the last boot; None before the first. Set it for one that was accepted long ago."""
        return self.boot_sequence.status

    @registration.setter
    def registration(self, status: Registration) -> None:
        self.boot_sequence.take(status)
        if self.ready:
            self.core.jobs.start(self.charging.tell_all)

    @property
    def ready(self) -> bool:
        """True if connected and accepted: else statuses and events of transactions wait."""
        return self.online and self.boot_sequence.status is Registration.ACCEPTED

    @property
    def backlog(self) -> Backlog:
        """Events that wait."""
        return self.charging.backlog

    @property
    def ignored(self) -> Mapping[str, int]:
        """Frames of the central system's that it could make nothing of, by reason."""
        return self.core.conversation.ignored

    @property
    def late_answers(self) -> int:
        """Number of answers that came after their time limit."""
        return self.core.conversation.late_answers

    @property
    def password(self) -> str | bytes | None:
        """Password of the next connection."""
        return self.core.password

    @password.setter
    def password(self, password: str | bytes | None) -> None:
        self.core.password = password

    @property
    def url(self) -> str:
        """Whole URL of the next connection."""
        return self.core.url

    @url.setter
    def url(self, url: str) -> None:
        self.core.url = url

    def wait_online(self, timeout_s: float = 10.0) -> None:
        """Wait until it has a connection. Raises TimeoutError."""
        self.core.wait_online(timeout_s)

    def wait_offline(self, timeout_s: float = 10.0) -> None:
        """Wait until it has none. Raises TimeoutError."""
        self.core.wait_offline(timeout_s)

    def wait_accepted(self, timeout_s: float = 10.0) -> None:
        """Wait until a boot was accepted. Raises TimeoutError."""
        if not self.boot_sequence.accepted.wait(timeout_s):
            raise TimeoutError(f"not accepted within {timeout_s:g} s")

    def _opened(self) -> None:
        self._pinging.restart()
        self.monitors.restart()
        if self.boot_sequence.reconnected():
            self.core.jobs.start(self.boot_sequence.boot)
        elif self.ready:
            self.core.jobs.start(self.charging.tell_all)

    def _lost(self) -> None:
        self._pinging.stop()
        self.backlog.put_off()

    # -- Messages --------------------------------------------------------------------------------

    def send(self, request: Request[R], timeout_s: float | None = None) -> R:
        """Send any request of a station and wait for its response, with any registration.

        Raises like `ChargePoint.send`.
        """
        return self.core.conversation.send(request, timeout_s)

    def _boot_request(self, reason: v201.BootReason) -> v201.BootNotification:
        return v201.BootNotification(charging_station=self._hardware, reason=reason)

    def boot(self, reason: v201.BootReason = v201.BootReason.POWER_UP) -> v201.BootNotificationResponse:
        """Send BootNotification and act on the answer: heartbeats and statuses, or another boot later."""
        self.boot_sequence.request = self._boot_request(reason)
        response: v201.BootNotificationResponse = self.boot_sequence.boot()
        return response

    def _start_talking(self) -> None:
        self.charging.metering.restart()
        self.charging.tell_all()

    # -- Resets ----------------------------------------------------------------------------------

    def reset(self, evse: Evse | None = None) -> None:
        """Restart the station, as a Reset command makes it: stop all transactions, dial again and boot.

        Of one EVSE: stop its transaction alone. Blocks until it is connected again.
        """
        if evse is not None:
            self.charging.break_off_all(v201.Reason.IMMEDIATE_RESET, [evse])
            self.charging.tell_all()
            return
        self._reset_when_idle = False
        self.charging.stop_all(v201.Reason.IMMEDIATE_RESET, Trigger.RESET_COMMAND)
        for beat in self._beats:
            beat.stop()
        self.boot_sequence.forget()
        self.boot_sequence.want()
        self.boot_sequence.request = self._boot_request(v201.BootReason.REMOTE_RESET)
        for connector in self.evses.connectors():
            connector.told = None
        for one in self.evses:
            one.presented = None
        self.connection.redial(CloseCode.GOING_AWAY, "reset", between=self.core.conversation.renew)

    def reset_when_idle(self, evse: Evse | None = None) -> None:
        """Restart when no transaction runs; one EVSE has nothing to restart by then."""
        if evse is not None:
            return
        self._reset_when_idle = True
        self._idle()

    def _idle(self) -> None:
        if self._reset_when_idle and not self.evses.busy:
            self._reset_when_idle = False
            self.core.jobs.start(self.reset)

    def heed(self, *, new_password: bool) -> None:
        """Let changed variables take effect. Blocks until it is connected again if the password has changed."""
        if new_password:
            self.core.password = self.model[BASIC_AUTH_PASSWORD]
            self.connection.redial(CloseCode.NORMAL, "the password has changed")
        for beat in self._beats:
            beat.restart()
        self.monitors.check()

    def set_variable(self, name: str, value: str) -> None:
        """Set a variable from within, as a sensor does; its monitors tell of it. Raises KeyError for one unknown."""
        self.model.set(name, value)
        self.monitors.check()

    def limit_by_others(
        self,
        profile: v201.ChargingProfile,
        *,
        source: v201.ChargingLimitSource = v201.ChargingLimitSource.EMS,
        evse_id: int = 0,
    ) -> None:
        """Have somebody else limit the station or an EVSE, and tell of it. OCPP 2.0.1, K11 and K12."""
        self.charging.profiles.limit_by_others(source, evse_id, profile)
        limit = v201.ChargingLimit(charging_limit_source=source)
        self.send(
            v201.NotifyChargingLimit(
                charging_schedule=profile.charging_schedule, evse_id=evse_id, charging_limit=limit
            )
        )

    def cleared_by_others(
        self, *, source: v201.ChargingLimitSource = v201.ChargingLimitSource.EMS, evse_id: int | None = None
    ) -> None:
        """Have somebody else take a limit back, and tell of it. OCPP 2.0.1, K13."""
        self.charging.profiles.cleared_by_others(source, evse_id)
        self.send(v201.ClearedChargingLimit(charging_limit_source=source, evse_id=evse_id))

    # -- Actions of a driver: each returns when the central system was notified, or at once while offline ----------

    def authorize(self, token: Token) -> v201.IdTokenInfo:
        """Present a token: the central system decides, or the lists while it cannot be reached."""
        return self.charging.authorize(_token(token))

    def plug_in(self, evse_id: int = 1, connector_id: int = 1, *, vehicle: AnyVehicle | None = None) -> None:
        """Plug a vehicle in; with TxStartPoint EVConnected that begins a transaction. Raises NotPossible."""
        self.charging.plug_in(evse_id, connector_id, vehicle)

    def start(self, token: Token, evse_id: int = 1) -> StationTransaction:
        """Start charging; a vehicle must be plugged in.

        Raises NotPossible, or a `CallFailed` if the central system refused the event until it was thrown away.
        """
        return self.charging.start(_token(token), evse_id)

    def meter(self, wh: int = 100, evse_id: int = 1, *, values: Sequence[v201.SampledValue] = ()) -> None:
        """Move the meter on by `wh` and report `values`, or the reading of the meter."""
        self.charging.meter(evse_id, wh, values)

    def stop(self, evse_id: int = 1, *, token: Token | None = None) -> StationTransaction:
        """Stop charging, with the token that started it or another one. Raises like `start`."""
        running = self.evses[evse_id].transaction
        chosen = None if running is None else running.token
        return self.charging.stop(evse_id, token=chosen if token is None else _token(token))

    def unplug(self, evse_id: int = 1) -> None:
        """Take the vehicle away; a transaction ends with that, or is suspended, as the device model says."""
        self.charging.unplug(evse_id)

    def charge(
        self, token: Token, evse_id: int = 1, *, readings: int = 1, wh: int = 100
    ) -> StationTransaction | None:
        """Charge once: plug in, authorize, start, some readings, stop, unplug. None if the token is refused."""
        self.plug_in(evse_id)
        try:
            if self.authorize(token).status != v201.AuthorizationStatus.ACCEPTED:
                return None
            transaction = self.start(token, evse_id)
            for _ in range(readings):
                self.meter(wh, evse_id)
            return self.stop(evse_id) if transaction.running else transaction
        finally:
            if self.evses[evse_id].connector is not None:
                self.unplug(evse_id)

    def meter_wh(self, evse_id: int = 1) -> int:
        """Return what the meter of an EVSE shows."""
        return self.evses[evse_id].meter_wh

    def has_vehicle(self, evse_id: int = 1) -> bool:
        """Return true while a vehicle is plugged in."""
        return self.evses[evse_id].connector is not None

    def suspend(self, evse_id: int = 1, *, by_vehicle: bool = True) -> None:
        """Suspend charging, by the vehicle or the station. The transaction goes on."""
        state = v201.ChargingState.SUSPENDED_EV if by_vehicle else v201.ChargingState.SUSPENDED_EVSE
        self.charging.suspend(evse_id, state)

    def resume(self, evse_id: int = 1) -> None:
        """Charge on."""
        self.charging.suspend(evse_id, None)

    def break_down(self, evse_id: int = 1, connector_id: int = 1, *, repaired: bool = False) -> None:
        """Make a connector Faulted, or repair it."""
        connector = self.evses[evse_id][connector_id]
        connector.faulted = not repaired
        self.charging.places_changed()
