"""The charge point's side of an OCPP-J conversation: the protocol's `Session` on a WebSocket client.

The one rule: the session decides; this only carries it out. One CALL of ours is on the wire at a time;
whoever sends waits in its own greenlet. It outlives sockets.
"""

from __future__ import annotations

import contextlib
import logging
import time
from typing import TYPE_CHECKING, Any, TypeVar

from gevent.event import AsyncResult
from gevent.lock import Semaphore

from ..protocol.actions import Sender
from ..protocol.outgoing import INFINITY, Outgoing
from ..protocol.payload import build
from ..protocol.session import Answered, Declined, Ignored, Incoming, RefusedCall, Session, SessionRules
from .errors import CallDeclined, Disconnected, InvalidAnswer, NoAnswer
from .message_log import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ..protocol.actions import Request, Version
    from ..protocol.errors import ErrorCode
    from ..protocol.message import Message
    from .memory_client import AnyClient
    from .message_log import MessageLog

logger = logging.getLogger(__name__)

R = TypeVar("R", bound="Message")


class Conversation:
    """Calls and answers of one charge point, in this version of OCPP.

    With `strict` every deviation of the central system's is refused.
    """

    def __init__(
        self, record: MessageLog, *, version: Version, id_prefix: str, timeout_s: float, strict: bool
    ) -> None:
        self.version = version
        self.client: AnyClient | None = None  # None while offline
        self.ignored: dict[str, int] = {}  # frames that could not be answered, by reason
        self.late_answers = 0
        self.waits_since = -INFINITY
        """Monotonic time when the CALL on the wire was sent; infinitely long ago if there is none."""
        self.distort: Callable[[bytes], Iterable[bytes]] | None = None  # what is sent in place of a text
        self._record = record
        self._timeout_s = timeout_s
        self._id_prefix = id_prefix
        self._rules = SessionRules(
            version=version,
            receives=Sender.CENTRAL_SYSTEM,
            strict=strict,
            default_deadline_s=INFINITY,  # a charge point may never answer a CALL
        )
        self._wire = Semaphore()  # held by the greenlet whose CALL is on the wire
        self._session = Session(self._rules, id_prefix)

    def renew(self) -> None:
        """Forget the conversation, as a reboot does: message ids start again."""
        self._session = Session(self._rules, self._id_prefix)

    # -- The connection --------------------------------------------------------------------------

    def attach(self, client: AnyClient) -> None:
        """Talk over this client from now on."""
        self.client = client

    def listen(self, client: AnyClient, take: Callable[[Incoming], None]) -> None:
        """Read until the connection is over; `take` gets the CALLs and must not block."""
        while (texts := client.receive()) is not None:
            for text in texts:
                self._record.add(Kind.RECEIVED, text)
                self._hear(text, take)

    def detach(self) -> None:
        """End the connection: waiting requests raise Disconnected."""
        self.client = None
        _, outgoing = self._session.disconnected()
        if outgoing is not None:
            outgoing.owner.set_exception(Disconnected(f"{outgoing.action.name}: the connection was lost"))

    def number_from_one(self) -> None:
        """Let message ids be numbers alone, from the next reboot on."""
        self._id_prefix = ""
        self.renew()

    def pretend_answered(self, text: bytes) -> None:
        """Take this text for an answer that has come."""
        self._hear(text, lambda _: None)

    def _hear(self, text: bytes, take: Callable[[Incoming], None]) -> None:
        event = self._session.receive(text, time.monotonic())
        if type(event) is Incoming:
            take(event)
        elif type(event) is Answered or type(event) is Declined:
            if event.late:
                self.late_answers += 1
            else:
                event.outgoing.owner.set(event)
        elif type(event) is RefusedCall:
            logger.warning("refused %s: %s %s", event.action or "a frame", event.code, event.description)
            self.send_text(event.frame)
        elif type(event) is Ignored:
            self.ignored[event.reason] = self.ignored.get(event.reason, 0) + 1

    # -- Calls of ours ---------------------------------------------------------------------------

    def send(self, request: Request[R], timeout_s: float | None = None) -> R:
        """Send a request and wait for its response; `timeout_s` counts from when it is sent.

        Raises a `CallFailed`, InvalidPayload for a request that breaks its contract, LookupError for one that is none.
        """
        action = self.version.row_of(request)
        if not action.sender.allows(Sender.CHARGE_POINT):
            raise ValueError(f"{action.name} is sent by the central system, not to it")
        answer: AsyncResult[Any] = AsyncResult()
        wait_s = self._timeout_s if timeout_s is None else timeout_s
        outgoing = Outgoing(answer, action, request, build(action.request, request), wait_s)
        with self._wire:
            session = self._session
            self._put_on_wire(session, outgoing)
            try:
                answer.wait(wait_s)
            finally:
                self.waits_since = -INFINITY
                if not answer.ready():  # in time; or the waiting greenlet was interrupted
                    session.pass_time(outgoing.due)
        if not answer.ready():
            raise NoAnswer(f"{action.name}: no answer within {wait_s:g} s")
        event: Any = answer.get()
        if type(event) is Declined:
            raise CallDeclined(event.code, event.description, event.details)
        if event.response is None:
            raise InvalidAnswer(action.name, event.deviations)
        response: R = event.response
        return response

    def _put_on_wire(self, session: Session, outgoing: Outgoing) -> None:
        if self.client is None:
            raise Disconnected(f"{outgoing.action.name}: there is no connection")
        session.submit(outgoing)
        now = time.monotonic()
        following = session.next_call(now)
        if following is None:  # the wire is ours alone
            raise RuntimeError("another call is on the wire")
        with contextlib.ExitStack() as undo:
            undo.callback(session.pass_time, outgoing.due)
            self.send_text(following[1])
            undo.pop_all()
        self.waits_since = now

    # -- Answers ---------------------------------------------------------------------------------

    def answer(self, incoming: Incoming, response: Any) -> None:
        """Answer a CALL of the central system's; nothing happens if its connection is gone.

        Raises InvalidPayload for a response that breaks its contract.
        """
        self._answer(self._session.answer(incoming, build(incoming.action.response, response)))

    def refuse(
        self, incoming: Incoming, code: ErrorCode, description: str, details: dict[str, Any] | None = None
    ) -> None:
        """Answer a CALL with a CALLERROR."""
        self._answer(self._session.refuse(incoming, code, description, details))

    def _answer(self, frame: bytes | None) -> None:
        if frame is not None:
            try:
                self.send_text(frame)
            except Disconnected:
                logger.debug("an answer had nowhere to go")

    def send_text(self, text: bytes) -> None:
        """Send one text message, any valid UTF-8. Raises Disconnected."""
        client = self.client
        if client is None:
            raise Disconnected("there is no connection")
        for one in (text,) if self.distort is None else self.distort(text):
            self._record.add(Kind.SENT, one)
            client.send_text(one)
