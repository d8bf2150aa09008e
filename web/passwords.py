"""The password of a charge point, set or taken away. It is kept hashed, and shown to nobody."""

from __future__ import annotations

from typing import Annotated

import falcon
import msgspec

from ..admission.credentials import PasswordChecksBusy
from .commands import body_of
from .problems import Problem
from .queries import Query
from .resources import Resource, answer
from .tags import decoded, keep


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
            receipt = self._system.credentials.set_password(charge_point, given.password.encode())
        except PasswordChecksBusy as error:
            raise Problem(503, "Too many at once", str(error)) from error
        except ValueError as error:
            raise Problem(422, "Invalid password", str(error)) from error
        keep([receipt])
        answer(response, {"charge_point": charge_point, "has_password": True})

    def on_delete(self, request: falcon.Request, response: falcon.Response, charge_point: str) -> None:
        """Take it away."""
        Query(request)
        if self._system.store.collections.credentials.get(charge_point) is None:
            raise Problem(404, "No password", f"{charge_point} has no password that could be taken away")
        keep([self._system.credentials.remove(charge_point)])
        answer(response, {"charge_point": charge_point, "has_password": False})
