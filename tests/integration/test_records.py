"""Transactions, charge points and commands through the real command line and a real server; and a backup under load."""

import csv
import io
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import gevent

from chargehand import v16
from chargehand.simulator import ChargePoint

from .conftest import StartServer
from .server import Finished, Server, chargehand

CHARGE_POINTS = 4
EACH = 15


def told(server: Server, *words: str) -> Finished:
    """Run a command that must succeed; a failure quotes the server's output."""
    done = chargehand(*words, "--data", str(server.data))
    assert done.status == 0, f"{done.output}\nthe server printed:\n{server.output}"
    return done


def visit(server: Server, name: str) -> None:
    """Make transactions one after the other; the last one is not stopped."""
    with ChargePoint(server.ws, name) as charge_point:
        for number in range(EACH):
            charge_point.plug_in()
            charge_point.start(f"T{number}")
            charge_point.meter(1000)
            if number + 1 < EACH:
                charge_point.stop()
                charge_point.unplug()


def visits(server: Server) -> list[gevent.Greenlet]:
    return [gevent.spawn(visit, server, f"CP{number}") for number in range(CHARGE_POINTS)]


def test_what_was_charged_is_listed_shown_and_exported(start_server: StartServer) -> None:
    server = start_server("--store", "sqlite")
    gevent.joinall(visits(server), timeout=60, raise_error=True)
    with ChargePoint(server.ws, "CP0") as again:  # boots: what it had begun is an orphan
        again.send(v16.StopTransaction(transaction_id=-1, meter_stop=5, timestamp="2026-01-01T00:00:00Z"))

    rows = list(csv.DictReader(io.StringIO(told(server, "transactions", "export").output)))
    assert len(rows) == CHARGE_POINTS * EACH
    assert json.loads(told(server, "transactions", "export", "--json", "--charge-point", "CP1").output)[0][
        "open"
    ]
    opened = json.loads(told(server, "transactions", "list", "--open", "--json").output)["transactions"]
    assert {row["charge_point"] for row in opened} == {f"CP{number}" for number in range(CHARGE_POINTS)}
    (orphaned,) = json.loads(told(server, "transactions", "list", "--orphans", "--json").output)[
        "transactions"
    ]
    assert (orphaned["charge_point"], orphaned["open"]) == ("CP0", True)
    shown = json.loads(told(server, "transactions", "show", rows[-1]["transaction_id"], "--json").output)
    assert len(shown["meter_readings"]) == 1
    listed = json.loads(told(server, "transactions", "dead-letters", "--json").output)
    assert [letter["payload"]["transactionId"] for letter in listed["dead_letters"]] == [-1]

    told(server, "charge-points", "add", "LATER", "--registration", "Pending")
    names = [row["id"] for row in json.loads(told(server, "charge-points", "export", "--json").output)]
    assert sorted(names) == ["CP0", "CP1", "CP2", "CP3", "LATER"]
    assert "Charging" in told(server, "charge-points", "show", "CP1").output
    told(server, "charge-points", "remove", "LATER")
    assert chargehand("charge-points", "show", "LATER", "--data", str(server.data)).status == 1
    server.stop()
    done = chargehand("check-store", "--data", str(server.data))
    assert done.status == 0, done.output


def test_calls_are_listed_shown_and_cancelled(start_server: StartServer) -> None:
    server = start_server()
    with ChargePoint(server.ws, "CP1") as charge_point:
        gevent.get_hub().threadpool.apply(server.command, ("CP1", "ClearCache", {}))
        rows = json.loads(told(server, "tickets", "list", "--json").output)["tickets"]
        assert [(row["action"], row["state"]) for row in rows] == [("ClearCache", "answered")]
        assert "Accepted" in told(server, "tickets", "show", rows[0]["ticket"]).output
        assert "ClearCache" in told(server, "tickets", "export", "--charge-point", "CP1").output
        assert chargehand("tickets", "cancel", rows[0]["ticket"], "--data", str(server.data)).status == 1
        assert charge_point.online


def test_a_backup_is_made_while_charge_points_charge(start_server: StartServer, tmp_path: Path) -> None:
    server = start_server("--store", "sqlite")
    charging = visits(server)
    copies = [tmp_path / f"copy{number}" for number in range(3)]
    for copy in copies:
        gevent.get_hub().threadpool.apply(told, (server, "backup", str(copy)))
    gevent.joinall(charging, timeout=60, raise_error=True)
    for copy in copies:
        done = chargehand("check-store", str(copy))
        assert done.status == 0, done.output
    last = tmp_path / "last"
    told(server, "backup", str(last))
    with closing(sqlite3.connect(last)) as connection:
        assert connection.execute("SELECT count(*) FROM transactions").fetchone() == (CHARGE_POINTS * EACH,)
    assert chargehand("backup", str(last), "--data", str(server.data)).status == 2
    assert chargehand("check-store", "--data", str(server.data)).status == 1  # it is in use
    server.stop()
    assert [path.name for path in server.data.glob("*.copy*")] == []
    (server.data / "chargehand.sqlite").write_bytes(last.read_bytes())
    again = start_server("--store", "sqlite", data=server.data)
    rows = json.loads(told(again, "transactions", "list", "--json").output)["transactions"]
    assert len(rows) == CHARGE_POINTS * EACH


def test_a_store_in_memory_has_no_backup_and_says_so(start_server: StartServer, tmp_path: Path) -> None:
    server = start_server()
    done = chargehand("backup", str(tmp_path / "copy"), "--data", str(server.data))
    assert done.status == 1
    assert "memory" in done.output
    assert not (tmp_path / "copy").exists()
