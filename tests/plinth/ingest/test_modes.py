"""After every load the bronze table holds what the legacy table holds, and work is done only for what changed."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from plinth.contracts.model import Mode
from plinth.errors import ContractError
from plinth.ingest import bronze_id, unchanged
from plinth.ingest.landing import in_table
from plinth.lakehouse.staging import stage
from plinth.sources import open_url
from tests.plinth.sources.writers import writer

from .conftest import ORDERS, Shop


def ids(shop: Shop, con: duckdb.DuckDBPyConnection) -> list[object]:
    return [row[0] for row in shop.rows(con, "order_id")]


def test_the_first_load_takes_all_rows_and_remembers_the_watermark(shop: Shop, con: duckdb.DuckDBPyConnection) -> None:
    outcome = shop.load()
    assert (outcome.changed, outcome.rows, outcome.inserted, outcome.rows_read) == (True, 3, 3, 3)
    assert outcome.watermark is not None and outcome.watermark.startswith("2024-01-01 12:00:00")
    assert shop.rows(con, "order_id, customer, amount") == [
        (1, "ann", Decimal("10.10")),
        (2, "bob", Decimal("20.20")),
        (3, None, Decimal("30.30")),
    ]
    state = shop.lakehouse.open(bronze_id(ORDERS)).state
    assert state.watermark == outcome.watermark and state.run == "test" and state.asset == "bronze/orders"


def test_an_increment_reads_only_what_is_not_older_than_the_lookback(
    shop: Shop, con: duckdb.DuckDBPyConnection
) -> None:
    shop.load()
    shop.sql(
        "INSERT INTO ORDERS VALUES (4, 'cid', 40, '2024-01-02 10:00:00')",
        "UPDATE ORDERS SET AMT = 21, UPDTS = '2024-01-02 10:00:01' WHERE ORDID = 2",
    )
    outcome = shop.load()
    assert (outcome.rows_read, outcome.inserted, outcome.updated, outcome.deleted) == (3, 1, 1, 0)
    assert shop.rows(con, "order_id, amount")[1:4] == [
        (2, Decimal("21.00")),
        (3, Decimal("30.30")),
        (4, Decimal("40.00")),
    ]


def test_a_load_with_nothing_new_commits_nothing(shop: Shop) -> None:
    first = shop.load()
    second = shop.load()
    assert not second.changed and second.version == first.version and second.content == first.content


def test_a_row_that_comes_late_but_within_the_lookback_is_found(shop: Shop, con: duckdb.DuckDBPyConnection) -> None:
    shop.load()
    shop.sql("INSERT INTO ORDERS VALUES (5, 'late', 5, '2024-01-01 11:30:00')")
    assert shop.load().inserted == 1
    assert ids(shop, con) == [1, 2, 3, 5]


def test_a_row_that_comes_later_than_the_lookback_is_found_by_the_counts(
    shop: Shop, con: duckdb.DuckDBPyConnection
) -> None:
    shop.load()
    shop.sql("INSERT INTO ORDERS VALUES (6, 'very late', 6, '2023-01-01 00:00:00')")
    outcome = shop.load()
    assert ids(shop, con) == [1, 2, 3, 6]
    assert outcome.notes["rows_behind_lookback"] == 1, "the steward is told that the lookback is too short"


@pytest.mark.parametrize("far", ["9999-12-31 23:59:59", "2204-05-06 00:00:00"])
def test_a_row_that_is_ahead_of_the_clock_hides_no_update(shop: Shop, con: duckdb.DuckDBPyConnection, far: str) -> None:
    shop.load()
    shop.sql(f"INSERT INTO ORDERS VALUES (4, 'far', 4, '{far}')")
    outcome = shop.load()
    assert outcome.watermark == "2024-01-01 12:00:00", "what is ahead of the clock is no time of a change"
    assert outcome.notes["updated_at.ahead_of_clock"] == 1
    shop.sql(
        "UPDATE ORDERS SET AMT = 99, UPDTS = '2024-01-02' WHERE ORDID = 1", "UPDATE ORDERS SET AMT = 5 WHERE ORDID = 4"
    )
    outcome = shop.load()
    assert (outcome.inserted, outcome.updated) == (0, 2)
    assert shop.rows(con, "order_id, amount::VARCHAR") == [(1, "99.00"), (2, "20.20"), (3, "30.30"), (4, "5.00")]
    assert not shop.load().changed, "it is read each time, and compared"


@pytest.mark.parametrize(
    ("kind", "delta"), [("INTEGER", "long"), ("DECIMAL(8,0)", "decimal(8,0)"), ("VARCHAR(8)", "string")]
)
def test_a_number_of_nines_for_never_hides_no_update(
    shop: Shop, con: duckdb.DuckDBPyConnection, kind: str, delta: str
) -> None:
    shop.sql(
        "DROP TABLE ORDERS",
        f"CREATE TABLE ORDERS (ORDID INTEGER PRIMARY KEY, CUST VARCHAR(20), AMT DECIMAL(10,2), UPDTS {kind})",
        "INSERT INTO ORDERS VALUES (1, 'ann', 1, 20240101), (2, 'bob', 2, 20240102), (3, 'far', 3, 99999999)",
    )
    days = tuple(replace(each, physical_type=kind, delta_type=delta) for each in ORDERS.columns[3:])
    shop.contract = replace(ORDERS, columns=(*ORDERS.columns[:3], *days), lookback=0.0)
    outcome = shop.load()
    assert (outcome.watermark, outcome.notes["updated_at.ahead_of_clock"]) == ("20240102", 1)
    assert unchanged(shop.contract, open_url(shop.url), shop.lakehouse)
    shop.sql("UPDATE ORDERS SET AMT = 99, UPDTS = 20240103 WHERE ORDID = 1")
    assert not unchanged(shop.contract, open_url(shop.url), shop.lakehouse), "a look sees it"
    outcome = shop.load()
    assert (outcome.rows_read, outcome.updated, outcome.watermark) == (3, 1, "20240103")
    assert shop.rows(con, "order_id, amount::VARCHAR") == [(1, "99.00"), (2, "2.00"), (3, "3.00")]
    assert not shop.load().changed, "it is read each time, and compared"


@pytest.mark.parametrize("far", ["9999-12-31", "2204-05-06"])
def test_a_day_that_is_a_text_and_ahead_of_the_clock_hides_no_update(shop: Shop, far: str) -> None:
    shop.sql("UPDATE ORDERS SET UPDTS = '2024-01-01'", f"INSERT INTO ORDERS VALUES (4, 'far', 4, '{far}')")
    texts = tuple(replace(each, physical_type="VARCHAR(10)", delta_type="string") for each in ORDERS.columns[3:])
    shop.contract = replace(ORDERS, columns=(*ORDERS.columns[:3], *texts), lookback=0.0)
    assert shop.load().watermark is not None
    shop.sql("UPDATE ORDERS SET AMT = 99, UPDTS = '2024-02-01' WHERE ORDID = 1")
    outcome = shop.load()
    assert (outcome.updated, (outcome.watermark or "")[:10]) == (1, "2024-02-01")


def test_a_cursor_of_many_decimals_is_compared_with_no_number_that_it_cannot_hold(shop: Shop) -> None:
    wide = tuple(
        replace(each, physical_type="DECIMAL(38,30)", delta_type="decimal(38,30)") for each in ORDERS.columns[2:3]
    )
    shop.contract = replace(
        ORDERS, columns=(*ORDERS.columns[:2], *wide, ORDERS.columns[3]), cursor="amount", lookback=0.0
    )
    shop.load()
    shop.sql("INSERT INTO ORDERS VALUES (4, 'new', 40, '2024-01-02 10:00:00')")
    assert shop.load().inserted == 1


def test_a_counter_that_passes_a_number_of_nines_loses_nothing(shop: Shop) -> None:
    shop.sql("UPDATE ORDERS SET ORDID = 999998 + ORDID")  # 999999, 1000000, 1000001
    shop.contract = replace(ORDERS, cursor="order_id", lookback=0.0)
    shop.sql("DELETE FROM ORDERS WHERE ORDID > 999999")
    assert (shop.load().watermark, shop.load().changed) == (None, False)
    shop.sql("INSERT INTO ORDERS VALUES (1000000, 'new', 7, '2024-01-01 00:00:00')")
    outcome = shop.load()
    assert (outcome.inserted, outcome.watermark, outcome.rows) == (1, "1000000", 2)


def test_a_watermark_that_an_earlier_release_put_ahead_of_the_clock_is_given_up(
    shop: Shop, con: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.sql("INSERT INTO ORDERS VALUES (4, 'far', 4, '9999-12-31 23:59:59')")
    with monkeypatch.context() as before:
        before.setattr("plinth.ingest.watermark.is_ahead", lambda value: False)
        assert shop.load().watermark == "9999-12-31 23:59:59"
    shop.sql("UPDATE ORDERS SET AMT = 99, UPDTS = '2024-01-02' WHERE ORDID = 1")
    outcome = shop.load()
    assert (outcome.rows_read, outcome.updated, outcome.watermark) == (4, 1, "2024-01-02 00:00:00")


def test_deletes_are_found_when_the_counts_differ(shop: Shop, con: duckdb.DuckDBPyConnection) -> None:
    shop.load()
    shop.sql("DELETE FROM ORDERS WHERE ORDID = 1")
    outcome = shop.load()
    assert outcome.deleted == 1 and ids(shop, con) == [2, 3]


def test_a_delete_that_an_insert_hides_from_the_counts_is_found_by_schedule(
    shop: Shop, con: duckdb.DuckDBPyConnection
) -> None:
    shop.load()
    shop.sql("DELETE FROM ORDERS WHERE ORDID = 1", "INSERT INTO ORDERS VALUES (7, 'new', 7, '2023-01-01 00:00:00')")
    assert not shop.load(reconcile_every=timedelta(days=1)).changed, (
        "the counts are equal and the comparison is not due"
    )
    outcome = shop.load(reconcile_every=timedelta(0))
    assert ids(shop, con) == [2, 3, 7] and outcome.rows == 3


def test_deletes_are_kept_where_the_contract_schedules_no_comparison(
    shop: Shop, con: duckdb.DuckDBPyConnection
) -> None:
    shop.load(reconcile_every=None)
    shop.sql("DELETE FROM ORDERS WHERE ORDID = 1")
    outcome = shop.load(reconcile_every=None)
    assert ids(shop, con) == [1, 2, 3] and outcome.source_rows == 2


def test_a_table_without_a_key_is_replaced_and_keeps_its_doubles(shop: Shop, con: duckdb.DuckDBPyConnection) -> None:
    keyless = {"key": (), "cursor": None, "mode": Mode.SNAPSHOT, "lookback": 0.0, "reconcile_every": None, "rules": ()}
    shop.sql(
        "CREATE TABLE STOCK (ORDID INTEGER, CUST VARCHAR(20), AMT DECIMAL(10,2), UPDTS TIMESTAMP)",
        "INSERT INTO STOCK VALUES (1, 'a', 1, '2024-01-01 10:00:00'), (1, 'a', 1, '2024-01-01 10:00:00')",
    )
    first = shop.load(physical_name="STOCK", **keyless)
    again = shop.load(physical_name="STOCK", **keyless)
    assert ids(shop, con) == [1, 1] and not again.changed and again.version == first.version
    shop.sql("DELETE FROM STOCK WHERE rowid = 1", "INSERT INTO STOCK VALUES (2, 'b', 2, '2024-01-01 10:00:00')")
    replaced = shop.load(physical_name="STOCK", **keyless)
    assert replaced.changed and ids(shop, con) == [1, 2]
    assert (replaced.inserted, replaced.updated, replaced.deleted) == (None, None, None), "no key tells rows apart"
    assert (first.inserted, replaced.rows_before, replaced.rows) == (2, 2, 2)


def test_a_snapshot_with_a_key_publishes_only_the_rows_that_differ(shop: Shop, con: duckdb.DuckDBPyConnection) -> None:
    snapshot = {"mode": Mode.SNAPSHOT}
    for number in range(20):
        shop.sql(f"INSERT INTO ORDERS VALUES ({100 + number}, 'bulk', 1, '2024-01-01 09:00:00')")
    shop.load(**snapshot)
    shop.sql("DELETE FROM ORDERS WHERE ORDID = 1", "UPDATE ORDERS SET AMT = 99 WHERE ORDID = 2")
    outcome = shop.load(**snapshot)
    assert (outcome.inserted, outcome.updated, outcome.deleted) == (0, 1, 1)
    assert shop.rows(con, "order_id, amount")[0] == (2, Decimal("99.00"))


def test_a_load_that_replaces_all_files_counts_only_the_rows_that_differ(shop: Shop) -> None:
    snapshot = {"mode": Mode.SNAPSHOT}
    for number in range(20):
        shop.sql(f"INSERT INTO ORDERS VALUES ({100 + number}, 'bulk', 1, '2024-01-01 09:00:00')")
    shop.load(**snapshot)
    before = {file.path for file in shop.lakehouse.open(bronze_id(ORDERS)).files}
    shop.sql(
        "UPDATE ORDERS SET AMT = 2 WHERE ORDID >= 110",
        "DELETE FROM ORDERS WHERE ORDID = 1",
        "INSERT INTO ORDERS VALUES (201, 'new', 1, '2024-01-01 09:00:00'), (202, 'new', 1, '2024-01-01 09:00:00')",
    )
    outcome = shop.load(**snapshot)
    assert not before & {file.path for file in shop.lakehouse.open(bronze_id(ORDERS)).files}
    assert (outcome.inserted, outcome.updated, outcome.deleted) == (2, 10, 1)
    assert (outcome.rows_before, outcome.rows) == (23, 24)


def test_a_type_that_grows_changes_the_table_and_no_row(shop: Shop) -> None:
    narrow = tuple(replace(each, delta_type="integer") if each.name == "order_id" else each for each in ORDERS.columns)
    shop.load(columns=narrow)
    outcome = shop.load()
    assert outcome.changed and shop.lakehouse.open(bronze_id(ORDERS)).columns[0].type == "long"
    assert (outcome.inserted, outcome.updated, outcome.deleted) == (0, 0, 0)


def test_rows_under_another_key_are_not_counted_by_it(shop: Shop) -> None:
    columns = tuple(each for each in ORDERS.columns if each.name != "order_id")
    shop.load(columns=columns, key=(), rules=(), mode=Mode.SNAPSHOT, reconcile_every=None, drift=ORDERS.drift.DISCARD)
    outcome = shop.load()
    assert outcome.changed and outcome.inserted is None, "the rows that stood there have no such key"


def test_a_full_load_can_be_asked_for_and_repairs_what_a_cursor_missed(
    shop: Shop, con: duckdb.DuckDBPyConnection
) -> None:
    shop.load()
    shop.sql("UPDATE ORDERS SET AMT = 77 WHERE ORDID = 1")  # without a new time stamp: no cursor can see it
    assert not shop.load().changed
    assert shop.load(full=True).changed
    assert (1, Decimal("77.00")) in shop.rows(con, "order_id, amount")


def test_a_partitioned_table_follows_its_rows_from_partition_to_partition(
    shop: Shop, con: duckdb.DuckDBPyConnection
) -> None:
    shop.sql("UPDATE ORDERS SET CUST = 'a/b c%' WHERE ORDID = 3")
    shop.load(partition_by=("customer",))
    shop.sql("UPDATE ORDERS SET CUST = 'bob', UPDTS = '2024-01-02 10:00:00' WHERE ORDID = 3")
    shop.load(partition_by=("customer",))
    version = shop.lakehouse.open(bronze_id(ORDERS))
    assert shop.rows(con, "order_id, customer") == [(1, "ann"), (2, "bob"), (3, "bob")]
    assert {file.partition["customer"] for file in version.files} == {"ann", "bob"}


def test_a_cheap_look_tells_whether_the_source_changed_since_the_load(shop: Shop) -> None:
    source = open_url(shop.url)
    assert not unchanged(ORDERS, source, shop.lakehouse)
    shop.load()
    assert unchanged(ORDERS, source, shop.lakehouse)
    shop.sql("UPDATE ORDERS SET AMT = 1, UPDTS = '2024-01-05 00:00:00' WHERE ORDID = 1")
    assert not unchanged(ORDERS, source, shop.lakehouse)
    shop.load()
    assert unchanged(ORDERS, source, shop.lakehouse)
    source.close()


def test_a_change_of_the_contract_reads_everything_again(shop: Shop, con: duckdb.DuckDBPyConnection) -> None:
    shop.load(columns=ORDERS.columns[:2] + ORDERS.columns[3:], rules=(), drift=ORDERS.drift.DISCARD)
    outcome = shop.load()
    assert outcome.rows_read == 3
    assert shop.rows(con, "order_id, amount")[0] == (1, Decimal("10.10"))


@pytest.mark.parametrize("mode", [Mode.INCREMENTAL, Mode.SNAPSHOT])
def test_a_classification_that_was_raised_or_lowered_is_stored_by_the_next_load_though_no_row_changed(
    shop: Shop, mode: Mode
) -> None:
    first = shop.load(mode=mode)
    for level in ("restricted", "internal"):
        columns = tuple(replace(c, classification=level) if c.name == "customer" else c for c in ORDERS.columns)
        outcome = shop.load(mode=mode, columns=columns)
        held = shop.lakehouse.open(bronze_id(ORDERS))
        assert {c.name: c.classification for c in held.columns}["customer"] == level
        assert not outcome.changed and outcome.content == first.content, "what follows from the rows is not made anew"
        assert shop.load(mode=mode, columns=columns).version == held.version, "it is said once"


@pytest.mark.slow
def test_a_load_from_postgres_starts_no_driver_beside_the_scanner(tmp_path: Path, postgres_db: str) -> None:
    writer(postgres_db)(
        'CREATE TABLE "ORDERS" ("ORDID" int PRIMARY KEY, "CUST" varchar(20), "AMT" numeric(10,2), "UPDTS" timestamp)',
        "INSERT INTO \"ORDERS\" VALUES (1, 'ann', 10.1, '2024-01-01')",
    )
    script = (
        "import sys; from pathlib import Path; from tests.plinth.ingest.conftest import ORDERS, make_platform; "
        "from plinth.ingest import ingest; from plinth.lakehouse.tables import Lakehouse; from plinth.sources import open_url; "
        "lakehouse = Lakehouse(make_platform(Path(sys.argv[1]), 'sqlite:///none')); "
        "print(ingest(ORDERS, open_url(sys.argv[2]), lakehouse).rows, sorted({'psycopg', 'psycopg2', 'sqlalchemy'} & set(sys.modules)))"
    )
    for _ in ("all rows", "an increment"):
        command = [sys.executable, "-c", script, str(tmp_path), postgres_db]
        assert subprocess.check_output(command, text=True) == "1 []\n"


def test_a_cursor_that_is_no_time_and_no_number_cannot_look_back(shop: Shop) -> None:
    textual = replace(ORDERS, cursor="customer")
    shop.load(cursor="customer")
    with pytest.raises(ContractError, match="cannot look back"):
        shop.load(cursor=textual.cursor)


def test_a_small_increment_has_one_thread_and_a_comparison_of_all_keys_the_profiles(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    profiles = shop.lakehouse.platform.profiles
    monkeypatch.setitem(profiles, "small", profiles["small"].model_copy(update={"threads": 2}))
    seen: list[int] = []

    def noting(function: Any) -> Any:
        def noted(con: duckdb.DuckDBPyConnection, *given: Any, **more: Any) -> Any:
            row = con.execute("SELECT current_setting('threads')").fetchone()
            seen.append(int(row[0]) if row else 0)
            return function(con, *given, **more)

        return noted

    monkeypatch.setattr("plinth.ingest.read.stage", noting(stage))
    monkeypatch.setattr("plinth.ingest.read.in_table", noting(in_table))
    shop.load()
    shop.sql("UPDATE ORDERS SET AMT = 21, UPDTS = '2024-01-02 10:00:01' WHERE ORDID = 2")
    shop.load()
    shop.sql("UPDATE ORDERS SET AMT = 22, UPDTS = '2024-01-02 10:00:02' WHERE ORDID = 2")
    shop.load(reconcile_every=timedelta(0))
    assert seen == [2, 1, 1, 2]
    monkeypatch.setattr("plinth.lakehouse.merge.stage", noting(stage))
    for large, threads in ((3, 1), (2, 2)):
        monkeypatch.setattr("plinth.ingest.read._ROWS_OF_A_LARGE_TABLE", large)
        seen.clear()
        shop.sql(f"UPDATE ORDERS SET AMT = {large}, UPDTS = '2024-01-02 10:00:0{9 - large}' WHERE ORDID = 2")
        shop.load()
        assert seen == [1, threads], "a merge may have to write all files of a table"
