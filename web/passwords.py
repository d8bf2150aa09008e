"""The password of a charge point, set or taken away. It is kept hashed, and shown to nobody."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Protocol

import falcon
import msgspec

from .commands import body_of
from .problems import Problem
from .queries import Query
from .resources import Resource, answer
from .tags import decoded, keep

if TYPE_CHECKING:
    from ..store.store import Receipt
    from ..system import CentralSystem


class Credentials(Protocol):
    """What the handshake compares with, by charge point: see `supervisor.credentials`."""

    def set_password(self, charge_point_id: str, password: bytes) -> Receipt:
        """Keep a password, hashed; switches greenlets. Raises ValueError for one that cannot be."""

    def remove(self, charge_point_id: str) -> Receipt:
        """Take it away."""

    def knows(self, charge_point_id: str) -> bool:
        """Whether there is one."""


def credentials_of(system: CentralSystem) -> Credentials:
    """The credentials of a system. Raises `Problem` 409 for one that keeps none."""
    found: Credentials | None = getattr(system, "credentials", None)
    if found is None:
        raise Problem(409, "No credentials", "this central system has its passwords in its settings alone")
    return found


class Given(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A password, in UTF-8."""

    password: Annotated[str, msgspec.Meta(min_length=1, max_length=256)]


class Passwords(Resource):
    """`/api/v1/charge-points/{id}/password`."""

    def on_put(self, request: falcon.Request, response: falcon.Response, charge_point: str) -> None:
        """Set it: the next handshake needs it, a connection that stands goes on."""
        Query(request)
        given = decoded(body_of(request), Given, "password")
        try:
            receipt = credentials_of(self._system).set_password(charge_point, given.password.encode())
        except ValueError as error:
            raise Problem(422, "Invalid password", str(error)) from error
        keep([receipt])
        answer(response, {"charge_point": charge_point, "has_password": True})

    def on_delete(self, request: falcon.Request, response: falcon.Response, charge_point: str) -> None:
        """Take it away."""
        Query(request)
        credentials = credentials_of(self._system)
        if not credentials.knows(charge_point):
            raise Problem(404, "No password", f"{charge_point} has no password that could be taken away")
        keep([credentials.remove(charge_point)])
        answer(response, {"charge_point": charge_point, "has_password": False})
