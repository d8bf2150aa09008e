"""Transactions for the tests of the stores."""

import datetime as dt

from chargehand import Transaction

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
LATER = NOW + dt.timedelta(hours=1)
START = (1, "T1", NOW, 100)
"""Key of such a transaction's start: connector, tag, time and meter."""


def transaction(number, charge_point_id="CP1", id_tag="T1", **more):
    facts = {"connector_id": 1, "meter_start": 100, "started_at": NOW, "start_received_at": NOW}
    return Transaction(id=number, charge_point_id=charge_point_id, id_tag=id_tag, **(facts | more))


def stopped(number, **more):
    return transaction(number, meter_stop=200, stopped_at=LATER, stop_received_at=LATER, **more)
