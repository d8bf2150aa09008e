import datetime as dt

import pytest

from chargehand import v16
from chargehand.simulator.transactions import NO_ID, Transaction, energy, meter_values

START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


@pytest.fixture
def transaction():
    return Transaction(connector_id=2, id_tag="TAG1", meter_start=100, started_at=START, reservation_id=5)


def test_a_start_says_what_was_so_at_the_start(transaction):
    assert transaction.start_request() == v16.StartTransaction(
        connector_id=2, id_tag="TAG1", meter_start=100, reservation_id=5, timestamp=START
    )


def test_a_stop_is_told_only_when_there_was_one(transaction):
    with pytest.raises(ValueError, match="not been stopped"):
        transaction.stop_request()
    assert transaction.running
    stop = START + dt.timedelta(hours=1)
    transaction.stop(900, stop, v16.Reason.LOCAL, "TAG1")
    assert not transaction.running
    assert transaction.stop_request() == v16.StopTransaction(
        id_tag="TAG1", meter_stop=900, timestamp=stop, transaction_id=NO_ID, reason=v16.Reason.LOCAL
    )


def test_the_number_comes_with_the_answer(transaction):
    info = v16.IdTagInfo(status=v16.AuthorizationStatus.BLOCKED)
    transaction.started(v16.StartTransactionResponse(id_tag_info=info, transaction_id=9))
    transaction.stop(900, START, v16.Reason.DE_AUTHORIZED, None)
    assert (transaction.id, transaction.verdict) == (9, "Blocked")
    assert transaction.stop_request().transaction_id == 9


def test_meter_values_hold_the_readings_of_one_moment():
    request = meter_values(1, None, START, [energy(250, v16.ReadingContext.TRIGGER)])
    (value,) = request.meter_value
    assert (request.transaction_id, value.timestamp) == (None, START)
    (reading,) = value.sampled_value
    assert (reading.value, reading.context, reading.unit) == ("250", "Trigger", "Wh")
