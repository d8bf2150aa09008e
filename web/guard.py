"""Who may use the API: whoever knows the token. Without one, programs on this machine, but no web page.

A browser sends what any page asks it to, to loopback as well; and a name of the page's may lead to loopback. So an
open API looks at `Host` and `Origin`, which a page cannot forge.
"""

from __future__ import annotations

from hmac import compare_digest
from urllib.parse import urlsplit

import falcon

from ..config.checks import is_loopback
from .cluster_proxy import INNER
from .problems import Problem

HEALTH = "/healthz"
CHALLENGE = {"WWW-Authenticate": 'Bearer realm="chargehand"'}


class Guard:
    """falcon's middleware: runs before a request is routed, so that a stranger learns of no path."""

    def __init__(self, token: str | None) -> None:
        self._token = None if token is None else token.encode()

    def process_request(self, request: falcon.Request, _: falcon.Response) -> None:
        """Let a request pass, or raise."""
        if request.path == HEALTH or request.env.get(INNER):
            return  # what another node passes on, it has let pass
        if self._token is None:
            self._refuse_pages(request)
        elif not self._knows_token(request.auth or "", self._token):
            text = "this needs the header `Authorization: Bearer TOKEN`"
            raise Problem(401, "Unauthorized", text, headers=CHALLENGE)

    @staticmethod
    def _knows_token(header: str, token: bytes) -> bool:
        scheme, _, given = header.partition(" ")
        # WSGI hands out a header's bytes as latin-1.
        return (
            compare_digest(given.strip().encode("latin-1", "replace"), token) and scheme.lower() == "bearer"
        )

    @staticmethod
    def _refuse_pages(request: falcon.Request) -> None:
        host = request.get_header("Host") or ""
        origin = request.get_header("Origin")
        try:
            name = urlsplit(f"//{host}").hostname or ""
            foreign = origin is not None and urlsplit(origin).netloc != host
        except ValueError:
            name, foreign = "", True
        if foreign or (host and not is_loopback(name)):
            raise Problem(403, "Forbidden", "an open API is for programs on this machine, not for web pages")
