"""Checks that involve more than one setting: which ones need, forbid or exceed one another.

One rule: a check reads finished settings and returns words. Never resolves a name, never opens a file.
"""

from collections.abc import Iterator
from ipaddress import ip_address, ip_network

from .errors import ConfigError
from .keys import InvalidKey, read_key
from .schema import Fault, plain, read
from .settings import Settings


def conflicts(settings: Settings, *, stores: bool = True) -> Iterator[tuple[Fault, tuple[str, ...]]]:
    """Faults between settings, each with the other settings (`section.key`) that take part in it.

    Without `stores` those of the store and who shares it are left out.
    """
    supervision = settings.supervision
    yield from _tls(settings)
    yield from _proxy(settings)
    yield from _authority(settings)
    if supervision.backoff_max_s < supervision.backoff_min_s:
        text = f"must be at least supervision.backoff_min_s, which is {supervision.backoff_min_s:g}"
        yield (("supervision", "backoff_max_s"), text), ("supervision.backoff_min_s",)
    for charge_point, password in settings.auth.credentials.items():
        try:
            read_key(password)
        except InvalidKey as error:
            yield (("auth", "credentials", charge_point), str(error)), ()
    if stores:
        yield from _shared(settings)
    taken: dict[tuple[str, int], str] = {}
    for key, host, port in _listeners(settings):
        first = taken.setdefault((host, port), key)
        if port and first != key:
            yield (tuple(key.split(".")), f"{port} is the value of {first} already"), (first,)


def _tls(settings: Settings) -> Iterator[tuple[Fault, tuple[str, ...]]]:
    """Yield the conflicts of settings for TLS."""
    tls = settings.tls
    if tls.key and not tls.certificate:
        yield (("tls", "certificate"), "missing, though tls.key is given"), ("tls.key",)
    if tls.certificate and not tls.key:
        yield (("tls", "key"), "missing, though tls.certificate is given"), ("tls.certificate",)
    if not tls.plain and not tls.pairs:
        yield (("tls", "plain"), "false serves nothing without tls.certificate"), ("tls.certificate",)
    if tls.client_ca and not tls.pairs:
        yield (("tls", "client_ca"), "serves nothing without tls.certificate"), ("tls.certificate",)
    if tls.client_crl and not tls.client_ca:
        yield (("tls", "client_ca"), "missing, though tls.client_crl is given"), ("tls.client_crl",)
    if not settings.proxy.trusted:  # else they may end TLS, and ask for certificates
        yield from _profiles(settings)
    if settings.http.tls and not tls.pairs:
        yield (("http", "tls"), "true needs tls.certificate"), ("tls.certificate",)


def _authority(settings: Settings) -> Iterator[tuple[Fault, tuple[str, ...]]]:
    """Yield the conflicts of the certificate authority's settings."""
    ca = settings.ca
    if ca.passphrase and ca.passphrase_file:
        yield (("ca", "passphrase_file"), "given beside ca.passphrase"), ("ca.passphrase",)
    if ca.folder and not (ca.passphrase or ca.passphrase_file):
        yield (("ca", "passphrase"), "missing, though ca.folder is given"), ("ca.folder",)
    if ca.renew_before_days >= ca.lifetime_days:
        text = f"must be less than ca.lifetime_days, which is {ca.lifetime_days:g}"
        yield (("ca", "renew_before_days"), text), ("ca.lifetime_days",)


def _profiles(settings: Settings) -> Iterator[tuple[Fault, tuple[str, ...]]]:
    """Yield the least security profiles that nobody could show."""
    tls, profile = settings.tls, settings.auth.security_profile
    if profile > 1 and not tls.pairs:
        text = f"{profile} lets nobody in without tls.certificate"
        yield (("auth", "security_profile"), text), ("tls.certificate",)
    elif profile > 2 and not tls.client_ca:
        text = f"{profile} lets nobody in without tls.client_ca"
        yield (("auth", "security_profile"), text), ("tls.client_ca",)


def _proxy(settings: Settings) -> Iterator[tuple[Fault, tuple[str, ...]]]:
    """Yield the conflicts of settings for proxies in front."""
    proxy = settings.proxy
    if (proxy.headers or proxy.protocol != "none") and not proxy.trusted:
        text = "missing: only proxies with these addresses are believed"
        yield (("proxy", "trusted"), text), ("proxy.protocol", "proxy.headers")
    for number, network in enumerate(proxy.trusted):
        try:
            ip_network(network)
        except ValueError as error:
            yield (("proxy", "trusted", str(number)), str(error)), ()


def _shared(settings: Settings) -> Iterator[tuple[Fault, tuple[str, ...]]]:
    """Yield the conflicts of settings for several processes that share charge points."""
    redis = settings.redis
    if redis.url and settings.store == "sqlite":
        # Two nodes would give the same transaction ids.
        text = 'must be "memory" (which promises nothing) or "postgresql://…" with redis.url: nodes share their store'
        yield (("store",), text), ("redis.url",)
    if redis.remote_actions and not redis.url:
        yield (("redis", "url"), "missing, though redis.remote_actions is given"), ("redis.remote_actions",)
    if redis.remote_groups and not redis.remote_actions:
        text = "missing, though redis.remote_groups is given"
        yield (("redis", "remote_actions"), text), ("redis.remote_groups",)
    if settings.workers > 1 and settings.store == "memory":
        text = 'several share no memory: store must be "sqlite" or a URL of PostgreSQL'
        yield (("workers",), text), ("store",)


def _listeners(settings: Settings) -> Iterator[tuple[str, str, int]]:
    if settings.tls.plain:
        yield "port", settings.host, settings.port
    if settings.tls.pairs:
        yield "tls.port", settings.tls.host or settings.host, settings.tls.port
    if settings.http.enabled:
        yield "http.port", settings.http.host, settings.http.port


def checked(settings: Settings) -> Settings:
    """Hold settings that were built by hand to the rules of a file; return them with every type made exact.

    So a list may stand for a tuple, a whole number for a float, and "package.module:Class" for a plugin's
    table. Raises `ConfigError` with all faults.
    """
    exact, faults = read(plain(settings))
    if exact:
        faults = [fault for fault, _ in conflicts(exact)]
    if faults or not exact:
        raise ConfigError(f"{'.'.join(path)}: {text}" for path, text in faults)
    return exact


def check_exposure(settings: Settings) -> None:
    """Refuse to serve strangers by accident. Raises `ConfigError` with all faults.

    Without credentials only loopback is served, unless `open` says otherwise; without a token HTTP is served
    on loopback only, whatever the settings say. A name other than `localhost` counts as another address.
    """
    errors = []
    auth = settings.auth
    if not (auth.credentials or auth.required or auth.security_profile or settings.open):
        errors += [
            f"{key}: {host} is not loopback, and no credentials are set:"
            " set auth.credentials, auth.required or auth.security_profile, or open = true (--open)"
            " to let any charge point in"
            for key, host in _hosts(settings)
            if not is_loopback(host)
        ]
    if settings.http.enabled and settings.http.open and not is_loopback(settings.http.host):
        errors.append(
            f"http.open: HTTP without a token is served on loopback only, not on {settings.http.host}"
        )
    if errors:
        raise ConfigError(errors)


def _hosts(settings: Settings) -> Iterator[tuple[str, str]]:
    if settings.tls.plain or not settings.tls.host:
        yield "host", settings.host
    if settings.tls.pairs and settings.tls.host:
        yield "tls.host", settings.tls.host


def is_loopback(host: str) -> bool:
    """Return whether an address is loopback. No name is looked up; `localhost` is the only name that counts."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.casefold() == "localhost"
