"""An actor that dies and comes back, under the same ref.

Run it:    python examples/crash.py
"""

import logging

import gevent

from chargehand import Actor, ChildSpec, Supervisor, supervise


class Counter(Actor):
    """Counts; and does not survive a zero."""

    def __init__(self) -> None:  # runs again at each restart
        super().__init__()
        self.total = 0

    def on_receive(self, message: int) -> int:
        """Add a tenth part."""
        self.total += 10 // message
        return self.total


logging.basicConfig(level=logging.CRITICAL)
with supervise(Supervisor, [ChildSpec.of(Counter, id="counter")]) as tree:
    counter = tree.ref("counter")
    print("before:", counter.ask(5))
    counter.tell(0)  # ZeroDivisionError: the actor is gone
    counter.tell(2)  # waits in the inbox for the next one
    gevent.sleep(0)
    print("after: ", counter.ask(10))  # the same ref, a fresh actor, nothing lost but the current message
