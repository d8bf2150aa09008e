"""Verbs and bulk commands from the command line, to charge points of two worker processes."""

import contextlib
import json

import gevent

from chargehand.simulator import ChargePoint

from ..hub import until
from .conftest import StartServer
from .server import Finished, Server, chargehand

NAMES = [f"CP{number:02}" for number in range(12)]


def run(server: Server, *command: str) -> Finished:
    """Run a command against that server, in a native thread: the charge points are in this hub."""
    finished: Finished = gevent.get_hub().threadpool.apply(chargehand, (*command, "--data", str(server.data)))
    return finished


def rows_of(done: Finished) -> dict[str, str]:
    """Return the state of each charge point, from results as lines of JSON."""
    rows = [json.loads(line) for line in done.output.splitlines() if line.startswith("{")]
    assert len({row["charge_point"] for row in rows}) == len(rows)
    return {row["charge_point"]: row["state"] for row in rows}


def test_many_charge_points_do_what_they_are_told_wherever_they_are(start_server: StartServer) -> None:
    server = start_server("--workers", "2", "--store", "sqlite")
    with contextlib.ExitStack() as stack:
        for number, name in enumerate(NAMES):
            vendor = "Acme" if number < 4 else "Bolt"
            charge_point = stack.enter_context(ChargePoint(server.ws, name, vendor=vendor))
            charge_point.boot()
        # The processes tell each other of new charge points a moment later.
        until(lambda: len(rows_of(run(server, "send", "--all", "ClearCache", "--json"))) == 12)

        done = run(server, "do", "trigger", "--all", "--message", "Heartbeat", "--until-effect", "--json")
        assert (done.status, rows_of(done)) == (0, dict.fromkeys(NAMES, "answered")), done.output
        assert "12 charge points: 12 answered (12 Accepted); effects: 12 done" in done.output
        done = run(server, "send", "--where", "vendor=acme", "GetConfiguration", "--json")
        assert set(rows_of(done)) == set(NAMES[:4])
        done = run(server, "do", "unlock", NAMES[7], "--evse", "2")
        assert (done.status, done.output.splitlines()[0]) == (0, 'UnlockConnector {"connectorId": 2}')

    # All of them have left. What waits for one of them is sent when it is back, at whichever process that is.
    until(lambda: run(server, "send", "--all", "ClearCache").status == 1)
    bulk = run(server, "send", "--known", "--queue", "--detach", "ClearCache").output.strip()
    until(
        lambda: json.loads(run(server, "bulk", "show", bulk, "--json").output)["waiting"] == 12, timeout_s=30
    )
    with ChargePoint(server.ws, NAMES[3]) as charge_point:
        charge_point.boot()
        until(lambda: json.loads(run(server, "bulk", "show", bulk, "--json").output)["ok"] == 1)
    assert run(server, "bulk", "cancel", bulk).status == 0
    done = run(server, "bulk", "follow", bulk, "--json")
    assert done.status == 1
    assert rows_of(done) == dict.fromkeys(NAMES, "cancelled") | {NAMES[3]: "answered"}
