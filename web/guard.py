"""Guard of the HTTP API: who may use it, for what, and the record of what they changed.

Any web page can make a browser send requests to loopback, also through a host name that resolves to it. So an open API
checks `Host` and `Origin`, which a page cannot forge.
"""

from __future__ import annotations

import datetime as dt
import logging
import math
import time
from hashlib import blake2b
from hmac import compare_digest
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urlsplit

import falcon

from ..admission.security_events import WRONG_TOKEN
from ..admission.token_bucket import TokenBuckets
from ..config.checks import is_loopback
from ..protocol.events import HttpChangeMade
from .logins import LOGIN, PAGE_HEADER, Logins, TokenFacts
from .requests import Problem
from .resources import ADMIN, INNER, READ, SCOPES, WHO, Resource

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from ..config.settings import HttpSettings
    from ..store.records import PageLogin
    from ..system.central_system import CentralSystem

AUDIT: Final = logging.getLogger("chargehand.audit")
logger = logging.getLogger(__name__)

CHALLENGE = {"WWW-Authenticate": 'Bearer realm="chargehand"'}
ONLY_READ = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing."""
SERVER_TOKEN, NOBODY = "server", "open"
"""Names of who uses the token of the settings or of the data folder, and of who needs none."""
SECURITY_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""Headers of every answer that does not set them itself."""
MINUTE_S = 60.0
LONG_CHARS = 16
"""Characters from which on a token of the settings is too long to be guessed."""


class Caller(NamedTuple):
    """User of the API: the name and the scope of the token that was given; no name is a stranger at the login."""

    name: str
    scope: str


def _always() -> bool:
    return True


def token_digest(token: str) -> bytes:
    """Return what is stored of a token: it has 256 random bits, so that one quick hash is enough."""
    return blake2b(token.encode(), digest_size=32).digest()


class Guard:
    """Guard as falcon middleware; runs before routing, so that unauthorized clients learn of no path.

    `public` are paths for everybody: probes, and the files of the page. A request has in its context the `caller`, the
    `login` of the page if it came with one, and `still_valid`, a function for answers that take long: false once the
    token or the login has ended.
    """

    def __init__(
        self,
        system: CentralSystem,
        token: str | None,
        clock: Callable[[], float] = time.monotonic,
        public: Collection[str] = (),
    ) -> None:
        self._system = system
        self._clock = clock
        self._token = None if token is None else token_digest(token)
        self._guessable = token is not None and len(token) < LONG_CHARS
        self._settings: HttpSettings | None = None
        self._follow()
        self._public = frozenset(public)
        self.logins = Logins(system, self._token_named)

    def _follow(self) -> None:
        """Take the settings of the system if they are others now; a token that was made at the start stays."""
        settings = self._system.settings.http
        if settings is self._settings:
            return
        self._settings = settings
        if self._token is not None and settings.token:
            self._token = token_digest(settings.token)
            self._guessable = len(settings.token) < LONG_CHARS
        self._failed = TokenBuckets(settings.failed_logins / MINUTE_S, settings.failed_logins)
        self._origins = frozenset(settings.cors_origins)

    def process_request(self, request: falcon.Request, response: falcon.Response) -> None:
        """Let a request pass, or raise."""
        self._follow()
        for name, value in SECURITY_HEADERS.items():
            response.set_header(name, value)
        request.context.caller = Caller(NOBODY, ADMIN)
        request.context.login = None
        request.context.still_valid = _always
        if request.env.get(INNER):
            return  # requests passed on by another node were checked there
        preflight = self._share(request, response)
        if request.path in self._public or preflight:
            return
        if self._token is None:
            self._refuse_pages(request)
        else:
            self._identify(request)

    def process_resource(
        self, request: falcon.Request, _: falcon.Response, resource: Resource, params: Mapping[str, Any]
    ) -> None:
        """Refuse what the token is not for."""
        caller: Caller = request.context.caller
        request.context.subject = params.get("charge_point", "")
        reads = request.method in ONLY_READ
        needed = resource.reads if reads else resource.changes
        if SCOPES.index(caller.scope) < SCOPES.index(needed):
            text = f"the token {caller.name} has the scope {caller.scope}; this needs {needed}"
            raise Problem(403, "Forbidden", text)

    def process_response(
        self,
        request: falcon.Request,
        response: falcon.Response,
        _resource: object,
        _succeeded: bool,  # noqa: FBT001
    ) -> None:
        """Record what was changed, or was to be."""
        caller: Caller | None = getattr(request.context, "caller", None)
        if caller is None or request.env.get(INNER):
            return
        status = falcon.http_status_to_code(response.status)
        if status not in (401, 429):
            request.env.get(WHO, []).append(caller.name)
        if request.method in ONLY_READ and status != falcon.http_status_to_code(falcon.HTTP_403):
            return
        if status in (401, 429):
            return  # counted, and logged as far as lines are not too many: no stranger fills the disk
        if not caller.name:
            return
        self._record(request, caller, status)

    def _record(self, request: falcon.Request, caller: Caller, status: int) -> None:
        made = HttpChangeMade(
            at=dt.datetime.now(dt.UTC),
            charge_point_id=getattr(request.context, "subject", ""),
            token=caller.name,
            method=request.method,
            path=request.path,
            address=request.remote_addr,
            status=status,
        )
        fields = {
            "token": made.token,
            "method": made.method,
            "path": made.path,
            "address": made.address,
            "status": made.status,
        }
        AUDIT.info(
            "%s %s by %s from %s: %d", made.method, made.path, made.token, made.address, status,
            extra={"fields": fields},
        )  # fmt: skip
        self._system.store.publish(made)

    # -- Who it is --

    def _identify(self, request: falcon.Request) -> None:
        """Find out who asks: by the token, else by the page's cookie. Raises 401; at the login strangers may ask."""
        cookie = "" if request.auth else self.logins.cookie(request)
        at_login = request.path == LOGIN
        if (cookie or at_login) and request.method not in ONLY_READ:
            self._check_page(request)
        found = self.logins.token_of(cookie, look=True) if cookie else None
        if found is not None:
            self.know(request, *found)
            request.context.still_valid = lambda: self.logins.token_of(cookie, look=False) is not None
        elif at_login and not request.auth:
            request.context.caller = Caller("", READ)
        else:
            token = self._given_token(request)
            self.know(request, token, None)
            request.context.still_valid = lambda: self._token_with(token.digest) is not None

    def know(self, request: falcon.Request, token: TokenFacts, login: PageLogin | None) -> None:
        """Note who asks."""
        request.context.caller = Caller(token.name, token.scope)
        request.context.login = login

    def _check_page(self, request: falcon.Request) -> None:
        """Raise 403 for a change that another page may have made the browser send, with the cookie of ours."""
        if request.get_header(PAGE_HEADER) is None:
            text = f"a change with the cookie of the page needs the header {PAGE_HEADER}, too"
            raise Problem(403, "Forbidden", text)

    def check_token(self, request: falcon.Request, text: str) -> TokenFacts | None:
        """Return the token that somebody logs in with; None if none is needed. Raises 401, and 429 as for any."""
        if self._token is None:
            return None
        token = self._token_given(request, text)
        if token is None:
            self._failed_login(request)
            raise Problem(401, "Unauthorized", "the token is wrong, or has ended", headers=CHALLENGE)
        return token

    def _given_token(self, request: falcon.Request) -> TokenFacts:
        scheme, _, given = (request.auth or "").partition(" ")
        # WSGI hands out a header's bytes as latin-1.
        text = given.strip().encode("latin-1", "replace").decode("utf-8", "replace")
        token = self._token_given(request, text) if scheme.lower() == "bearer" and text else None
        if token is not None:
            return token
        if text:
            self._failed_login(request)
        raise Problem(
            401,
            "Unauthorized",
            "the request needs the header `Authorization: Bearer TOKEN`",
            headers=CHALLENGE,
        )

    def _token_given(self, request: falcon.Request, text: str) -> TokenFacts | None:
        """Return the valid token of a text; a short one of the settings is not looked at while an address guesses."""
        token = self._token_with(token_digest(text))
        if token is None or token.name != SERVER_TOKEN or not self._guessable:
            return token
        return None if self._failed.wait_s(request.remote_addr, self._clock()) > 0 else token

    def _token_with(self, digest: bytes) -> TokenFacts | None:
        self._follow()
        if self._token is not None and compare_digest(digest, self._token):
            return self._token_named(SERVER_TOKEN)
        for token in self._system.store.collections.api_tokens:
            if compare_digest(digest, token.digest):
                return self._token_named(token.name)
        return None

    def _token_named(self, name: str) -> TokenFacts | None:
        """Return the valid token of a name; None if there is none, or it is over."""
        if name == SERVER_TOKEN:
            return None if self._token is None else TokenFacts(name, ADMIN, self._token, None)
        token = self._system.store.collections.api_tokens.get(name)
        if token is None or token.is_over(dt.datetime.now(dt.UTC)):
            return None
        return TokenFacts(name, token.scope, token.digest, token.expires_at)

    def _failed_login(self, request: falcon.Request) -> None:
        address = request.remote_addr
        self._system.counters.count("http_login_failed", "")
        self._system.security_events.note(WRONG_TOKEN, "a wrong token for the HTTP API", peer=address)
        wait_s = self._failed.take(address, self._clock())
        limited = " (http.failed_logins)" if wait_s else ""
        self._system.log_limit.log(
            logger, logging.WARNING, address, "wrong token", "%s: a wrong token for the HTTP API%s", address, limited
        )  # fmt: skip
        if wait_s:
            self._system.counters.count("http_login_limited", "")
            text = "too many requests with wrong tokens from this address"
            raise Problem(
                429, "Too many failed logins", text, headers={"Retry-After": str(math.ceil(wait_s))}
            )

    # -- Web pages --

    def _share(self, request: falcon.Request, response: falcon.Response) -> bool:
        """Allow a page of a listed origin to read the answer; return true for its preflight, which is answered."""
        origin = request.get_header("Origin")
        if origin is None or origin not in self._origins:
            return False
        response.set_header("Access-Control-Allow-Origin", origin)
        response.set_header("Vary", "Origin")
        response.set_header("Access-Control-Expose-Headers", "Location, Retry-After")
        if request.method != "OPTIONS" or request.get_header("Access-Control-Request-Method") is None:
            return False
        response.set_header("Access-Control-Allow-Methods", "GET, POST, PUT, DELETE")
        response.set_header("Access-Control-Allow-Headers", "Authorization, Content-Type, Last-Event-ID")
        response.set_header("Access-Control-Max-Age", "600")
        response.status = falcon.HTTP_204
        response.complete = True
        return True

    def _refuse_pages(self, request: falcon.Request) -> None:
        host = request.get_header("Host") or ""
        origin = request.get_header("Origin")
        try:
            name = urlsplit(f"//{host}").hostname or ""
            foreign = origin is not None and origin not in self._origins and urlsplit(origin).netloc != host
        except ValueError:
            name, foreign = "", True
        if foreign or (host and not is_loopback(name)):
            raise Problem(403, "Forbidden", "an open API is for programs on this machine, not for web pages")
