"""Every exception that can leave a handler is caught in one place, and affects that handler alone."""

import logging

import gevent
import pykka
import pytest

from chargehand.actors.runtime.actor import Actor
from chargehand.actors.runtime.failure import ActorKilled, Failure, HandlerKilled, attempt

from ...hub import settle, until

ESCAPING = [gevent.Timeout(1), gevent.GreenletExit(), SystemExit(3), GeneratorExit(), HandlerKilled("killed")]
NAMES = [type(one).__name__ for one in ESCAPING]


def raising(error):
    raise error


def test_what_a_function_returns_is_handed_on():
    assert attempt(max, 1, 2) == 2
    assert attempt(dict) == {}


def test_an_exception_comes_back_as_it_was_with_its_traceback():
    error = ValueError("a")
    failure = attempt(raising, error)
    assert type(failure) is Failure
    assert failure.error is error
    assert failure.escaped is None
    assert not failure.killed
    kind, value, traceback = failure.exc_info
    assert (kind, value) == (ValueError, error)
    assert traceback is not None


@pytest.mark.parametrize("escaping", ESCAPING, ids=NAMES)
def test_what_is_no_exception_comes_back_as_one(escaping):
    failure = attempt(raising, escaping)
    assert isinstance(failure.error, Exception)
    assert failure.escaped is escaping
    assert failure.error.__cause__ is escaping
    assert failure.error.__traceback__ is not None


def test_a_timeout_of_gevent_becomes_one_of_pykka():
    assert isinstance(attempt(raising, gevent.Timeout(1)).error, pykka.Timeout)


def test_everything_else_says_that_the_actor_was_killed():
    assert isinstance(attempt(raising, gevent.GreenletExit()).error, ActorKilled)
    assert isinstance(attempt(raising, SystemExit(3)).error, ActorKilled)


def test_only_what_the_runtime_itself_threw_counts_as_killed():
    assert attempt(raising, HandlerKilled("killed")).killed
    assert not attempt(raising, gevent.GreenletExit()).killed


def test_a_keyboard_interrupt_is_handed_on_to_the_main_greenlet():
    failure = attempt(raising, KeyboardInterrupt())
    assert isinstance(failure.error, ActorKilled)
    with pytest.raises(KeyboardInterrupt):
        settle()
    settle()  # and once only


# The same, in the handlers of actors


class RaisingActor(Actor):
    """Raises the exception that it is sent."""

    def __init__(self):
        super().__init__()
        self.failures = []

    def on_receive(self, message):
        if isinstance(message, BaseException):
            raise message
        return message

    def on_failure(self, kind, error, traceback):
        logging.getLogger("test").error("on_failure %s", kind.__name__)


@pytest.fixture
def others():
    """Start other actors: one on chargehand's runtime, and two of the host's own, on pykka's threads."""

    class Host(pykka.ThreadingActor):
        def on_receive(self, message):
            return message

    host = [Host.start(), Host.start()]
    own = RaisingActor.start()
    yield [*host, own]
    for ref in (*host, own):
        assert ref.stop(timeout=60)


@pytest.mark.parametrize("escaping", ESCAPING, ids=NAMES)
def test_an_escape_from_an_asked_message_goes_to_the_asker_and_touches_nobody_else(escaping, others):
    ref = RaisingActor.start()
    with pytest.raises((pykka.Timeout, ActorKilled)):
        ref.ask(escaping, timeout=60)
    assert [other.ask("there", timeout=60) for other in others] == ["there"] * 3
    if isinstance(escaping, HandlerKilled):
        until(lambda: not ref.is_alive())  # for this is how the runtime itself ends an actor
    else:
        assert ref.ask("alive", timeout=60) == "alive"
        assert ref.stop(timeout=60)


@pytest.mark.parametrize("escaping", ESCAPING, ids=NAMES)
def test_what_escapes_from_a_told_message_kills_that_actor_alone(escaping, others, caplog):
    ref = RaisingActor.start()
    ref.tell(escaping)
    until(lambda: not ref.is_alive())
    assert "on_failure" in caplog.text
    assert [other.ask("there", timeout=60) for other in others] == ["there"] * 3


@pytest.mark.parametrize("escaping", ESCAPING, ids=NAMES)
@pytest.mark.parametrize("hook", ["on_start", "on_stop"])
def test_what_escapes_from_a_hook_ends_that_actor_alone(escaping, hook, others):
    kind = type("Hooked", (RaisingActor,), {hook: lambda self: raising(escaping)})
    ref = kind.start()
    if hook == "on_stop":
        assert ref.stop(timeout=60) is True
    until(lambda: not ref.is_alive())
    assert [other.ask("there", timeout=60) for other in others] == ["there"] * 3


def test_what_escapes_from_on_failure_changes_nothing(others):
    kind = type("Hooked", (RaisingActor,), {"on_failure": lambda self, *_: raising(SystemExit())})
    ref = kind.start()
    ref.tell(ValueError("a"))
    until(lambda: not ref.is_alive())
    assert [other.ask("there", timeout=60) for other in others] == ["there"] * 3


def test_what_escapes_from_a_constructor_is_raised_by_start_as_an_exception():
    kind = type("Hooked", (RaisingActor,), {"__init__": lambda self: raising(gevent.Timeout(1))})
    with pytest.raises(pykka.Timeout):
        kind.start()


def test_a_ctrl_c_in_a_handler_reaches_the_main_greenlet_and_costs_one_message():
    ref = RaisingActor.start()
    future = ref.ask(KeyboardInterrupt(), block=False)
    with pytest.raises(KeyboardInterrupt):
        settle()
    with pytest.raises(ActorKilled):
        future.get(timeout=60)
    assert ref.ask("alive", timeout=60) == "alive"
    ref.stop(timeout=60)
