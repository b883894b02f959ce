"""What the models make of single booked lines: the SQL as it is compiled, over tables of a few rows."""

from __future__ import annotations

import random
from collections import defaultdict, deque
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from plinth.transform.project import prepare

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.slow

COLUMNS = """line_id BIGINT, invoice_no VARCHAR, item_no VARCHAR, description VARCHAR, quantity INTEGER, invoiced_at TIMESTAMP,
    unit_price DECIMAL(12, 4), customer_no INTEGER, country VARCHAR, source_sheet VARCHAR, updated_at TIMESTAMP"""


class Lines:
    """The table `bronze.invoice_line` in memory, and the silver lines that are made of it."""

    def __init__(self) -> None:
        self.con = duckdb.connect(":memory:")
        self.con.execute(f"CREATE SCHEMA bronze; CREATE SCHEMA silver; CREATE TABLE bronze.invoice_line ({COLUMNS})")
        self.number = 0

    def book(
        self,
        invoice: str | None,
        quantity: int | None,
        *,
        item: str | None = "85123A",
        price: float | None = 2.5,
        customer: int | None = 7,
        minute: int = 0,
        text: str = "A LANTERN",
        written: int | None = None,
    ) -> int:
        """Books a line and gives its number; `minute` is its time, `written` the minute in which it was last written, the same by default."""
        self.number += 1
        stamps = [minute, minute if written is None else written]
        self.con.execute(
            "INSERT INTO bronze.invoice_line SELECT $1, $2, $3, $4, $5, TIMESTAMP '2024-01-01' + to_minutes($8::INT), $6, $7, 'EIRE ', NULL, "
            "TIMESTAMP '2024-01-01' + to_minutes($9::INT)",
            [self.number, invoice, item, text, quantity, price, customer, *stamps],
        )
        return self.number

    def made(self, model: str = "invoice_lines") -> dict[int, dict[str, object]]:
        """The rows of a silver model by line number."""
        compiled = prepare(ROOT / "dbt_project").parsed / "compiled" / "plinth" / "models" / "silver" / f"{model}.sql"
        found = self.con.execute(compiled.read_text())
        names = [column[0] for column in found.description or ()]
        return {row[0]: dict(zip(names, row, strict=True)) for row in found.fetchall()}


@pytest.fixture
def lines() -> Iterator[Lines]:
    opened = Lines()
    yield opened
    opened.con.close()


def test_lines_doubled_in_every_column_become_one_that_counts_them(lines: Lines) -> None:
    first = lines.book("536365", 6)
    lines.book("536365", 6)
    other_case = lines.book("536365", 6, item="85123a")
    other_text = lines.book("536365", 6, text="A LANTERN ")
    made = lines.made()
    assert {number: row["copies"] for number, row in made.items()} == {first: 2, other_case: 1, other_text: 1}
    assert {row["item_code"] for row in made.values()} == {"85123A"} and {row["country"] for row in made.values()} == {
        "EIRE"
    }


def test_a_line_is_known_from_when_it_was_last_written_and_doubles_from_the_first_of_them(lines: Lines) -> None:
    late = lines.book("1", 2, minute=5, written=9000)
    first, _ = lines.book("2", 3, minute=5, written=700), lines.book("2", 3, minute=5, written=6)
    start = datetime(2024, 1, 1)
    known = {number: row["known_at"] for number, row in lines.made().items()}
    assert known == {late: start + timedelta(minutes=9000), first: start + timedelta(minutes=6)}


@pytest.mark.parametrize(
    ("line_type", "booked"),
    [
        ("sale", {"invoice": "1", "quantity": 2}),
        ("cancellation", {"invoice": "C1", "quantity": -2}),
        ("cancellation", {"invoice": "c1", "quantity": -1, "item": "POST"}),
        ("write_off", {"invoice": "1", "quantity": -2, "price": 0, "customer": None}),
        ("free_of_charge", {"invoice": "1", "quantity": 2, "price": 0}),
        ("adjustment", {"invoice": "1", "quantity": 2, "price": 0, "customer": None}),
        ("adjustment", {"invoice": "1", "quantity": -2, "price": 3}),
        ("non_product", {"invoice": "1", "quantity": 1, "item": " post"}),
        ("non_product", {"invoice": "1", "quantity": 1, "item": "gift_0001_20"}),
        ("sale", {"invoice": "1", "quantity": 1, "item": "DCGS0058"}),
        ("bad_debt", {"invoice": "A1", "quantity": 1, "item": "B", "price": -9, "customer": None}),
    ],
)
def test_lines_are_told_apart_by_what_they_mean(lines: Lines, line_type: str, booked: dict[str, object]) -> None:
    lines.book(**booked)  # type: ignore[arg-type]
    assert [row["line_type"] for row in lines.made().values()] == [line_type]


@pytest.mark.parametrize(
    ("reason", "booked"),
    [
        ("no_invoice_number", {"invoice": " ", "quantity": 1}),
        ("no_item_code", {"invoice": "1", "quantity": 1, "item": None}),
        ("no_price", {"invoice": "1", "quantity": 1, "price": None}),
        ("no_quantity", {"invoice": "1", "quantity": 0}),
        ("cancellation_that_adds", {"invoice": "C496350", "quantity": 1}),
        ("test_booking", {"invoice": "1", "quantity": 1, "item": "test001"}),
    ],
)
def test_what_says_nothing_about_the_trade_is_rejected_with_its_reason(
    lines: Lines, reason: str, booked: dict[str, object]
) -> None:
    number = lines.book(**booked)  # type: ignore[arg-type]
    assert lines.made() == {} and lines.made("invoice_line_rejects")[number]["reason"] == reason


def test_a_cancellation_takes_the_latest_sale_of_its_quantity_before_an_older_one(lines: Lines) -> None:
    older, latest = lines.book("1", 12, minute=1), lines.book("2", 12, minute=2)
    cancelled = lines.book("C3", -12, minute=3)
    after = lines.book("4", 12, minute=4)
    made = lines.made()
    assert made[cancelled]["matched_line_id"] == latest and made[latest]["matched_line_id"] == cancelled
    assert made[latest]["cancelled_quantity"] == made[cancelled]["cancelled_quantity"] == 12
    assert made[older]["matched_line_id"] is None and made[after]["matched_line_id"] is None


def test_a_part_cancels_the_oldest_sale_and_no_more_than_was_sold(lines: Lines) -> None:
    first, second = lines.book("1", 10, minute=1), lines.book("2", 4, minute=2)
    part, rest = lines.book("C3", -8, minute=3), lines.book("C4", -9, minute=4)
    made = lines.made()
    assert (made[first]["cancelled_quantity"], made[second]["cancelled_quantity"]) == (10, 4)
    assert (made[part]["cancelled_quantity"], made[rest]["cancelled_quantity"]) == (8, 6)
    assert made[rest]["matched_line_id"] == first, "of several the first"


def test_a_cancellation_that_adds_pieces_takes_back_no_sale(lines: Lines) -> None:
    """Nobody can know what it meant: C496350 of Online Retail II books one piece more, for nobody."""
    sale = lines.book("1", 5, minute=1)
    adds = lines.book("C2", 5, minute=2)
    made = lines.made()
    assert list(made) == [sale] and (made[sale]["cancelled_quantity"], made[sale]["matched_line_id"]) == (0, None)
    cancelled = lines.book("C3", -5, minute=3)
    assert lines.made()[cancelled]["matched_line_id"] == sale
    assert lines.made("invoice_line_rejects")[adds]["reason"] == "cancellation_that_adds"


def test_another_customer_price_or_item_is_never_matched(lines: Lines) -> None:
    lines.book("1", 5, customer=8)
    lines.book("1", 5, price=2.6)
    lines.book("1", 5, item="85123B")
    lines.book("1", 5, customer=None)
    cancelled, nobody = lines.book("C2", -5, minute=1), lines.book("C3", -5, minute=1, customer=None)
    made = lines.made()
    assert made[cancelled]["matched_line_id"] is None and made[nobody]["matched_line_id"] is None


@pytest.mark.parametrize("seed", range(4))
def test_matches_are_those_of_the_rule_carried_out_line_by_line(lines: Lines, seed: int) -> None:
    drawn = random.Random(seed)
    for _ in range(250):
        cancels = drawn.random() < 0.45
        lines.book(
            f"{'C' if cancels else ''}{drawn.randint(1, 10**6)}",
            drawn.choice([1, 2, 3, 6, 12]) * (-1 if cancels else 1),
            item=drawn.choice(["85123A", "85123a", "22423"]),
            price=drawn.choice([1.25, 2.5]),
            customer=drawn.choice([7, 8]),
            minute=drawn.randint(0, 60),
        )
    made = lines.made()
    expected = _by_the_rule(lines)
    assert {number: (row["cancelled_quantity"], row["matched_line_id"]) for number, row in made.items()} == {
        number: expected.get(number, (0, None)) for number in made
    }


def _by_the_rule(lines: Lines) -> dict[int, tuple[int, int]]:
    """The rule of `dbt_project/macros/cancellations.sql`, as a clerk would carry it out."""
    rows = lines.con.execute(
        "SELECT line_id, customer_no, upper(item_no), unit_price, quantity, invoiced_at FROM bronze.invoice_line ORDER BY invoiced_at, quantity < 0, line_id"
    ).fetchall()
    pairs: list[tuple[int, int, int]] = []
    free: dict[tuple[object, ...], list[int]] = defaultdict(list)
    done = set()
    for number, customer, item, price, quantity, _ in rows:
        stack = free[customer, item, price, abs(quantity)]
        if quantity > 0:
            stack.append(number)
        elif stack:
            sale = stack.pop()
            pairs.append((sale, number, -quantity))
            done |= {sale, number}
    queues: dict[tuple[object, ...], deque[list[int]]] = defaultdict(deque)
    for number, customer, item, price, quantity, _ in rows:
        queue = queues[customer, item, price]
        if number in done:
            continue
        if quantity > 0:
            queue.append([number, quantity])
        left = -quantity
        while left > 0 and queue:
            taken = min(left, queue[0][1])
            pairs.append((queue[0][0], number, taken))
            left -= taken
            queue[0][1] -= taken
            if queue[0][1] == 0:
                queue.popleft()
    found: dict[int, tuple[int, int]] = {}
    for sale, cancellation, pieces in pairs:
        for line, partner in ((sale, cancellation), (cancellation, sale)):
            before = found.get(line, (0, partner))
            found[line] = (before[0] + pieces, min(before[1], partner))
    return found
