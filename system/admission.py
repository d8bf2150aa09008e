"""Admission to a system: its parts put together, and what they ask of the others.

A charge point is known by its key, its registration, its security profile, or its session in this process.
"""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING

from ..admission.applicants import Applicants
from ..admission.credentials import Credentials, PasswordChecksBusy
from ..admission.security_events import SecurityEvents
from ..admission.security_profiles import SecurityProfiles
from ..protocol.log_fields import about
from ..protocol.payload import encode
from ..protocol.session import Registration
from ..protocol.versions import version_named
from ..protocol.websocket import CloseCode
from ..store.records import APPROVED, REJECTED
from ..store.store import StoreError
from .certificates import IssuedCertificates

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Mapping

    from gevent.pool import Pool

    from ..actors.runtime.timers import Clock
    from ..actors.session.context import Observer
    from ..actors.session.directory import Directory
    from ..config.settings import Settings
    from ..protocol.actions import Version
    from ..store.records import Applicant
    from ..store.store import Store

logger = logging.getLogger(__name__)

KEYS_PLUGIN = "chargehand.plugins.authorization_keys:AuthorizationKeys"
"""Bundled plugin that keeps the new keys of charge points."""


class Admission:
    """Keys, security profiles, applicants, issued certificates and security events of a system.

    `ask_to_boot` asks a connected charge point for a BootNotification; it switches greenlets.
    """

    def __init__(
        self,
        settings: Settings,
        store: Store,
        *,
        directory: Directory,
        versions: Mapping[str, Version],
        pool: Pool,
        clock: Clock,
        now: Callable[[], dt.datetime],
        observer: Observer,
        ask_to_boot: Callable[[str], object],
    ) -> None:
        self._store = store
        self._directory = directory
        self._versions = versions
        self._pool = pool
        self._observer = observer
        self._ask_to_boot = ask_to_boot
        self._rotation_warn_s = settings.auth.rotation_warn_s
        if KEYS_PLUGIN not in settings.bundled_plugins and len(store.collections.credentials):
            logger.warning(
                "keys of charge points are in the store, but bundled_plugins lacks %s: a charge point that takes a new "
                "AuthorizationKey will be refused",
                KEYS_PLUGIN,
            )
        self.credentials = Credentials(
            settings.auth.credentials,
            store.collections.credentials,
            required=settings.auth.required,
            now=now,
        )
        self.issued = IssuedCertificates(store, directory, now)
        self.profiles = SecurityProfiles(
            settings.auth,
            store.collections.security_profiles,
            serial_numbers_of=self._serial_numbers_of,
            fault_of=self.issued.fault_of,
            now=now,
        )
        self.applicants = Applicants(
            store.collections.applicants,
            unknown=settings.auth.unknown,
            limit=settings.auth.applicants_limit,
            is_entered=self._is_entered,
            now=now,
            decided=self._decided,
        )
        self.security_events = SecurityEvents(
            store, now=now, monotonic=clock.monotonic, knows=self._may_be_a_charge_point
        )

    def registration_of(self, charge_point_id: str) -> Registration | None:
        """Return the stored registration of a charge point; Pending for one that waits to be approved."""
        if self.applicants.waits(charge_point_id):
            return Registration.PENDING
        stored = self._store.registration(charge_point_id)
        return Registration(stored.status) if stored is not None else None

    def stage_key(self, charge_point_id: str, key: str | bytes) -> None:
        """Let a key count that is being sent, beside the session: one of the settings may have to be hashed."""

        def stage() -> None:
            try:
                self.credentials.stage(charge_point_id, key)
            except PasswordChecksBusy as error:
                logger.error(  # noqa: TRY400
                    "new key of charge point %s is not staged: %s",
                    charge_point_id,
                    error,
                    extra=about(charge_point=charge_point_id),
                )

        self._pool.spawn(stage)

    def sweep(self) -> None:
        """Drop what is too old to count, and warn of new keys that are not used; once a minute."""
        self.security_events.sweep()
        if self._rotation_warn_s <= 0:
            return
        for charge_point_id, since in self.credentials.unused_keys(self._rotation_warn_s):
            self._observer.count("rotation_overdue", charge_point_id)
            logger.warning(
                "%s has not used the new key that it was given at %s: its old key still counts (auth.rotation_warn_s)",
                charge_point_id,
                since.isoformat(timespec="seconds"),
                extra=about(charge_point=charge_point_id),
            )

    def start(self) -> None:
        """Watch the certificates that this and other processes issue and revoke."""
        self.issued.start()

    def stop(self) -> None:
        """Watch nothing any more."""
        self.issued.stop()
        self.applicants.stop_watching()

    def _serial_numbers_of(self, charge_point_id: str) -> tuple[str, ...]:
        """Return the serial numbers that a charge point told at its last boot. May switch greenlets."""
        cell = self._directory.find(charge_point_id)
        boot = None if cell is None else cell.charge_point.boot
        payload, name = b"", ""
        if cell is not None and boot is not None:
            payload, name = encode(boot), cell.charge_point.version
        else:
            with contextlib.suppress(StoreError, TimeoutError):
                for told in self._store.told(charge_point_id):
                    if told.item == "boot":
                        payload, name = told.payload, told.version
        version = version_named(self._versions, name)
        return () if version is None else version.boot_facts(payload).serial_numbers

    def _decided(self, applied: Applicant) -> None:
        """Carry out a decision of any process about a charge point that is connected here."""
        cell = self._directory.find(applied.charge_point_id)
        if cell is None or cell.newest is None:
            return
        if applied.state == REJECTED:
            cell.newest.close(CloseCode.POLICY_VIOLATION, "not approved")
        elif applied.state == APPROVED and cell.charge_point.registration is not Registration.ACCEPTED:
            self._pool.spawn(self._ask_to_boot, applied.charge_point_id)

    def _may_be_a_charge_point(self, identity: str) -> bool:
        """Return whether this process knows a charge point, without asking the database."""
        return self._is_entered(identity) or self._directory.find(identity) is not None

    def _is_entered(self, identity: str) -> bool:
        return (
            self.credentials.knows(identity)
            or self._store.registration(identity) is not None
            or self._store.collections.security_profiles.get(identity) is not None
        )
