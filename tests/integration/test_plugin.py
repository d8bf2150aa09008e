"""Plugins in a real server: ten lines that change an outcome, and plugins that fail in every possible way."""

import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from .conftest import ON_EACH_TRANSPORT, StartServer
from .process import until
from .rawsocket import RawSocket
from .server import Server

pytestmark = ON_EACH_TRANSPORT


TAGS = """
from chargehand import Call, Plugin, passive, v16

class Tags(Plugin):
    def __init__(self, known: tuple[str, ...] = ("T1",)) -> None:
        self.known = known

    @passive(v16.Authorize)
    def authorize(self, call: Call[v16.Authorize]) -> v16.AuthorizeResponse:
        status = "Accepted" if call.request.id_tag in self.known else "Invalid"
        return v16.AuthorizeResponse(id_tag_info=v16.IdTagInfo(status=status))
"""

# Fails for the charge point BAD only, in the way that the message asks for.
FAULTY = """
import gevent
from chargehand import OcppError, Plugin, passive

def fail(how):
    if how == "raise":
        raise RuntimeError("planted")
    if how == "hang":
        gevent.sleep(3600)
    if how == "exit":
        raise SystemExit(3)
    if how == "kill":
        raise gevent.GreenletExit
    if how == "timeout":
        raise gevent.Timeout(1)
    nonsense = {"number": 42, "wrong": {"idTagInfo": {"status": "Purple"}}, "extra": {"a": 1}}
    return nonsense.get(how)

class Faulty(Plugin):
    @passive("Authorize")
    def authorize(self, call):
        if call.charge_point.id.startswith("BAD"):
            return fail(call.request.id_tag)
        return {"idTagInfo": {"status": "Accepted"}}

    @passive("StartTransaction")
    def start_transaction(self, call):
        return fail(call.request.id_tag)

    @passive("DataTransfer")
    def data_transfer(self, call):
        return fail(call.request.data)

    @passive("Heartbeat")
    def heartbeat(self, call):
        return fail("raise")

    @passive("StatusNotification")
    def status(self, call):
        return fail("wrong")
"""

ASKING = """
from chargehand import Plugin, passive, v16

class Asking(Plugin):
    @passive(v16.Authorize)
    def authorize(self, call):
        version = self.system.send(call.charge_point.id, v16.GetLocalListVersion(), timeout_s=60).result()
        return {"idTagInfo": {"status": "Accepted", "parentIdTag": f"list {version.list_version}"}}
"""

DEADLINE_S = 1.0
OTHERS = 50
TIMESTAMP = "2026-05-04T12:34:56Z"
START = {"connectorId": 1, "meterStart": 5, "timestamp": TIMESTAMP}
AVAILABLE = {"connectorId": 1, "errorCode": "NoError", "status": "Available"}


def with_plugin(start: StartServer, folder: Path, source: str, name: str, config: str = "") -> Server:
    """Start a server with a plugin from a module that is written now."""
    (folder / f"plugin_{name.lower()}.py").write_text(source)
    return start("--plugin", f"plugin_{name.lower()}:{name}", config=config, python_path=folder)


# A plugin changes the outcome


def test_ten_lines_decide_who_may_charge(start_server: StartServer, tmp_path: Path) -> None:
    server = with_plugin(start_server, tmp_path, TAGS, "Tags")
    with RawSocket.open(server.ws + "CP1").boot() as raw:
        assert raw.call("Authorize", {"idTag": "T1"})[2] == {"idTagInfo": {"status": "Accepted"}}
        assert raw.call("Authorize", {"idTag": "T2"})[2] == {"idTagInfo": {"status": "Invalid"}}
        # What the plugin does not claim is the back office's.
        assert raw.call("StartTransaction", {**START, "idTag": "T1"})[2]["transactionId"] > 0


def test_a_plugin_gets_its_arguments_from_the_settings(start_server: StartServer, tmp_path: Path) -> None:
    (tmp_path / "plugin_settings.py").write_text(TAGS)
    server = start_server(
        config='[[plugins]]\nclass = "plugin_settings:Tags"\narguments = {known = ["T7"]}\n',
        python_path=tmp_path,
    )
    with RawSocket.open(server.ws + "CP1").boot() as raw:
        assert raw.call("Authorize", {"idTag": "T1"})[2]["idTagInfo"]["status"] == "Invalid"
        assert raw.call("Authorize", {"idTag": "T7"})[2]["idTagInfo"]["status"] == "Accepted"


def test_a_handler_calls_its_own_charge_point_and_waits(start_server: StartServer, tmp_path: Path) -> None:
    server = with_plugin(start_server, tmp_path, ASKING, "Asking")
    with RawSocket.open(server.ws + "CP1").boot() as raw:
        for version in (11, 12):
            asked = raw.send_call("Authorize", {"idTag": "T1"})
            call = json.loads(raw.text())
            assert call[0] == 2, call
            assert call[2:] == ["GetLocalListVersion", {}]
            raw.send(json.dumps([3, call[1], {"listVersion": version}]))
            assert raw.answer_to(asked)[2]["idTagInfo"]["parentIdTag"] == f"list {version}"


# A plugin fails


@pytest.fixture(scope="module")
def faulty(start_module_server: StartServer, tmp_path_factory: pytest.TempPathFactory) -> Server:
    """Server whose plugin fails on request, with a short deadline."""
    return with_plugin(
        *(start_module_server, tmp_path_factory.mktemp("faulty"), FAULTY, "Faulty"),
        config=f"[deadlines]\ndefault_s = {DEADLINE_S}\n",
    )


@pytest.mark.parametrize(
    "how", ["raise", "hang", "exit", "kill", "timeout", "nothing", "number", "wrong", "extra"]
)
def test_however_a_handler_fails_its_charge_point_gets_an_answer(
    start_server: StartServer, tmp_path: Path, how: str
) -> None:
    server = with_plugin(
        *(start_server, tmp_path, FAULTY, "Faulty"), config=f"[deadlines]\ndefault_s = {DEADLINE_S}\n"
    )
    with RawSocket.open(server.ws + "BAD").boot() as raw:
        for _ in range(2):
            answer = raw.call("Authorize", {"idTag": how})
            assert answer[0] == 4, answer
            assert answer[2] == "InternalError", answer
        answer = raw.call("StartTransaction", {**START, "idTag": how})
        assert answer[0] == 3, answer  # a transaction is acknowledged, whatever became of its handler
        assert answer[2]["transactionId"] > 0
        assert "planted" not in json.dumps(answer)


def test_a_handler_that_fails_for_a_harmless_action_is_stood_in_for(faulty: Server) -> None:
    with RawSocket.open(faulty.ws + "STANDIN").boot() as raw:
        assert raw.call("Heartbeat", {})[2]["currentTime"].endswith("Z")
        assert raw.call("StatusNotification", AVAILABLE)[2] == {}


@pytest.fixture(scope="module")
def others(faulty: Server) -> Iterator[list[RawSocket]]:
    """Fifty well-behaved charge points."""
    with ExitStack() as open_sockets:
        yield [
            open_sockets.enter_context(RawSocket.open(f"{faulty.ws}GOOD-{number}").boot())
            for number in range(OTHERS)
        ]


@pytest.mark.parametrize("how", ["raise", "hang", "wrong"])
def test_while_a_handler_fails_for_one_charge_point_the_others_are_answered(
    faulty: Server, others: list[RawSocket], how: str
) -> None:
    answers: list[list[Any]] = []
    stop, asks, meanwhile = threading.Event(), 0, 0

    def misbehave() -> None:
        nonlocal asks
        with RawSocket.open(f"{faulty.ws}BAD-{how}").boot() as raw:
            while not stop.is_set():
                asks += 1
                answers.append(raw.call("Authorize", {"idTag": how}))
                stop.wait(0.01)

    def ask_round() -> bool:
        """Ask for each of the others; tell when a failing call was waiting at one of them from begin to end."""
        nonlocal meanwhile
        for raw in others:
            begun = asks
            waited = asks > len(answers)
            answer = raw.call("Authorize", {"idTag": "T1"})
            assert answer[2] == {"idTagInfo": {"status": "Accepted"}}, answer
            meanwhile += waited and asks == begun and asks > len(answers)
        # One that raises has its answer at once, so that nothing may fall into it.
        return len(answers) >= 3 and (meanwhile > 0 or how != "hang")

    bad = threading.Thread(target=misbehave)
    bad.start()
    try:
        until(lambda: ask_round() or not bad.is_alive(), "nobody was answered meanwhile", 120)
    finally:
        stop.set()
        bad.join()
    assert len(answers) >= 3
    assert {answer[2] for answer in answers} == {"InternalError"}
