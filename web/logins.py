"""Logins of the operator's page: a cookie with an opaque id in the place of a token.

The one rule: a login is worth its token at that moment, no more: the token's scope, its expiry, its revocation. The
store has a hash of the id, and a proof of the token that nobody can check without the id.
"""

from __future__ import annotations

import datetime as dt
import math
import re
import secrets
from hashlib import blake2b
from hmac import compare_digest
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlsplit

import falcon
import msgspec

from ..store.records import PageLogin
from .operations import NOT_STORED, operation
from .requests import Problem, Query, body_of, decoded
from .resources import READ, Resource, answer
from .tags import keep
from .views import View

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..system.central_system import CentralSystem
    from .guard import Guard

PAGE_HEADER: Final = "X-Chargehand-Page"
"""Header of every request of the page that changes something: no page of another origin can send it."""
LOGIN: Final = "/api/v1/login"
ID_BYTES = 32
_ID = re.compile(r"[A-Za-z0-9_-]{43}\Z")
_OWN_PAGE = frozenset({None, "same-origin", "none"})
"""Values of `Sec-Fetch-Site` with which a cookie counts; a browser that is too old sends none."""
STORE_S = 10.0


class TokenFacts(NamedTuple):
    """Facts of a valid token: its name, its scope, its digest and its expiry."""

    name: str
    scope: str
    digest: bytes
    expires_at: dt.datetime | None


def cookie_name(request: falcon.Request) -> str:
    """Name the cookie: a browser sends cookies to all ports of a host, so its name has the port."""
    try:
        port = urlsplit(f"//{request.get_header('Host') or ''}").port
    except ValueError:
        port = None
    return f"chargehand-{port or (443 if _secure(request) else 80)}"


def _secure(request: falcon.Request) -> bool:
    """Return whether the browser speaks TLS, to this server or to a proxy in front of it."""
    return request.scheme == "https" or (request.get_header("Origin") or "").startswith("https:")


def _hashed(id_: str) -> str:
    return blake2b(id_.encode(), digest_size=32).hexdigest()


def _proof(id_: str, token_digest: bytes) -> bytes:
    return blake2b(token_digest, key=id_.encode(), digest_size=32).digest()


class Logins:
    """Logins in the store, which all worker processes and nodes share."""

    def __init__(self, system: CentralSystem, token_named: Callable[[str], TokenFacts | None]) -> None:
        self._system = system
        self._token_named = token_named

    def begin(self, token: TokenFacts) -> tuple[str, PageLogin]:
        """Enter a login and return its id. Those that are over are removed; over the limit the oldest go."""
        settings, store = self._system.settings.http, self._system.store
        now = dt.datetime.now(dt.UTC)
        id_ = secrets.token_urlsafe(ID_BYTES)
        ends = now + dt.timedelta(seconds=settings.login_s)
        login = PageLogin(
            digest=_hashed(id_),
            token=token.name,
            proof=_proof(id_, token.digest),
            created_at=now,
            expires_at=ends if token.expires_at is None else min(ends, token.expires_at),
        )
        logins = store.collections.page_logins
        over = [one for one in logins if one.expires_at <= now or self._token_named(one.token) is None]
        gone = {one.digest for one in over}
        kept = sorted((one for one in logins if one.digest not in gone), key=lambda one: one.created_at)
        over += kept[: max(0, len(kept) + 1 - settings.logins)]
        keep([*(logins.remove(one.digest) for one in over), logins.put(login)])
        return id_, login

    def end(self, id_: str) -> None:
        """End a login."""
        keep([self._system.store.collections.page_logins.remove(_hashed(id_))])

    def cookie(self, request: falcon.Request) -> str:
        """Return the id that a request of the page has in its cookie; "" if it has none that could be one."""
        if request.get_header("Sec-Fetch-Site") not in _OWN_PAGE:
            return ""
        found = request.get_cookie_values(cookie_name(request)) or [""]
        return found[0] if _ID.match(found[0]) else ""

    def token_of(self, id_: str, *, look: bool) -> tuple[TokenFacts, PageLogin] | None:
        """Return the token of a login and the login; None if that is over, or its token is.

        With `look` one that is not known here is looked for in the store, which may switch greenlets: it may have been
        made by another process a moment ago.
        """
        store = self._system.store
        login = store.collections.page_logins.get(_hashed(id_))
        if login is None and look and store.others_write:
            store.follow_now().wait(STORE_S)
            login = store.collections.page_logins.get(_hashed(id_))
        if login is None or login.expires_at <= dt.datetime.now(dt.UTC):
            return None
        token = self._token_named(login.token)
        if token is None or not compare_digest(login.proof, _proof(id_, token.digest)):
            return None
        return token, login


class GivenToken(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Token with which somebody logs in."""

    token: str


class LoginView(View):
    """Caller: name and scope of the token, and until when a login lasts. The name is "open" where none is needed."""

    name: str
    scope: str
    login: bool
    expires_at: dt.datetime | None


class LoginResource(Resource):
    """`/api/v1/login`: who asks; log in, with a token for a cookie; log out."""

    changes = READ

    def __init__(self, system: CentralSystem, guard: Guard) -> None:
        super().__init__(system)
        self._guard = guard

    @operation("getLogin", "login", answer=LoginView)
    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """Show who asks: name and scope of the token, and until when a login lasts.

        The name is "open" where no token is needed.
        """
        Query(request)
        self._show(request, response)

    @operation(
        "logIn",
        "login",
        body=GivenToken,
        answer=LoginView,
        problems=NOT_STORED | {409: "The API needs no token", 422: "The body is wrong"},
        public=True,
    )
    def on_post(self, request: falcon.Request, response: falcon.Response) -> None:
        """Log in with `token`: the cookie of the answer stands for it. 401: the token is wrong."""
        Query(request)
        given = decoded(body_of(request), GivenToken, "login")
        token = self._guard.check_token(request, given.token.strip())
        if token is None:
            raise Problem(409, "Open", "this API needs no token, so there is nothing to log in with")
        id_, login = self._guard.logins.begin(token)
        self._guard.know(request, token, login)
        left = (login.expires_at - dt.datetime.now(dt.UTC)).total_seconds()
        self._set_cookie(request, response, id_, max(1, math.ceil(left)))
        self._show(request, response)

    @operation("logOut", "login", status=204, problems=NOT_STORED)
    def on_delete(self, request: falcon.Request, response: falcon.Response) -> None:
        """Log out: the login of the cookie ends, everywhere."""
        Query(request)
        id_ = self._guard.logins.cookie(request)
        if id_:
            self._guard.logins.end(id_)
            response.unset_cookie(cookie_name(request), path="/", same_site="Strict")
        response.status = falcon.HTTP_204

    def _show(self, request: falcon.Request, response: falcon.Response) -> None:
        context = request.context
        answer(
            response,
            LoginView(
                name=context.caller.name,
                scope=context.caller.scope,
                login=context.login is not None,
                expires_at=None if context.login is None else context.login.expires_at,
            ),
        )

    def _set_cookie(
        self, request: falcon.Request, response: falcon.Response, id_: str, max_age_s: int
    ) -> None:
        response.set_cookie(
            cookie_name(request),
            id_,
            max_age=max_age_s,
            path="/",
            secure=_secure(request),
            http_only=True,
            same_site="Strict",
        )
