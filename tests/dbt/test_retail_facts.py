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
    assert retail.one("SELECT count(*) FROM {silver/items} WHERE case_variant_count > 1") == (173,)
    assert retail.one("SELECT sum(booked_spelling_count), sum(irregular_spelling_count) FROM {silver/items}") == (
        5_305,
        63,
    )


def test_blanks_are_taken_off_and_staff_notes_name_no_item(retail: House) -> None:
    assert retail.one("SELECT count(*) FROM {bronze/invoice_line} WHERE description <> trim(description)") == (213_035,)
    assert retail.one("SELECT count(*) FROM {silver/invoice_lines} WHERE description <> trim(description)") == (0,)
    notes = "regexp_matches(description, '[a-z]') AND NOT regexp_matches(description, '[A-Z]')"
    assert retail.one(f"SELECT count(*) FROM {{bronze/invoice_line}} WHERE {notes}") == (732,)
    assert retail.one(f"SELECT count(*) FROM {{silver/items}} WHERE {notes}") == (0,)


def test_lines_of_known_customers_are_all_there(retail: House) -> None:
    """797,885 distinct lines have a customer, 779,425 of them a quantity and a price above zero; ten of these are test bookings."""
    assert retail.one("SELECT count(*) FROM {silver/invoice_lines} WHERE customer_no IS NOT NULL")[
        0
    ] == 797_885 - _tests(retail, "true")
    sold = "quantity > 0 AND unit_price > 0"
    kept = retail.one(f"SELECT count(*) FROM {{silver/invoice_lines}} WHERE customer_no IS NOT NULL AND {sold}")[0]
    assert kept == 779_425 - _tests(retail, sold)
    codes = "SELECT count(*), count(DISTINCT matched_line_id) FROM {silver/invoice_lines} WHERE line_type = 'cancellation' AND cancelled_quantity > 0"
    assert retail.one(codes)[0] == 15_404


def _tests(retail: House, condition: str) -> int:
    found = retail.one(
        f"SELECT count(*) FROM {{silver/invoice_line_rejects}} WHERE customer_no IS NOT NULL AND {condition}"
    )
    return int(str(found[0]))


def test_the_marts_add_up_to_the_lines(retail: House) -> None:
    lines = retail.one("SELECT sum(line_value) FROM {silver/invoice_lines}")
    assert retail.one("SELECT sum(net_value) FROM {gold/sales_daily}") == lines
    assert retail.one("SELECT count(*) FROM {gold/customer_360}") == (5_942,)
