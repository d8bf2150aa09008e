"""Variables of charge points over HTTP: stored, searched, compared, exported, read and set."""

from __future__ import annotations

import csv
import datetime as dt
import io
import logging
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

from ..protocol.cells import guarded
from ..protocol.device_model import ACTUAL
from ..protocol.text import escaped
from ..system.variables import VariableDifference, VariableResult
from .commands import DEFAULT_TIMEOUT_S, MAX_TIMEOUT_S, SENDING, status_of
from .operations import AFTER, NOT_STORED, Parameter, limit, operation, page, seconds, text
from .reports import ReportView, report
from .requests import Problem, Query, body_of, decoded
from .resources import COMMAND, MAX_LIMIT, Resource, answer, paged, viewed
from .tags import keep
from .ticket_views import Outcome, outcome
from .verbs import note_version
from .views import View, encode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import falcon

    from ..store.variables import StoredVariable
    from ..system.central_system import CentralSystem
    from .requests import Stop

logger = logging.getLogger(__name__)

COLUMNS = (
    "name", "component", "component_instance", "evse", "connector", "variable", "instance", "attribute", "value",
    "mutability", "persistent", "constant", "unit", "data_type", "min_limit", "max_limit", "values_list",
    "supports_monitoring", "monitor_ids", "updated_at",
)  # fmt: skip
"""Members of a variable, in the order of the columns of its CSV."""
CSV = "text/csv; charset=utf-8"
ALL = 1_000_000
"""More variables than the store keeps of a charge point."""
MOST = 1000
"""Variables of one request."""

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=300)]


class Wanted(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Variables that are read."""

    names: Annotated[list[Name], msgspec.Meta(min_length=1, max_length=MOST)]
    attribute: str = ACTUAL


class Change(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Variables that are set, with their new values."""

    values: Annotated[dict[Name, str], msgspec.Meta(min_length=1, max_length=MOST)]
    attribute: str = ACTUAL


class VariableView(View):
    """Variable of a charge point; what no report has told is null. `monitor_ids` are those of its monitors."""

    name: str
    component: str
    component_instance: str | None
    evse: int | None
    connector: int | None
    variable: str
    instance: str | None
    attribute: str
    value: str | None
    mutability: str | None
    persistent: bool | None
    constant: bool | None
    unit: str | None
    data_type: str | None
    min_limit: str | None
    max_limit: str | None
    values_list: str | None
    supports_monitoring: bool | None
    monitor_ids: list[int]
    updated_at: dt.datetime


def variable(record: StoredVariable, monitor_ids: Sequence[int] = ()) -> VariableView:
    """Show a variable; what no report has told is null. `monitor_ids` are those of its monitors, as they are known."""
    access, kind, name = record.access, record.characteristics, record.name
    return VariableView(
        name=name.text,
        component=name.component,
        component_instance=name.component_instance,
        evse=name.evse or None,
        connector=name.connector or None,
        variable=name.variable,
        instance=name.instance,
        attribute=record.attribute,
        value=record.value,
        mutability=None if access is None else access.mutability,
        persistent=None if access is None else access.persistent,
        constant=None if access is None else access.constant,
        unit=None if kind is None else kind.unit,
        data_type=None if kind is None else kind.data_type,
        min_limit=None if kind is None else kind.min_limit,
        max_limit=None if kind is None else kind.max_limit,
        values_list=None if kind is None else kind.values_list,
        supports_monitoring=None if kind is None else kind.supports_monitoring,
        monitor_ids=list(monitor_ids),
        updated_at=record.updated_at,
    )


class Forgotten(View):
    """Number of variables that were deleted."""

    charge_point: str
    forgotten: int


class VariableResults(View):
    """Result for each variable that was to be read or set, with a status of its own."""

    results: list[VariableResult]


class Differences(View):
    """Variables whose values differ between two charge points."""

    differences: list[VariableDifference]


class Refreshed(View):
    """Command that asked for a report, and the report; null if no part of it has come."""

    report: ReportView | None
    command: Outcome


SEARCH = (text("search", "Only those with this in their text"), text("attribute", "Only this attribute"))
TIMEOUT = seconds("timeout", "Seconds for each answer", MAX_TIMEOUT_S, DEFAULT_TIMEOUT_S)
ASKING = {
    409: "The charge point has none, or there is no result: `results` say why",
    422: "The body is wrong, or a text names no variable",
    503: "The central system stops",
}


class VariablesResource(Resource):
    """`/api/v1/charge-points/{id}/variables`, and what is done with them below."""

    any_node = True
    changes = COMMAND

    def __init__(self, system: CentralSystem, stop: Stop) -> None:
        super().__init__(system)
        self._stop = stop

    # -- As they are stored ------------------------------------------------------------------------

    @operation(
        "listVariables",
        "device model",
        query=(*SEARCH, AFTER, limit(MAX_LIMIT)),
        answer=page("variables", VariableView),
    )
    def on_get(self, request: falcon.Request, response: falcon.Response, charge_point: str) -> None:
        """List the stored variables of a charge point, by their text and attribute."""
        query = Query(request, "search", "attribute", "after", "limit")
        found, paging = paged(
            self._found(charge_point, query, ALL),
            query,
            lambda one: (one.name.text, one.attribute),
            newest=False,
            default=MAX_LIMIT,
        )
        answer(response, {"variables": viewed(self._views(charge_point, found)), **paging})

    def _views(self, charge_point: str, found: Sequence[StoredVariable]) -> Iterator[VariableView]:
        monitors: dict[str, list[int]] = {}
        for monitor in self._system.store.collections.monitors.of(charge_point):
            monitors.setdefault(monitor.variable.lower(), []).append(monitor.monitor_id)
        for one in found:
            yield variable(one, monitors.get(one.name.key, ()))

    @operation("deleteVariables", "device model", answer=Forgotten, problems=NOT_STORED)
    def on_delete(self, request: falcon.Request, response: falcon.Response, charge_point: str) -> None:
        """Delete the stored variables of a charge point."""
        Query(request)
        number = len(self._system.variables.of(charge_point))
        self._check_known(charge_point, found=bool(number))
        keep([self._system.variables.forget(charge_point)])
        answer(response, Forgotten(charge_point=charge_point, forgotten=number))

    @operation(
        "exportVariables",
        "device model",
        query=(*SEARCH, Parameter("format", Literal["json", "csv"], "Form of the answer", "json")),
        answer=list[VariableView],
        content={"text/csv": str},
    )
    def on_get_export(self, request: falcon.Request, response: falcon.Response, charge_point: str) -> None:
        """Export the stored variables of a charge point, as JSON or (`format=csv`) CSV."""
        query = Query(request, "search", "attribute", "format")
        as_csv = query.choice("format", "json", "csv") == "csv"
        rows = self._views(charge_point, self._found(charge_point, query, MAX_LIMIT))
        if as_csv:
            response.data = written(rows)
            response.content_type = CSV
        else:
            answer(response, viewed(rows))

    def _found(self, charge_point: str, query: Query, limit: int) -> Sequence[StoredVariable]:
        search, attribute = query.text("search"), query.text("attribute")
        found = self._system.variables.of(charge_point, search=search, attribute=attribute, limit=limit)
        self._check_known(charge_point, found=bool(found))
        return found

    def _check_known(self, charge_point: str, *, found: bool) -> None:
        if not found and not self._system.knows(charge_point):
            raise Problem(404, "Unknown charge point", f"{charge_point} is not known here")

    @operation(
        "compareVariables",
        "device model",
        query=(text("other", "Charge point to compare with", required=True), *SEARCH),
        answer=Differences,
    )
    def on_get_compare(self, request: falcon.Request, response: falcon.Response, charge_point: str) -> None:
        """List the stored variables whose values differ from those of the charge point `other`."""
        query = Query(request, "other", "search", "attribute")
        other, attribute = query.text("other"), query.text("attribute") or ACTUAL
        if not other:
            raise Problem(400, "Bad query", "other must name a charge point")
        for one in (charge_point, other):
            self._check_known(one, found=bool(self._system.variables.of(one, limit=1)))
        found = self._system.variables.compare(
            charge_point, other, search=query.text("search"), attribute=attribute
        )
        answer(response, {"differences": viewed(found)})

    # -- At the charge point -------------------------------------------------------------------------

    @operation(
        "readVariables",
        "device model",
        query=(TIMEOUT,),
        body=Wanted,
        answer=VariableResults,
        problems=ASKING,
        example={"names": ["ConnectionTimeOut"]},
    )
    def on_post_get(self, request: falcon.Request, response: falcon.Response, charge_point: str) -> None:
        """Read variables of a connected charge point; a result for each."""
        timeout_s = _timeout_of(request)
        wanted = decoded(body_of(request), Wanted, "variables")
        variables = self._system.variables
        self._answer_results(
            request,
            response,
            charge_point,
            lambda: variables.get(
                charge_point, wanted.names, attribute=wanted.attribute, timeout_s=timeout_s
            ),
        )

    @operation(
        "setVariables",
        "device model",
        query=(TIMEOUT,),
        body=Change,
        answer=VariableResults,
        problems=ASKING,
        example={"values": {"TxCtrlr.EVConnectionTimeOut": "90"}},
    )
    def on_post(self, request: falcon.Request, response: falcon.Response, charge_point: str) -> None:
        """Set variables of a connected charge point; a result for each."""
        timeout_s = _timeout_of(request)
        change = decoded(body_of(request), Change, "variables")
        variables = self._system.variables
        self._answer_results(
            request,
            response,
            charge_point,
            lambda: variables.set(
                charge_point, change.values, attribute=change.attribute, timeout_s=timeout_s
            ),
        )

    def _answer_results(
        self,
        request: falcon.Request,
        response: falcon.Response,
        charge_point: str,
        ask: Callable[[], Sequence[VariableResult]],
    ) -> None:
        results = self._asked(request, charge_point, ask)
        shown = viewed(results)
        if not any(one.status for one in results):
            raise Problem(409, "No result", results[0].reason, results=shown)
        logger.info("Variables of %s by HTTP: %d", charge_point, len(results))
        answer(response, {"results": shown})

    @operation(
        "refreshVariables",
        "device model",
        query=(
            Parameter("extent", Literal["full", "configuration", "summary"], "Extent of the report", "full"),
            TIMEOUT,
            seconds("effect_timeout", "Seconds for the last part", MAX_TIMEOUT_S, DEFAULT_TIMEOUT_S),
        ),
        answer=Refreshed,
        problems=SENDING | {409: "Refused, or it has none", 422: "It has no variables"},
    )
    def on_post_refresh(self, request: falcon.Request, response: falcon.Response, charge_point: str) -> None:
        """Have a connected charge point report its variables, and wait for the last part; `extent` of the report."""
        query = Query(request, "extent", "timeout", "effect_timeout")
        extent = query.choice("extent", "full", "configuration", "summary")
        timeout_s = query.seconds("timeout", default=DEFAULT_TIMEOUT_S, most=MAX_TIMEOUT_S)
        effect_s = query.seconds("effect_timeout", default=DEFAULT_TIMEOUT_S, most=MAX_TIMEOUT_S)
        variables = self._system.variables
        found = self._asked(
            request,
            charge_point,
            lambda: variables.refresh(
                charge_point, extent=extent, timeout_s=timeout_s, effect_timeout_s=effect_s
            ),
        )
        shown = None if found.report is None else report(found.report)
        command = outcome(found.ticket, self._system.versions)
        status, title = status_of(self._system, found.ticket)
        if title:
            raise Problem(status, title, found.ticket.reason or title, report=shown, command=command)
        answer(response, {"report": shown, "command": command})

    def _asked(self, request: falcon.Request, charge_point: str, ask: Callable[[], Any]) -> Any:
        if not self._system.knows(charge_point):
            raise Problem(404, "Unknown charge point", f"{charge_point} has never been here")
        note_version(self._system, request, charge_point)
        try:
            with self._stop.interrupts():
                return ask()
        except RuntimeError as error:  # between the system's stop and ours
            raise Problem(503, "Not running", str(error)) from error


def _timeout_of(request: falcon.Request) -> float:
    return Query(request, "timeout").seconds("timeout", default=DEFAULT_TIMEOUT_S, most=MAX_TIMEOUT_S)


def written(rows: Iterable[VariableView]) -> bytes:
    """Write variables as CSV; a text that a spreadsheet would run as a formula has an apostrophe before it."""
    told = io.StringIO(newline="")
    writer = csv.writer(told, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow([_cell(getattr(row, name)) for name in COLUMNS])
    return told.getvalue().encode("utf-8", "backslashreplace")


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return guarded(escaped(value))
    if isinstance(value, list):
        return "; ".join(map(str, value))
    return encode(value).decode().strip('"')
