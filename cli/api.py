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
from .options import CONFIG, DATA, TIMES, TOKEN, URL
from .output import shows_times

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
            raise no_chargehand(self.url) from error
        if not isinstance(told, dict):
            raise no_chargehand(self.url)
        return told


class NoAnswer(CommandFailed):
    """Raised if there is no server, or one that does not answer to the end."""


class Api:
    """Client of one server's API. Failures raise `CommandFailed`, wrong arguments `CommandMisused`.

    The certificate of a server is one of `trusted` (files and fingerprints), whatever it names; without any it is
    checked as usual.
    """

    def __init__(self, url: str, token: str, hint: str = "", trusted: Sequence[str] = ()) -> None:
        self.url = url
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
            raise CommandFailed(
                "HTTP is turned off in the settings",
                "set http.enabled and start the server again, or name another server with --url",
            )
        token = token or settings.http.token or folder.read_token()
        return cls(found, token, hint, run.get("certificates", ()))

    def get(self, *path: str, **query: str) -> dict[str, Any]:
        """Get the resource at a path, given as unquoted segments."""
        reply = self.ask("GET", *path, query=query)
        if reply.status != OK:
            raise refused(reply.status, reply.json)
        return reply.json

    def whole(self, rows: str, *path: str, cursor: str, **query: str) -> dict[str, Any]:
        """Get a list with all of its pages: `rows` is its member that has them, `cursor` the parameter of a page."""
        told = self.get(*path, **query)
        found = list(told[rows])
        while told.get("more") and told.get("next") is not None:
            told = self.get(*path, **query, **{cursor: str(told["next"])})
            found += told[rows]
        return told | {rows: found}

    def change(
        self, method: str, *path: str, body: str | None = None, timeout_s: float = ANSWER_S
    ) -> dict[str, Any]:
        """Change the resource at a path; returns its state afterwards, or its last one."""
        reply = self.ask(method, *path, body=body, timeout_s=timeout_s)
        if reply.status != OK:
            raise refused(reply.status, reply.json)
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
            return ApiReply(answer.status, answer.read().decode(), self.url)

    def download(self, method: str, *path: str, timeout_s: float = ANSWER_S) -> Iterator[bytes]:
        """Yield the body of an answer in chunks; raises `CommandFailed` if it breaks off. `timeout_s` is per chunk."""
        received = 0
        with self._asked(method, path, None, None, timeout_s) as answer:
            if answer.status != OK:
                raise refused(answer.status, ApiReply(answer.status, answer.read().decode(), self.url).json)
            length = int(answer.headers["Content-Length"] or 0)
            while chunk := answer.read(CHUNK_BYTES):
                received += len(chunk)
                yield chunk
        if received != length:
            raise CommandFailed(
                f"the server at {self.url} has broken off: {received} of {length} bytes came",
                "look into the server's log for the reason, then try again",
            )

    @contextmanager
    def opened(
        self,
        method: str,
        *path: str,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = ANSWER_S,
    ) -> Iterator[http.client.HTTPResponse]:
        """Give the answer with its body still to be read. Raises `CommandFailed` unless its status is 200."""
        with self._asked(method, path, query, None, timeout_s, headers) as answer:
            if answer.status != OK:
                raise refused(answer.status, ApiReply(answer.status, answer.read().decode(), self.url).json)
            yield answer

    @contextmanager
    def _asked(
        self,
        method: str,
        path: Sequence[str],
        query: Mapping[str, str] | None,
        body: str | None,
        timeout_s: float,
        more: Mapping[str, str] | None = None,
    ) -> Iterator[http.client.HTTPResponse]:
        connection, target = self._connection(timeout_s)
        target += "/".join([ROOT, *(quote(segment, safe="") for segment in path)])
        target += f"?{urlencode(query)}" if query else ""
        headers: dict[str, str | bytes] = {**(more or {})}
        if body is not None:
            headers["Content-Type"] = "application/json"
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}".encode()
        try:
            connection.request(method, target, None if body is None else body.encode(), headers)
            yield connection.getresponse()
        except OSError as error:
            text = f"no answer from a server at {self.url}: {error.strerror or error}{self._hint}"
            raise NoAnswer(text, next_after(error)) from error
        except (http.client.HTTPException, ValueError) as error:
            raise no_chargehand(self.url) from error
        finally:
            connection.close()

    def _connection(self, timeout_s: float) -> tuple[http.client.HTTPConnection, str]:
        try:
            parts = urlsplit(self.url)
            secure, host, port = SECURE[parts.scheme], parts.hostname or "", parts.port
        except (KeyError, ValueError) as error:
            raise CommandMisused(
                f"{self.url} is not a URL like http://127.0.0.1:8080", "correct it, scheme and port included"
            ) from error
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


def no_chargehand(url: str) -> CommandFailed:
    """Make the failure for a server that does not answer as chargehand does."""
    return CommandFailed(
        f"the server at {url} is not chargehand",
        "name the address of its HTTP API with --url, or its data folder with --data; `serve` prints both",
    )


def next_after(error: OSError) -> str:
    """Say what to do when there was no answer."""
    if isinstance(error, TimeoutError):
        return "see whether the server still runs and what its log says, then try again"
    if isinstance(error, ssl.SSLError):
        return "name the server with --url as its certificate does, or use --data on its own machine"
    return "start one with `chargehand serve`, or name one that runs with --url or --data"


NEXT_BY_TITLE = {
    "No cluster": "start the server with --workers or --redis to have one",
    "No log level": "`chargehand logs` lists those that have one",
    "No TLS": "set tls.certificate and tls.key, then start the server again",
    "Not a dead event": "`chargehand spool list` shows those that are there",
    "Not a dead letter": "`chargehand spool list` shows those that are there",
    "Not in quarantine": "`chargehand quarantine list` shows those that are",
    "Unknown action": "`chargehand charge-points show CP` tells the version of OCPP; write the action as that has it",
    "Unknown applicant": "`chargehand charge-points applicants` lists those that wait",
    "Unknown bulk command": "`chargehand bulk list` shows those that are kept",
    "Unknown certificate": "`chargehand ca list` shows those that were issued",
    "Unknown charge point": "`chargehand charge-points --all` lists those that are known",
    "Unknown plugin": "`chargehand tree` shows the plugins",
    "Unknown report": "`chargehand reports list CP` shows those that are kept",
    "Unknown tag": "`chargehand tags list` shows those that are known",
    "Unknown ticket": "`chargehand tickets list` shows those that are kept",
    "Unknown token": "`chargehand tokens list` shows those that there are",
    "Unknown transaction": "`chargehand transactions list` shows those that are known",
    "Unknown verb": "`chargehand do --help` lists the verbs",
    "Connected": "wait until it is away, or have it restart: `chargehand do reset CP`",
    "Too many failed logins": "wait a minute, then use the right token",
}
"""Next steps by the title of a problem."""
NEXT_BY_STATUS = {
    400: "correct the value that is named; --help shows what is taken",
    401: "give its token with --token, CHARGEHAND_HTTP__TOKEN or http.token in the settings, or its folder with --data",
    403: "use a token with that scope: `chargehand tokens add NAME --scope SCOPE` makes one",
    404: "see whether the name is right, and the server is the one that you mean",
    408: "try again: the server got only a part of the request in time",
    409: "see the present state first, then decide whether this is still wanted",
    413: "send it in smaller parts",
    422: "correct what is named, and send it again",
    429: "wait a minute, then try again",
    502: "have a look at the answer with `chargehand recording CP`",
    503: "try again in a few seconds; if it stays so, GET /readyz and the server's log tell what is missing",
    504: "see whether the charge point is connected: `chargehand charge-points show CP`; then try again",
    507: "make room on the server's disk, then try again",
}
"""Next steps by the status of an answer."""


def refused(status: int, answer: Mapping[str, Any], subject: str = "") -> CommandFailed:
    """Make the failure for a refusal of the server."""
    return CommandFailed(why(status, answer, subject), next_for(status, answer))


def next_for(status: int, answer: Mapping[str, Any]) -> str:
    """Say what to do after a refusal of the server."""
    default = "the reason is in the server's log, if it is not said here"
    return NEXT_BY_TITLE.get(str(answer.get("title")), NEXT_BY_STATUS.get(status, default))


def why(status: int, answer: Mapping[str, Any], subject: str = "") -> str:
    """Describe a refusal of the server."""
    if status == UNAUTHORIZED:
        return "the server wants another token"
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
    def run(
        config: str | None,
        data: str | None,
        url: str | None,
        token: str | None,
        times: str | None,
        **options: Any,
    ) -> Any:
        settings = read_settings(config, {"data": data, "cli.times": times}, stores=False)
        shows_times(settings)
        return command(Api.of(settings, url=url, token=token), **options)

    for option in (TIMES, CONFIG, DATA, TOKEN, URL):
        run = option(run)
    return run
