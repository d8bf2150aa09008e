"""Assessment: energy is derived on demand, stored for closed transactions, and derived again after a reading."""

import datetime as dt
import json

import pytest

from chargehand import BackOfficeSettings, MemoryStore, MeterReading, Transaction, TransactionFilter
from chargehand.actors.runtime import threads
from chargehand.protocol.versions import VERSIONS
from chargehand.store.sqlite import SqliteStore
from chargehand.system.assessment import Assessment, limits_of

NOW = dt.datetime(2026, 5, 4, 12, 0, tzinfo=dt.UTC)


def at(minutes):
    return NOW + dt.timedelta(minutes=minutes)


def meter_values(minutes, wh):
    return {"timestamp": at(minutes).isoformat(), "sampledValue": [{"value": str(wh)}]}


class CountingStore(MemoryStore):
    """Memory store that counts the reads of readings, and may get another reading during one."""

    def __init__(self):
        super().__init__()
        self.reads = 0
        self.late = []

    def meter_readings(self, *arguments, **options):
        self.reads += 1
        found = super().meter_readings(*arguments, **options)
        if self.late:
            self.add_meter_reading(self.late.pop())
        return found


@pytest.fixture
def store():
    return CountingStore()


@pytest.fixture
def assessment(store):
    return Assessment(store, VERSIONS, limits_of(BackOfficeSettings()))


def start(store, number=1, **more):
    given = {
        "id": number, "charge_point_id": "CP1", "connector_id": 1, "id_tag": "T1", "meter_start": 1000,
        "started_at": at(number), "start_received_at": at(number),
    }  # fmt: skip
    store.start_transaction(Transaction(**(given | more))).wait()
    return store.transaction(number)


def stop(store, number=1, meter_stop=5000, minutes=60):
    known = store.transaction(number)
    columns = {name: getattr(known, name) for name in known.__struct_fields__}
    columns |= {"meter_stop": meter_stop, "stopped_at": at(minutes), "stop_received_at": at(minutes)}
    store.stop_transaction(Transaction(**columns)).wait()
    return store.transaction(number)


def reading(minutes, wh, number=1, **more):
    payload = {"connectorId": 1, "transactionId": number, "meterValue": [meter_values(minutes, wh)]}
    given = {
        "charge_point_id": "CP1", "connector_id": 1, "transaction_id": number, "received_at": at(minutes),
        "values": json.dumps(payload).encode(),
    }  # fmt: skip
    return MeterReading(**(given | more))


def figures(transaction):
    return (
        transaction.energy_wh,
        transaction.energy_source,
        transaction.supported_energy_wh,
        transaction.assessed,
    )


def test_an_open_transaction_is_derived_each_time(store, assessment):
    transaction = start(store)
    store.add_meter_reading(reading(10, 2000))
    assert figures(assessment.assessed(transaction)) == (1000, "register_readings", 1000, False)
    store.add_meter_reading(reading(20, 3500))
    assert assessment.assessed(transaction).energy_wh == 2500


def test_a_closed_one_is_derived_once_until_a_reading_comes(store, assessment):
    start(store)
    store.add_meter_reading(reading(10, 2000))
    stop(store)
    assert figures(assessment.assessed(store.transaction(1))) == (4000, "meter_start_stop", 1000, True)
    store.reads = 0
    assert figures(assessment.assessed(store.transaction(1))) == (4000, "meter_start_stop", 1000, True)
    assert store.reads == 0
    store.add_meter_reading(reading(50, 4500))
    assert figures(assessment.assessed(store.transaction(1))) == (4000, "meter_start_stop", 3500, True)


def test_a_reading_that_comes_while_others_are_read_is_counted(store, assessment):
    start(store)
    closed = stop(store)
    store.late = [reading(50, 4500)]
    assert assessment.assessed(closed).supported_energy_wh == 3500
    assert store.transaction(1).supported_energy_wh == 3500


def test_many_readings_are_read_as_few_are(store, assessment):
    transaction = start(store)
    for number in range(1, 500):
        store.add_meter_reading(reading(number, 1000 + number))
    assert assessment.assessed(transaction).energy_wh == 499


def test_readings_of_the_array_alone_and_of_other_versions_are_no_error(store, assessment):
    transaction = start(store)
    store.add_meter_reading(reading(10, 2000, values=json.dumps([meter_values(10, 2500)]).encode()))
    store.add_meter_reading(reading(11, 9000, version="9.9"))
    store.add_meter_reading(reading(12, 9000, values=b"\xff"))
    assert assessment.assessed(transaction).energy_wh == 1500


def test_readings_of_another_charge_point_do_not_count(store, assessment):
    transaction = start(store)
    store.add_meter_reading(reading(10, 9000, charge_point_id="CP2"))
    assert assessment.assessed(transaction).energy_wh is None


def test_the_last_stop_is_that_of_the_same_connector(store, assessment):
    start(store, 1, meter_start=7000)
    stop(store, 1, meter_stop=9000, minutes=2)
    start(store, 2, connector_id=2)
    stop(store, 2, meter_stop=1000, minutes=3)
    start(store, 3)
    other = start(store, 4, connector_id=2, start_received_at=at(10), started_at=at(10))
    found = assessment.assessed(start(store, 5, start_received_at=at(11), started_at=at(11)))
    assert [text.partition(":")[0] for text in found.findings] == ["meter_below_last_stop"]
    assert assessment.assessed(other).findings == ()


def test_limits_of_suspicion_are_settings(store):
    start(store, 1)
    stop(store, 1, meter_stop=900_000)
    for power_w, found in ((1_000_000.0, ()), (10_000.0, ("register_jumps",))):
        settings = BackOfficeSettings(suspect_power_w=power_w)
        _, energy = Assessment(store, VERSIONS, limits_of(settings)).known(store.transaction(1))
        assert (energy.energy_wh, tuple(one.code for one in energy.findings)) == (899_000, found)


def ids(page):
    return [one.id for one in page]


def test_a_file_keeps_what_was_derived_until_a_reading_comes(tmp_path):
    path = str(tmp_path / "store.sqlite")
    store = SqliteStore.open(path, threads)
    flagged = TransactionFilter(flagged_only=True)
    start(store)
    start(store, 2, connector_id=2)
    stop(store, meter_stop=400_000)
    stop(store, 2)
    for minutes, wh in ((10, 7000), (20, 2000)):
        store.add_meter_reading(reading(minutes, wh)).wait()
    for _ in range(2):
        assessment = Assessment(store, VERSIONS, limits_of(BackOfficeSettings()))
        assert figures(assessment.assessed(store.transaction(1)))[:3] == (399_000, "meter_start_stop", 6000)
        assert [one.id for one in assessment.transactions(flagged)] == [1]
        store.close()
        store = SqliteStore.open(path, threads)
    assert figures(store.transaction(1)) == (399_000, "meter_start_stop", 6000, True)
    assert [text.partition(":")[0] for text in store.transaction(1).findings] == ["register_falls"]
    store.add_meter_reading(reading(30, 3000.5)).wait()
    assert not store.transaction(1).assessed
    again = Assessment(store, VERSIONS, limits_of(BackOfficeSettings())).assessed(store.transaction(1))
    assert again.supported_energy_wh == 7000.5
    store.close()


def test_flagged_ones_are_found_by_findings_that_nobody_has_looked_for(store, assessment):
    for number in range(1, 9):
        start(store, number, connector_id=number)
        if number % 2:
            stop(store, number, meter_stop=90_000_000 if number in (3, 7) else 2000)
    store.add_meter_reading(reading(10, 5000, 4))
    store.add_meter_reading(reading(20, 2000, 4))
    flagged = TransactionFilter(flagged_only=True)
    page = assessment.transactions(flagged, limit=2)
    assert (ids(page), page.next.number) == ([7, 4], 4)
    rest = assessment.transactions(flagged, before=page.next, limit=2)
    assert (ids(rest), rest.next) == ([3], None)


@pytest.mark.parametrize("count", [0, 1, 199, 200, 201, 450])
def test_pages_put_together_are_all_of_them(store, assessment, count):
    for number in range(1, count + 1):
        start(store, number, connector_id=number)
    for limit in (7, 200, 1000):
        found, before = [], None
        while True:
            page = assessment.transactions(TransactionFilter(), before=before, limit=limit)
            part = ids(page)
            found += part
            assert len(part) == min(limit, count + len(part) - len(found))
            if page.next is None:
                break
            before = page.next
        assert found == list(range(count, 0, -1))


def test_a_page_ends_early_where_much_is_to_be_derived(store, assessment, monkeypatch):
    monkeypatch.setattr("chargehand.system.assessment.BUDGET", 25)
    for number in range(1, 31):
        start(store, number, connector_id=number)
        for minutes in range(number % 5):
            store.add_meter_reading(reading(number + minutes, 1000 + minutes, number))
        if number % 3:
            stop(store, number, meter_stop=2000)
    for wanted in (TransactionFilter(), TransactionFilter(flagged_only=True)):
        found, before, pages = [], None, 0
        while True:
            page = assessment.transactions(wanted, before=before, limit=30)
            found += ids(page)
            pages += 1
            if page.next is None:
                break
            before = page.next
        assert found == ([] if wanted.flagged_only else list(range(30, 0, -1)))
        assert pages > 1
