"""Client of the HTTP API of a running server: its address, its token, its errors."""

from __future__ import annotations

import functools
import http.client
import json
import ssl
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote, urlencode, urlsplit

from .addresses import configured
from .configuration import read_settings
from .data_folder import DataFolder
from .failures import CommandFailed, CommandMisused
from .fingerprints import fingerprint, fingerprint_of
from .options import CONFIG, DATA, TOKEN, URL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ..config.settings import Settings

ROOT = "/api/v1"
STORE_S = 40.0
"""Seconds that a server has for a change: its store has 30 to keep it."""
ANSWER_S = 30.0
"""Seconds that the server has for requests that it can answer at once."""
CHUNK_BYTES = 1 << 18
OK, UNAUTHORIZED = 200, 401


@dataclass(frozen=True, slots=True)
class ApiReply:
    """An answer: its status, and its body as text."""

    status: int
    text: str
    url: str

    @property
    def json(self) -> dict[str, Any]:
        """Return the body, an object for every status. Raises `CommandFailed`."""
        try:
            told = json.loads(self.text)
        except ValueError as error:
            raise CommandFailed(f"the server at {self.url} is not chargehand") from error
        if not isinstance(told, dict):
            raise CommandFailed(f"the server at {self.url} is not chargehand")
        return told


class Api:
    """Client of one server's API. Failures raise `CommandFailed`, wrong arguments `CommandMisused`.

    The certificate of a server is one of `trusted` (files and fingerprints), whatever it names; without any it is
    checked as usual.
    """

    def __init__(self, url: str, token: str, hint: str = "", trusted: Sequence[str] = ()) -> None:
        self._url = url
        self._token = token
        self._hint = hint
        self._trusted = trusted

    @classmethod
    def of(cls, settings: Settings, *, url: str | None = None, token: str | None = None) -> Self:
        """Make a client for the server that uses the data folder, or for the address in the settings if none does."""
        folder = DataFolder(settings.data)
        run = {} if url else folder.read_run()
        found, hint = url or run.get("http"), ""
        if not found:
            found = configured(settings)["http"]
            hint = f" (the address in the settings: no server runs in the data folder {settings.data})"
        if found is None:
            raise CommandFailed("HTTP is turned off in the settings; --url names another server")
        token = token or settings.http.token or folder.read_token()
        return cls(found, token, hint, run.get("certificates", ()))

    def get(self, *path: str, **query: str) -> dict[str, Any]:
        """Get the resource at a path, given as unquoted segments."""
        reply = self.ask("GET", *path, query=query)
        if reply.status != OK:
            raise CommandFailed(why(reply.status, reply.json))
        return reply.json

    def change(
        self, method: str, *path: str, body: str | None = None, timeout_s: float = ANSWER_S
    ) -> dict[str, Any]:
        """Change the resource at a path; returns its state afterwards, or its last one."""
        reply = self.ask(method, *path, body=body, timeout_s=timeout_s)
        if reply.status != OK:
            raise CommandFailed(why(reply.status, reply.json))
        return reply.json

    def ask(
        self,
        method: str,
        *path: str,
        query: Mapping[str, str] | None = None,
        body: str | None = None,
        timeout_s: float = ANSWER_S,
    ) -> ApiReply:
        """Send one request without a proxy; returns the answer with any status."""
        with self._asked(method, path, query, body, timeout_s) as answer:
            return ApiReply(answer.status, answer.read().decode(), self._url)

    def download(self, method: str, *path: str, timeout_s: float = ANSWER_S) -> Iterator[bytes]:
        """Yield the body of an answer in chunks; raises `CommandFailed` if it breaks off. `timeout_s` is per chunk."""
        received = 0
        with self._asked(method, path, None, None, timeout_s) as answer:
            if answer.status != OK:
                raise CommandFailed(
                    why(answer.status, ApiReply(answer.status, answer.read().decode(), self._url).json)
                )
            length = int(answer.headers["Content-Length"] or 0)
            while chunk := answer.read(CHUNK_BYTES):
                received += len(chunk)
                yield chunk
        if received != length:
            raise CommandFailed(
                f"the server at {self._url} has broken off: {received} of {length} bytes came"
            )

    @contextmanager
    def _asked(
        self,
        method: str,
        path: Sequence[str],
        query: Mapping[str, str] | None,
        body: str | None,
        timeout_s: float,
    ) -> Iterator[http.client.HTTPResponse]:
        connection, target = self._connection(timeout_s)
        target += "/".join([ROOT, *(quote(segment, safe="") for segment in path)])
        target += f"?{urlencode(query)}" if query else ""
        headers: dict[str, str | bytes] = {}
        if body is not None:
            headers["Content-Type"] = "application/json"
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}".encode()
        try:
            connection.request(method, target, None if body is None else body.encode(), headers)
            yield connection.getresponse()
        except OSError as error:
            text = f"no answer from a server at {self._url}: {error.strerror or error}{self._hint}"
            raise CommandFailed(text) from error
        except (http.client.HTTPException, ValueError) as error:
            raise CommandFailed(f"the server at {self._url} is not chargehand") from error
        finally:
            connection.close()

    def _connection(self, timeout_s: float) -> tuple[http.client.HTTPConnection, str]:
        try:
            parts = urlsplit(self._url)
            secure, host, port = SECURE[parts.scheme], parts.hostname or "", parts.port
        except (KeyError, ValueError) as error:
            raise CommandMisused(f"{self._url} is not a URL like http://127.0.0.1:8080") from error
        path = parts.path.rstrip("/")
        if not secure:
            return http.client.HTTPConnection(host, port, timeout=timeout_s), path
        if self._trusted:
            return PinnedConnection(host, port, timeout_s, self._trusted), path
        return http.client.HTTPSConnection(host, port, timeout=timeout_s), path


SECURE = {"http": False, "https": True}


class PinnedConnection(http.client.HTTPSConnection):
    """Connection to a server of this machine, whose certificate is a known one, whatever it names.

    `trusted` are files, which may have changed since the server has read them, and fingerprints.
    """

    def __init__(self, host: str, port: int | None, timeout_s: float, trusted: Sequence[str]) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        super().__init__(host, port, timeout=timeout_s, context=context)
        self._trusted = trusted

    def connect(self) -> None:
        """Connect. Raises OSError for another certificate."""
        super().connect()
        shown = fingerprint(self.sock.getpeercert(binary_form=True) or b"")
        if not any(shown in (one, fingerprint_of(one)) for one in self._trusted):
            self.close()
            raise OSError(None, f"its certificate is none of {', '.join(self._trusted)}")


def why(status: int, answer: Mapping[str, Any], subject: str = "") -> str:
    """Describe a refusal of the server."""
    if status == UNAUTHORIZED:
        return "the server wants another token: --token, http.token in the settings, or the file in its data folder"
    text = f"{answer.get('title', status)}: {answer.get('description', '')}"
    rows = answer.get("violations", answer.get("deviations", []))
    return "\n  ".join(
        [
            f"{subject}: {text}" if subject else text,
            *(f"{row['path'] or 'payload'}: {row['text']} ({row['code']})" for row in rows),
        ]
    )


def asks_server(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that name a running server; the command's first argument is that server's API."""

    @functools.wraps(command)
    def run(config: str | None, data: str | None, url: str | None, token: str | None, **options: Any) -> Any:
        return command(Api.of(read_settings(config, {"data": data}), url=url, token=token), **options)

    for option in (CONFIG, DATA, TOKEN, URL):
        run = option(run)
    return run
