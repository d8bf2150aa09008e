"""Addresses of a system as URLs: the bound ones, for people, and reachable ones from this machine, for programs."""

from __future__ import annotations

import contextlib
import logging
import sys
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ..config.rendering import without_password
from ..store.factory import SQLITE_FILE
from .fingerprints import fingerprint_of
from .rotation import write_now

if TYPE_CHECKING:
    from ..config.settings import Settings
    from .data_folder import DataFolder


class Ports(Protocol):
    """Bound ports of a `CentralSystem`."""

    @property
    def port(self) -> int:
        """The port of ws."""

    @property
    def tls_port(self) -> int:
        """The port of wss."""

    @property
    def http_port(self) -> int:
        """The port of the HTTP API."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The ports that settings ask for."""

    port: int
    tls_port: int
    http_port: int

    @classmethod
    def by(cls, settings: Settings) -> Wanted:
        """Read the ports from settings."""
        return cls(settings.port, settings.tls.port, settings.http.port)


def configured(settings: Settings) -> dict[str, str | None]:
    """Compute the local addresses of a server that was started with these settings."""
    return reachable(settings, Wanted.by(settings))


def listeners(settings: Settings, system: Ports) -> dict[str, tuple[str, int]]:
    """Host and port by scheme, of the endpoints there are."""
    tls = settings.tls
    found = {}
    if tls.plain or not tls.pairs:
        found["ws"] = (settings.host, system.port)
    if tls.pairs:
        found["wss"] = (tls.host or settings.host, system.tls_port)
    if settings.http.enabled:
        found["http"] = (settings.http.host, system.http_port)
    return found


def bound(settings: Settings, system: Ports) -> dict[str, str]:
    """List the bound addresses: `ws://0.0.0.0:9000/ocpp/{id}`."""
    return {
        scheme: f"{_scheme(settings, scheme)}://{_in_url(host)}:{port}{'' if scheme == 'http' else settings.path}"
        for scheme, (host, port) in listeners(settings, system).items()
    }


def reachable(settings: Settings, system: Ports) -> dict[str, str | None]:
    """Compute the addresses to use on this machine, None for one that is off; ws and wss need an id."""
    there = {
        scheme: f"{_scheme(settings, scheme)}://{_in_url(_concrete(host))}:{port}"
        for scheme, (host, port) in listeners(settings, system).items()
    }
    prefix = settings.path.removesuffix("{id}")
    return {
        "ws": there["ws"] + prefix if "ws" in there else None,
        "wss": there["wss"] + prefix if "wss" in there else None,
        "http": there.get("http"),
    }


def _scheme(settings: Settings, endpoint: str) -> str:
    return "https" if endpoint == "http" and settings.http.tls else endpoint


def _concrete(host: str) -> str:
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if not address.is_unspecified:
        return host
    return "127.0.0.1" if address.version == 4 else "::1"


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


logger = logging.getLogger(__name__)


def say(text: str) -> None:
    """Print a line; one that cannot be written, as on a full disk, is left out."""
    with contextlib.suppress(OSError, ValueError):
        write_now(sys.stdout, f"{text}\n")


def introduce(settings: Settings) -> None:
    """Warn before the start of what is open to all."""
    if not (settings.auth.credentials or settings.auth.required or settings.auth.security_profile):
        logger.warning("no credentials are set: any charge point is let in")


def announce(settings: Settings, ports: Ports, folder: DataFolder) -> None:
    """Print and store the addresses once the system serves, and where its store and its pages are. Raises OSError."""
    addresses = bound(settings, ports)
    for scheme, url in addresses.items():
        say(f"{scheme:<6} {url}")
    say(f"store  {_store(settings, folder)}")
    if settings.http.enabled:
        if settings.http.page:
            say(f"page   {addresses['http']}/")
        say(f"docs   {addresses['http']}/docs")
        if not (settings.http.open or settings.http.token):
            say(f"token  {folder.path / 'token'}")
    files = [str(Path(pair.certificate).absolute()) for pair in settings.tls.pairs if settings.http.tls]
    trusted = [*files, *filter(None, map(fingerprint_of, files))]
    folder.write_run(reachable(settings, ports) | ({"certificates": trusted} if trusted else {}))
    say("ready")


def _store(settings: Settings, folder: DataFolder) -> str:
    """Describe the store in a line, without a password."""
    if settings.store == "memory":
        return "memory: its records are lost when this process ends"
    return str(folder.path / SQLITE_FILE) if settings.store == "sqlite" else without_password(settings.store)
