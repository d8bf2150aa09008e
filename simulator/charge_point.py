"""A simulated charge point: hardware, driver and network in one object, on the protocol core of the server.

The one rule: it behaves correctly, unless a test changes that: by a changed answer (`answers`),
by a fault (`faults`), or by sending what nobody should send. It patches nothing; everything of it runs in greenlets
that end with `close`.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Self, TypeVar

from ..protocol import v16
from ..protocol.session import Registration
from ..protocol.websocket import CloseCode
from .boot_sequence import BootSequence
from .certificates import Certificates
from .charging import Charging
from .commands import CommandHandlers
from .configuration import Configuration
from .connectors import Connectors
from .core import SimulatorCore
from .jobs import PeriodicTask
from .maintenance import Maintenance, Power

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gevent import ssl

    from ..actors.runtime.timers import Timers
    from ..protocol.actions import Request
    from ..protocol.message import Message
    from .answers import Answerer
    from .backlog import Backlog
    from .connection import Backoff
    from .memory_client import Dial
    from .transactions import Transaction
    from .vehicle import AnyVehicle

R = TypeVar("R", bound="Message")


class ChargePoint:
    """A charge point at `url` (its own id is added to it). In a `with` it connects and boots, and is closed at the end.

    `password` makes it use Basic auth. For wss give `cafile`, a PEM file of those to trust, or a context of
    `gevent.ssl` as `tls`. `configuration` sets keys at the factory. `reconnect` makes it dial again after a loss. With
    `auto_plug` a vehicle is there when a RemoteStartTransaction needs one. `strict` refuses every deviation of the
    central system's. `compression` offers it in the handshake. `id_prefix` stands before the numbers of its messages,
    which start again with each boot; it is random by default. `timeout_s` is how long it waits for an answer.
    `record_limit` bounds the record. `timers` and their clock give it the time of everything but network timeouts and
    reconnection. `dial` makes its connections without a network, as a `testing.Stage` does. It belongs to the hub, so
    to the native thread, that it is made in.
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
        connectors: int = 2,
        configuration: Mapping[str, str] | None = None,
        reconnect: Backoff | None = None,
        auto_plug: bool = True,
        strict: bool = True,
        subprotocols: Sequence[str] = ("ocpp1.6",),
        compression: bool = False,
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
            version=v16.VERSION,
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
        self._jobs = jobs = core.jobs
        self._conversation = conversation = core.conversation
        self.configuration = Configuration(configuration)
        self.configuration.set("NumberOfConnectors", str(connectors))
        self.connectors = Connectors(connectors)
        self.charging = Charging(
            self.connectors,
            self.configuration,
            jobs,
            conversation.send,
            lambda: self.ready,
            auto_plug=auto_plug,
        )
        self.boot_sequence = BootSequence(
            v16.BootNotification(
                charge_point_vendor=vendor,
                charge_point_model=model,
                charge_point_serial_number=serial_number,
                firmware_version=firmware_version,
            ),
            v16.Heartbeat(),
            conversation,
            self.configuration,
            jobs,
            self._start_talking,
        )
        self.certificates = Certificates(
            self.configuration.integer("CertificateStoreMaxLength"), serial_number or identity
        )
        self.maintenance = Maintenance(
            self.charging, self.boot_sequence, conversation, jobs, self.certificates, core.use_certificate
        )
        self._pinging = PeriodicTask(
            jobs, lambda: self.configuration.integer("WebSocketPingInterval"), core.ping
        )
        self._beats = (self._pinging, self.charging.metering, self.boot_sequence.heartbeat)
        self.power = Power(
            self.connection, conversation, self.boot_sequence, self.charging, self._beats, self._use_new_key
        )
        self.commands = CommandHandlers(self.charging, self.configuration, jobs, self.power, vendor)
        self.answers: dict[str, Answerer] = core.answers
        self.answers.update({**self.commands.answers(), **self.maintenance.answers()})

    def __repr__(self) -> str:
        return f"ChargePoint({self.identity!r})"

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as undo:
            undo.callback(self.close)
            self.connect()
            self.boot()
            undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- The connection --------------------------------------------------------------------------

    def connect(self) -> None:
        """Connect, without booting. Blocks.

        Raises HandshakeRefused or another OSError, HandshakeError for an answer that opens no WebSocket,
        RuntimeError if it is connected.
        """
        self._jobs.begin()
        self.connection.open()

    def close(self, code: int = CloseCode.NORMAL, reason: str = "") -> None:
        """Close the connection and end all jobs; its state stays, and it may `connect` again. Safe to repeat."""
        for beat in self._beats:
            beat.stop()
        self.boot_sequence.stop()
        self._jobs.end()
        self.connection.close(code, reason)

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

    @property
    def online(self) -> bool:
        """True while the charge point has a connection."""
        return self.core.online

    @property
    def registration(self) -> Registration | None:
        """Registration of the last boot; None before the first. Set it for one that was accepted long ago."""
        return self.boot_sequence.status

    @registration.setter
    def registration(self, status: Registration) -> None:
        self.boot_sequence.take(status)
        if self.ready:
            self._jobs.start(self.charging.tell_all)

    @property
    def ready(self) -> bool:
        """True if connected and accepted: else statuses and transaction messages wait."""
        return self.online and self.boot_sequence.status is Registration.ACCEPTED

    @property
    def backlog(self) -> Backlog:
        """The transaction messages that wait."""
        return self.charging.backlog

    @property
    def ignored(self) -> Mapping[str, int]:
        """Frames of the central system's that it could make nothing of, by reason."""
        return self._conversation.ignored

    @property
    def late_answers(self) -> int:
        """Number of answers that came after their time limit."""
        return self._conversation.late_answers

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
        if self.boot_sequence.reconnected():
            self._jobs.start(self.boot)
        elif self.ready:
            self._jobs.start(self.charging.tell_all)

    def _lost(self) -> None:
        self._pinging.stop()
        self.backlog.put_off()

    def _use_new_key(self) -> None:
        self.core.password = bytes.fromhex(self.configuration["AuthorizationKey"])

    # -- Messages --------------------------------------------------------------------------------

    def send(self, request: Request[R], timeout_s: float | None = None) -> R:
        """Send any request of a charge point and wait for its response, with any registration.

        Raises Disconnected, NoAnswer after `timeout_s`, CallDeclined for a CALLERROR, InvalidAnswer, and InvalidPayload
        for a request that breaks its contract (`faults.send_text` sends that).
        """
        return self._conversation.send(request, timeout_s)

    def boot(self) -> v16.BootNotificationResponse:
        """Send BootNotification and act on the answer: heartbeats and statuses, or another boot later."""
        response: v16.BootNotificationResponse = self.boot_sequence.boot()
        return response

    def reset(self, *, soft: bool = True) -> None:
        """Restart, as a Reset command makes it. Blocks until it is connected again; it boots by itself."""
        self.power.reset(soft=soft)

    def _start_talking(self) -> None:
        self.charging.metering.restart()
        self.charging.tell_all()

    # -- Actions of a driver: each returns when the central system was notified, or at once while offline ----------

    def authorize(self, id_tag: str) -> v16.IdTagInfo:
        """Present a tag: the central system decides, or the lists while it cannot be reached. OCPP 1.6, 4.1."""
        return self.charging.authorize(id_tag)

    def plug_in(self, connector_id: int = 1, *, vehicle: AnyVehicle | None = None) -> None:
        """Plug a vehicle in, which by default takes 11 kW. Raises NotPossible if there is one."""
        self.charging.plug_in(connector_id, vehicle)

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
        """Charge once: plug in, authorize, start, some MeterValues, stop, unplug. None if the tag is refused."""
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

    def meter_wh(self, connector_id: int = 1) -> int:
        """Return what the meter of a connector shows."""
        return self.connectors[connector_id].meter_wh

    def has_vehicle(self, connector_id: int = 1) -> bool:
        """Return true while a vehicle is plugged in."""
        return self.connectors[connector_id].plugged

    def suspend(self, connector_id: int = 1, *, by_vehicle: bool = True) -> None:
        """Suspend charging, by the vehicle or the charge point. The transaction goes on."""
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
        """Make a connector (0: the charge point) Faulted; NO_ERROR repairs it."""
        connector = self.connectors[connector_id] if connector_id else self.connectors.whole
        connector.error = error
        self.charging.tell(connector)
