"""Levels of log lines about single charge points, set for a time."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

from ..store.records import LogLevel
from .operations import AFTER, NOT_STORED, limit, operation, page
from .requests import Problem, Query, body_of, decoded
from .resources import ADMIN, Resource, answer, paged
from .tags import keep
from .views import View

if TYPE_CHECKING:
    import falcon

HOUR_S = 3600.0
LONGEST_S = 366 * 86400.0


class NewLogLevel(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Lowest level of lines about a charge point, for `for_s` seconds (0: without end) or `until` a time."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]
    for_s: Annotated[float, msgspec.Meta(ge=0, le=LONGEST_S)] | None = None
    until: Annotated[dt.datetime, msgspec.Meta(tz=True)] | None = None


class LogLevelView(View):
    """Level of lines about a charge point; `until` is null if it has no end."""

    charge_point: str
    level: str
    until: dt.datetime | None
    by: str


def shown(record: LogLevel) -> LogLevelView:
    """Show a level."""
    return LogLevelView(
        charge_point=record.charge_point_id, level=record.level, until=record.until, by=record.by
    )


class LogLevelsResource(Resource):
    """`/api/v1/log-levels`, and `/api/v1/log-levels/{id}`."""

    changes = ADMIN
    any_node = True

    @operation("listLogLevels", "operation", query=(AFTER, limit()), answer=page("log_levels", LogLevelView))
    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List the charge points whose log lines have a level of their own now."""
        query = Query(request, "after", "limit")
        records = self._system.log_levels.all()
        found, paging = paged(records, query, lambda one: (one.charge_point_id,), newest=False)
        answer(response, {"log_levels": [shown(one) for one in found], **paging})

    @operation(
        "setLogLevel",
        "operation",
        body=NewLogLevel,
        answer=LogLevelView,
        problems=NOT_STORED | {422: "The body is wrong"},
        example={"level": "DEBUG", "for_s": 600},
    )
    def on_put_one(self, request: falcon.Request, response: falcon.Response, charge_point: str) -> None:
        """Set the level of lines about a charge point, in all processes; at DEBUG its frames are lines, too.

        Without a time it is for an hour.
        """
        Query(request)
        given, now = decoded(body_of(request), NewLogLevel, "log level"), dt.datetime.now(dt.UTC)
        if given.for_s is not None and given.until is not None:
            raise Problem(422, "Invalid log level", "for_s and until are one too many")
        for_s = HOUR_S if given.for_s is None else given.for_s
        until = given.until or (now + dt.timedelta(seconds=for_s) if for_s else None)
        if until is not None and until <= now:
            raise Problem(422, "Invalid log level", "until: that time has passed")
        record = LogLevel(
            charge_point_id=charge_point,
            level=given.level,
            until=None if until is None else until.astimezone(dt.UTC),
            by=request.context.caller.name,
        )
        keep([self._system.log_levels.set(record)])
        answer(response, shown(record))

    @operation("removeLogLevel", "operation", answer=LogLevelView, problems=NOT_STORED | {404: "It has none"})
    def on_delete_one(self, request: falcon.Request, response: falcon.Response, charge_point: str) -> None:
        """Give lines about a charge point the level of all others again."""
        Query(request)
        record = self._system.log_levels.find(charge_point)
        if record is None:
            raise Problem(404, "No log level", f"{charge_point} has no level of its own")
        keep([self._system.log_levels.remove(charge_point)])
        answer(response, shown(record))
