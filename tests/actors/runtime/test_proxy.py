"""Behaviour of pykka's proxies, tested on pykka's own threads and on chargehand's runtime alike."""

import pykka
import pytest

from ...hub import until

TIMEOUT_S = 60.0


@pykka.traversable
class Inner:
    """Part of an actor that a proxy may reach into."""

    def __init__(self):
        self.depth = 2

    def double(self, number):
        return 2 * number


def proxied(runtime):
    class Proxied(runtime):
        constant = 5

        def __init__(self):
            super().__init__()
            self.value = 1
            self.inner = Inner()
            self.heard = []
            self._hidden = 1

        def add(self, one, *, two=0):
            return self.value + one + two

        def fail(self):
            raise ValueError("proxied")

        def note(self, line):
            self.heard.append(line)

        @property
        def late(self):
            return self.value * 10

        @late.setter
        def late(self, _):
            raise ValueError("cannot be set")

    return Proxied


@pytest.fixture
def proxy(runtime):
    ref = proxied(runtime).start()
    yield ref.proxy()
    if ref.is_alive():
        ref.stop(timeout=TIMEOUT_S)


def test_a_proxy_calls_methods_and_gives_futures(proxy):
    assert proxy.add(2, two=3).get(timeout=TIMEOUT_S) == 6


def test_a_proxy_reads_attributes_of_the_actor_its_class_and_its_properties(proxy):
    assert proxy.value.get(timeout=TIMEOUT_S) == 1
    assert proxy.constant.get(timeout=TIMEOUT_S) == 5
    assert proxy.late.get(timeout=TIMEOUT_S) == 10


def test_a_proxy_sets_attributes_and_waits_for_it(proxy):
    proxy.value = 7
    assert proxy.value.get(timeout=TIMEOUT_S) == 7
    assert proxy.add(1).get(timeout=TIMEOUT_S) == 8


def test_what_setting_an_attribute_raises_is_raised(proxy):
    with pytest.raises(ValueError, match="cannot be set"):
        proxy.late = 1


def test_a_proxy_finds_attributes_that_came_later(proxy):
    proxy.fresh = 3
    assert proxy.fresh.get(timeout=TIMEOUT_S) == 3


def test_a_proxy_knows_no_attribute_that_is_not_there_or_is_private(proxy):
    for name in ("missing", "_hidden"):
        with pytest.raises(AttributeError):
            getattr(proxy, name)


def test_what_a_proxied_method_raises_goes_to_the_caller_and_the_actor_lives(proxy):
    with pytest.raises(ValueError, match="proxied"):
        proxy.fail().get(timeout=TIMEOUT_S)
    assert proxy.add(0).get(timeout=TIMEOUT_S) == 1


def test_a_deferred_call_is_told(proxy):
    assert proxy.note.defer("a") is None
    assert proxy.heard.get(timeout=TIMEOUT_S) == ["a"]


def test_a_deferred_call_that_fails_kills_the_actor(proxy):
    proxy.fail.defer()
    until(lambda: not proxy.actor_ref.is_alive())


def test_a_proxy_reaches_into_what_is_traversable(proxy):
    assert proxy.inner.double(4).get(timeout=TIMEOUT_S) == 8
    assert proxy.inner.depth.get(timeout=TIMEOUT_S) == 2
    proxy.inner.depth = 3
    assert proxy.inner.depth.get(timeout=TIMEOUT_S) == 3


def test_proxies_of_one_actor_are_equal_and_those_of_two_are_not(runtime, proxy):
    other = proxied(runtime).start()
    assert proxy == proxy.actor_ref.proxy()
    assert proxy != other.proxy()
    assert "add" in dir(proxy)
    other.stop(timeout=TIMEOUT_S)


def test_an_actor_can_put_work_off_with_a_proxy_of_itself(runtime):
    class Counting(runtime):
        def __init__(self):
            super().__init__()
            self.counted = []
            self._later = self.actor_ref.proxy() if runtime is pykka.ThreadingActor else None

        def on_start(self):
            self._later = self.actor_ref.proxy()

        def count(self, number):
            self.counted.append(number)
            if number < 3:
                self._later.count(number + 1)

    proxy = Counting.start().proxy()
    proxy.count(0).get(timeout=TIMEOUT_S)
    until(lambda: proxy.counted.get(timeout=TIMEOUT_S) == [0, 1, 2, 3])
    proxy.stop().get(timeout=TIMEOUT_S)
