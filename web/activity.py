"""`/api/v1/activity`: what keeps this node busy, of all its worker processes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec

from ..system.activity import (
    ALONE,
    BusyChargePoint,
    PluginActivity,
    ProcessActivity,
    SlowHandler,
    busiest,
    inboxes,
    slowest,
)
from .operations import NO_WORKER, WORKER, Parameter, operation
from .requests import Query
from .resources import INNER, Resource, answer
from .siblings import ask_siblings

if TYPE_CHECKING:
    import falcon

ACTIVITY = "/api/v1/activity"
DEFAULT_ROWS, MOST_ROWS = 10, 1000


class WorkerActivity(msgspec.Struct, frozen=True, kw_only=True):
    """Numbers of one worker process, which count up from its start; `at` is the time of the sample by its own clock."""

    worker: int
    at: float
    connected: int
    calls: dict[str, int]
    commands: int
    open_commands: int


class ActivityAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Activity of a node. `unanswered` are the worker processes that did not answer in time, or do not run."""

    workers: list[WorkerActivity]
    unanswered: list[int]
    busiest: list[BusyChargePoint]
    inboxes: list[BusyChargePoint]
    plugins: list[PluginActivity]
    handlers: list[SlowHandler]


class ActivityResource(Resource):
    """`/api/v1/activity`."""

    @operation(
        "getActivity",
        "operation",
        query=(
            Parameter(
                "limit", Annotated[int, msgspec.Meta(ge=1, le=MOST_ROWS)], "Rows of each list", DEFAULT_ROWS
            ),
            WORKER,
        ),
        answer=ActivityAnswer,
        problems=NO_WORKER,
    )
    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """Show the busiest charge points, the fullest inboxes, the plugins and the handlers that take long.

        `limit` bounds each list; `worker` names one worker process.
        """
        query = Query(request, "limit", "worker")
        limit = query.whole("limit", default=DEFAULT_ROWS, most=MOST_ROWS)
        only = query.whole("worker", default=0, least=0, most=10_000)
        if request.env.get(INNER):
            answer(response, self._system.activity.sample(limit))
            return
        worker = self._system.worker
        here = ALONE if worker is None else worker.number
        found = [] if only not in (0, here) else [self._system.activity.sample(limit)]
        if only != here or not only:
            found += [
                msgspec.json.decode(reply, type=ProcessActivity)
                for reply in ask_siblings(self._system, ACTIVITY, f"limit={limit}", only=only)
            ]
        found.sort(key=lambda one: one.worker)
        answer(response, self._merged(found, limit, only))

    def _merged(self, found: list[ProcessActivity], limit: int, only: int) -> ActivityAnswer:
        names = WorkerActivity.__struct_fields__
        there = {one.worker for one in found}
        wanted = {view["worker"] for view in self._system.workers() if not only or view["worker"] == only}
        return ActivityAnswer(
            workers=[WorkerActivity(**{name: getattr(one, name) for name in names}) for one in found],
            unanswered=sorted(wanted - there),
            busiest=busiest([row for one in found for row in one.busiest], limit),
            inboxes=inboxes([row for one in found for row in one.inboxes], limit),
            plugins=[row for one in found for row in one.plugins],
            handlers=slowest([row for one in found for row in one.handlers], limit),
        )
