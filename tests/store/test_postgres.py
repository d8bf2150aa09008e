"""Behaviour of the PostgreSQL store alone: its server, which may be away, and its tables."""

import contextlib
import datetime as dt
from collections import deque
from functools import partial

import gevent
import msgspec
import pytest

from chargehand import Event, MeterReading, StoreError, Tag, TransactionFilter
from chargehand.actors.runtime import threads
from chargehand.store import postgres as module
from chargehand.store import shared
from chargehand.store.libpq import DatabaseAddress, QueryFailed, ResponseTimeout, read, run
from chargehand.store.postgres import PostgresServer, PostgresStore
from chargehand.store.postgres_schema import STEPS
from chargehand.store.rows import ESCAPED, Kind, reading_key, row, transaction_row

from ..hub import settle, until
from .transactions import NOW, START, stopped, transaction

LIMIT_S = 60
RELEASED = 3
"""Version of the tables of 0.1.0."""


@pytest.fixture
def open_(postgres):
    """Open stores; close all at the end."""
    stores = []

    def open_(url=postgres.url, kind=PostgresServer):
        address, leash = DatabaseAddress(url), ResponseTimeout(threads.native_lock())
        stores.append(PostgresStore(lambda: kind(address, leash), threads))
        stores[-1].leash = leash
        stores[-1].load()
        return stores[-1]

    yield open_
    for store in stores:
        store.close()


def reading(text=b"[1]"):
    return MeterReading(charge_point_id="CP1", connector_id=1, transaction_id=7, received_at=NOW, values=text)


def spool(store, **more):
    facts = {
        "version": "1.6",
        "charge_point_id": "CP1", "action": "StopTransaction", "unique_id": "1", "payload": b"{}",
        "transaction_id": None, "received_at": NOW, "why": "a reason",
    }  # fmt: skip
    return store.spool(**facts | more)


def ended(receipt):
    """Wait for the end of a receipt; return the error, or None."""
    try:
        receipt.wait(LIMIT_S)
    except StoreError as error:
        return error
    return None


# Its tables


def test_one_of_another_encoding_is_refused(postgres):
    postgres.sql("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0")
    try:
        with pytest.raises(StoreError, match="must have the encoding UTF8"):
            PostgresStore.open(postgres.url.replace("/postgres", "/latin"), threads)
    finally:
        postgres.sql("DROP DATABASE latin")


def test_a_full_disk_of_the_server_fails_the_receipts_and_later_ones_are_kept(open_, postgres):
    store = open_()
    postgres.sql(
        "CREATE FUNCTION chargehand.no_room() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full'; END $$; "
        "CREATE TRIGGER full_disk BEFORE INSERT ON chargehand.readings EXECUTE FUNCTION chargehand.no_room()"
    )
    error = ended(store.add_meter_reading(reading()))
    assert "No space left on device" in str(error)
    assert error.passing
    assert "No space left on device" in store.meter.failing
    postgres.sql("DROP TRIGGER full_disk ON chargehand.readings")
    assert ended(store.add_meter_reading(reading())) is None
    assert len(store.meter_readings(7)) == 1


def test_tables_of_a_newer_program_are_refused_in_one_line(open_, postgres):
    open_()
    postgres.sql(
        "INSERT INTO chargehand.version VALUES (999); UPDATE chargehand.ids SET next = 999 WHERE name = 'needs'"
    )
    with pytest.raises(StoreError, match="newer chargehand"):
        PostgresStore.open(postgres.url, threads)


def test_several_that_start_at_once_make_the_tables_once(open_, postgres):
    opening = [gevent.spawn(open_) for _ in range(6)]
    gevent.joinall(opening, timeout=LIMIT_S, raise_error=True)
    assert all(one.successful() for one in opening)
    assert int(postgres.sql("SELECT count(*) FROM chargehand.version")) == len(STEPS)


def make_old_tables(postgres, version):
    steps = "; ".join(STEPS[:version])
    postgres.sql(
        "CREATE SCHEMA chargehand; SET search_path = chargehand; CREATE TABLE version (number integer NOT NULL); "
        f"{steps}; INSERT INTO version (number) VALUES ({version})"
    )


def insert_old(postgres, table, **columns):
    values = ", ".join(str(value) if isinstance(value, int) else f"'{value}'" for value in columns.values())
    postgres.sql(f"INSERT INTO chargehand.{table} ({', '.join(columns)}) VALUES ({values})")


@pytest.mark.parametrize("version", range(1, RELEASED + 1))
def test_tables_of_an_older_program_are_made_newer_and_keep_what_is_in_them(open_, postgres, version):
    sample = b'[{"timestamp" : "2026-01-01T00:00:00Z","sampledValue":[{"value":"\\u0000 1"}]}]'
    orphan = '["odd","orphan: BootNotification while it was open"]'
    at = NOW.isoformat()
    make_old_tables(postgres, version)
    for number, connector, flags in ((1, 1, orphan), (2, 1, "[]"), (3, 2, orphan)):
        insert_old(
            postgres, "transactions", id=number, charge_point="CP1", connector=connector, id_tag="T1",
            meter_start=1, started_at=at, start_received_at=(NOW + dt.timedelta(minutes=number)).isoformat(),
            verdict="Accepted", stop_reason="", stop_id_tag="", flags=flags,
        )  # fmt: skip
    for values in (b"[]", sample):
        key = reading_key(values) if version > 1 else reading_key(values)[-32:]
        insert_old(
            postgres, "readings", charge_point="CP1", connector=1, transaction_id=7, received_at=at, digest=key,
            data=values.decode(),
        )  # fmt: skip
    insert_old(
        postgres, "spool", charge_point="CP1", action="StopTransaction", unique_id="1", payload="{}",
        received_at=at, why="x", aside=1,
    )  # fmt: skip
    store = open_()
    for values in (b"[]", sample):
        assert ended(store.add_meter_reading(reading(values))) is None
    assert [one.values for one in store.meter_readings(7)] == [b"[]", sample]
    assert len(store.readings_of("CP1")) == 2
    assert [(one.payload, one.version) for one in store.dead_letters()] == [(b"{}", "1.6")]
    assert [(one.id, one.flags, one.over) for one in store.transactions()] == [
        (3, ("odd",), "BootNotification"), (2, (), ""), (1, ("odd",), "BootNotification"),
    ]  # fmt: skip
    orphans = store.transactions(TransactionFilter(orphans_only=True))
    assert [one.id for one in orphans] == [3, 1]


def test_a_user_without_more_rights_than_those_on_the_schema_can_use_it(postgres):
    postgres.sql("CREATE SCHEMA chargehand")
    postgres.sql("CREATE ROLE plain LOGIN")
    try:
        postgres.sql("ALTER SCHEMA chargehand OWNER TO plain")
        store = PostgresStore.open(postgres.url.replace("chargehand@", "plain@"), threads)
        try:
            assert ended(store.register("CP1", "Accepted")) is None
        finally:
            store.close()
    finally:
        postgres.clear()
        postgres.sql("DROP ROLE plain")


@pytest.mark.parametrize(
    ("default", "used"), [("off", "on"), ("local", "on"), ("remote_apply", "remote_apply")]
)
def test_it_is_never_less_than_durable_whatever_the_servers_default_is(open_, postgres, default, used):
    postgres.sql(f"ALTER ROLE chargehand SET synchronous_commit = {default}")
    try:
        assert open_()._ask("SELECT current_setting('synchronous_commit')") == [(used,)]
    finally:
        postgres.sql("ALTER ROLE chargehand RESET synchronous_commit")


# What it holds


def test_a_number_beyond_64_bits_is_kept_whole_wherever_a_charge_point_can_put_it(open_):
    store = open_()
    huge = 10**3000 + 1
    facts = {"meter_start": huge, "connector_id": huge, "reservation_id": huge}
    assert ended(store.start_transaction(msgspec.structs.replace(transaction(7), **facts))) is None
    odd = msgspec.structs.replace(reading(), connector_id=huge, transaction_id=huge)
    assert ended(store.add_meter_reading(odd)) is None
    kept = open_().transaction(7)
    assert (kept.meter_start, kept.connector_id, kept.reservation_id) == (huge, huge, huge)
    assert ESCAPED in kept.flags
    (found,) = store.meter_readings(huge)
    assert msgspec.structs.replace(found, number=0) == odd


def test_a_text_of_any_length_and_kind_is_kept(open_):
    store = open_()
    tag = "".join(
        chr(33 + number * 7919 % 50_000) for number in range(20_000)
    )  # nothing that could be compressed
    text = b'[{"value":"a\\u0000b\\ud800c"}]'
    receipts = [
        store.start_transaction(msgspec.structs.replace(transaction(7), id_tag=tag)),
        store.add_event(Event(charge_point_id="CP1", kind="boot", received_at=NOW, data={"a": "a\0b"})),
        store.add_meter_reading(reading(text)),
        spool(store, unique_id=tag, payload=text),
        store.collections.local_lists.remove("a\0b"),
    ]
    assert [ended(receipt) for receipt in receipts] == [None] * len(receipts)
    assert store.transactions(TransactionFilter(id_tag=tag, open_only=True))[0].id_tag == tag
    assert store.meter_readings(7)[0].values == store.spooled()[0].payload == text
    assert store.events(kind="boot")[0].data == {"a": "a\0b"}


def test_more_rows_than_one_statement_should_have_are_several(open_, monkeypatch):
    monkeypatch.setattr(module, "STATEMENT_BYTES", 100)
    store = open_()
    receipts = [store.add_meter_reading(reading(b"[%d]" % number)) for number in range(100)]
    assert {ended(receipt) for receipt in receipts} == {None}
    assert [one.values for one in store.meter_readings(7)] == [b"[%d]" % number for number in range(100)]


# Its server away


def test_a_connection_that_is_lost_while_nothing_happens_costs_nothing(open_, postgres):
    store = open_()
    for _ in range(2):
        postgres.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'chargehand%'"
        )
        assert ended(store.register("CP1", "Accepted")) is None
        postgres.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'chargehand%'"
        )
        assert store.events() == []


def test_without_its_server_nothing_is_said_to_be_stored_and_it_recovers_by_itself(open_, postgres):
    store = open_()
    store.allot_transaction_id("CP1", None)
    assert ended(store.start_transaction(transaction(7))) is None
    postgres.stop("immediate")
    try:
        for _ in range(3):
            assert "not stored" in str(ended(store.stop_transaction(stopped(7))))
        with pytest.raises(StoreError, match="could not be read"):
            store.events()
        numbers = [store.allot_transaction_id("CP1", None) for _ in range(5000)]
    finally:
        postgres.start()
    until(lambda: ended(store.stop_transaction(stopped(7))) is None, "it did not recover", LIMIT_S)
    assert not open_().transaction(7).open
    for _ in range(6):
        assert ended(store.refresh("CP1")) is None  # meanwhile the next block comes
        numbers += [store.allot_transaction_id("CP1", None) for _ in range(5000)]
    assert len(set(numbers)) == 35_000


def test_numbers_run_out_rather_than_being_made_up_while_its_server_is_away(open_, postgres):
    store = open_()
    settle()
    postgres.stop("immediate")
    try:
        allot = partial(store.allot_transaction_id, "CP1", None)
        with pytest.raises(StoreError, match="no transaction id is left"):
            deque(iter(allot, None), maxlen=0)
    finally:
        postgres.start()

    def again():
        try:
            return store.allot_transaction_id("CP1", None)
        except StoreError:
            return None

    until(again, "there were no new numbers", LIMIT_S)


class LostCommitServer(PostgresServer):
    """Server connection that is lost in the middle of a COMMIT, after the server has carried it out."""

    luck = 0

    def commit(self):
        super().commit()
        if type(self).luck > 0:
            type(self).luck -= 1
            self.close()
            raise ConnectionError("planted")


def test_what_is_written_again_because_nobody_knew_whether_it_was_is_there_once(open_):
    store = open_(kind=type("LostCommitServer", (LostCommitServer,), {}))
    number = store.allot_transaction_id("CP1", (1, "T1", NOW, 100))
    writes = [
        lambda: store.start_transaction(transaction(number)),
        lambda: store.flag_transaction(number, "odd"),
        lambda: store.add_meter_reading(reading()),
        lambda: store.register("CP1", "Accepted"),
        lambda: store.collections.tags.put(Tag(id_tag="T1")),
        lambda: store.collections.tags.remove("t2"),
        lambda: spool(store, transaction_id=number),
        lambda: spool(store, unique_id="2", redeliver=False),
        lambda: store.stop_transaction(stopped(number)),
    ]
    for write in writes:
        store._writer.ask(lambda server: setattr(type(server), "luck", 1))
        assert "planted" in str(ended(write()))
        assert ended(write()) is None
    waiting = [record.number for record in store.spooled()]
    assert len(waiting) == len(store.dead_letters()) == len(store.meter_readings(7)) == 1
    for write in (
        lambda: store.unspool(waiting),
        lambda: store.dead_letter(store.dead_letters()[0].number, "why"),
    ):
        store._writer.ask(lambda server: setattr(type(server), "luck", 1))
        assert "planted" in str(ended(write()))
        assert ended(write()) is None
    assert [(record.unique_id, record.why) for record in open_().dead_letters()] == [("2", "why")]
    assert open_().transactions() == [msgspec.structs.replace(stopped(number), flags=())]
    assert [tag.id_tag for tag in open_().collections.tags] == ["T1"]


def test_what_its_handler_sets_aside_is_a_dead_letter_in_its_old_place(open_):
    """Several reasons may come at once: the first one stands."""
    store = open_()
    assert ended(spool(store, transaction_id=None)) is None
    (record,) = store.spooled()
    receipts = [spool(store, transaction_id=number, why=f"of {number}", redeliver=False) for number in (7, 8)]
    assert [ended(receipt) for receipt in receipts] == [None, None]
    assert ended(store.unspool([record.number])) is None
    assert ended(spool(store, transaction_id=None)) is None  # once more, as it was not known that it is there
    assert store.spooled() == []
    dead_letters = [(one.number, one.why, one.transaction_id) for one in store.dead_letters()]
    assert dead_letters == [(record.number, "of 7", 7)]


def test_a_stop_that_could_not_be_kept_is_kept_when_it_comes_again(open_):
    store = open_(kind=type("Failing", (LostCommitServer,), {"commit": failing_commit}))
    assert ended(store.start_transaction(transaction(7))) is None
    store._writer.ask(lambda server: setattr(type(server), "luck", 2))
    assert ended(store.stop_transaction(stopped(7))) is not None
    assert ended(store.stop_transaction(stopped(7))) is not None
    assert open_().transaction(7).open
    assert ended(store.stop_transaction(stopped(7))) is None
    assert not open_().transaction(7).open


def failing_commit(self):
    """Lose the connection before the COMMIT is carried out."""
    if type(self).luck > 0:
        type(self).luck -= 1
        raise ConnectionError("planted")
    PostgresServer.commit(self)


def test_one_that_is_no_primary_any_more_is_left_for_one_that_is(open_, postgres):
    store = open_()
    before = store._ask("SELECT pg_backend_pid()")
    store._ask("SELECT set_config('default_transaction_read_only', 'on', false)")
    assert "read-only" in str(ended(store.register("CP1", "Accepted")))
    until(lambda: ended(store.register("CP1", "Accepted")) is None, "it stayed with it", LIMIT_S)
    assert store._ask("SELECT pg_backend_pid()") != before


def test_one_that_is_silent_is_left_before_those_who_wait_for_it_are_too_late(open_, postgres):
    store = open_()
    postgres.freeze()
    try:
        with gevent.Timeout(module.SILENT_S + 3, AssertionError("it is waited for")):
            error = ended(store.register("CP1", "Accepted"))
        assert "not stored" in str(error)
        assert error.passing
    finally:
        postgres.thaw()
    until(lambda: ended(store.register("CP1", "Accepted")) is None, "it did not recover", LIMIT_S)


def test_the_thread_outlives_whatever_a_batch_does(open_):
    store = open_(kind=type("Broken", (PostgresServer,), {"roll_back": broken, "commit": broken}))
    for _ in range(2):
        assert "planted" in str(ended(store.register("CP1", "Accepted")))
    assert store.events() == []


def broken(self):
    raise RuntimeError("planted")


def test_a_transaction_whose_connection_is_lost_is_not_committed_on_another(open_, postgres):
    store = open_()

    def lose(server):
        server.begin()
        server.write(Kind.REGISTER, [row("CP1", "Accepted", "1.6")])
        postgres.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'chargehand%'"
        )
        with contextlib.suppress(QueryFailed):
            server.write(Kind.REGISTER, [row("CP2", "Accepted", "1.6")])
        try:
            server.commit()
        finally:
            server.roll_back()

    with pytest.raises(QueryFailed):
        store._writer.ask(lose)
    assert open_().registrations() == {}


def test_a_commit_that_a_killed_process_has_begun_is_waited_for(open_):
    one, other = open_(), open_()
    number = one.allot_transaction_id("CP1", START)
    values = (*transaction_row(transaction(number)), *one.event_log.started(transaction(number)))

    def begin(server):
        server.begin()
        server.write(Kind.START, [values])

    one._writer.ask(begin)
    receipt = other.refresh("CP1")
    other._ask("SELECT 1")
    assert not receipt.done
    one._writer.ask(lambda server: server.commit())
    assert ended(receipt) is None
    assert other.allot_transaction_id("CP1", START) == number


def test_what_never_ends_at_another_process_is_no_reason_to_read_too_early(open_, monkeypatch):
    monkeypatch.setattr(shared, "PAUSE_MAX_S", 0.01)
    one, other = open_(), open_()

    def begin(server):
        server.begin()
        server.write(Kind.UNSPOOL, [row(1)])

    one._writer.ask(begin)
    assert "does not end" in str(ended(other.refresh("CP1")))
    one._writer.ask(lambda server: server.roll_back())
    assert ended(other.refresh("CP1")) is None


# Its statements


def test_plans_made_while_the_tables_were_small_find_rows_by_their_keys(open_):
    store = open_()
    for number in range(1, 9):  # after five plans of their own the server keeps one
        one = transaction(number, charge_point_id=f"CP{number}")
        assert ended(store.start_transaction(one)) is None
        assert ended(store.stop_transaction(stopped(one.id, charge_point_id=one.charge_point_id))) is None
        assert ended(store.amend_transaction(number, note="checked")) is None

    def plans(database):
        connection = database._live()
        run(connection, module.BEGIN)
        kept = "SELECT name FROM pg_prepared_statements WHERE generic_plans > 0"
        found = {
            name: read(connection, f"EXPLAIN EXECUTE {name} ('[]')", [])
            for (name,) in read(connection, kept, [])
        }
        run(connection, b"ROLLBACK")
        return found

    found = store._writer.ask(plans)
    assert {
        "chargehand_start_0",
        "chargehand_stop_0",
        "chargehand_stop_1",
        "chargehand_amend_0",
    } <= found.keys()
    for name, lines in found.items():
        text = "\n".join(line for (line,) in lines)
        assert "Seq Scan" not in text, name
        assert "Hash" not in text.replace("HashAggregate", ""), name


def test_statements_are_prepared_again_on_a_new_connection(open_, postgres):
    store = open_()
    assert ended(store.add_meter_reading(reading(b"[1]"))) is None
    postgres.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'chargehand-store'"
    )
    assert ended(store.add_meter_reading(reading(b"[2]"))) is None
    assert len(store.meter_readings(7)) == 2


def test_statements_stay_prepared_though_their_first_rows_were_refused(open_):
    store = open_()
    assert ended(store.stop_transaction(stopped(77))) is not None
    one = transaction(1)
    assert ended(store.start_transaction(one)) is None
    assert ended(store.stop_transaction(stopped(one.id, charge_point_id=one.charge_point_id))) is None
    assert not store.transaction(1).open
