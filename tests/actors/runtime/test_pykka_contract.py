"""Names and signatures of pykka that chargehand uses without a promise: when one of them changes, this fails first."""

import inspect
from importlib import metadata

import pykka
import pytest

from chargehand.actors.runtime.actor import Actor
from chargehand.actors.runtime.future import Future
from chargehand.actors.runtime.pykka_names import ActorStop, Envelope
from chargehand.actors.runtime.ref import Ref

UNDERSCORE_NAMES = [
    (pykka.Actor, "_create_actor_inbox", "()"),
    (pykka.Actor, "_create_future", "()"),
    (pykka.Actor, "_start_actor_loop", "(self)"),
    (pykka.Actor, "_stop", "(self)"),
    (pykka.Actor, "_handle_receive", "(self, message)"),
    (pykka.messages, "_ActorStop", "()"),
    (pykka._envelope, "Envelope", "(message, reply_to=None)"),
]

OVERRIDDEN = [
    (pykka.Actor, Actor, "start"),
    (pykka.Actor, Actor, "on_start"),
    (pykka.Actor, Actor, "on_stop"),
    (pykka.Actor, Actor, "on_failure"),
    (pykka.Actor, Actor, "on_receive"),
    (pykka.Actor, Actor, "stop"),
    (pykka.ActorRef, Ref, "is_alive"),
    (pykka.ActorRef, Ref, "tell"),
    (pykka.ActorRef, Ref, "ask"),
    (pykka.ActorRef, Ref, "stop"),
    (pykka.ActorRef, Ref, "proxy"),
    (pykka.Future, Future, "get"),
    (pykka.Future, Future, "set"),
    (pykka.Future, Future, "set_exception"),
    (pykka.Future, Future, "set_get_hook"),
]


def signature(thing):
    """Return the parameters with their kinds and defaults, without annotations, which may change."""
    parameters = inspect.signature(thing).parameters.values()
    return str(
        inspect.Signature([parameter.replace(annotation=inspect.Parameter.empty) for parameter in parameters])
    )


def test_the_version_of_pykka_is_one_that_was_looked_at():
    major, minor, *_ = map(int, metadata.version("pykka").split("."))
    assert (4, 5) <= (major, minor) < (5, 0)


@pytest.mark.parametrize(("holder", "name", "expected"), UNDERSCORE_NAMES)
def test_an_underscore_name_is_where_it_was(holder, name, expected):
    assert signature(getattr(holder, name)) == expected


@pytest.mark.parametrize(("theirs", "ours", "name"), OVERRIDDEN)
def test_what_is_overridden_takes_the_same_arguments(theirs, ours, name):
    assert signature(getattr(ours, name)) == signature(getattr(theirs, name))


def test_the_abstract_methods_of_a_runtime_are_the_three_that_the_actor_fills():
    assert pykka.Actor.__abstractmethods__ == {"_create_actor_inbox", "_create_future", "_start_actor_loop"}
    assert not Actor.__abstractmethods__


def test_the_two_classes_taken_by_name_are_those_that_pykka_uses():
    assert Envelope is pykka._envelope.Envelope
    assert ActorStop is pykka.messages._ActorStop
    assert "_ActorStop()" in inspect.getsource(pykka.ActorRef.stop)


def test_a_proxy_looks_at_the_actor_by_the_weak_reference_that_the_ref_provides():
    assert "actor_ref._actor_weakref()" in inspect.getsource(pykka.ActorProxy.__init__)


def test_a_stop_makes_its_future_by_the_class_of_the_one_that_ask_returned():
    source = inspect.getsource(pykka.ActorRef.stop)
    assert "self.ask(_ActorStop(), block=False)" in source
    assert "ask_future.__class__()" in source


def test_the_actors_of_pykka_handle_stop_and_proxies_in_the_method_that_ours_call():
    source = inspect.getsource(pykka.Actor._handle_receive)
    for name in (
        "_ActorStop",
        "ProxyCall",
        "ProxyGetAttr",
        "ProxySetAttr",
        "self.on_receive(message)",
        "self._stop()",
    ):
        assert name in source
