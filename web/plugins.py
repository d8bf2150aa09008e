"""Plugins: how they stand, and the two things that operators decide about them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import gevent

from .problems import CLOSE, Problem
from .queries import Query
from .resources import Resource, answer
from .stopping import Stopping
from .views import plugin

if TYPE_CHECKING:
    import falcon

    from ..system.central_system import CentralSystem
    from .stopping import Stop

logger = logging.getLogger(__name__)

RELEASE_S = 9.0
"""Seconds that are waited for the start of a released plugin; the system itself waits a little longer."""


class Plugins(Resource):
    """`/api/v1/plugins`, and with `/{name}/release` and `/{name}/promote` what to do with one."""

    def __init__(self, system: CentralSystem, stop: Stop) -> None:
        super().__init__(system)
        self._stop = stop

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """All of them, in the order in which they are started, with how many messages wait for each."""
        Query(request)
        waiting = self._waiting()
        rows = [
            row | {"spool": None if waiting is None else waiting.get(row["name"], 0)} for row in self._all()
        ]
        answer(response, {"plugins": rows})

    def _waiting(self) -> dict[str, int] | None:
        try:
            return self._system.spool_by_plugin()
        except Exception:
            logger.warning("the spool cannot be read", exc_info=True)
            return None  # it must not hide the rest

    def on_post_release(self, request: falcon.Request, response: falcon.Response, name: str) -> None:
        """Let one out of quarantine, and wait for its start."""
        Query(request)
        self._find(name)
        slow = Problem(504, "Still starting", f"{name} has not started within {RELEASE_S:g} s")
        try:
            with self._stop.interrupts(), gevent.Timeout(RELEASE_S, slow):
                released = self._system.release(name)
        except Stopping:
            raise Problem(503, "Stopping", "the central system stops", headers=CLOSE) from None
        if not released:
            raise Problem(409, "Not in quarantine", f"{name} is not in quarantine")
        answer(response, self._find(name))

    def on_post_promote(self, request: falcon.Request, response: falcon.Response, name: str) -> None:
        """Let a shadow answer from now on."""
        Query(request)
        self._find(name)
        if not self._system.promote(name):
            raise Problem(409, "Not a shadow", f"{name} is not a shadow: it answers already")
        answer(response, self._find(name))

    def _find(self, name: str) -> dict[str, Any]:
        known = {row["name"]: row for row in self._all()}
        if name not in known:
            raise Problem(404, "Unknown plugin", f"there is no plugin {name}; there are: {', '.join(known)}")
        return known[name]

    def _all(self) -> list[dict[str, Any]]:
        return [plugin(row) for row in self._system.plugins()]
