"""Verbs sent by a POST: commands in the words of no version of OCPP. They are answered as commands are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import falcon
import msgspec

from ..actors.session.commands import UnknownVersion
from ..protocol.verbs import UnknownVerb, read_verb
from .commands import OPTIONS, SENDING, WAIT, Dispatch
from .operations import operation
from .requests import Problem, Query, body_of, fault_text
from .resources import COMMAND, Resource
from .ticket_views import Sent, request_of
from .views import Payload

if TYPE_CHECKING:
    from ..actors.session.tickets import Ticket
    from ..protocol.verbs import Verb
    from ..system.central_system import CentralSystem


class VerbResource(Resource):
    """`/api/v1/charge-points/{id}/verbs/{verb}`."""

    changes = COMMAND
    any_node = True

    def __init__(self, system: CentralSystem, dispatch: Dispatch) -> None:
        super().__init__(system)
        self._dispatch = dispatch

    @operation(
        "sendVerb",
        "commands",
        many="verbs",
        query=(*OPTIONS, WAIT),
        body=Payload,
        answer=Sent,
        answers={202: Sent},
        problems=SENDING
        | {
            404: "The charge point is unknown or not connected, or the verb or the transaction is unknown",
            422: "A member is wrong, or the charge point's version of OCPP has no message for it",
        },
    )
    def on_post(
        self, request: falcon.Request, response: falcon.Response, charge_point: str, verb: str
    ) -> None:
        """Send a verb whose members are the body; none at all stands for `{}`. A transaction is looked up."""
        query = Query(request, *Dispatch.OPTIONS, "wait")
        given = verb_from(verb, body_of(request))
        note_version(self._system, request, charge_point)
        try:
            found = self._system.addressed(charge_point, given)
        except LookupError as error:
            raise Problem(404, "Unknown transaction", str(error)) from error
        self._dispatch.send(query, response, charge_point, found, more=sent)


def verb_from(name: str, members: bytes) -> Verb:
    """Read a verb. Raises `Problem`, which names the member that is wrong."""
    try:
        return read_verb(name, members.strip() or b"{}")
    except UnknownVerb as error:
        raise Problem(404, "Unknown verb", str(error)) from error
    except msgspec.ValidationError as error:
        raise Problem(422, "Invalid verb", fault_text(error)) from error
    except (ValueError, RecursionError) as error:  # msgspec's own errors are ValueErrors
        raise Problem(400, "Not JSON", f"the body is not readable JSON: {error}") from error


def note_version(system: CentralSystem, request: falcon.Request, charge_point: str) -> None:
    """Note the version whose spelling of error codes an invalid payload is answered with."""
    try:
        request.context.version = system.version_of(charge_point)
    except UnknownVersion:
        request.context.version = next(iter(system.versions.values()))


def sent(ticket: Ticket[Any]) -> dict[str, Any]:
    """Show the message that a verb was put into."""
    return {"action": ticket.action, "request": request_of(ticket)}
