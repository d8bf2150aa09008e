"""Closing, reattaching and deleting over HTTP: results, refusals, and the event that records each."""

import datetime as dt
import json

import pytest

from chargehand import Transaction

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
TRANSACTIONS, LETTERS = "/api/v1/transactions", "/api/v1/spool/dead-letters"


@pytest.fixture
def transaction(system):
    record = Transaction(
        id=7,
        charge_point_id="CP1",
        connector_id=1,
        id_tag="T1",
        meter_start=100,
        started_at=NOW,
        start_received_at=NOW,
    )
    system.store.start_transaction(record).wait()


@pytest.fixture
def letter(system):
    """Make a dead letter, and return its number."""

    def make(action="StopTransaction", **payload):
        stop = {"transactionId": -1, "meterStop": 900, "timestamp": "2026-01-01T02:00:00Z"}
        system.store.spool(
            charge_point_id="CP1", version="1.6", action=action, unique_id="u", redeliver=False, why="of nothing",
            payload=json.dumps(payload or stop).encode(), transaction_id=None,
            received_at=NOW + dt.timedelta(hours=2),
        ).wait()  # fmt: skip
        return system.store.dead_letters()[-1].number

    return make


def post(client, path, **body):
    return client.simulate_post(path, body=json.dumps(body))


def events(client):
    return [
        one["data"]
        for one in client.simulate_get("/api/v1/charge-points/CP1/events?kind=by_hand").json["events"]
    ]


@pytest.mark.usefixtures("transaction")
def test_a_transaction_is_closed_with_figures_and_their_author(client, system):
    system.register("CP1", "Accepted").wait()
    told = {
        "by": "ann",
        "reason": "Scrapped",
        "note": "gone",
        "meter_stop": 1100,
        "stopped_at": "2026-01-01T01:00",
    }
    reply = post(client, f"{TRANSACTIONS}/7/close", **told)
    assert reply.status_code == 200, reply.text
    shown = reply.json
    assert (shown["open"], shown["energy_wh"], shown["stop_reason"]) == (False, 1000, "Scrapped")
    assert (shown["closed_by"], shown["note"]) == ("ann", "gone")
    assert shown["stopped_at"] == "2026-01-01T01:00:00Z"
    assert shown["doubtful_times"] == shown["flags"] == []
    (event,) = events(client)
    assert (event["what"], event["by"], event["transaction_id"]) == ("close_transaction", "ann", 7)
    assert post(client, f"{TRANSACTIONS}/7/close").status_code == 409


@pytest.mark.usefixtures("transaction")
def test_a_closing_needs_no_figures(client):
    shown = client.simulate_post(f"{TRANSACTIONS}/7/close").json
    assert (shown["open"], shown["meter_stop"], shown["closed_by"]) == (False, None, "http")


@pytest.mark.usefixtures("transaction")
@pytest.mark.parametrize(
    "body",
    [
        {"meter_stop": 99},
        {"meter_stop": "x"},
        {"meter_stop": 2**70},
        {"stopped_at": "yesterday"},
        {"stopped_at": "2025-12-31"},
        {"by": ""},
        {"by": " "},
        {"reason": ""},
        {"colour": "red"},
    ],
)
def test_figures_that_cannot_be_are_422_and_close_nothing(client, system, body):
    assert post(client, f"{TRANSACTIONS}/7/close", **body).status_code == 422
    assert system.store.transaction(7).open


@pytest.mark.parametrize("number", ["8", "0", "-1", "x", "9" * 30])
@pytest.mark.usefixtures("transaction")
def test_a_transaction_that_is_not_there_is_404(client, letter, number):
    assert post(client, f"{TRANSACTIONS}/{number}/close").status_code == 404
    assert client.simulate_delete(f"{LETTERS}/{number}").status_code == 404
    assert post(client, f"{LETTERS}/{number}/reattach", transaction_id=7).status_code == 404
    assert post(client, f"{LETTERS}/{letter()}/reattach", transaction_id=8).status_code == 404


@pytest.mark.usefixtures("transaction")
def test_a_dead_letter_closes_the_transaction_that_it_is_given_to(client, system, letter):
    system.register("CP1", "Accepted").wait()
    reply = post(client, f"{LETTERS}/{letter()}/reattach", transaction_id=7, by="ann")
    assert reply.status_code == 200, reply.text
    assert (reply.json["meter_stop"], reply.json["energy_wh"]) == (900, 800)
    assert [flag["code"] for flag in reply.json["flags"]] == ["attached_by_hand"]
    assert system.store.dead_letters() == []
    assert events(client)[0]["what"] == "reattach"


@pytest.mark.usefixtures("transaction")
def test_a_dead_letter_that_is_no_stop_is_409(client, letter):
    number = letter("Authorize", idTag="T1")
    assert post(client, f"{LETTERS}/{number}/reattach", transaction_id=7).status_code == 409
    assert post(client, f"{LETTERS}/{number}/reattach").status_code == 422


def test_a_dead_letter_is_forgotten_with_an_event(client, system, letter):
    system.register("CP1", "Accepted").wait()
    number = letter()
    assert client.simulate_delete(f"{LETTERS}/{number}?by=ann").json["number"] == number
    assert client.simulate_delete(f"{LETTERS}/{number}").status_code == 404
    assert system.store.dead_letters() == []
    (event,) = events(client)
    assert (event["what"], event["by"], event["number"]) == ("forget_dead_letter", "ann", number)
