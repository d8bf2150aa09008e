"""Work for a start is independent of the number of open transactions at its charge point."""

import datetime as dt
import gc
import sys

import pytest

from chargehand import MemoryStore

from .transactions import NOW, transaction


def start(store, count, connector_id=1):
    """Make the store calls of a StartTransaction; return the number of Python calls that they took."""
    calls = 0

    def count_calls(_frame, event, _argument):
        nonlocal calls
        calls += event == "call"

    at = NOW + dt.timedelta(seconds=count)
    gc.disable()  # what it calls when it runs would be counted too
    sys.setprofile(count_calls)
    try:
        number = store.allot_transaction_id("CP1", (connector_id, "T1", at, 100))
        store.transaction(number)
        store.open_on_connector("CP1", connector_id)
        store.open_with_tag("CP1", "T1", limit=5)
        store.charging_with_tag("T1", besides=number)
        store.transaction_over("CP1", connector_id, at, "StartTransaction", number)
        store.transaction_alive(number, at)
    finally:
        sys.setprofile(None)
        gc.enable()
    verdict = "Accepted" if count % 2 else "ConcurrentTx"
    store.start_transaction(
        transaction(number, start_received_at=at, connector_id=connector_id, verdict=verdict)
    )
    return calls


@pytest.mark.parametrize("connectors", [1, 1000])
def test_the_thousandth_open_transaction_costs_as_many_calls_as_the_tenth(connectors):
    store = MemoryStore()
    calls = [start(store, count, count % connectors) for count in range(1000)]
    assert max(calls[900:]) <= max(calls[10:110])


def test_who_charges_is_found_though_many_of_the_tag_are_orphaned():
    store = MemoryStore()
    for count in range(100):
        start(store, 2 * count + 1, count)
    store.transaction_over("CP1", None, NOW + dt.timedelta(hours=1), "BootNotification")
    assert store.charging_with_tag("T1") is None
    store.transaction_alive(7, NOW + dt.timedelta(hours=2))
    assert store.charging_with_tag("T1").id == 7
    assert store.charging_with_tag("T1", besides=7) is None
