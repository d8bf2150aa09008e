"""What a request is answered that cannot be served: JSON with a title, a description, and what more there is to say.

One rule: every error of the API has this form, falcon's own ones too.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import falcon

from .views import JSON, encode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..store.store import StoreError

logger = logging.getLogger(__name__)

CLOSE = {"Connection": "close"}
"""For an answer after which the connection is of no use: it ends, or a request's body was not read to its end."""


class Problem(falcon.HTTPError):
    """Raised by a responder. `more` are further members of the answer."""

    def __init__(
        self,
        status: int,
        title: str,
        description: str,
        *,
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(status, title=title, description=description, headers=dict(headers or {}))
        self.more = more


def write_problem(_: falcon.Request, response: falcon.Response, error: falcon.HTTPError) -> None:
    """Serialize any HTTP error; JSON whatever the client would rather have."""
    body = {"title": error.title, "description": error.description or str(error.title)}
    response.data = encode(body | getattr(error, "more", {}))
    response.content_type = JSON


def report_crash(
    request: falcon.Request, _: falcon.Response, error: Exception, __: Mapping[str, Any]
) -> None:
    """Answer 500 to a request whose responder failed. The client is not told why, the log is."""
    logger.error("%s %s failed", request.method, request.path, exc_info=error)
    raise Problem(500, "Internal error", "the central system has failed to answer; its log says why")


def report_store(
    request: falcon.Request, _: falcon.Response, error: StoreError, __: Mapping[str, Any]
) -> None:
    """Answer 503 to a request for what the store cannot read now."""
    logger.warning("%s %s: %s", request.method, request.path, error)
    raise Problem(503, "The store is away", str(error)) from error


def nothing_here(req: falcon.Request, resp: falcon.Response, **_: Any) -> None:  # noqa: ARG001 - falcon's names
    """Stand for every path that has no resource."""
    raise Problem(404, "Not found", f"nothing is at {req.path}")
