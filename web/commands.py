"""Commands: an active call made by a POST, and its ticket's fate as the status of the answer."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import falcon
import gevent
import msgspec

from ..actors.session.tickets import TicketState
from ..config.schema import nearest
from ..protocol import v16
from ..protocol.actions import Sender
from ..protocol.effects import pair_of
from ..protocol.errors import InvalidPayload
from ..protocol.payload import typed
from ..store.store import StoreError
from .paths import segment
from .problems import CLOSE, Problem
from .queries import Query
from .stopping import Stopping
from .views import JSON, encode, outcome, violations

if TYPE_CHECKING:
    from ..actors.session.tickets import Ticket
    from ..protocol.actions import Action
    from ..system.central_system import CentralSystem
    from .stopping import Stop

logger = logging.getLogger(__name__)

DEFAULT_TIMEOUT_S = 30.0
MAX_TIMEOUT_S = 3600.0
MAX_EXPIRY_S = 366 * 86400.0
STORE_S = 5.0
"""Seconds that the store has to keep a ticket before it is handed out."""
GRACE_S = 1.0
"""So much longer than the call's own time limit is waited for its ticket's end."""
MAX_BODY_BYTES = 1 << 20
BODY_TIMEOUT_S = 30.0

# The states whose status is always the same, each with its title. `answered` and `never_sent` depend on more.
STATUSES = {
    TicketState.HELD: (202, ""),
    TicketState.QUEUED: (202, ""),
    TicketState.SENT: (202, ""),
    TicketState.REFUSED: (409, "Refused by the charge point"),
    TicketState.EXPIRED: (410, "Never sent: its time was over"),
    TicketState.CANCELLED: (410, "Never sent: it was cancelled"),
    TicketState.SUPERSEDED: (410, "Never sent: a newer call replaces it"),
    TicketState.OUTCOME_UNKNOWN: (502, "Sent, but the connection died before the answer"),
    TicketState.TIMED_OUT: (504, "Sent, but not answered in time"),
}


class Commands:
    """`/api/v1/charge-points/{id}/commands/{Action}`; with `until_effect` what was promised is waited for too."""

    def __init__(self, system: CentralSystem, stop: Stop) -> None:
        self._system = system
        self._stop = stop

    def on_post(
        self, request: falcon.Request, response: falcon.Response, charge_point: str, action: str
    ) -> None:
        """Send the body as a request of the central system, and wait for the end of its ticket unless `wait=0`."""
        row = _row(action)
        query = Query(
            request, "timeout", "wait", "until_effect", "effect_timeout", "when_offline", "expires_in"
        )
        timeout_s = query.seconds("timeout", default=DEFAULT_TIMEOUT_S, most=MAX_TIMEOUT_S)
        queue = query.choice("when_offline", "fail", "queue") == "queue"
        wait = query.flag("wait", default=not queue)
        effect_timeout_s = self._effect_timeout_s(query)
        message = _message(row, body_of(request))
        if effect_timeout_s is not None and pair_of(action, message) is None:
            raise Problem(400, "Bad query", f"OCPP has no message that shows the effect of {action}")
        if queue and not self._is_known(charge_point):
            raise Problem(404, "Unknown charge point", f"{charge_point} has never been here")
        try:
            ticket = self._system.send(
                charge_point,
                message,
                timeout_s=timeout_s,
                when_offline="queue" if queue else "fail",
                expires_in_s=self._expires_in_s(query, timeout_s, queue=queue),
                until_effect=effect_timeout_s is not None,
                effect_timeout_s=effect_timeout_s,
            )
        except RuntimeError as error:  # between the system's stop and ours
            raise Problem(503, "Not running", str(error)) from error
        if wait:
            self._wait(ticket, timeout_s + (effect_timeout_s or 0.0) + GRACE_S)
        elif ticket.kept is not None:
            self._wait_until_kept(ticket)
        logger.info("%s to %s by HTTP: %s is %s", action, charge_point, ticket.id, ticket.state)
        self._answer(response, ticket)

    def _is_known(self, charge_point: str) -> bool:
        known = self._system.charge_point(charge_point) is not None
        return known or self._system.store.registration(charge_point) is not None

    @staticmethod
    def _expires_in_s(query: Query, timeout_s: float, *, queue: bool) -> float | None:
        """How long it may wait to be sent; one for a charge point that is away has no end unless it is given one."""
        if not query.text("expires_in"):
            return None if queue else timeout_s
        return query.seconds("expires_in", default=timeout_s, most=MAX_EXPIRY_S)

    @staticmethod
    def _wait_until_kept(ticket: Ticket[Any]) -> None:
        """A ticket that is handed out is to be found after a restart too."""
        try:
            ticket.kept.wait(STORE_S)
        except (StoreError, TimeoutError) as error:
            logger.error("Ticket %s is not kept, and would not outlive this process: %s", ticket.id, error)  # noqa: TRY400 - no fault of ours

    def _effect_timeout_s(self, query: Query) -> float | None:
        """How long the effect is waited for; None if it is not."""
        if not query.flag("until_effect", default=False):
            if query.text("effect_timeout"):
                raise Problem(400, "Bad query", "effect_timeout is for until_effect=1")
            return None
        default_s = self._system.settings.sessions.effect_timeout_s
        return query.seconds("effect_timeout", default=default_s, most=max(default_s, MAX_TIMEOUT_S))

    def _wait(self, ticket: Ticket[Any], timeout_s: float) -> None:
        try:
            with self._stop.interrupts():
                ticket.wait(timeout_s)
        except Stopping:
            text = "the central system stops; what becomes of the call will be in nobody's memory"
            raise Problem(503, "Stopping", text, headers=CLOSE, **outcome(ticket)) from None

    def _answer(self, response: falcon.Response, ticket: Ticket[Any]) -> None:
        status, title = status_of(self._system, ticket)
        picture = outcome(ticket)
        if title:
            reason = ticket.reason or f"{ticket.action} to {ticket.charge_point_id}"
            picture = {"title": title, "description": reason, **picture}
        response.status = falcon.code_to_http_status(status)
        response.data = encode(picture)
        response.content_type = JSON
        if not ticket.settled:
            response.location = f"/api/v1/tickets/{segment(ticket.id)}"


def status_of(system: CentralSystem, ticket: Ticket[Any]) -> tuple[int, str]:
    """The status that a ticket's state stands for, and its title if that is an error."""
    if ticket.state is TicketState.ANSWERED:
        if ticket.response is None:
            return 502, "The answer breaks the contract"
        return (200, "") if ticket.settled else (202, "")
    if ticket.state is TicketState.NEVER_SENT:
        known = system.charge_point(ticket.charge_point_id)
        if known is not None and known.online:  # its queue is full
            return 503, "Never sent"
        return 404, "Not connected" if known is not None else "Unknown charge point"
    return STATUSES[ticket.state]


def _row(action: str) -> Action:
    row = v16.VERSION.actions.get(action)
    if row is not None and row.sender.allows(Sender.CENTRAL_SYSTEM):
        return row
    if row is not None:
        raise Problem(404, "Not a command", f"{action} is sent by charge points, not to them")
    near = nearest(action, [known.name for known in v16.VERSION.sent_by(Sender.CENTRAL_SYSTEM)])
    hint = f"; did you mean {near}?" if near else ""
    raise Problem(404, "Unknown action", f"OCPP {v16.VERSION.name} has no action {action}{hint}")


def body_of(request: falcon.Request) -> bytes:
    """The body, which may be missing; it may come with its length or in chunks."""
    if (request.content_length or 0) > MAX_BODY_BYTES:
        raise _too_large()
    late = Problem(408, "Too slow", f"the body was not there within {BODY_TIMEOUT_S:g} s", headers=CLOSE)
    try:
        with gevent.Timeout(BODY_TIMEOUT_S, late):
            body: bytes = request.stream.read(MAX_BODY_BYTES + 1)
    except OSError as error:
        raise Problem(400, "Broken body", str(error), headers=CLOSE) from error
    if len(body) > MAX_BODY_BYTES:
        raise _too_large()
    return body


def _too_large() -> Problem:
    return Problem(413, "Too large", f"a body has at most {MAX_BODY_BYTES} bytes", headers=CLOSE)


def _message(row: Action, body: bytes) -> Any:
    """The request that a body stands for; none at all stands for `{}`."""
    body = body.strip() or b"{}"
    try:
        msgspec.json.decode(body.decode())
    except (ValueError, RecursionError) as error:  # msgspec's own errors are ValueErrors
        raise Problem(400, "Not JSON", f"the body is not readable JSON: {error}") from error
    try:
        return typed(row.request, body)
    except InvalidPayload as error:
        found = violations(error.violations)
        raise Problem(422, "Invalid payload", str(error), violations=found) from error
