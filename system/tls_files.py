"""Certificates of one process: changed files are read again, and what runs out is warned of."""

from __future__ import annotations

import contextlib
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..protocol.events import CertificateExpiring
from ..transport.tls import ServerTls, TlsError

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable

    from ..actors.runtime.timers import Timers
    from ..actors.session.context import Observer
    from ..config.settings import Settings
    from ..protocol.events import DomainEvent

logger = logging.getLogger(__name__)

WARN_AGAIN_S = 86_400.0
"""Seconds between two warnings of the same certificate."""


class TlsFiles:
    """TLS of the endpoints: `wss` and `http`, None for one that has none. Raises `TlsError` for files of no use."""

    def __init__(
        self,
        settings: Settings,
        timers: Timers,
        observer: Observer,
        now: Callable[[], dt.datetime],
        publish: Callable[[DomainEvent], None],
    ) -> None:
        tls = settings.tls
        self.wss = ServerTls(tls) if tls.pairs else None
        # No browser and no script has to choose a certificate for the API, which has a token.
        self.http = ServerTls(replace(tls, client_ca="", client_crl="")) if settings.http.tls else None
        self._reload_s = tls.reload_s
        self._timers = timers
        self._observer = observer
        self._now = now
        self._publish = publish
        self._warned: dict[tuple[str, str, dt.datetime], float] = {}  # and when
        self._running = False

    @property
    def _all(self) -> list[ServerTls]:
        return [tls for tls in (self.wss, self.http) if tls is not None]

    def start(self) -> None:
        """Look from now on."""
        if not self._all:
            return
        self._running = True
        self.warn()
        if self._reload_s:
            self._timers.call_at(self._timers.clock.monotonic() + self._reload_s, self._look)

    def stop(self) -> None:
        """Look no more."""
        self._running = False

    def reload(self) -> None:
        """Read all files again, for connections that come from now on. Raises `TlsError`: the ones before stay."""
        failure: TlsError | None = None
        changed = False
        for tls in self._all:
            try:
                changed = tls.reload() or changed
            except TlsError as error:
                failure = failure or error
        if failure is not None:
            self._observer.count("tls_reload_failed", "")
            logger.error("the certificates before stay in use, for the files cannot be: %s", failure)
            raise failure
        if changed:
            self._observer.count("tls_reloaded", "")
            certificates = self._all[0].loaded.certificates
            names = (f"{file} until {chain[0].not_after:%Y-%m-%d}" for file, chain in certificates)
            logger.info("certificates were read again: %s", ", ".join(names))
        self.warn()

    def warn(self) -> None:
        """Warn of what runs out within `tls.expiry_warn_days`: in the log, by a counter and an event, once a day."""
        now, at = self._now(), self._timers.clock.monotonic()
        for one in self._all[0].expiring(now) if self._all else ():
            key = (one.file, one.name, one.expires_at)
            if at - self._warned.get(key, -WARN_AGAIN_S) < WARN_AGAIN_S:
                continue
            self._warned[key] = at
            left = one.expires_at - now
            logger.log(
                logging.WARNING if left.days >= 0 else logging.ERROR,
                "%s in %s %s at %s (tls.expiry_warn_days)",
                one.name,
                one.file,
                "runs out" if left.days >= 0 else "ran out",
                one.expires_at.isoformat(),
            )
            self._observer.count("certificate_expiring", "")
            self._publish(
                CertificateExpiring(at=now, file=one.file, name=one.name, expires_at=one.expires_at)
            )

    def view(self) -> list[dict[str, Any]]:
        """List the certificates and revocation lists in use, the server's own first."""
        if not self._all:
            return []
        loaded = self._all[0].loaded
        rows = [
            {
                "use": use,
                "file": file,
                "name": one.subject,
                "issuer": one.issuer,
                "key": one.key,
                "expires_at": one.not_after,
                "fingerprint": one.fingerprint,
            }
            for use, found in (("server", loaded.certificates), ("client_ca", loaded.client_cas))
            for file, certificates in found
            for one in certificates
        ]
        return rows + [
            {
                "use": "client_crl",
                "file": file,
                "name": one.issuer,
                "issuer": one.issuer,
                "key": "",
                "expires_at": one.next_update,
                "fingerprint": "",
            }
            for file, lists in loaded.revocation_lists
            for one in lists
        ]

    def _look(self) -> None:
        if not self._running:
            return
        self._timers.call_at(self._timers.clock.monotonic() + self._reload_s, self._look)
        if any(tls.changed() for tls in self._all):
            with contextlib.suppress(TlsError):  # logged there, and tried again when the files change
                self.reload()
