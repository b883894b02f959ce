"""On Online Retail II the figures come out that were counted in the raw file (the data's README lists them)."""

from __future__ import annotations

from pathlib import Path

import pytest

from plinth.sample import load_online_retail

from .conftest import House, make_house

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def retail(plinth_data: Path, tmp_path_factory: pytest.TempPathFactory) -> House:
    house = make_house(tmp_path_factory.mktemp("retail"))
    load_online_retail(house.url, plinth_data / "online_retail_ii.parquet")
    house.load()
    built = house.build()
    assert {outcome.status.value for outcome in built.models} == {"published"}
    assert all(test.passed for test in built.tests), [test.name for test in built.tests if not test.passed]
    return house


def test_every_row_is_in_bronze_as_it_was(retail: House) -> None:
    counts = "count(*), count(DISTINCT invoice_no), count(DISTINCT item_no), count(DISTINCT customer_no)"
    assert retail.one(f"SELECT {counts} FROM {{bronze/invoice_line}}") == (1_067_371, 53_628, 5_305, 5_942)
    missing = "count(*) FILTER (WHERE customer_no IS NULL), count(*) FILTER (WHERE description IS NULL)"
    assert retail.one(f"SELECT {missing} FROM {{bronze/invoice_line}}") == (243_007, 4_382)
    span = "min(invoiced_at)::VARCHAR, max(invoiced_at)::VARCHAR, count(DISTINCT invoiced_at::DATE)"
    expected = ("2009-12-01 07:45:00", "2011-12-09 12:50:00", 604)
    assert retail.one(f"SELECT {span} FROM {{bronze/invoice_line}}") == expected


def test_every_row_is_kept_merged_or_rejected(retail: House) -> None:
    kept, copies = retail.one("SELECT count(*), sum(copies) FROM {silver/invoice_lines}")
    (rejected,) = retail.one("SELECT count(*) FROM {silver/invoice_line_rejects}")
    assert int(str(copies)) + int(str(rejected)) == 1_067_371
    columns = "invoice_no, item_no, description, quantity, unit_price, invoiced_at, customer_no, country"
    distinct = f"SELECT count(*) FROM (SELECT DISTINCT {columns} FROM {{bronze/invoice_line}})"
    assert retail.one(distinct) == (1_033_036,)
    assert int(str(kept)) + int(str(rejected)) == 1_033_036, "no row that is rejected has an exact double"


def test_cancellations_bad_debts_and_write_offs_are_told_apart(retail: House) -> None:
    bronze = "SELECT count(*), count(DISTINCT invoice_no) FROM {bronze/invoice_line} WHERE invoice_no LIKE 'C%'"
    assert retail.one(bronze) == (19_494, 8_292)
    silver = (
        "SELECT sum(copies), count(DISTINCT invoice_no) FROM {silver/invoice_lines} WHERE line_type = 'cancellation'"
    )
    rows, invoices = retail.one(silver)
    lost = retail.one("SELECT count(*) FROM {silver/invoice_line_rejects} WHERE invoice_no LIKE 'C%'")[0]
    assert int(str(rows)) + int(str(lost)) == 19_494
    assert int(str(invoices)) <= 8_292
    debts = "SELECT count(DISTINCT invoice_no), min(unit_price)::DOUBLE FROM {silver/invoice_lines} WHERE line_type = 'bad_debt'"
    assert retail.one(debts) == (6, -53_594.36)
    write_offs = "SELECT sum(copies) FROM {silver/invoice_lines} WHERE line_type = 'write_off'"
    assert retail.one(write_offs) == (3_457,)


def test_the_largest_order_is_matched_to_its_cancellation(retail: House) -> None:
    """80,995 pieces were ordered and cancelled minutes later."""
    giant = "SELECT cancelled_quantity FROM {silver/invoice_lines} WHERE quantity = 80995"
    assert retail.one(giant) == (80_995,)


def test_spellings_of_a_code_are_one_item(retail: House) -> None:
    folded = "SELECT count(*) FROM (SELECT upper(item_no) FROM {bronze/invoice_line} GROUP BY 1 HAVING count(DISTINCT item_no) > 1)"
    assert retail.one(folded) == (173,)
    assert retail.one("SELECT count(*) - count(DISTINCT item_code) FROM {silver/items}") == (0,)


def test_the_marts_add_up_to_the_lines(retail: House) -> None:
    lines = retail.one("SELECT sum(line_value) FROM {silver/invoice_lines}")
    assert retail.one("SELECT sum(net_value) FROM {gold/sales_daily}") == lines
    assert retail.one("SELECT count(*) FROM {gold/customer_360}") == (5_942,)
