"""Messages with an ordering key, and an actor that notes the begin and end of its work on them."""

import gevent

from chargehand.actors.runtime.failure import HandlerKilled, attempt

from .recording_actors import RecordingActor


class Job:
    """Message with an ordering key. Its handler waits for `block`, if there is one."""

    def __init__(self, ordering_key, name, block=None, error=None):
        self.ordering_key = ordering_key
        self.name = name
        self.block = block
        self.error = error
        self.running = None
        self.outcome = None

    def __repr__(self):
        return f"{self.ordering_key}{self.name}"


class JobActor(RecordingActor):
    """Notes the begin and the end of each job."""

    def receive(self, message):
        if not isinstance(message, Job):
            return super().receive(message)
        message.running = gevent.getcurrent()
        message.outcome = attempt(self.work, message)
        message.running = None
        if message.error is not None:
            raise message.error
        return repr(message)

    def work(self, job):
        self.log.append(f"+{job}")
        if job.block is not None:
            job.block.wait()
        self.log.append(f"-{job}")

    def on_receive(self, message):
        if isinstance(message, Exception):
            raise message
        return message


def begun(log):
    return [line[1:] for line in log if line[0] == "+"]


def swallowing(block):
    """Return a job actor class whose handlers ignore kills until `block` is set."""

    class Stubborn(JobActor):
        def work(self, job):
            self.log.append(f"+{job}")
            while job.block is not None and not block.is_set():
                try:
                    block.wait()
                except HandlerKilled:
                    self.log.append("swallowed")
            self.log.append(f"-{job}")

    return Stubborn
