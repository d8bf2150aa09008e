"""Work of a station that takes several steps, each of which is reported.

The one rule: nothing is done but the reporting.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .jobs import Job

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from ..protocol.actions import Request
    from .conversation import Conversation
    from .jobs import Jobs


class Progress:
    """Work in `steps`; each is reported by the message that `tell` makes from the step and a request id."""

    def __init__(
        self,
        jobs: Jobs,
        conversation: Conversation,
        idle: str,
        steps: Sequence[str],
        tell: Callable[[Any, int | None], Request[Any]],
    ) -> None:
        self.steps = tuple(steps)
        self.status = idle
        self.request_id: int | None = None
        self.busy = False
        self._idle = idle
        self._jobs = jobs
        self._conversation = conversation
        self._tell = tell
        self._job = Job()

    def begin(self, request_id: int | None = None, at: datetime | None = None) -> None:
        """Start now, or at a time to come; work that is being done is given up for it."""
        self._job.cancel()
        self._job = job = Job()
        self.request_id = request_id
        self.busy = True
        delay_s = 0.0 if at is None else (at - self._jobs.now()).total_seconds()
        if delay_s > 0:
            self._jobs.later(delay_s, self._work, job, request_id)
        else:
            self._jobs.start(self._work, job, request_id)

    def _work(self, job: Job, request_id: int | None) -> None:
        try:
            for step in self.steps:
                if job.cancelled:
                    return
                self.status = step
                self._conversation.send(self._tell(step, request_id))
        finally:
            if not job.cancelled:
                self.busy = False
                self.status = self._idle

    def tell_again(self) -> None:
        """Tell how far it is: Idle if nothing is being done."""
        request_id = self.request_id if self.busy else None
        self._conversation.send(self._tell(self.status, request_id))
