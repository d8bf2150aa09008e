"""Certificate authority: the bundled plugin that signs the requests of charge points for certificates of their own.

A SignCertificate is checked and answered at once; the certificate follows in a CertificateSigned, which waits for a
charge point that is away and survives a restart. Certificates are renewed before they run out, and a revocation writes
the list that the TLS endpoint reads. White paper, 5.1 and 5.17; OCPP 2.0.1, A02 and A03.

The one rule: what a charge point asks for is signed for itself alone.
"""

from __future__ import annotations

import datetime as dt
import logging
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import gevent
from gevent.event import Event as Signal

from .. import (
    Call,
    ChargePointOnline,
    ConfigError,
    Event,
    InvalidPayload,
    IssuedCertificate,
    Plugin,
    StoreError,
    Ticket,
    VerbRefused,
    certificate_name,
    on,
    on_outcome,
    passive,
)
from . import issued_certificates as records

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .. import ChargePoint, PluginSpec, Settings, Store
    from .authority import Authority
    from .signing_requests import SigningRequest

logger = logging.getLogger(__name__)

STORE_S = 30.0
"""Seconds that the store has to persist a record."""
LOOK_S = 3600.0
"""Seconds between two looks for certificates to be renewed."""
AGAIN = dt.timedelta(days=1)
"""Time after which a charge point is asked again to renew its certificate."""
FRESH_PART = 0.1
"""Part of its life after which a revocation list is written again, though nothing has changed."""
QUIET = dt.timedelta(minutes=1)
"""Time after a refusal in which further ones of the charge point are counted only."""
NEAR = dt.timedelta(days=7)
"""Time before its certificate runs out in which that is warned of."""
ID = "id"
"""Rule for the name of a certificate: the id of its charge point."""
OWN = "ChargingStationCertificate"
KIND = "sign_certificate"
"""Kind of the events that tell what became of a request."""
AT_A_TIME = 100
"""Charge points looked at before others have their turn."""


class CertificateAuthority(Plugin):
    """Signer of requests with the keys of an authority. `now` gives the time.

    The common name of a certificate is the id of its charge point, or, with the `certificate_name` "serial_number", the
    serial number that it told; `certificate_names` has that of single ones, by id: the rules by which connections are
    let in.

    A certificate is valid for `lifetime`, and renewed `renew_before` its end (never if that is 0). A charge point gets
    `per_day` of them (0: any number). The revocation list is valid for `crl_lifetime`. Records of certificates that
    have run out are kept for `keep_expired`.
    """

    outcomes_once = True

    def __init__(
        self,
        store: Store,
        authority: Authority,
        *,
        certificate_name: str = ID,
        certificate_names: Mapping[str, str] = MappingProxyType({}),
        lifetime: dt.timedelta = dt.timedelta(days=365),
        renew_before: dt.timedelta = dt.timedelta(days=30),
        per_day: int = 5,
        crl_lifetime: dt.timedelta = dt.timedelta(days=30),
        keep_expired: dt.timedelta = dt.timedelta(days=365),
        now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
    ) -> None:
        super().__init__()
        self._store = store
        self._collections = store.collections
        self._authority = authority
        self._certificate_name = certificate_name
        self._certificate_names = certificate_names
        self._lifetime = lifetime
        self._renew_before = renew_before
        self._per_day = per_day
        self._crl_lifetime = crl_lifetime
        self._keep_expired = keep_expired
        self._now = now
        self._owners: dict[str, str] = {}  # charge points by common names that are not their ids
        self._asked: dict[str, dt.datetime] = {}  # when charge points were asked to renew, by id
        self._refused: dict[
            str, tuple[dt.datetime, int]
        ] = {}  # last told refusals, those left out since, by id
        self._changed = Signal()
        self._written: tuple[frozenset[str], dt.datetime] | None = None  # the last revocation list, and when
        self._worker: Any = None
        self._unwatch: Callable[[], None] = lambda: None

    @classmethod
    def bundled(cls, settings: Settings, store: Store) -> PluginSpec | None:
        """Make the spec of this plugin; None without an authority. Raises `ConfigError` for one that cannot be used."""
        ca = settings.ca
        if not ca.folder:
            return None
        if not settings.auth.required and not settings.auth.credentials:
            logger.warning(
                "charge points need no password (auth.required), so anybody gets a certificate of ca.folder %s",
                ca.folder,
            )
        return cls.spec(
            store,
            open_authority(settings),
            certificate_name=settings.auth.certificate_name,
            certificate_names=settings.auth.certificate_names,
            lifetime=dt.timedelta(days=ca.lifetime_days),
            renew_before=dt.timedelta(days=ca.renew_before_days),
            per_day=ca.certificates_per_day,
            crl_lifetime=dt.timedelta(days=ca.crl_days),
            keep_expired=dt.timedelta(days=ca.keep_expired_days),
            name="certificate-authority",
        )

    # -- Life --------------------------------------------------------------------------------------

    def on_start(self) -> None:
        """Write the revocation list, and look for certificates to be renewed from now on."""
        for record in self._collections.issued_certificates:
            self._note(record)
        self._unwatch = self._collections.issued_certificates.watch(self._entered)
        self._changed.set()
        self._worker = gevent.spawn(self._work)

    def on_stop(self) -> None:
        """Look no more."""
        self._unwatch()
        self._unwatch = lambda: None
        if self._worker is not None:
            self._worker.kill(block=False)

    def on_failure(self, *_: Any) -> None:
        """Look no more."""
        self.on_stop()

    def on_killed(self) -> None:
        """Look no more."""
        self.on_stop()

    def _entered(self, record: IssuedCertificate) -> None:
        self._note(record)
        if record.state == "revoked":
            self._changed.set()

    def _note(self, record: IssuedCertificate) -> None:
        if record.common_name != record.charge_point_id:
            self._owners[record.common_name] = record.charge_point_id

    def _work(self) -> None:
        while True:
            self._changed.clear()
            self.write_revocations()
            self.renew_due()
            self._changed.wait(LOOK_S)

    # -- Requests ----------------------------------------------------------------------------------

    @passive("SignCertificate")
    def asked(self, call: Call[Any]) -> Any:
        """Answer a request, and send its certificate. One for vehicles is left to the next plugin."""
        from .signing_requests import RequestRefused, SigningRequest  # noqa: PLC0415 - an extra

        if getattr(call.request, "certificate_type", None) not in (None, OWN):
            return call.pass_on()
        charge_point = call.charge_point
        try:
            self._check_rate(charge_point.id, RequestRefused)
            names = self._names_of(charge_point)
            if not names:
                raise RequestRefused("its serial number is not known yet, which is to be the common name")  # noqa: TRY301
            request = SigningRequest(call.request.csr, names)
            # The name of one that the settings name is right by order of a person.
            if request.common_name != charge_point.id and charge_point.id not in self._certificate_names:
                self._check_owner(charge_point.id, request.common_name, RequestRefused)
        except RequestRefused as error:
            self._note_refusal(charge_point.id, str(error))
            return refusal(call, str(error))
        call.later().answer({"status": "Accepted"})
        untyped = getattr(call.request, "certificate_type", OWN) is None
        self._sign(charge_point.id, request, "combined" if untyped else records.CHARGING_STATION)
        return None

    def _names_of(self, charge_point: ChargePoint) -> tuple[str, ...]:
        """List the common names that a certificate of a charge point may have; empty if none is known yet."""
        named = self._certificate_names.get(charge_point.id)
        if named is not None:
            return (named,)
        return (charge_point.id,) if self._certificate_name == ID else serial_numbers_of(charge_point)

    def _check_rate(self, charge_point_id: str, refused: type[Exception]) -> None:
        signed = records.issued_in_a_day(self._collections, charge_point_id, self._now())
        if self._per_day and signed >= self._per_day:
            raise refused(f"{signed} certificates in a day are its limit: ca.certificates_per_day")

    def _check_owner(self, charge_point_id: str, name: str, refused: type[Exception]) -> None:
        """Refuse a serial number that would let its charge point in as another one."""
        if self._owners.get(name, charge_point_id) != charge_point_id:
            raise refused(f"the common name {name!r} is in the certificate of {self._owners[name]}")
        if self.system.knows(name):
            raise refused(f"the common name {name!r} is the id of another charge point")

    def _note_refusal(self, charge_point_id: str, reason: str) -> None:
        """Log and store a refusal; those that follow within `QUIET` are counted, and told with the next one."""
        now = self._now()
        at, left_out = self._refused.get(charge_point_id, (None, 0))
        if at is not None and now - at < QUIET:
            self._refused[charge_point_id] = at, left_out + 1
            return
        self._refused[charge_point_id] = now, 0
        more = f" ({left_out} more since {at})" if left_out else ""
        logger.warning(
            "%s: its request for a certificate is refused: %s%s",
            charge_point_id,
            reason,
            more,
            extra={"fields": {"charge_point": charge_point_id}},
        )
        self._tell(charge_point_id, outcome="refused", reason=reason + more)

    def _sign(self, charge_point_id: str, request: SigningRequest, use: str) -> None:
        from .authority import AuthorityError  # noqa: PLC0415 - an extra

        now = self._now()
        arguments = (request, now, self._lifetime)
        try:
            if self._authority.slow:
                signed = gevent.get_hub().threadpool.apply(self._authority.sign, arguments)
            else:
                signed = self._authority.sign(*arguments)
        except (AuthorityError, ValueError) as error:
            logger.error(  # noqa: TRY400
                "%s: its certificate cannot be signed: %s",
                charge_point_id,
                error,
                extra={"fields": {"charge_point": charge_point_id}},
            )
            self._tell(charge_point_id, outcome="failed", reason=str(error))
            return
        certificate = signed.certificate
        record = IssuedCertificate(
            serial_number=signed.serial_number,
            charge_point_id=charge_point_id,
            common_name=request.common_name,
            subject=certificate.subject.rfc4514_string(),
            not_before=certificate.not_valid_before_utc,
            not_after=certificate.not_valid_after_utc,
            issued_at=now,
            issuer=self._authority.issuer,
            fingerprint=signed.fingerprint,
        )
        try:
            self._collections.issued_certificates.put(record).wait(STORE_S)
        except (StoreError, TimeoutError) as error:
            # One that is not in the store could not be revoked.
            logger.error(  # noqa: TRY400
                "%s: its certificate is not sent, for it is not stored: %s",
                charge_point_id,
                error,
                extra={"fields": {"charge_point": charge_point_id}},
            )
            return
        logger.info(
            "%s: certificate %s is signed",
            charge_point_id,
            record.serial_number,
            extra={"fields": {"charge_point": charge_point_id}},
        )
        self._tell(charge_point_id, outcome="signed", serial_number=record.serial_number)
        try:
            self.system.send_certificate(charge_point_id, signed.chain, use=use, when_offline="queue")
        except (VerbRefused, InvalidPayload) as error:
            logger.error(  # noqa: TRY400
                "%s: certificate %s is not sent: %s",
                charge_point_id,
                record.serial_number,
                error,
                extra={"fields": {"charge_point": charge_point_id}},
            )
            records.delivered(
                self._collections, record.serial_number, "not_delivered", str(error), self._now()
            )

    def _tell(self, charge_point_id: str, **facts: str) -> None:
        self._store.add_event(
            Event(charge_point_id=charge_point_id, kind=KIND, received_at=self._now(), data=dict(facts))
        )

    # -- Delivery ----------------------------------------------------------------------------------

    @on_outcome("CertificateSigned")
    def delivered(self, ticket: Ticket[Any]) -> None:
        """Note whether a charge point has taken its certificate."""
        request: Any = ticket.request
        try:
            serial_number = certificate_name(request.certificate_chain).serial_number
        except ValueError:
            return  # one that somebody else has sent
        if self._collections.issued_certificates.get(serial_number) is None:
            return
        state, reason = records.outcome(ticket)
        if state != "installed":
            logger.warning(
                "%s: certificate %s is %s: %s",
                ticket.charge_point_id,
                serial_number,
                state,
                reason,
                extra={"fields": {"charge_point": ticket.charge_point_id, "ticket": ticket.id}},
            )
        receipts = records.delivered(self._collections, serial_number, state, reason, self._now())
        for receipt in receipts:
            receipt.wait(STORE_S)

    # -- Renewal and revocation --------------------------------------------------------------------

    @on(ChargePointOnline)
    def online(self, event: ChargePointOnline) -> None:
        """Ask a charge point that has come back, if its certificate is to be renewed: it may not stay for long."""
        self._renew(event.charge_point_id, self._now())

    def renew_due(self) -> None:
        """Ask charge points to renew certificates that run out, and remove records of old ones."""
        now = self._now()
        records.tidy(self._collections, now, self._keep_expired)
        self._refused = {id_: one for id_, one in self._refused.items() if now - one[0] < AGAIN}
        self._asked = {id_: at for id_, at in self._asked.items() if now - at < AGAIN}
        for number, charge_point in enumerate(self.system.charge_points(), 1):
            if number % AT_A_TIME == 0:
                gevent.sleep(0)
            if charge_point.connected:
                self._renew(charge_point.id, now)

    def _renew(self, charge_point_id: str, now: dt.datetime) -> None:
        asked = self._asked.get(charge_point_id)
        if not self._renew_before or (asked is not None and now - asked < AGAIN):
            return
        found = records.newest(self._collections, charge_point_id)
        if found is None or not records.is_due(found, now, self._renew_before):
            return
        if found.not_after - now <= NEAR:
            logger.warning(
                "%s: its certificate runs out at %s",
                charge_point_id,
                found.not_after,
                extra={"fields": {"charge_point": charge_point_id}},
            )
        self._asked[charge_point_id] = now
        try:
            self.system.renew_certificate(charge_point_id)
        except (VerbRefused, LookupError) as error:
            logger.warning(
                "%s: its certificate cannot be renewed: %s",
                charge_point_id,
                error,
                extra={"fields": {"charge_point": charge_point_id}},
            )

    def write_revocations(self) -> None:
        """Write the revocation list, unless it is the last one and not old; a failure is logged, and tried again."""
        from .authority import CRL, Revoked  # noqa: PLC0415 - an extra

        now, folder = self._now(), self._authority.folder
        found = [
            Revoked(one.serial_number, one.changed_at or now, one.reason)
            for one in records.revoked(self._collections, self._authority.issuer, now)
        ]
        serial_numbers = frozenset(one.serial_number for one in found)
        if self._written is not None and (folder / CRL).exists():
            last, at = self._written
            if serial_numbers == last and now - at < self._crl_lifetime * FRESH_PART:
                return
        try:
            write = self._authority.write_revocations
            gevent.get_hub().threadpool.apply(write, (found, now, now + self._crl_lifetime))
        except (OSError, ValueError):
            logger.exception("the revocation list in %s cannot be written", folder)
        else:
            self._written = serial_numbers, now


def serial_numbers_of(charge_point: ChargePoint) -> tuple[str, ...]:
    """List the serial numbers that a charge point told in its last BootNotification."""
    boot: Any = charge_point.boot
    station = getattr(boot, "charging_station", boot)
    told = (
        getattr(station, name, None)
        for name in ("serial_number", "charge_point_serial_number", "charge_box_serial_number")
    )
    return tuple(dict.fromkeys(name for name in told if name))


def refusal(call: Call[Any], reason: str) -> dict[str, Any]:
    """Answer Rejected, with the reason where the version has a place for it."""
    answer: dict[str, Any] = {"status": "Rejected"}
    if hasattr(call.request, "certificate_type"):
        answer["statusInfo"] = {"reasonCode": "InvalidCSR", "additionalInfo": reason[:512]}
    return answer


def open_authority(settings: Settings) -> Authority:
    """Read the authority that the settings name. Raises `ConfigError`."""
    ca = settings.ca
    try:
        from .authority import Authority, AuthorityError  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ConfigError(
            [f"ca.folder: an authority needs the extra `ca` (pip install 'chargehand[ca]'): {error}"]
        ) from error
    try:
        return Authority.load(Path(ca.folder), passphrase_of(ca.passphrase, ca.passphrase_file))
    except AuthorityError as error:
        raise ConfigError([f"ca.folder: {error}"]) from error


def passphrase_of(passphrase: str, file: str) -> bytes:
    """Return the passphrase, from its file if one is named. Raises `ConfigError`."""
    if not file:
        return passphrase.encode()
    try:
        return Path(file).read_bytes().rstrip(b"\r\n")
    except OSError as error:
        raise ConfigError([f"ca.passphrase_file: {file}: {error.strerror}"]) from error
