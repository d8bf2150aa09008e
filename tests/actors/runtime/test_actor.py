"""Behaviour of pykka's actors, tested on pykka's own threads and on chargehand's runtime alike."""

import logging

import pykka
import pytest

from ...hub import until

TIMEOUT_S = 60.0


class ConsoleTrace:
    """Notes what happens to an actor, in order."""

    def __init__(self):
        self.lines = []

    def write(self, *line):
        self.lines.append(line[0] if len(line) == 1 else line)


def recorder(runtime):
    """Return an actor class that notes its hooks and messages, and executes scripted messages."""

    class Recorder(runtime):
        def __init__(self, diary):
            super().__init__()
            self.diary = diary

        def on_start(self):
            self.diary.write("on_start")

        def on_stop(self):
            self.diary.write("on_stop")

        def on_failure(self, kind, error, traceback):
            self.diary.write("on_failure", kind, str(error), traceback is not None)

        def on_receive(self, message):
            self.diary.write(message)
            if isinstance(message, Exception):
                raise message
            if callable(message):
                return message()
            if message == "stop":
                self.stop()
            return ("heard", message)

    return Recorder


@pytest.fixture
def diary():
    return ConsoleTrace()


@pytest.fixture
def ref(runtime, diary):
    """Start a recorder."""
    ref = recorder(runtime).start(diary)
    yield ref
    if ref.is_alive():
        ref.stop(timeout=TIMEOUT_S)


def ended(ref):
    until(lambda: not ref.is_alive())


# Asking and telling


def test_an_ask_returns_what_the_handler_returned(ref):
    assert ref.ask("a", timeout=TIMEOUT_S) == ("heard", "a")


def test_an_ask_that_does_not_block_returns_a_future(ref):
    future = ref.ask("a", block=False)
    assert isinstance(future, pykka.Future)
    assert future.get(timeout=TIMEOUT_S) == ("heard", "a")
    assert future.get(timeout=TIMEOUT_S) == ("heard", "a")


def test_a_told_message_is_handled_and_answers_nothing(ref, diary):
    assert ref.tell("a") is None
    ref.ask("b", timeout=TIMEOUT_S)
    assert diary.lines == ["on_start", "a", "b"]


def test_messages_are_handled_in_the_order_in_which_they_came(ref, diary):
    for number in range(100):
        ref.tell(number)
    ref.ask("end", timeout=TIMEOUT_S)
    assert diary.lines == ["on_start", *range(100), "end"]


def test_an_ask_that_is_not_answered_in_time_raises_a_timeout(runtime):
    release = runtime._create_future()

    class Waiting(runtime):
        def on_receive(self, message):
            return release.get(timeout=TIMEOUT_S) if message == "wait" else message

    ref = Waiting.start()
    with pytest.raises(pykka.Timeout):
        ref.ask("wait", timeout=0.001)
    release.set()
    assert ref.ask("more", timeout=TIMEOUT_S) == "more"
    assert ref.stop(timeout=TIMEOUT_S)


def test_a_failure_in_an_asked_message_goes_to_the_asker_and_the_actor_lives(ref, diary):
    error = ValueError("asked")
    with pytest.raises(ValueError, match="asked") as caught:
        ref.ask(error, timeout=TIMEOUT_S)
    assert caught.value is error
    assert ref.is_alive()
    assert ref.ask("a", timeout=TIMEOUT_S) == ("heard", "a")
    assert ("on_failure", ValueError, "asked", True) not in diary.lines


def test_a_failure_in_a_told_message_kills_the_actor_and_it_is_told_of_it(ref, diary):
    ref.tell(ValueError("told"))
    ended(ref)
    until(lambda: ("on_failure", ValueError, "told", True) in diary.lines)
    assert "on_stop" not in diary.lines


def test_a_failure_in_a_told_message_is_logged_with_its_traceback(ref, caplog):
    ref.tell(ValueError("told"))
    ended(ref)
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.message.startswith("Unhandled exception in")
    assert record.exc_info[0] is ValueError


def test_an_actor_whose_on_failure_fails_is_dead_all_the_same(runtime):
    class Clumsy(runtime):
        def on_receive(self, message):
            raise ValueError(message)

        def on_failure(self, kind, error, traceback):
            raise KeyError(kind)

    ref = Clumsy.start()
    ref.tell("a")
    ended(ref)


def test_a_message_that_nobody_overrode_a_handler_for_is_logged(runtime, caplog):
    ref = type("Plain", (runtime,), {}).start()
    assert ref.ask("hello", timeout=TIMEOUT_S) is None
    assert "Unexpected message received by" in caplog.text
    ref.stop(timeout=TIMEOUT_S)


def test_a_future_can_be_awaited(ref):
    async def asking():
        return await ref.ask("a", block=False)

    coroutine = asking()
    coroutine.send(None)
    with pytest.raises(StopIteration) as done:
        coroutine.send(None)
    assert done.value.value == ("heard", "a")


# Starting


def test_the_arguments_of_start_are_those_of_the_constructor(runtime):
    class Holder(runtime):
        def __init__(self, one, *, two):
            super().__init__()
            self.held = one, two

    ref = Holder.start(1, two=2)
    assert ref.proxy().held.get(timeout=TIMEOUT_S) == (1, 2)
    ref.stop(timeout=TIMEOUT_S)


def test_what_the_constructor_raises_is_raised_by_start(runtime):
    class Broken(runtime):
        def __init__(self):
            super().__init__()
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        Broken.start()


def test_on_start_is_over_before_the_first_message(runtime):
    class Prepared(runtime):
        def on_start(self):
            self.prepared = True

        def on_receive(self, message):
            return self.prepared

    ref = Prepared.start()
    assert ref.ask("a", timeout=TIMEOUT_S) is True
    ref.stop(timeout=TIMEOUT_S)


def test_a_failure_in_on_start_ends_the_actor_and_never_reaches_on_failure(runtime):
    told = []

    class Broken(runtime):
        def on_start(self):
            raise ValueError("start")

        def on_failure(self, *failure):
            told.append(failure)

        def on_stop(self):
            told.append("on_stop")

    ref = Broken.start()  # pykka hands out a living ref before on_start has run
    ended(ref)
    assert told == []


def test_an_ask_of_an_actor_that_dies_in_on_start_ends(runtime):
    release = runtime._create_future()

    class Broken(runtime):
        def on_start(self):
            release.get(timeout=TIMEOUT_S)
            raise ValueError("start")

    future = Broken.start().ask("a", block=False)
    release.set()
    with pytest.raises(pykka.ActorDeadError):
        future.get(timeout=TIMEOUT_S)


def test_an_actor_can_tell_itself_something_before_it_has_started(runtime):
    class Eager(runtime):
        def __init__(self):
            super().__init__()
            self.heard = []
            self.actor_ref.tell("from the constructor")

        def on_start(self):
            self.actor_ref.tell("from on_start")

        def on_receive(self, message):
            self.heard.append(message)
            return list(self.heard)

    ref = Eager.start()
    heard = ref.ask("from outside", timeout=TIMEOUT_S)
    assert heard[0] == "from the constructor"
    assert set(heard) <= {"from the constructor", "from on_start", "from outside"}
    ref.stop(timeout=TIMEOUT_S)


# Stopping


def test_a_stop_is_true_once_and_false_ever_after(ref, diary):
    assert ref.stop(timeout=TIMEOUT_S) is True
    assert ref.stop(timeout=TIMEOUT_S) is False
    assert diary.lines == ["on_start", "on_stop"]


def test_a_stop_that_does_not_block_returns_a_future(ref):
    future = ref.stop(block=False)
    assert future.get(timeout=TIMEOUT_S) is True
    assert not ref.is_alive()


def test_two_stops_at_once_are_both_true(ref):
    first, second = ref.stop(block=False), ref.stop(block=False)
    assert first.get(timeout=TIMEOUT_S) is True
    assert second.get(timeout=TIMEOUT_S) is True


def test_what_came_before_the_stop_is_handled_first(ref, diary):
    for number in range(50):
        ref.tell(number)
    ref.stop(timeout=TIMEOUT_S)
    assert diary.lines == ["on_start", *range(50), "on_stop"]


def test_an_ask_behind_a_stop_ends_with_a_dead_actor(ref, diary):
    ref.stop(block=False)
    with pytest.raises(pykka.ActorDeadError):
        ref.ask("late", timeout=TIMEOUT_S)
    assert "late" not in diary.lines


def test_an_actor_stops_itself_after_the_messages_that_wait(ref, diary):
    waiting = [ref.ask("stop", block=False), ref.ask("a", block=False)]
    assert waiting[0].get(timeout=TIMEOUT_S) == ("heard", "stop")
    ended(ref)
    until(lambda: "on_stop" in diary.lines)


def test_a_failure_in_on_stop_is_logged_and_the_stop_is_true(runtime, caplog):
    class Clumsy(runtime):
        def on_stop(self):
            raise ValueError("stop")

    ref = Clumsy.start()
    assert ref.stop(timeout=TIMEOUT_S) is True
    assert not ref.is_alive()
    until(lambda: "Unhandled exception in" in caplog.text)


# Death


def test_a_dead_actor_takes_no_message(ref):
    ref.stop(timeout=TIMEOUT_S)
    with pytest.raises(pykka.ActorDeadError):
        ref.tell("a")
    with pytest.raises(pykka.ActorDeadError):
        ref.ask("a", timeout=TIMEOUT_S)
    with pytest.raises(pykka.ActorDeadError):
        ref.ask("a", block=False).get(timeout=TIMEOUT_S)
    with pytest.raises(pykka.ActorDeadError):
        ref.proxy()


def test_the_asks_that_wait_when_an_actor_dies_end(runtime, ref):
    release = runtime._create_future()
    ref.tell(lambda: release.get(timeout=TIMEOUT_S))
    ref.tell(ValueError("dies"))
    waiting = [ref.ask(number, block=False) for number in range(3)]
    release.set()
    for future in waiting:
        with pytest.raises(pykka.ActorDeadError):
            future.get(timeout=TIMEOUT_S)
