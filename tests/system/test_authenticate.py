"""Plugins decide who may connect: the handshake waits for their verdict, and nobody else does."""

import threading
import time
from typing import Any

import gevent
import pytest

from chargehand import (
    AuthSettings,
    CentralSystem,
    ConnectionAttempt,
    Plugin,
    Settings,
    SupervisionSettings,
    authenticate,
    v16,
)
from chargehand.remote.plugins.plugin_host import PluginHostFailed, _refuse_pass_on
from chargehand.simulator import HandshakeRefused

from ..hub import until
from ..in_process import QUICK, connect, system_with

USERS = {"CP1": b"a password", "CP2": b"another password"}


class Users(Plugin):
    """User base that lets in whom it knows, has no verdict on those that begin with OWN, and fails for others."""

    def __init__(self) -> None:
        super().__init__()
        self.attempts: list[ConnectionAttempt] = []

    @authenticate
    def admits(self, attempt: ConnectionAttempt) -> bool | None:
        self.attempts.append(attempt)
        if attempt.charge_point_id.startswith("OWN"):
            return None
        if attempt.charge_point_id == "FAILS":
            raise LookupError("the directory is away")
        if attempt.charge_point_id == "HANGS":
            gevent.sleep(60)
        if attempt.charge_point_id == "ODD":
            return "yes"  # type: ignore[return-value]
        return USERS.get(attempt.charge_point_id) == attempt.password


BLOCKED_S = 1.5


class Blocking(Plugin):
    """User base behind a driver that blocks in C."""

    def __init__(self) -> None:
        super().__init__()
        self.threads: list[int] = []

    @authenticate(blocking=True)
    def admits(self, attempt: ConnectionAttempt) -> bool:
        self.threads.append(threading.get_ident())
        if attempt.charge_point_id == "SLOW":
            time.sleep(BLOCKED_S)
        return True


def served_by(*plugins: Any, **options: Any) -> CentralSystem:
    return system_with(*plugins, settings=Settings(**{"port": 0, "supervision": QUICK} | options))


class Second(Plugin):
    """Second user base, which refuses."""

    @authenticate
    def admits(self, attempt: ConnectionAttempt) -> bool:
        return False


def refused(system: CentralSystem, identity: str, password: bytes | None = None) -> int | None:
    """Return the status that a charge point is refused with; None if it is let in."""
    try:
        with connect(system, identity, password=password):
            return None
    except HandshakeRefused as error:
        return int(error.status)


@pytest.mark.parametrize("transport", ["greenlet", "reactor"])
def test_a_plugin_admits_and_refuses_by_its_own_user_base(transport: str) -> None:
    with served_by(Users, transport=transport) as system:
        assert refused(system, "CP1", b"a password") is None
        assert refused(system, "CP1", b"another password") == 401
        assert refused(system, "CP1") == 401
        assert refused(system, "STRANGER", b"a password") == 401
        first, _, third, _ = plugin_of(system).attempts
        assert (first.charge_point_id, first.password, first.secure) == ("CP1", b"a password", False)
        assert third.password is None
        assert "a password" not in repr(first)


def plugin_of(system: CentralSystem, name: str = "Users") -> Any:
    cell = system._parts.router.plugin(name)
    assert cell is not None
    return cell.actor


def test_without_a_verdict_the_next_plugin_decides_and_then_the_credentials() -> None:
    auth = AuthSettings(credentials={"OWN1": "a key of the settings"})
    with served_by(Users, auth=auth) as system:
        assert refused(system, "OWN1", b"a key of the settings") is None
        assert refused(system, "OWN1", b"a wrong one") == 401
        assert refused(system, "OWN2", b"a key of the settings") == 404
    with served_by(Users, Second) as system:
        assert refused(system, "OWN1") == 401


@pytest.mark.parametrize("identity", ["FAILS", "HANGS", "ODD"])
def test_a_plugin_that_gives_no_verdict_refuses_with_503(identity: str) -> None:
    with served_by(Users, auth=AuthSettings(authenticate_s=1.0)) as system:
        assert refused(system, identity) == 503
        assert system.counters.counts["authenticate_failed"] == 1
        assert refused(system, "CP1", b"a password") is None


def test_by_setting_the_credentials_decide_if_a_plugin_fails() -> None:
    auth = AuthSettings(authenticate_failure="credentials", credentials={"FAILS": "a key"})
    with served_by(Users, auth=auth) as system:
        assert refused(system, "FAILS", b"a key") is None
        assert refused(system, "FAILS", b"no key") == 401


def test_a_verdict_that_blocks_holds_up_no_other_charge_point() -> None:
    with served_by(Blocking) as system, connect(system, "CP1") as charge_point:
        slow = gevent.spawn(refused, system, "SLOW")
        until(lambda: len(plugin_of(system, "Blocking").threads) == 2)
        answered = 0
        while not slow.ready():
            charge_point.send(v16.Heartbeat())
            answered += not slow.ready()
            gevent.sleep(0.01)
        assert slow.get() is None
        assert answered
        assert threading.get_ident() not in plugin_of(system, "Blocking").threads


def test_a_plugin_whose_threads_are_stuck_refuses_with_503_at_once() -> None:
    auth, supervision = AuthSettings(authenticate_s=0.5), SupervisionSettings(quarantine_s=60, shutdown_s=0.1)
    with served_by(Blocking.spec(threads=1), auth=auth, supervision=supervision) as system:
        assert refused(system, "SLOW") == 503
        assert refused(system, "CP1") == 503
        until(system.quarantined)
        assert refused(system, "CP1") == 503
        assert system.counters.counts["thread_abandoned"] == 1


def test_at_most_so_many_handshakes_wait_for_verdicts() -> None:
    with served_by(Users.spec(concurrency=200), auth=AuthSettings(authenticate_s=0.5)) as system:
        waiting = [gevent.spawn(refused, system, "HANGS") for _ in range(70)]
        until(lambda: len(plugin_of(system).attempts) == 64)
        assert refused(system, "CP1", b"a password") == 503
        gevent.joinall(waiting, timeout=60)
        assert {one.get() for one in waiting} == {503}
        assert refused(system, "CP1", b"a password") is None


def test_a_plugin_host_refuses_a_plugin_that_is_to_see_handshakes() -> None:
    with pytest.raises(PluginHostFailed, match="run the plugin in a node"):
        _refuse_pass_on(Users.spec())
