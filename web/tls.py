"""TLS: the certificates in use, and reading their files again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..transport.tls import TlsError
from .requests import Problem, Query
from .resources import Resource, answer

if TYPE_CHECKING:
    import falcon


class Tls(Resource):
    """`/api/v1/tls`, and `/api/v1/tls/reload`."""

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List the server's certificates, those of the CAs of clients, and revocation lists."""
        Query(request)
        answer(response, {"certificates": self._system.certificates()})

    def on_post_reload(self, request: falcon.Request, response: falcon.Response) -> None:
        """Read the files again, in all worker processes; no connection is lost."""
        Query(request)
        if self._system.settings.tls.pairs == ():
            raise Problem(409, "No TLS", "the settings name no certificate (tls.certificate)")
        try:
            self._system.reload_tls()
        except TlsError as error:
            text = f"{error}; the certificates before stay in use"
            raise Problem(422, "Invalid TLS files", text) from error
        worker = self._system.worker
        if worker is not None and worker.reload_all is not None:
            worker.reload_all()
        answer(response, {"certificates": self._system.certificates()})
