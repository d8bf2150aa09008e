"""The command `import-steve`, and the reader of dumps beneath it."""

import gzip
import io
import json
import sqlite3
from contextlib import closing

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from chargehand.cli.data_folder import DataFolder
from chargehand.cli.main import main
from chargehand.cli.steve_dump import CHUNK_BYTES, Dump, DumpRefused, statements
from chargehand.store.factory import SQLITE_FILE

pytestmark = pytest.mark.usefixtures("_clean_environment")

DUMP = r"""-- MariaDB dump 10.19
/*!40103 SET TIME_ZONE='+00:00' */;
CREATE TABLE `charge_box` (
  `charge_box_pk` int(11) NOT NULL, `x` int,
  PRIMARY KEY (`charge_box_pk`)
) ENGINE=InnoDB;
INSERT INTO `charge_box` (`charge_box_pk`, `charge_box_id`, `ocpp_protocol`, `registration_status`,
  `charge_point_vendor`, `charge_point_model`, `auth_password`) VALUES
 (1,'CP1','ocpp1.6J','Accepted','Acme; Ltd','It''s \"one\"',NULL),(2,'CP2','ocpp1.6J','Maybe',NULL,NULL,NULL);
CREATE TABLE `connector` (
  `connector_pk` int(11) unsigned NOT NULL,
  `charge_box_id` varchar(255) NOT NULL,
  `connector_id` int(11) NOT NULL,
  PRIMARY KEY (`connector_pk`)
);
INSERT INTO `connector` VALUES (7,'CP1',1),(8,'CP1',2);
INSERT INTO `connector_meter_value` (`connector_pk`,`transaction_pk`,`value_timestamp`,`value`,`measurand`,`unit`)
VALUES (7,40,'2026-01-01 10:30:00.000000','1500','Energy.Active.Import.Register','Wh'),
(7,40,'2026-01-01 10:30:00.000000','7.2','Power.Active.Import','kW'),
(7,NULL,'2026-01-01 11:30:00.000000','5000',NULL,NULL),
(7,99,'2026-01-01 11:30:00.000000','5000',NULL,NULL);
INSERT INTO `ocpp_tag` (`ocpp_tag_pk`,`id_tag`,`parent_id_tag`,`expiry_date`,`max_active_transaction_count`,`note`)
VALUES (1,'T1','P','2030-01-01 00:00:00',1,NULL),(2,'T2',NULL,NULL,0,'gone;'),(3,_binary 'T3',NULL,NULL,-1,0x61);
DELIMITER ;;
CREATE TRIGGER x AFTER INSERT ON y FOR EACH ROW BEGIN INSERT INTO ocpp_tag VALUES (1); END;;
DELIMITER ;
INSERT INTO `reservation` (`reservation_pk`) VALUES (1),(2);
INSERT INTO `transaction_start`
 (`transaction_pk`,`event_timestamp`,`connector_pk`,`id_tag`,`start_timestamp`,`start_value`) VALUES
 (40,'2026-01-01 10:00:01.5',7,'T1','2026-01-01 10:00:00','1000'),
 (41,'2026-01-02 10:00:01.5',8,'T1','2026-01-02 10:00:00','2000'),
 (42,'2026-01-02 10:00:01.5',8,'T1','2026-01-02 10:00:00','much');
INSERT INTO `transaction_stop`
 (`transaction_pk`,`event_timestamp`,`event_actor`,`stop_timestamp`,`stop_value`,`stop_reason`) VALUES
 (40,'2026-01-01 12:00:01','station','2026-01-01 12:00:00','8345','EVDisconnected');
"""


@pytest.fixture
def dump(tmp_path):
    path = tmp_path / "steve.sql"
    path.write_text(DUMP, encoding="utf-8")
    return path


def imported(dump, folder, *options):
    done = CliRunner().invoke(main, ["import-steve", str(dump), "--data", str(folder), "--json", *options])
    assert done.stdout, done.stderr
    return done.exit_code, json.loads(done.stdout)


def rows(folder, query):
    with closing(sqlite3.connect(folder / SQLITE_FILE)) as connection:
        return connection.execute(query).fetchall()


def contents(folder):
    return [rows(folder, f"SELECT * FROM {table}") for table in ("transactions", "readings", "books", "told")]


def test_transactions_of_steve_have_their_numbers_energy_and_readings(dump, tmp_path):
    imported(dump, tmp_path)
    found = rows(
        tmp_path,
        "SELECT id, charge_point, connector, meter_stop - meter_start, stop_reason, flags FROM transactions",
    )
    assert [one[:5] for one in found] == [(40, "CP1", 1, 7345, "EVDisconnected"), (41, "CP1", 2, None, "")]
    assert "imported: transaction 40 of SteVe" in found[0][5]
    ((transaction, data), (without, _)) = rows(
        tmp_path, "SELECT transaction_id, data FROM readings ORDER BY number"
    )
    assert (transaction, without) == (40, None)
    assert json.loads(data)["meterValue"][0] == {
        "timestamp": "2026-01-01T10:30:00Z",
        "sampledValue": [
            {"value": "1500", "measurand": "Energy.Active.Import.Register", "unit": "Wh"},
            {"value": "7.2", "measurand": "Power.Active.Import", "unit": "kW"},
        ],
    }


def test_each_row_of_a_dump_that_is_refused_is_named_and_the_status_is_1(dump, tmp_path):
    status, told = imported(dump, tmp_path)
    assert status == 1
    assert [line.partition(":")[0] for line in told["refused"]] == [
        "charge_box", "transaction_start", "connector_meter_value",
    ]  # fmt: skip
    assert "registration status Maybe" in told["refused"][0]
    assert told["left_out"] == ["tag T2: its note", "tag T3: its note", "2 rows of reservation"]
    assert told["taken"] == {
        "tags": 3, "charge points": 1, "transactions": 2, "open transactions among them": 1, "stops": 1, "readings": 3,
    }  # fmt: skip


def test_a_second_import_from_steve_adds_nothing_and_a_later_dump_closes(dump, tmp_path):
    imported(dump, tmp_path)
    before = contents(tmp_path)
    _, told = imported(dump, tmp_path)
    assert contents(tmp_path) == before
    assert told["there"] == {"tags": 3, "charge points": 1, "transactions": 2, "readings": 3}
    assert told["taken"] == {}
    dump.write_text(
        DUMP.replace(
            " (40,'2026-01-01 12:00:01'",
            " (41,'2026-01-03',NULL,'2026-01-03','2500',NULL),\n (40,'2026-01-01 12:00:01'",
        )
    )
    imported(dump, tmp_path)
    assert rows(tmp_path, "SELECT id, meter_stop FROM transactions") == [(40, 8345), (41, 2500)]


def test_a_number_that_the_store_may_have_given_is_given_to_no_import(dump, tmp_path):
    imported(dump, tmp_path)
    dump.write_text(DUMP.replace("'CP1'", "'CP9'"))
    imported(dump, tmp_path)
    found = rows(tmp_path, "SELECT id, flags FROM transactions WHERE charge_point = 'CP9'")
    assert len(found) == 2
    assert all(number > 42 for number, _ in found)
    assert "transaction 40 of SteVe" in found[0][1]


def test_a_dry_run_of_an_import_from_steve_changes_nothing(dump, tmp_path):
    status, told = imported(dump, tmp_path, "--dry-run")
    assert (status, told["taken"]["transactions"], told["taken"]["readings"]) == (1, 2, 3)
    assert rows(tmp_path, "SELECT count(*) FROM transactions") == [(0,)]
    assert contents(tmp_path)[1:] == [[], [], []]


def test_times_of_a_dump_are_of_the_zone_that_is_named(dump, tmp_path):
    imported(dump, tmp_path, "--zone", "Europe/Berlin")
    assert rows(tmp_path, "SELECT started_at FROM transactions WHERE id = 40")[0][0].startswith(
        "2026-01-01T09:00"
    )


def test_a_dump_that_does_not_tell_its_time_zone_is_taken_with_one_only(dump, tmp_path):
    dump.write_text(DUMP.replace("SET TIME_ZONE='+00:00'", "SET NAMES utf8mb4"))
    done = CliRunner().invoke(main, ["import-steve", str(dump), "--data", str(tmp_path)])
    assert done.exit_code == 2
    assert "--zone" in done.stderr
    assert imported(dump, tmp_path, "--zone", "UTC")[1]["taken"]["transactions"] == 2


def test_readings_of_an_open_transaction_are_counted_as_there_at_the_second_import(dump, tmp_path):
    dump.write_text(
        DUMP.replace(
            "(7,NULL,'2026-01-01 11:30",
            "(8,41,'2026-01-02 10:30:00','2100',NULL,NULL),\n(7,NULL,'2026-01-01 11:30",
            1,
        )
    )
    assert imported(dump, tmp_path)[1]["taken"]["readings"] == 4
    _, told = imported(dump, tmp_path)
    assert (told["taken"], told["there"]["readings"]) == ({}, 4)


def test_tables_of_the_first_versions_of_steve_are_read(tmp_path):
    path = tmp_path / "old.sql.gz"
    path.write_bytes(
        gzip.compress(
            b"INSERT INTO chargebox (chargeBoxId, chargePointVendor) VALUES ('A','V');"
            b"INSERT INTO `user` (`idTag`,`parentIdTag`,`inTransaction`,`blocked`) VALUES ('T',NULL,0,b'1');"
            b"INSERT INTO connector (connector_pk, chargeBoxId, connectorId) VALUES (1,'A',1);"
            b"INSERT INTO transaction (transaction_pk,connector_pk,idTag,startTimestamp,startValue,"
            b"stopTimestamp,stopValue) VALUES (3,1,'T','2015-01-01 00:00:00','5','2015-01-01 01:00:00','9');"
        )
    )
    status, told = imported(path, tmp_path, "--zone", "UTC")
    assert (status, told["refused"]) == (0, [])
    assert rows(tmp_path, "SELECT id, meter_start, meter_stop FROM transactions") == [(3, 5, 9)]
    assert '"status":"Blocked"' in rows(tmp_path, "SELECT data FROM books")[0][0]


def test_an_import_into_a_folder_in_use_is_refused(dump, tmp_path):
    with DataFolder(str(tmp_path)):
        done = CliRunner().invoke(main, ["import-steve", str(dump), "--data", str(tmp_path)])
    assert done.exit_code == 1
    assert "is in use" in done.stderr


def test_a_dump_that_is_cut_off_is_refused(dump, tmp_path):
    dump.write_text(DUMP[:-30])
    done = CliRunner().invoke(main, ["import-steve", str(dump), "--data", str(tmp_path)])
    assert done.exit_code == 1
    assert "cut off" in done.stderr


def escaped(value):
    return "".join(
        {"\0": "\\0", "'": "\\'", '"': '\\"', "\n": "\\n", "\r": "\\r", "\\": "\\\\", "\x1a": "\\Z"}.get(c, c)
        for c in value
    )


VALUES = st.one_of(
    st.none().map(lambda _: ("NULL", None)),
    st.integers(-(2**40), 2**40).map(lambda n: (str(n), str(n))),
    st.text(st.characters(codec="utf-8")).map(lambda t: (f"'{escaped(t)}'", t)),
    st.text(st.characters(codec="utf-8", exclude_characters="\\")).map(
        lambda t: ("'" + t.replace("'", "''") + "'", t)
    ),
    st.binary(min_size=1).map(lambda b: (f"0x{b.hex().upper()}", b)),
    st.integers(0, 255).map(lambda n: (f"b'{n:b}'", str(n))),
)


class Bytes(Dump):
    """Dump in memory."""

    def __init__(self, data):
        super().__init__("memory")
        self._data = data

    def _open(self):
        return io.BytesIO(self._data)


@given(st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=5))
def test_values_of_every_kind_come_out_of_a_dump_as_they_went_in(pairs):
    given_rows = ",\n".join(f"({a[0]},{b[0]})" for a, b in pairs)
    text = f"CREATE TABLE `t` (\n  `a` text,\n  `b` text\n);\nINSERT INTO `t` VALUES {given_rows};\n"
    refused = []
    found = list(Bytes(text.encode()).rows(["t"], lambda *why: refused.append(why)))
    assert refused == []
    assert found == [("t", {"a": a[1], "b": b[1]}) for a, b in pairs]


@given(st.binary(max_size=200))
def test_a_dump_of_any_bytes_is_read_or_refused(data):
    refused = []
    try:
        found = list(Bytes(b"INSERT INTO t (a) VALUES " + data).rows(["t"], lambda *why: refused.append(why)))
    except DumpRefused:
        return
    assert found or refused or not data.strip()


def test_statements_longer_than_what_is_read_at_once_are_whole():
    long = b"x" * (CHUNK_BYTES - 20) + b"''; " * 10_000
    assert list(statements(io.BytesIO(b"/* ; */ A '" + long + b"';\n-- b;\nB;# c;\n"))) == [
        b"A '" + long + b"'",
        b"B",
    ]


def test_a_row_that_is_no_utf_8_is_refused_and_the_next_ones_are_read():
    refused = []
    found = list(
        Bytes(b"INSERT INTO t (a) VALUES ('\xff'),('b'),(NOW());").rows(
            ["t"], lambda *why: refused.append(why[1])
        )
    )
    assert found == [("t", {"a": "b"})]
    assert [why.partition(":")[0] for why in refused] == ["a text is not UTF-8", "a value cannot be read"]
