"""TLS: the certificates in use, and reading their files again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..transport.tls import TlsError
from .operations import NO_WORKER, WORKER, listing, operation
from .requests import Problem, Query
from .resources import Resource, answer
from .siblings import only_worker, views_of_node
from .views import encode

if TYPE_CHECKING:
    from collections.abc import Mapping

    import falcon


CERTIFICATES = listing("certificates", dict[str, Any], "CertificatesInUse")


class Tls(Resource):
    """`/api/v1/tls`, and `/api/v1/tls/reload`."""

    @operation("getTls", "certificates", query=(WORKER,), answer=CERTIFICATES, problems=NO_WORKER)
    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List the server's certificates, those of the CAs of clients, and revocation lists.

        What differs between worker processes, as one could not read a new file, is there for each, with its `workers`.
        """
        only_worker(Query(request, "worker"))
        views = views_of_node(
            self._system, request, response, lambda: {"certificates": self._system.certificates()}
        )
        answer(response, {"certificates": merged(views)})

    @operation(
        "reloadTls",
        "certificates",
        answer=CERTIFICATES,
        problems={
            409: "There is no TLS",
            422: "The files cannot be used; the certificates before stay in use",
        },
    )
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


def merged(views: Mapping[int, Any]) -> list[dict[str, Any]]:
    """Join the certificates of several worker processes: rows that are the same are one, with all its `workers`."""
    found: dict[bytes, dict[str, Any]] = {}
    for number, view in views.items():
        for row in view["certificates"]:
            told = found.setdefault(encode(row), row | ({"workers": []} if number else {}))
            if number:
                told["workers"].append(number)
    return list(found.values())
