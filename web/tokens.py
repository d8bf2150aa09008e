"""Tokens of the HTTP API: made with a name, a scope and an expiry, shown once, stored as a hash, revoked."""

from __future__ import annotations

import datetime as dt
import secrets
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

from ..store.records import ApiToken
from .guard import SERVER_TOKEN, token_digest
from .operations import AFTER, NOT_STORED, limit, operation, page
from .requests import Problem, Query, body_of, decoded, moment
from .resources import ADMIN, Resource, answer, paged
from .tags import keep
from .views import View, members

if TYPE_CHECKING:
    import falcon

MARK = "chargehand_"
"""Begin of every token, by which it is known for one where it should not be."""
RANDOM_BYTES = 32


class NewToken(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Facts of a token to be made; an expiry is a time with its offset, or a day, which is its beginning in UTC."""

    name: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}\Z")]
    scope: Literal["read", "command", "admin"] = "read"
    expires_at: str | None = None


class TokenView(View):
    """Facts of a token; none of them can be read again."""

    name: str
    scope: str
    created_at: dt.datetime
    created_by: str
    expires_at: dt.datetime | None
    expired: bool


def shown(token: ApiToken) -> TokenView:
    """Show what may be known of a token."""
    return TokenView(
        name=token.name,
        scope=token.scope,
        created_at=token.created_at,
        created_by=token.created_by,
        expires_at=token.expires_at,
        expired=token.is_over(dt.datetime.now(dt.UTC)),
    )


class NewTokenView(TokenView):
    """Token that was made: the answer is the only place where it is seen."""

    token: str


class Tokens(Resource):
    """`/api/v1/tokens`, and `/api/v1/tokens/{name}`."""

    reads = ADMIN

    @operation("listTokens", "tokens", query=(AFTER, limit()), answer=page("tokens", TokenView))
    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List the tokens by name; none of them can be read again."""
        query = Query(request, "after", "limit")
        tokens = self._system.store.collections.api_tokens
        found, paging = paged(tokens, query, lambda token: (token.name,), newest=False)
        answer(response, {"tokens": [shown(token) for token in found], **paging})

    @operation(
        "makeToken",
        "tokens",
        body=NewToken,
        answer=NewTokenView,
        problems=NOT_STORED | {409: "There is one of that name", 422: "The body is wrong"},
        example={"name": "grafana", "scope": "read", "expires_at": "2027-01-01"},
    )
    def on_post(self, request: falcon.Request, response: falcon.Response) -> None:
        """Make a token. The answer is the only place where it is seen. 409: there is one of that name."""
        Query(request)
        given = decoded(body_of(request), NewToken, "token")
        tokens, now = self._system.store.collections.api_tokens, dt.datetime.now(dt.UTC)
        try:
            expires_at = None if given.expires_at is None else moment(given.expires_at)
        except ValueError as error:
            raise Problem(422, "Invalid token", f"expires_at: {error}") from error
        if expires_at is not None and expires_at <= now:
            raise Problem(422, "Invalid token", "expires_at: the time is past")
        if given.name == SERVER_TOKEN or tokens.get(given.name) is not None:
            raise Problem(409, "There already", f"there is a token {given.name}; revoke it first")
        text = MARK + secrets.token_urlsafe(RANDOM_BYTES)
        token = ApiToken(
            name=given.name,
            scope=given.scope,
            digest=token_digest(text),
            created_at=now,
            expires_at=expires_at,
            created_by=request.context.caller.name,
        )
        keep([tokens.put(token)])
        answer(response, NewTokenView(token=text, **members(shown(token))))

    @operation("revokeToken", "tokens", answer=TokenView, problems=NOT_STORED)
    def on_delete_one(self, request: falcon.Request, response: falcon.Response, name: str) -> None:
        """Revoke a token: it counts for no further request."""
        Query(request)
        tokens = self._system.store.collections.api_tokens
        token = tokens.get(name)
        if token is None:
            raise Problem(404, "Unknown token", f"there is no token {name}")
        keep([tokens.remove(name)])
        answer(response, shown(token))
