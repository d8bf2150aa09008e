"""Answers made small: an ETag for what can be asked for again, and gzip for clients that take it.

The one rule: it changes no content, and leaves streams alone. What takes long runs in a native thread.
"""

from __future__ import annotations

import gzip
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

import falcon
from gevent import get_hub

from .resources import INNER

if TYPE_CHECKING:
    from collections.abc import Callable

SMALL_BYTES: Final = 1024
"""Size up to which an answer is not compressed: it fits into one packet."""
IN_THE_HUB_BYTES: Final = 32 * 1024
"""Size up to which an answer is compressed in the hub, in less than 1 ms."""
LEVEL: Final = 4
DIGEST_BYTES: Final = 16
READS = frozenset({"GET", "HEAD"})


class Compact:
    """Compactness as falcon middleware; it has to be the first, so that it sees what is sent."""

    def process_response(
        self,
        request: falcon.Request,
        response: falcon.Response,
        _resource: object,
        _succeeded: bool,  # noqa: FBT001
    ) -> None:
        """Answer 304 to a client that has the answer, else compress it if that is wanted and worth it."""
        data = response.data
        if not data or response.stream is not None or request.env.get(INNER):
            return
        if request.method in READS and response.status == falcon.HTTP_200 and response.etag is None:
            digest = _run(len(data), lambda: blake2b(data, digest_size=DIGEST_BYTES).hexdigest())
            response.etag = f'W/"{digest}"'  # weak: the same for the compressed one
            if _matches(request, digest):
                response.status = falcon.HTTP_304
                response.data = b""
                response.delete_header("Content-Type")
                return
        if len(data) <= SMALL_BYTES or response.get_header("Content-Encoding"):
            return
        response.append_header("Vary", "Accept-Encoding")
        if takes_gzip(request.get_header("Accept-Encoding") or ""):
            response.data = _run(len(data), lambda: gzip.compress(data, LEVEL, mtime=0))
            response.set_header("Content-Encoding", "gzip")


def _run(size: int, function: Callable[[], Any]) -> Any:
    return function() if size <= IN_THE_HUB_BYTES else get_hub().threadpool.apply(function)


def _matches(request: falcon.Request, digest: str) -> bool:
    return any(tag in ("*", digest) for tag in request.if_none_match or ())


def takes_gzip(accepted: str) -> bool:
    """Return whether a client takes gzip, by its `Accept-Encoding`."""
    found: dict[str, str] = {}
    for part in accepted.lower().split(","):
        coding, _, weight = part.partition(";")
        found[coding.strip()] = weight.replace(" ", "")
    wanted = found.get("gzip", found.get("*"))
    if wanted is None:
        return False
    try:
        return float(wanted.removeprefix("q=") or 1) > 0
    except ValueError:
        return False
