"""Webhooks: the bundled plugin that posts durable events to a URL, signed as Standard Webhooks says.

Off unless the settings name it. Each endpoint is a plugin of its own, with its own position among the events, so that
none waits for another. The event log is the queue: an event that the endpoint did not take is delivered again later,
and those of its charge point behind it wait, over a `kill -9` of the server too.

The one rule: what is connected to is an address that was checked, and no redirect is followed.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import hashlib
import hmac
import http.client
import json
import logging
import random
import time
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple
from urllib.parse import urlsplit

import click
import gevent
import gevent.socket
import gevent.ssl
import msgspec

from .. import (
    DURABLE_EVENTS,
    Api,
    ChargehandError,
    DomainEvent,
    GiveUp,
    Plugin,
    ResourceRefused,
    ResourceRequest,
    RetryLater,
    __version__,
    asks_server,
    event_view,
    on,
    required,
    resource,
    setting,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    Kind = str
else:
    # Each durable event may be named in the settings: a new kind is known here without more.
    Kind = Literal[tuple(kind.__name__ for kind in DURABLE_EVENTS)]

logger = logging.getLogger(__name__)

SECRET = r"(whsec_)?[A-Za-z0-9+/]{32,}={0,2}"  # noqa: S105 - the shape of one
KEY_BYTES = range(24, 65)
"""Lengths of a key, as Standard Webhooks asks for."""
TRIAL_S = 1.0
"""Seconds after which an event asks again whether the trial of an endpoint that failed has ended."""
DEADLINE_SHARE = 0.8
"""Share of a handler's deadline that an attempt may take."""
OK, MULTIPLE_CHOICES, BAD_REQUEST, SERVER_ERROR = 200, 300, 400, 500
BUSY = frozenset({408, 425, 429})
"""Answers of an endpoint that is overloaded, whatever the event is."""
NAT64: Final = ip_network("64:ff9b::/96")
KEPT_S = 60.0
"""Seconds for which a connection is used again; then the host is resolved, and its addresses are checked, again."""
KEPT = 64
"""Connections that are kept for further messages."""
TRIED = 10_000
"""Events whose tries are counted; more begin at one again."""
SPOOL_LIMIT = "10000"


def key_of(secret: str) -> bytes:
    """Return the key of a secret: `whsec_` and base64. Raises ValueError."""
    text = secret.removeprefix("whsec_")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except binascii.Error as error:
        raise ValueError("it is not base64") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookSettings:
    """Settings of an endpoint."""

    url: str = required(
        "URL that events are posted to.",
        pattern=r"https?://[^\s/@?#]+([/?]\S*)?",
        wanted="a URL with https (or http), without a user and a fragment",
        url=True,
    )
    secret: str = required(
        "Secret of the signature: `whsec_` and 24 to 64 bytes as base64.",
        secret=True,
        pattern=SECRET,
        wanted='"whsec_" and 24 to 64 bytes as base64',
    )
    old_secret: str = setting(
        "", "Secret that is being replaced: signatures by both are sent.", secret=True, pattern=f"({SECRET})?",
        wanted='"whsec_" and 24 to 64 bytes as base64',
    )  # fmt: skip
    kinds: tuple[Kind, ...] = setting((), "Kinds of events; empty means all durable ones.")
    timeout_s: float = setting(5.0, "Seconds that the endpoint has for its answer.", above=0)
    retry_min_s: float = setting(5.0, "Seconds before the second try.", above=0)
    retry_max_s: float = setting(3600.0, "Maximum of the seconds between two tries.", above=0)
    give_up_h: float = setting(
        72.0, "Hours after an event for which it is tried; then it is a dead letter.", above=0
    )
    allowed_networks: tuple[str, ...] = setting(
        (), "Networks that are no public ones, and may be connected to all the same, as 10.1.0.0/16."
    )
    ca_file: str = setting("", "File with the CAs (PEM) of the endpoint; empty means those of the system.")

    def conflicts(self) -> Iterator[tuple[str, str]]:
        """Yield what no setting shows alone."""
        for key in ("secret", "old_secret"):
            text = getattr(self, key)
            try:
                if text and len(key_of(text)) not in KEY_BYTES:
                    yield key, "must be 24 to 64 bytes as base64"
            except ValueError as error:
                yield key, str(error)
        if self.retry_max_s < self.retry_min_s:
            yield "retry_max_s", f"must be at least retry_min_s, which is {self.retry_min_s:g}"
        for number, network in enumerate(self.allowed_networks):
            try:
                ip_network(network)
            except ValueError as error:
                yield f"allowed_networks.{number}", str(error)
        try:
            port = urlsplit(self.url).port
        except ValueError as error:
            yield "url", str(error)
        else:
            if port == 0:
                yield "url", "has no port"


class AddressRefused(ChargehandError):
    """Error: the host has no address that may be connected to."""


class Reply(NamedTuple):
    """Answer of an endpoint: its status, and the seconds of its Retry-After, 0 for none."""

    status: int
    retry_after_s: float = 0.0


class _WholeLines:
    """Lines of an answer's head; the end of the connection within it is an error, and no end of the head."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def readline(self, limit: int = -1) -> bytes:
        line: bytes = self._file.readline(limit)
        if not line.endswith(b"\n") and len(line) != limit:
            raise http.client.RemoteDisconnected("the connection was closed within the head of the answer")
        return line

    def close(self) -> None:
        self._file.close()


class _Response(http.client.HTTPResponse):
    """Answer of which the head must be whole: a status that somebody cut off is none."""

    def begin(self) -> None:
        file = self.fp
        self.fp = _WholeLines(file)  # type: ignore[assignment]
        try:
            super().begin()
        finally:
            if self.fp is not None:  # else it is closed
                self.fp = file


class _Connection(http.client.HTTPConnection):
    response_class = _Response


class Endpoint:
    """HTTP client of one URL, to addresses that were checked; a connection is used again for at most `KEPT_S`."""

    def __init__(self, settings: WebhookSettings) -> None:
        parts = urlsplit(settings.url)
        self._host = parts.hostname or ""
        self._secure = parts.scheme == "https"
        self._port = parts.port or (443 if self._secure else 80)
        self._netloc = parts.netloc
        self._target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._allowed = [ip_network(network) for network in settings.allowed_networks]
        self._idle: list[tuple[float, http.client.HTTPConnection]] = []
        self._context = (
            gevent.ssl.create_default_context(cafile=settings.ca_file or None) if self._secure else None
        )

    def post(self, body: bytes, headers: Mapping[str, str], timeout_s: float) -> Reply:
        """Post a body. Raises OSError, HTTPException and `AddressRefused`; TimeoutError after the whole time."""
        with gevent.Timeout(timeout_s, TimeoutError(f"no answer within {timeout_s:g} s")):
            return self._post(body, headers)

    def _post(self, body: bytes, headers: Mapping[str, str]) -> Reply:
        while self._idle:
            opened_at, connection = self._idle.pop()
            if time.monotonic() - opened_at > KEPT_S:
                connection.close()
                continue
            with suppress(http.client.RemoteDisconnected, ConnectionError):  # closed there meanwhile
                return self._ask(connection, opened_at, body, headers)
        connection = _Connection(self._host, self._port)
        connection.sock = self._connect()
        return self._ask(connection, time.monotonic(), body, headers)

    def _ask(
        self,
        connection: http.client.HTTPConnection,
        opened_at: float,
        body: bytes,
        headers: Mapping[str, str],
    ) -> Reply:
        """Ask on a connection, and keep it if it can be used again."""
        done = False
        try:
            connection.request("POST", self._target, body, {"Host": self._netloc, **headers})
            response = connection.getresponse()
            reply = Reply(response.status, _seconds(response.headers.get("Retry-After", "")))
            if response.length == 0 and not response.will_close and len(self._idle) < KEPT:
                response.close()
                self._idle.append((opened_at, connection))
                done = True
            return reply
        finally:
            if not done:
                connection.close()

    def close(self) -> None:
        """Close the connections that nobody uses."""
        while self._idle:
            self._idle.pop()[1].close()

    def _connect(self) -> Any:
        failure: OSError | None = None
        for family, address in self.addresses():
            sock = gevent.socket.socket(family, gevent.socket.SOCK_STREAM)
            try:
                sock.connect(address)
                # A body follows its headers at once, also on a connection that is used again.
                sock.setsockopt(gevent.socket.IPPROTO_TCP, gevent.socket.TCP_NODELAY, 1)
                return sock if self._context is None else self._wrapped(sock)
            except OSError as error:
                sock.close()
                failure = error
            except gevent.Timeout:
                sock.close()
                raise
        raise failure or OSError(f"{self._host} has no address")

    def _wrapped(self, sock: Any) -> Any:
        context: Any = self._context
        return context.wrap_socket(sock, server_hostname=self._host)

    def addresses(self) -> list[tuple[int, Any]]:
        """Resolve the host, and return the addresses that may be connected to. Raises `AddressRefused`, OSError."""
        found: list[Any] = self._literal() or gevent.socket.getaddrinfo(
            self._host, self._port, 0, gevent.socket.SOCK_STREAM
        )
        allowed: list[tuple[int, Any]] = [
            (family, address) for family, _, _, _, address in found if self._may(str(address[0]))
        ]
        if found and not allowed:
            refused = ", ".join(dict.fromkeys(str(address[0]) for *_, address in found))
            raise AddressRefused(f"{self._host} is {refused}, no public address (allowed_networks)")
        return allowed

    def _literal(self) -> list[Any]:
        """Return the address that the host is, which need not be looked up; nothing for a name."""
        try:
            address = IPv4Address(self._host)
        except ValueError:
            return []
        return [(gevent.socket.AF_INET, gevent.socket.SOCK_STREAM, 0, "", (str(address), self._port))]

    def _may(self, text: str) -> bool:
        address = ip_address(text.partition("%")[0])
        if any(address in network for network in self._allowed):
            return True
        meant = embedded(address)
        if meant is not None and any(meant in network for network in self._allowed):
            return True
        return is_public(address) and (meant is None or is_public(meant))


def embedded(address: IPv4Address | IPv6Address) -> IPv4Address | None:
    """Return the IPv4 address that an IPv6 address leads to; None if there is none."""
    if isinstance(address, IPv4Address):
        return None
    if address in NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Return whether an address belongs to the public internet."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return is_public(address.ipv4_mapped)
    return address.is_global and not (
        address.is_multicast or address.is_reserved or address.is_unspecified or address.is_loopback
    )


def _seconds(text: str) -> float:
    return float(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0.0


def signature(secrets: Sequence[bytes], id_: str, timestamp: int, body: bytes) -> str:
    """Sign a message by Standard Webhooks, version 1: one signature for each secret."""
    signed = b"%b.%d.%b" % (id_.encode(), timestamp, body)
    return " ".join(
        f"v1,{base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()}" for key in secrets
    )


class Webhooks(Plugin):
    """Posts durable events to an endpoint, in order for each charge point."""

    settings_class = WebhookSettings

    def __init__(
        self, settings: WebhookSettings, *, post: Callable[..., Reply] | None = None, jitter: float = 0.1
    ) -> None:
        super().__init__()
        self._own = settings
        self._kinds = frozenset(settings.kinds)
        self._keys = [key_of(one) for one in (settings.secret, settings.old_secret) if one]
        self._endpoint = Endpoint(settings)
        self._post: Callable[..., Reply] = post or self._endpoint.post
        self._jitter = jitter
        self._chance = random.Random()  # noqa: S311 - no secret
        self._failures = 0  # of the endpoint, in a row
        self._not_before: dt.datetime | None = None  # while it fails
        self._trial = False  # one asks whether it works again
        self._tries: dict[str, int] = {}  # by the id of the event
        self._taken = 0
        self._last_taken: dt.datetime | None = None
        self._last_failure: dict[str, Any] | None = None

    def on_stop(self) -> None:
        """Close what is open."""
        self._endpoint.close()

    @on(*DURABLE_EVENTS)
    def deliver(self, event: DomainEvent) -> None:
        """Post an event, or have it delivered again later."""
        if self._kinds and type(event).__name__ not in self._kinds:
            return
        wait_s = self._wait_s()
        if wait_s:
            raise RetryLater(wait_s, "the endpoint fails")
        self._trial = trial = self._failures > 0
        try:
            reply, why = self._attempt(event.id, self._body(event))
        finally:
            if trial:
                self._trial = False
        if reply is not None and OK <= reply.status < MULTIPLE_CHOICES:
            self._took(event.id)
            return
        self._failed(event, reply, why, trial=trial)

    def _wait_s(self) -> float:
        """Return for how long the endpoint is left alone; 0 if it may be tried."""
        if not self._failures:
            return 0.0
        left_s = 0.0 if self._not_before is None else (self._not_before - self.now()).total_seconds()
        if left_s <= 0 and self._trial:
            left_s = TRIAL_S
        return left_s * self._spread() if left_s > 0 else 0.0

    def _spread(self) -> float:
        return 1.0 + self._chance.random() * self._jitter

    def _body(self, event: DomainEvent) -> bytes:
        view = event_view(event, self.system.settings)
        kind = view.pop("kind", type(event).__name__)
        return _encoded({"type": kind, "timestamp": event.at, "data": view})

    def _attempt(self, id_: str, body: bytes) -> tuple[Reply | None, str]:
        """Post a message once; returns the answer, or None and what is wrong."""
        timestamp = int(self.now().timestamp())
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"chargehand/{__version__}",
            "webhook-id": id_,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": signature(self._keys, id_, timestamp, body),
        }
        deadlines = self.system.settings.deadlines
        limit_s = DEADLINE_SHARE * (deadlines.events_s or deadlines.default_s)
        try:
            reply = self._post(body, headers, min(self._own.timeout_s, limit_s))
        except (OSError, http.client.HTTPException, AddressRefused, ValueError) as error:
            return None, f"{type(error).__name__}: {error}"
        if MULTIPLE_CHOICES <= reply.status < BAD_REQUEST:
            return reply, f"status {reply.status}: redirects are not followed"
        return reply, f"status {reply.status}"

    def _took(self, id_: str) -> None:
        if self._failures:
            logger.info("%s: the endpoint takes events again, after %d failures", self, self._failures)
        self._failures = 0
        self._not_before = None
        self._tries.pop(id_, None)
        self._taken += 1
        self._last_taken = self.now()

    def _failed(self, event: DomainEvent, reply: Reply | None, why: str, *, trial: bool) -> None:
        """Raise what becomes of an event that the endpoint did not take."""
        now = self.now()
        tries = self._tries.pop(event.id, 0) + 1
        of_endpoint = reply is None or reply.status >= SERVER_ERROR or reply.status in BUSY
        if not of_endpoint:
            self._failures = 0  # it lives, and refuses this event
        elif trial or not self._failures:  # else it failed while this attempt was on its way
            self._failures += 1
            if self._failures == 1:
                logger.warning("%s: the endpoint fails: %s", self, why)
        delay_s = self._delay_s(self._failures if of_endpoint else tries)
        if reply is not None:
            delay_s = max(delay_s, min(reply.retry_after_s, self._own.retry_max_s))
        if of_endpoint:
            self._not_before = now + dt.timedelta(seconds=delay_s)
        self._last_failure = {
            "at": now,
            "event": event.id,
            "charge_point": event.charge_point_id,
            "tries": tries,
            "why": why,
        }
        if now - event.at >= dt.timedelta(hours=self._own.give_up_h):
            raise GiveUp(f"{why} (try {tries}; give_up_h)")
        self._tries[event.id] = tries
        if len(self._tries) > TRIED:
            del self._tries[next(iter(self._tries))]
        raise RetryLater(delay_s, why)

    def _delay_s(self, failures: int) -> float:
        delay_s: float = self._own.retry_min_s * 2.0 ** min(failures - 1, 30)
        return min(delay_s, self._own.retry_max_s) * self._spread()

    @resource("GET", "status")
    def status(self, _request: ResourceRequest) -> dict[str, Any]:
        """Tell how the endpoint does."""
        return {
            "taken": self._taken,
            "last_taken": self._last_taken,
            "failures": self._failures,
            "next_try": self._not_before,
            "last_failure": self._last_failure,
        }

    @resource("POST", "test")
    def test(self, _request: ResourceRequest) -> dict[str, Any]:
        """Post a message of the type "Test", once."""
        now = self.now()
        body = _encoded({"type": "Test", "timestamp": now, "data": {}})
        reply, why = self._attempt(f"test:{int(now.timestamp() * 1000)}", body)
        if reply is None or not OK <= reply.status < MULTIPLE_CHOICES:
            raise ResourceRefused(502, "Not taken", why)
        return {"status": reply.status}


def _encoded(message: dict[str, Any]) -> bytes:
    try:
        return msgspec.json.encode(message)
    except UnicodeEncodeError:  # lone surrogates, which are no UTF-8, as their escapes
        return json.dumps(msgspec.to_builtins(message)).encode()


# -- Commands --------------------------------------------------------------------------------


PLUGIN = click.option(
    "--plugin", default="webhooks", show_default=True, help="Name of the endpoint's plugin in the settings."
)


@click.group()
def commands() -> None:
    """Show and test endpoints of webhooks, and send again what they did not take."""


@commands.command("status")
@PLUGIN
@asks_server
def show_status(api: Api, plugin: str) -> None:
    """Show how an endpoint does, as JSON."""
    click.echo(json.dumps(api.get("plugins", plugin, "status"), indent=2))


@commands.command("test")
@PLUGIN
@asks_server
def post_test(api: Api, plugin: str) -> None:
    """Post a message of the type "Test" to an endpoint."""
    answer = api.change("POST", "plugins", plugin, "test")
    click.echo(f"taken, with status {answer['status']}")


@commands.command()
@PLUGIN
@click.option("--charge-point", "charge_point", help="Those of this charge point only.")
@asks_server
def resend(api: Api, plugin: str, charge_point: str | None) -> None:
    """Send the dead letters of an endpoint again, the oldest first, until one is not taken."""
    letters = [
        row
        for row in api.get("spool", limit=SPOOL_LIMIT).get("dead_events", ())
        if row["consumer"] == plugin and charge_point in (None, row["charge_point"])
    ]
    for row in sorted(letters, key=lambda row: row["number"]):
        api.change("POST", "spool", "dead-events", str(row["number"]), "retry")
        click.echo(f"{row['number']}: {row['kind']} of {row['charge_point'] or 'the system'} was taken")
    if not letters:
        click.echo("no dead letters")
