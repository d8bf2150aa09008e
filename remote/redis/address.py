"""Address of Redis: a URL, with TLS, a password, or sentinels that know the master. And names of processes there.

    redis://[user:password@]host[:port][/db]        rediss:// for TLS, with ?ssl_ca_certs=FILE and the like
    redis+sentinel://[user:password@]host[:port][,host[:port]…]/service[/db]

Sockets are gevent's; nothing is patched. redis-py makes the connection (TLS, AUTH, SELECT) and does nothing else: its
retries, its pool and its locks would stop the hub.
"""

from __future__ import annotations

import os
import re
import socket
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlsplit

import gevent.socket
import gevent.ssl

from ...config.errors import ChargehandError
from ...config.rendering import without_password

if TYPE_CHECKING:
    from collections.abc import Iterator

SENTINEL = re.compile(
    r"(?P<tls>rediss?)\+sentinel://(?:(?P<user>[^:@/]*):(?P<password>[^@/]*)@)?"
    r"(?P<hosts>[^/?#]+)/(?P<service>[^/?#]+)(?:/(?P<db>\d+))?(?P<query>\?[^#]*)?"
)
DATABASE = re.compile(r"/?|/\d+")
FORMS = "it is redis[s]://[user:password@]host[:port][/db] or redis[s]+sentinel://[user:password@]host[:port],…/service"
SENTINEL_PORT = 26379
CONNECT_S = 5.0
MISSING = "redis:// needs redis-py, which is not installed: pip install 'chargehand[redis]'"


def process_name(begins: str = "") -> str:
    """Make a name for this process that no other has, new at each call; it begins with `begins` or the host's name."""
    return f"{begins or socket.gethostname()}-{os.getpid()}-{os.urandom(4).hex()}"


class RedisAway(ChargehandError):
    """Redis cannot be reached, or did not answer in time. `blameless`: no handler is to blame; `passing`: retry."""

    blameless = True
    passing = True


LOGIN_READS = 100
"""Reads of 64 KiB for the answers to a login."""


class AddressError(ChargehandError, ValueError):
    """The text is not an address of Redis."""


class Address:
    """Address of Redis. Raises `AddressError` for what is none; `shown` is the URL without its password."""

    def __init__(self, url: str) -> None:
        self.shown = without_password(url)
        try:
            import hiredis  # noqa: F401, PLC0415 - an extra; links need it
            from redis.backoff import NoBackoff  # noqa: PLC0415 - an extra
            from redis.connection import Connection, SSLConnection, parse_url  # noqa: PLC0415
            from redis.retry import Retry  # noqa: PLC0415
        except ImportError as error:
            raise AddressError(MISSING) from error
        self._plain = _greenly(Connection)
        self._tls = _greenly(SSLConnection)
        self._sentinels: list[tuple[str, int]] = []
        self._service = ""
        try:
            options: dict[str, Any] = parse_url(self._without_sentinels(url))  # type: ignore[no-untyped-call]
            self._kind = self._tls if options.pop("connection_class", None) is SSLConnection else self._plain
            self._options = options | {
                "retry": Retry(NoBackoff(), 0),
                "socket_connect_timeout": CONNECT_S,
                "socket_timeout": CONNECT_S,
                "protocol": 2,
                "driver_info": None,
                "parser_class": _bounded(),
            }
            self._kind(**self._options)  # an option that there is not is found now
        except AddressError:
            raise
        except Exception:  # noqa: BLE001 - what they say may have a part of the password in it
            raise AddressError(
                f"{self.shown} is no address of Redis: its host, port or options are wrong"
            ) from None

    def _without_sentinels(self, url: str) -> str:
        """The URL as redis-py takes it; the sentinels are kept."""
        found = SENTINEL.fullmatch(url)
        if found is not None:
            self._sentinels = list(_hosts(found["hosts"]))
            self._service = unquote(found["service"])
            user = f"{found['user'] or ''}:{found['password']}@" if found["password"] is not None else ""
            return f"{found['tls']}://{user}sentinel/{found['db'] or 0}{found['query'] or ''}"
        if not url.startswith(("redis://", "rediss://")):
            raise AddressError(f"{self.shown} is no address of Redis: {FORMS}")
        if not DATABASE.fullmatch(urlsplit(url).path):
            raise AddressError(f"{self.shown} is no address of Redis: a database is a number")
        return url

    def connect(self, name: str) -> Any:
        """Connect and log in; switches greenlets. Raises `RedisAway`. The connection is redis-py's."""
        options = dict(self._options)
        if self._sentinels:
            options["host"], options["port"] = self._master()
        return self._opened(self._kind, options | {"client_name": quote(name, safe=":")})

    def _master(self) -> tuple[str, int]:
        why = "no sentinel was asked"
        for host, port in self._sentinels:
            plain = {
                "host": host,
                "port": port,
                "socket_timeout": CONNECT_S,
                "socket_connect_timeout": CONNECT_S,
            }
            shared = {key: self._options[key] for key in ("retry", "protocol", "driver_info")}
            try:
                connection = self._opened(self._plain, plain | shared)
            except RedisAway as error:
                why = str(error)
                continue
            try:
                connection.send_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._service)
                found = connection.read_response()
            except Exception as error:  # noqa: BLE001 - whatever it is, the next one is asked
                why = str(error)
                continue
            finally:
                connection.disconnect()
            if found:
                return found[0].decode(), int(found[1])
            why = f"it knows no service {self._service}"
        raise RedisAway(f"no sentinel of {self.shown} names a master: {why}")

    def _opened(self, kind: Any, options: dict[str, Any]) -> Any:
        from redis.exceptions import RedisError  # noqa: PLC0415

        connection = kind(**options)
        try:
            connection.connect()
        except (RedisError, OSError, ValueError) as error:
            raise RedisAway(f"{self.shown}: {error}") from None  # its text may have a password in it
        return connection


def _hosts(text: str) -> Iterator[tuple[str, int]]:
    for part in text.split(","):
        host, _, port = part.rpartition(":") if ":" in part else (part, "", str(SENTINEL_PORT))
        if not host or not port.isdigit():
            raise ValueError(f"{part} is no host and port")
        yield host, int(port)


def _bounded() -> Any:
    """Return redis-py's parser, which reads answers to the login and to sentinels only, with an end to them."""
    from redis import connection  # noqa: PLC0415 - an extra

    parser: Any = connection.DefaultParser  # a class, or the other one, as redis-py finds hiredis

    class Bounded(parser):  # type: ignore[misc]
        def __init__(self, socket_read_size: int) -> None:
            super().__init__(socket_read_size)
            self._reads = 0

        def read_from_socket(self, *args: Any, **options: Any) -> Any:
            self._reads += 1
            if self._reads > LOGIN_READS:
                raise OSError("the answers to the login have no end")
            return super().read_from_socket(*args, **options)

    return Bounded


def _greenly(kind: Any) -> Any:
    """The kind of connection, on gevent's sockets."""

    class Green(kind):  # type: ignore[misc]
        def _connect(self) -> Any:
            sock = gevent.socket.create_connection((self.host, self.port), self.socket_connect_timeout)
            sock.setsockopt(gevent.socket.IPPROTO_TCP, gevent.socket.TCP_NODELAY, 1)
            sock.setsockopt(gevent.socket.SOL_SOCKET, gevent.socket.SO_KEEPALIVE, 1)
            if hasattr(self, "ca_certs"):
                sock = self._wrapped(sock)
            sock.settimeout(self.socket_timeout)
            return sock

        def _wrapped(self, sock: Any) -> Any:
            context = gevent.ssl.SSLContext(gevent.ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = self.check_hostname
            context.verify_mode = self.cert_reqs
            if self.ca_certs or self.ca_path or self.ca_data:
                context.load_verify_locations(self.ca_certs, self.ca_path, self.ca_data)
            else:
                context.load_default_certs()
            if self.certfile or self.keyfile:
                context.load_cert_chain(self.certfile, self.keyfile, self.certificate_password)
            try:
                return context.wrap_socket(sock, server_hostname=self.host)
            except Exception:
                sock.close()
                raise

    return Green
