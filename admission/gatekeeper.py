"""Gatekeeper between transports and sessions: who may connect, and which session gets the messages."""

from __future__ import annotations

import contextlib
import logging
import math
import random
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

from ..actors.plugin.authentication import ConnectionAttempt, NoVerdict
from ..protocol.deflate import HEADER, answer_offer
from ..protocol.handshake import choose_subprotocol
from ..protocol.log_fields import about
from ..protocol.text import shortened
from ..store.store import StoreError
from ..transport.gate import Admission, Refusal
from .credentials import PasswordChecksBusy
from .failed_logins import FailedLogins
from .identity import Identity, IdentityRefused, assumes_subprotocol, read_password, read_path
from .intake import network_of
from .security_events import HANDSHAKE_REFUSED, OF_STATUS, TLS_HANDSHAKE_FAILED
from .security_profiles import OTHER_NAME, Profile, ProfileTooLow, Proof
from .token_bucket import TokenBucket, TokenBuckets

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from ..actors.plugin.authentication import Authentication
    from ..actors.session.cell import ChargePointCell
    from ..config.settings import Settings
    from ..protocol.deflate import Answer
    from ..protocol.x509 import Certificate
    from ..supervisor.sessions import Sessions
    from ..transport.connection import SocketConnection
    from ..transport.gate import HandshakeRequest
    from .applicants import Applicants
    from .credentials import Credentials
    from .security_events import SecurityEvents
    from .security_profiles import SecurityProfiles

logger = logging.getLogger(__name__)

RETRY_SPREAD_S = 10.0
DAY_S = 86_400.0

DIGITS_SENT = "password: the hexadecimal digits of the key in place of its bytes"
"""Deviation of a charge point that was let in with them."""


class PeerClaims(Protocol):
    """Claims of this process on charge points, among the processes that share them."""

    def admit(self, charge_point_id: str) -> None:
        """Claim a charge point that is about to connect. May switch greenlets. Raises `StoreError` or TimeoutError."""

    def refresh(self, charge_point_id: str) -> None:
        """Read what other processes have stored of a charge point. Switches greenlets. Raises as `admit`."""

    def attached(self, charge_point_id: str) -> None:
        """Adopt the commands that wait for a charge point that has connected."""


def _retry_after(least_s: float) -> str:
    """Return the seconds of Retry-After, spread at random: refused charge points must not return together."""
    return str(math.ceil(least_s + RETRY_SPREAD_S * random.random()))  # noqa: S311 - no secret


def _too_often(wait_s: float, setting: str) -> Refusal:
    text = "this charge point connects too often"
    return Refusal(429, text, (("Retry-After", str(math.ceil(wait_s))),), detail=setting)


def _address(request: HandshakeRequest) -> str:
    return network_of(request.peer)


def _whence(request: HandshakeRequest, identity: str) -> str:
    """Return the key of a rate limit: the identity and, without passwords, the address that claims it."""
    return f"{_address(request)} {identity}"


class Gatekeeper:
    """Admission by path, security profile, credentials, free places, subprotocol and rate limits, in that order."""

    def __init__(
        self,
        settings: Settings,
        sessions: Sessions,
        subprotocols: Sequence[str],
        credentials: Credentials,
        others: PeerClaims | None = None,
        own_subprotocols: Mapping[str, str] = MappingProxyType({}),
        authentication: Authentication | None = None,
        compressed: Collection[str] = (),
        security_events: SecurityEvents | None = None,
        applicants: Applicants | None = None,
        *,
        profiles: SecurityProfiles,
    ) -> None:
        self._applicants = applicants
        self._security_events = security_events
        self._profiles = profiles
        self._authentication = authentication
        self._own_subprotocols = own_subprotocols  # by charge point: the one that it may speak
        self._compressed = frozenset(compressed)  # subprotocols with which compression may be agreed on
        self._others = others
        self._credentials = credentials
        self._sessions = sessions
        self._subprotocols = subprotocols
        self._closed = False
        self.take(settings)

    def take(self, settings: Settings) -> None:
        """Take other settings from now on, with limits that nobody has used up."""
        self._settings = settings
        limits = settings.sessions
        self._bucket = TokenBucket(limits.admission_rate, limits.admission_burst)
        self._reconnects = TokenBuckets(limits.reconnect_rate, limits.reconnect_burst)  # see `_whence`
        self._failed_logins = FailedLogins(settings.auth)
        unknown = settings.auth.unknown_per_day
        self._strangers = TokenBucket(unknown / DAY_S, max(unknown, 1))

    def close(self) -> None:
        """Refuse every handshake from now on."""
        self._closed = True

    def admit(self, request: HandshakeRequest) -> Admission | Refusal:
        """Admit or refuse a handshake."""
        decision = self._judge(request)
        if isinstance(decision, Admission) and decision.profile == Profile.NONE:
            decision = self._limit_strangers(decision.identity) or decision
        if isinstance(decision, Admission) and self._others is not None and decision.subprotocol is not None:
            identity = decision.identity
            stored = self._stored(identity)
            try:
                self._others.admit(identity)
                # Another process may have changed its key, or its least profile.
                if any(one is not other for one, other in zip(self._stored(identity), stored, strict=True)):
                    proof = self._check_credentials(request, Identity(identity, decision.name))
                    decision = proof if isinstance(proof, Refusal) else decision
            except (StoreError, TimeoutError) as error:
                self._log(
                    logging.ERROR,
                    request.peer,
                    "not served",
                    "charge point %s is refused: its records cannot be read: %s",
                    identity,
                    error,
                )
                text = "the records of this charge point cannot be read"
                decision = Refusal(503, text, (("Retry-After", _retry_after(1.0)),))
        if isinstance(decision, Admission):  # refused handshakes do not count
            wait_s = self._reconnects.take(_whence(request, decision.identity), self._now())
            if wait_s > 0:
                decision = _too_often(wait_s, "sessions.reconnect_rate")
        if isinstance(decision, Refusal):
            self._sessions.context.observer.count(f"handshake_refused_{decision.status}", request.peer)
            decision = replace(decision, identity=self._identity(request))
            self._note(decision, request)
        elif decision.subprotocol is not None and self._profiles.shown(decision.identity, decision.profile):
            text = "charge point %s has the least security profile %d from now on, that of this connection"
            logger.info(
                text,
                decision.identity,
                decision.profile,
                extra=about(charge_point=decision.identity, connection=request.peer),
            )
        return decision

    def _stored(self, identity: str) -> tuple[object, object]:
        return self._credentials.stored(identity), self._profiles.stored(identity)

    def _note(self, refusal: Refusal, request: HandshakeRequest) -> None:
        """Note a refusal as a security event, unless it says nothing of the charge point."""
        type_ = OF_STATUS.get(refusal.status, HANDSHAKE_REFUSED)
        if self._security_events is None or not type_:
            return
        self._security_events.note(type_, refusal.reason, identity=refusal.identity, peer=request.peer)

    def _identity(self, request: HandshakeRequest) -> str:
        """Return the charge point that a request names; "" if it names none that could be."""
        identity = None
        with contextlib.suppress(IdentityRefused, UnicodeError):
            identity = read_path(request.path, self._settings.path, self._settings.sessions.identity_chars)
        return identity.id if identity is not None else ""

    def _now(self) -> float:
        return self._sessions.context.clock.monotonic()

    def _judge(self, request: HandshakeRequest) -> Admission | Refusal:
        if self._closed:
            return Refusal(503, "the central system is stopping", (("Retry-After", "5"),))
        try:
            identity = read_path(request.path, self._settings.path, self._settings.sessions.identity_chars)
        except IdentityRefused as error:
            return Refusal(400, str(error))
        except UnicodeError:
            return Refusal(400, "the path is not UTF-8 when percent-decoded")
        if identity is None:
            return Refusal(404, f"the path names no charge point; expected {self._settings.path}")
        proof = self._login(request, identity)
        if isinstance(proof, Refusal):
            return proof
        refusal = self._check_room(request, identity.id)
        if refusal is not None:
            return refusal
        subprotocol = self._choose_subprotocol(request, identity.id)
        if isinstance(subprotocol, Refusal):
            return subprotocol
        compression = self._answer_offer(request, subprotocol)
        return Admission(
            identity.id, identity.name, subprotocol, proof.deviations, compression, proof.profile
        )

    def _login(self, request: HandshakeRequest, identity: Identity) -> Refusal | Proof:
        """Check credentials, unless too many wrong passwords came before."""
        if "authorization" not in request.headers:
            return self._check_credentials(request, identity)
        address, now = _address(request), self._now()
        wait_s, setting = self._failed_logins.limit(
            address, identity.id, now, guarded=self._is_guarded(address, identity.id)
        )
        if wait_s > 0:
            self._sessions.context.observer.count("login_limited", identity.id)
            text = "too many wrong passwords came for this charge point, or from this address"
            return Refusal(429, text, (("Retry-After", _retry_after(wait_s)),), detail=setting)
        proof = self._check_credentials(request, identity)
        if isinstance(proof, Refusal) and proof.status in (401, 404):
            self._failed_logins.note(address, identity.id, now)
            self._sessions.context.observer.count("login_failed", identity.id)
        return proof

    def _is_guarded(self, address: str, identity: str) -> bool:
        """Return whether guesses from elsewhere do not matter: it is the last address, or the key is a long one."""
        cell = self._sessions.directory.find(identity)
        known = cell is not None and network_of(cell.charge_point.peer) == address
        return known or not self._credentials.guessable(identity)

    def _check_room(self, request: HandshakeRequest, identity: str) -> Refusal | None:
        """Limit the rate of connections; checked last, so that strangers use up no tokens."""
        sessions = self._settings.sessions
        if self._is_full(identity):
            return Refusal(503, "too many connections", (("Retry-After", "30"),))
        now = self._now()  # greenlets may have switched since the first check
        wait_s = self._reconnects.wait_s(_whence(request, identity), now)
        if wait_s > 0:
            return _too_often(wait_s, "sessions.reconnect_rate")
        wait_s = self._bucket.take(now)
        if wait_s > 0:
            return Refusal(
                503, "too many charge points connect at once", (("Retry-After", _retry_after(wait_s)),)
            )
        if sessions.on_duplicate == "refuse" and self._sessions.ping_and_wait(
            identity, sessions.duplicate_probe_s
        ):
            text = "this charge point has a living connection already"
            return Refusal(409, text, (("Retry-After", "60"),))
        return None

    def _limit_strangers(self, identity: str) -> Refusal | None:
        """Limit the charge points that are new, that nobody has entered, and that have proved nothing."""
        applicants, observer = self._applicants, self._sessions.context.observer
        if applicants is None or applicants.decides or self._sessions.directory.find(identity) is not None:
            return None
        if not applicants.is_known(identity) and self._others is not None:
            # It may have booted at another process.
            with contextlib.suppress(StoreError, TimeoutError):
                self._others.refresh(identity)
        if applicants.is_known(identity):
            return None
        wait_s = self._strangers.take(self._now())
        if wait_s <= 0:
            return None
        observer.count("unknown_limited", identity)
        text = "too many charge points that nobody has entered have connected"
        return Refusal(429, text, (("Retry-After", _retry_after(wait_s)),), detail="auth.unknown_per_day")

    def _choose_subprotocol(self, request: HandshakeRequest, identity: str) -> str | Refusal | None:
        """Return the subprotocol, None to complete the handshake without one, or a refusal."""
        sessions = self._settings.sessions
        offered = request.headers.get("sec-websocket-protocol", "")
        own = self._own_subprotocols.get(identity)
        spoken = self._subprotocols if own is None else [own]
        subprotocol = choose_subprotocol(offered, spoken)
        if subprotocol is None and not offered and assumes_subprotocol(identity, sessions.assume_subprotocol):
            return spoken[0]
        if subprotocol is None and sessions.handshake_without_subprotocol == "refuse":
            return Refusal(400, f"Sec-WebSocket-Protocol must name one of: {', '.join(spoken)}")
        return subprotocol

    def _answer_offer(self, request: HandshakeRequest, subprotocol: str | None) -> Answer | None:
        """Accept the offer of compression, if there is one and the version has it."""
        offered = request.headers.get(HEADER)
        if not offered or subprotocol not in self._compressed:
            return None
        sessions = self._settings.sessions
        return answer_offer(
            offered,
            takeover=sessions.compression_takeover,
            window_bits=sessions.compression_window_bits,
            min_bytes=sessions.compression_min_bytes,
        )

    def _is_full(self, identity: str) -> bool:
        """Return whether `max_connections` is reached; a charge point that reconnects needs no free place."""
        limit, directory = self._settings.sessions.max_connections, self._sessions.directory
        if not 0 < limit <= directory.connected:
            return False
        cell = directory.find(identity)
        return cell is None or cell.newest is None

    def _check_credentials(self, request: HandshakeRequest, found: Identity) -> Refusal | Proof:
        """Return the profile that a handshake has shown, or refuse one that is less than its charge point's least."""
        identity = found.id
        try:
            certificate = self._check_transport(request, identity)
        except ProfileTooLow as error:
            self._sessions.context.observer.count("security_profile_refused", identity)
            if self._settings.auth.hide_unknown and self._profiles.is_own(identity):
                # The answer does not say it, and so neither does the line of the refusal.
                peer = request.peer
                self._log(logging.WARNING, peer, "security profile", "%s: refused: %s", peer, error)
                return self._wrong()
            return Refusal(403, str(error))
        if self._authentication is not None and self._authentication.wanted:
            verdict = self._ask_plugins(self._authentication, request, found)
            if verdict is False:
                return self._wrong()
            if verdict is True and certificate is None:
                return Proof(Profile.TLS if request.secure else Profile.PASSWORD)
            if isinstance(verdict, Refusal):
                return verdict
        if self._applicants is not None and self._applicants.decides:
            listed = self._check_list(self._applicants, identity, request.peer)
            if isinstance(listed, Refusal) or (listed is not None and certificate is None):
                return listed
        if certificate is not None:
            return Proof(Profile.CERTIFICATE, certificate.flags)
        return self._check_password(request, identity)

    def _check_list(self, applicants: Applicants, identity: str, peer: str) -> Refusal | Proof | None:
        """Refuse who is not on the list; one that waits needs no password before it has been given one."""
        if not applicants.is_known(identity) and self._others is not None:
            # Another process may have entered it a moment ago.
            with contextlib.suppress(StoreError, TimeoutError):
                self._others.refresh(identity)
        if not applicants.is_known(identity) and not applicants.apply(identity, peer):
            return self._unknown()
        waits = applicants.waits(identity) and not self._credentials.knows(identity)
        return Proof(Profile.NONE) if waits and self._profiles.least(identity) == Profile.NONE else None

    def _check_transport(self, request: HandshakeRequest, identity: str) -> Certificate | None:
        """Return the certificate that proves who connects; None if a password must. Raises `ProfileTooLow`."""
        try:
            return self._profiles.check_transport(identity, request.tls)
        except ProfileTooLow:
            if self._others is None:
                raise
        # Another process may have lowered the profile a moment ago, by order of a person.
        with contextlib.suppress(StoreError, TimeoutError):
            self._others.refresh(identity)
        return self._profiles.check_transport(identity, request.tls)

    def _check_password(self, request: HandshakeRequest, identity: str) -> Refusal | Proof:
        """Refuse without the right password, where one is needed."""
        credentials, least = self._credentials, self._profiles.least(identity)
        certificate = request.tls.certificate if request.tls is not None else None
        if not credentials.asked(identity) and least < Profile.PASSWORD:
            if certificate is None:
                return Proof(Profile.NONE)
            # Who shows a certificate is not let in as somebody else.
            wrong_name = self._profiles.wrong_name(identity, certificate)
            return Refusal(403, f"charge point {identity} shows no password, and {wrong_name}")
        if not credentials.asked(identity) and not credentials.knows(identity):
            text = (
                "%s: charge point %s has the least security profile %d, and no password (charge-points add)"
            )
            self._log(logging.WARNING, request.peer, "no password", text, request.peer, identity, least)
            return self._wrong()
        if not credentials.knows(identity):
            return self._unknown()
        given = read_password(request.headers.get("authorization", ""), identity)
        if given is None:
            return self._wrong()
        try:
            deviations = self._try_password(identity, given)
            if deviations is None and self._others is not None:
                # Another process may have given the charge point a new key a moment ago.
                with contextlib.suppress(StoreError, TimeoutError):
                    self._others.refresh(identity)
                deviations = self._try_password(identity, given)
        except PasswordChecksBusy as error:
            return Refusal(503, str(error), (("Retry-After", _retry_after(RETRY_SPREAD_S)),))
        if deviations is None:
            return self._wrong()
        if certificate is not None:
            deviations = (*deviations, OTHER_NAME)
        return Proof(Profile.TLS if request.secure else Profile.PASSWORD, deviations)

    def _wrong(self) -> Refusal:
        challenge = ("WWW-Authenticate", f'Basic realm="{self._settings.auth.realm}"')
        return Refusal(401, "wrong credentials", (challenge,))

    def _unknown(self) -> Refusal:
        if self._settings.auth.hide_unknown:
            return self._wrong()
        return Refusal(404, "this charge point is unknown")

    def _ask_plugins(
        self, authentication: Authentication, request: HandshakeRequest, identity: Identity
    ) -> bool | Refusal | None:
        """Return the verdict of the plugins, None if they have none; or a refusal for they failed."""
        attempt = ConnectionAttempt(
            charge_point_id=identity.id,
            name=identity.name,
            password=read_password(request.headers.get("authorization", ""), identity.id),
            peer=request.peer,
            secure=request.secure,
            certificate=request.tls.certificate if request.tls is not None else None,
        )
        try:
            return authentication.verdict(attempt)
        except NoVerdict as error:
            self._sessions.context.observer.count("authenticate_failed", identity.id)
            self._log(
                logging.ERROR, request.peer, "no verdict", "%s is not authenticated: %s", identity.id, error
            )
            if self._settings.auth.authenticate_failure == "credentials":
                return None
            text = "this charge point cannot be authenticated now"
            return Refusal(503, text, (("Retry-After", _retry_after(RETRY_SPREAD_S)),))

    def _try_password(self, identity: str, given: bytes) -> tuple[str, ...] | None:
        """Return the deviations of a right password; None for a wrong one."""
        if self._credentials.check(identity, given):
            return ()
        if self._settings.policy == "lenient" and self._credentials.check_digits(identity, given):
            return (DIGITS_SENT,)
        return None

    def attach(self, admission: Admission, connection: SocketConnection) -> ChargePointCell:
        """Hand an admitted connection to its session."""
        cell = self._sessions.attach(admission.identity, admission.name, connection)
        if admission.deviations:
            cell.note_deviations(admission.deviations)
        if self._others is not None:
            self._others.attached(admission.identity)
        return cell

    def handshake_refused(self, peer: str, refusal: Refusal) -> None:
        """Log a request that was refused."""
        reason = f"refused with {refusal.status}"
        named = f"charge point {shortened(refusal.identity)}: " if refusal.identity else ""
        detail = f" ({refusal.detail})" if refusal.detail else ""
        text = "%s: %s%d %s%s"
        self._log(
            logging.INFO,
            peer,
            reason,
            text,
            peer,
            named,
            refusal.status,
            refusal.reason,
            detail,
            charge_point=refusal.identity,
        )

    def _log(
        self, level: int, peer: str, reason: str, text: str, *args: object, charge_point: str = ""
    ) -> None:
        """Log a line that an address has caused, unless there were too many."""
        extra = about(charge_point=charge_point, connection=peer)
        address = peer.rpartition(":")[0]
        self._sessions.context.log_limit.log(logger, level, address, reason, text, *args, extra=extra)

    def handshake_failed(self, peer: str, reason: str) -> None:
        """Count a handshake that failed."""
        self._log(logging.WARNING, peer, "handshake failed", "%s: %s", peer, reason)
        self._sessions.context.observer.count("handshake_failed", peer)
        if self._security_events is not None and reason.startswith("TLS"):
            self._security_events.note(TLS_HANDSHAKE_FAILED, reason, peer=peer)
