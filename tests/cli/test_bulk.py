"""Commands to many charge points on the command line, against a stub of the HTTP API, and the command `bulk`."""

import json

import pytest
from click.testing import CliRunner

from chargehand.cli.api import Api
from chargehand.cli.main import main

pytestmark = pytest.mark.usefixtures("_clean_environment")

STARTED = {"bulk": "x-b1", "open": 0}
COUNTS = {
    "bulk": "x-b1",
    "command": "Reset",
    "created_at": "2026-11-22T12:00:00Z",
    "at_most_at_once": 50,
    "total": 2,
    "open": 0,
    "waiting": 0,
    "ended": 2,
    "ok": 2,
    "states": {"answered": 2},
    "statuses": {"Accepted": 2},
    "effects": {},
    "dropped": 0,
    "done": True,
    "cancelled": False,
    "failure": "",
}
GOOD = {
    "number": 1,
    "charge_point": "CP1",
    "ok": True,
    "state": "answered",
    "ticket": "1-1",
    "response": {"status": "Accepted"},
}
BAD = {
    "number": 2,
    "charge_point": "CP2",
    "ok": False,
    "state": "refused",
    "ticket": "1-2",
    "code": "GenericError",
    "reason": "no\x1b",
}


@pytest.fixture
def run(stub, monkeypatch):
    """Run the program against the stub, which answers a POST, and then each GET with the next of `pages`."""

    def run(*arguments, pages=(), status=202, started=STARTED):
        answers = iter(pages)

        def get(_, *path, **query):
            asked.append((path, query))
            answer = next(answers)
            if isinstance(answer, BaseException):
                raise answer
            return answer

        asked.clear()
        monkeypatch.setattr(Api, "get", get)
        stub.status, stub.body = status, started
        return CliRunner().invoke(main, [*arguments, "--url", stub.url])

    asked = []
    run.asked = asked
    return run


def page(*rows, **counts):
    numbers = [row["number"] for row in rows]
    return {**COUNTS, "results": list(rows), "more": False, "next": max(numbers, default=0), **counts}


ALL_WELL = page(GOOD, GOOD | {"number": 2, "charge_point": "CP2"})


@pytest.mark.parametrize(
    ("arguments", "chosen"),
    [
        (("--all",), {"filter": {"connected": True}}),
        (("--known",), {"filter": {"connected": False}}),
        (
            ("--where", "id=DE-*", "--where", "vendor=a=b"),
            {"filter": {"connected": True, "id": "DE-*", "vendor": "a=b"}},
        ),
        (
            ("--all", "--where", "status=faulted,Unavailable", "--where", "silent=10m", "--where", "worker=2",
             "--where", "firmware_below=1.4", "--where", "search=a=b"),
            {"filter": {"connected": True, "status": ["faulted", "Unavailable"], "silent_s": 600.0, "worker": 2,
                        "firmware_below": "1.4", "q": "a=b"}},
        ),
        (("--known", "--where", "model=One"), {"filter": {"connected": False, "model": "One"}}),
        (("--all", "--parallel", "3"), {"filter": {"connected": True}, "at_most_at_once": 3}),
    ],
)  # fmt: skip
def test_many_are_chosen_by_options(run, stub, arguments, chosen):
    done = run("send", *arguments, "Reset", '{"type": "Soft"}', "--timeout", "5", pages=[ALL_WELL])
    assert (done.exit_code, done.stdout) == (0, "CP1: answered Accepted\nCP2: answered Accepted\n")
    assert done.stderr == "chargehand: 2 charge points: 2 answered (2 Accepted)\n"
    ((path, _, body),) = stub.requests
    assert path == "/api/v1/bulk?timeout=5"
    assert json.loads(body) == {**chosen, "action": "Reset", "payload": {"type": "Soft"}}


def test_ids_come_from_a_file(run, stub, tmp_path):
    (tmp_path / "ids").write_text("CP1\n\n CP/2 ü \n")
    assert run("send", "--from", "ids", "ClearCache", pages=[ALL_WELL]).exit_code == 0
    assert json.loads(stub.requests[0][2])["charge_points"] == ["CP1", "CP/2 ü"]


def test_a_verb_goes_to_many_too(run, stub):
    done = run("do", "reset", "--all", "--at-once", "--until-effect", pages=[ALL_WELL])
    assert done.exit_code == 0
    assert stub.requests[0][0] == "/api/v1/bulk?timeout=30&until_effect=1&effect_timeout=300"
    assert json.loads(stub.requests[0][2]) == {
        "filter": {"connected": True},
        "verb": "reset",
        "members": {"at_once": True},
    }


def test_results_are_printed_page_by_page_as_they_end(run):
    first = page(GOOD, done=False, ended=1, total=None)
    last = page(BAD, ok=1, states={"answered": 1, "refused": 1}, effects={"done": 1})
    done = run("send", "--all", "Reset", pages=[first, last])
    assert run.asked == [(("bulk", "x-b1"), {"after": after, "wait": "4"}) for after in ("0", "1")]
    assert done.exit_code == 1
    assert done.stdout == "CP1: answered Accepted\nCP2: refused GenericError (no\\x1b)\n"
    assert "2 charge points: 1 answered, 1 refused (2 Accepted); effects: 1 done" in done.stderr
    assert "1 of 2 charge points did not do it" in done.stderr


def test_each_result_is_a_line_of_json_when_that_is_wanted(run):
    done = run("send", "--all", "Reset", "--json", pages=[ALL_WELL])
    assert [json.loads(line)["charge_point"] for line in done.stdout.splitlines()] == ["CP1", "CP2"]


def test_whoever_detaches_gets_the_id_and_waits_for_nothing(run):
    done = run("send", "--known", "--queue", "--detach", "Reset")
    assert (done.exit_code, done.stdout, run.asked) == (0, "x-b1\n", [])


def test_nobody_chosen_is_status_one(run):
    done = run("send", "--where", "id=x", "Reset", pages=[page(ended=0, total=0, ok=0)])
    assert (done.exit_code, done.stderr.splitlines()[0]) == (1, "chargehand: no charge point is chosen")


def test_charge_points_that_cannot_be_chosen_are_status_one(run):
    done = run("send", "--known", "Reset", pages=[page(ended=0, total=None, ok=0, failure="no store")])
    assert done.exit_code == 1
    assert done.stderr.startswith("chargehand: charge points cannot be chosen: no store\n")


def test_a_refusal_of_the_server_is_status_one(run):
    problem = {"title": "Not started", "description": "20 bulk commands are running already (bulk.kept)"}
    done = run("send", "--all", "Reset", status=503, started=problem)
    assert done.exit_code == 1
    assert "bulk.kept" in done.stderr


def test_an_interruption_cancels_and_prints_what_ends_all_the_same(run, stub):
    pages = [KeyboardInterrupt(), page(GOOD, BAD | {"state": "cancelled"}, ok=1, cancelled=True)]
    done = run("send", "--all", "Reset", pages=pages)
    assert done.exit_code == 1
    assert "cancelled; waiting for what is on the wire" in done.stderr
    assert "CP2: cancelled" in done.stdout
    assert [path for path, _, _ in stub.requests] == ["/api/v1/bulk?timeout=30", "/api/v1/bulk/x-b1"]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("send", "--all", "CP1", "Reset", "{}"), "ACTION [JSON]"),
        (("send", "--all"), "Missing argument"),
        (("send", "CP1"), "CP ACTION [JSON]"),
        (("send", "--where", "colour=red", "Reset"), "is not like id=CP*"),
        (("send", "--where", "id=", "Reset"), "is not like id=CP*"),
        (("send", "--where", "silent=soon", "Reset"), "no duration like"),
        (("send", "--where", "worker=x", "Reset"), "worker must be a number"),
        (("send", "--where", "id=a", "--where", "id=b", "Reset"), "more than once"),
        (("send", "--from", "nowhere", "Reset"), "nowhere"),
        (("send", "--from", "ids", "--all", "Reset"), "--from names charge points"),
        (("send", "--all", "--parallel", "0", "Reset"), "0"),
        (("do", "unlock", "CP1", "--all"), "CP1 is one charge point"),
        (("do", "unlock"), "Missing argument 'CP'"),
        (("bulk", "cancel"), "Missing argument"),
    ],
)
def test_a_wrong_choice_ends_with_status_two_and_asks_nothing(run, stub, tmp_path, arguments, text):
    (tmp_path / "ids").write_text("CP1\n")
    done = run(*arguments)
    assert done.exit_code == 2
    assert text in done.stderr
    assert stub.requests == []


# The command `bulk`


def test_bulk_commands_are_listed_shown_and_followed(run):
    done = run("bulk", "list", pages=[{"bulks": [COUNTS, COUNTS | {"done": False}]}])
    assert done.exit_code == 0
    assert "x-b1" in done.stdout
    assert "running" in done.stdout
    shown = json.loads(run("bulk", "show", "x-b1", "--json", pages=[ALL_WELL]).stdout)
    assert shown == COUNTS
    assert run("bulk", "follow", "x-b1", pages=[ALL_WELL]).stdout.startswith("CP1: answered Accepted\n")


def test_a_bulk_command_is_cancelled(run, stub):
    done = run("bulk", "cancel", "x-b1", started=COUNTS | {"open": 3})
    assert (done.exit_code, done.stdout) == (0, "x-b1 is cancelled: 3 are still under way\n")
    assert (
        run("bulk", "cancel", "x-b1", status=409, started={"title": "t", "description": "d"}).exit_code == 1
    )
