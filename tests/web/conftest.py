"""A real central system in this process, falcon's test client on its API, and charge points in native threads."""

import json
import threading
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import falcon.testing
import gevent
import pytest
from websockets.sync.client import connect

from chargehand import CentralSystem, Settings
from chargehand.web.app import make_app
from chargehand.web.requests import Stop

from ..hub import until
from .described import DescribedClient

TOKEN = "the token of these tests"
DEADLINE_S = 60.0

Behaviour = Callable[[str, Any], list[Any] | None]


def silent(_action: str, _payload: Any) -> None:
    """Give no answer."""


class ChargePoint:
    """Charge point on a bare WebSocket. `behave(action, payload)` returns the rest of an answer, from its type on.

    `[3, {...}]` is a CALLRESULT, `[4, code, text, details]` a CALLERROR, None no answer.
    """

    def __init__(self, system: CentralSystem, id_: str, behave: Behaviour = silent) -> None:
        self.id = id_
        self.calls: list[Any] = []
        self._behave = behave
        self._url = f"ws://127.0.0.1:{system.port}/ocpp/{quote(id_, safe='')}"
        self._socket: Any = None
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        until(lambda: self._failure or self._known_to(system), f"{id_} is connected")
        assert self._failure is None, self._failure

    def _known_to(self, system: CentralSystem) -> bool:
        known = system.charge_point(self.id)
        return self._socket is not None and known is not None and known.online

    def _run(self) -> None:
        try:
            with connect(self._url, subprotocols=["ocpp1.6"], ping_interval=None) as socket:
                self._socket = socket
                for text in socket:
                    self._receive(json.loads(text))
        except BaseException as error:
            self._failure = error
            raise

    def _receive(self, message: list[Any]) -> None:
        if message[0] != 2:
            return
        _, unique_id, action, payload = message
        self.calls.append((action, payload))
        answer = self._behave(action, payload)
        if answer is not None:
            self._socket.send(json.dumps([answer[0], unique_id, *answer[1:]]))

    def send(self, *message: Any) -> None:
        """Send a frame."""
        self._socket.send(json.dumps(message))

    def hang_up(self) -> None:
        """Close the socket; returns when its thread has ended."""
        if self._thread.is_alive() and self._socket is not None:
            gevent.get_hub().threadpool.apply(self._socket.close)
        until(lambda: not self._thread.is_alive(), f"{self.id} has hung up")


@pytest.fixture
def system() -> Iterator[CentralSystem]:
    with CentralSystem(Settings(port=0)) as running:
        yield running


@pytest.fixture
def stop() -> Stop:
    return Stop()


@pytest.fixture
def client_of(stop: Stop) -> Callable[[Any], falcon.testing.TestClient]:
    """Make a client, with the token, of a system or of a stub of one."""

    def make(system: Any) -> falcon.testing.TestClient:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        return DescribedClient(make_app(system, TOKEN, stop), headers=headers)

    return make


@pytest.fixture
def client(system: CentralSystem, client_of: Callable[[Any], falcon.testing.TestClient]) -> Any:
    return client_of(system)


@pytest.fixture
def charge_point(system: CentralSystem) -> Iterator[Callable[..., ChargePoint]]:
    """Make charge points; all have hung up when the test ends."""
    made: list[ChargePoint] = []

    def make(id_: str, behave: Behaviour = silent) -> ChargePoint:
        made.append(ChargePoint(system, id_, behave))
        return made[-1]

    yield make
    for one in made:
        one.hang_up()


@pytest.fixture
def wait_until() -> Callable[[Callable[[], Any], str], Any]:
    return until
