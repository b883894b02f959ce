"""Pairs of customer and promotion know nothing of their own outcome; a plan of a day asks nobody twice and nobody against his will."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import duckdb
import numpy as np
import pyarrow.compute as pc
import pytest

from plinth.promote import PlanTerms, UpliftSettings, plan_promotions, train_uplift
from plinth.promote.belief import DRAWS
from plinth.promote.candidates import find_candidates
from plinth.promote.offers import order_values, plannable_offers
from plinth.promote.spent import spent_so_far
from plinth.promote.trial import Shop, trial_rows
from plinth.promote.uplift import Candidate, Uplift
from tests.plinth.promote.worlds import DAY

CUSTOMERS, PROMOTIONS = 240, 6


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    """A shop with six trials that ended, every 21 days, and one promotion that runs."""
    rng = np.random.default_rng(1)
    starts = [DAY - timedelta(days=21 * k + 14) for k in range(PROMOTIONS)] + [DAY - timedelta(days=1)]
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute(_SCHEMA)
        connection.executemany(
            "INSERT INTO promotions VALUES (?, 'offer', ?, ?, NULL, ?, ?, 900, NULL)",
            [
                (
                    n,
                    ("percent_off", "free_shipping")[n % 2],
                    10.0 if n % 2 == 0 else None,
                    start,
                    start + timedelta(days=9),
                )
                for n, start in enumerate(starts)
            ],
        )
        people = [(c, 1950 + c % 50, c % 5 != 0, c % 7 != 0, c % 3 != 0, c % 2 == 0) for c in range(CUSTOMERS)]
        _insert(connection, "customers", people, "?, ?, ?, ?, ?, ?")
        contacts, orders = [], []
        for number, start in enumerate(starts):
            for customer in np.flatnonzero(rng.random(CUSTOMERS) < 0.5).tolist():
                treated = rng.random() < 0.75
                contacts.append(
                    (customer, number, start - timedelta(days=1), "email", "treatment" if treated else "control")
                )
                if rng.random() < (0.5 if treated else 0.25):
                    orders.append(
                        (
                            customer,
                            f"{number}/{customer}",
                            datetime.combine(start + timedelta(days=3), datetime.min.time()),
                            40.0,
                        )
                    )
        _insert(connection, "contacts", contacts, "?, ?, ?, ?, ?, false, NULL, NULL")
        _insert(connection, "orders", orders, "?, ?, ?, 3, 2, 6, ?, NULL, NULL")
        connection.execute("UPDATE orders SET known = time; UPDATE contacts SET known_at = contacted_on")
        yield connection


_SCHEMA = """
CREATE TABLE promotions (promotion_id INTEGER, promotion_name VARCHAR, promotion_type VARCHAR, discount_percent DECIMAL(5, 2),
    discount_amount DECIMAL(5, 2), starts_on DATE, ends_on DATE, budget DECIMAL(12, 2), minimum_value DECIMAL(10, 2));
CREATE TABLE customers (customer_no INTEGER, birth_year INTEGER, has_marketing_consent BOOLEAN, is_active BOOLEAN, has_email BOOLEAN, has_phone BOOLEAN);
CREATE TABLE contacts (customer_no INTEGER, promotion_id INTEGER, contacted_on DATE, channel VARCHAR, trial_group VARCHAR, is_redeemed BOOLEAN,
    redeemed_on DATE, known_at TIMESTAMP);
CREATE TABLE orders (customer BIGINT, basket VARCHAR, time TIMESTAMP, lines INTEGER, items INTEGER, units INTEGER, value DOUBLE,
    known TIMESTAMP, superseded TIMESTAMP);
"""


def _insert(con: duckdb.DuckDBPyConnection, table: str, rows: list[tuple[object, ...]], values: str) -> None:
    """All rows in one statement: a statement for each row takes seconds."""
    places = ", ".join(f"({values})" for _ in rows)
    con.execute(f"INSERT INTO {table} VALUES {places}", [value for row in rows for value in row])


def test_the_outcome_counts_the_days_of_the_promotion_and_both_arms_alike(con: duckdb.DuckDBPyConnection) -> None:
    rows = trial_rows(con, Shop(), ended_before=DAY)
    assert set(rows["promotion_id"].to_pylist()) == set(range(PROMOTIONS)), (
        "the promotion that still runs has no outcome yet"
    )
    counted = dict(
        con.execute(
            "SELECT (k.customer_no, k.promotion_id)::VARCHAR, count(o.time) FROM contacts k JOIN promotions p USING (promotion_id) "
            "LEFT JOIN orders o ON o.customer = k.customer_no AND o.time::DATE >= p.starts_on AND o.time::DATE <= p.ends_on WHERE p.ends_on < ? GROUP BY 1",
            [DAY],
        ).fetchall()
    )
    assert rows.num_rows == len(counted)
    for row in rows.to_pylist():
        assert row["bought"] == (counted[f"({row['customer_no']}, {row['promotion_id']})"] > 0)


def test_no_feature_knows_what_came_after_the_contact(con: duckdb.DuckDBPyConnection) -> None:
    outcome = {"bought", "orders_within", "value_within", "redeemed"}
    before = trial_rows(con, Shop(), ended_before=DAY)
    last = before.filter(pc.equal(before["promotion_id"], 0))
    con.execute(
        "INSERT INTO orders SELECT customer, basket || 'x', $1, 3, 2, 6, 5000, $1, NULL FROM orders",
        [datetime.combine(DAY - timedelta(days=14), datetime.min.time())],
    )
    con.execute(
        "UPDATE contacts SET is_redeemed = true, redeemed_on = ? WHERE promotion_id = 0", [DAY - timedelta(days=10)]
    )
    after = trial_rows(con, Shop(), ended_before=DAY)
    after = after.filter(pc.equal(after["promotion_id"], 0))
    features = [name for name in last.column_names if name not in outcome]
    assert after.select(features).equals(last.select(features))
    assert sum(after["bought"].to_pylist()) > sum(last["bought"].to_pylist())


def test_no_feature_knows_what_was_booked_after_the_contact(con: duckdb.DuckDBPyConnection) -> None:
    con.execute(
        "UPDATE contacts SET is_redeemed = true, redeemed_on = contacted_on + 4, known_at = contacted_on + 5 WHERE promotion_id = 1"
    )
    known = trial_rows(con, Shop(), ended_before=DAY)
    # The orders and the redemptions of promotion 1 are booked when the contacts of promotion 0, three weeks later, have been made.
    late = datetime.combine(DAY - timedelta(days=14), datetime.min.time())
    con.execute("UPDATE orders SET known = ? WHERE starts_with(basket, '1/')", [late])
    con.execute("UPDATE contacts SET known_at = ? WHERE promotion_id = 1", [late])
    booked = trial_rows(con, Shop(), ended_before=DAY)
    assert booked["bought"].equals(known["bought"]), "an outcome takes all that is known today"
    rows = {
        name: each.filter(pc.equal(each["promotion_id"], 0)).to_pylist()
        for name, each in (("known", known), ("booked", booked))
    }
    bought = {
        row["customer_no"] for row in known.filter(pc.equal(known["promotion_id"], 1)).to_pylist() if row["bought"]
    }
    assert bought & {row["customer_no"] for row in rows["known"]}
    for before, after in zip(rows["known"], rows["booked"], strict=True):
        assert after["orders"] == before["orders"] - (before["customer_no"] in bought)
        assert after["redeemed_before"] == 0
    answered = [sum(row["bought_when_treated"] or 0 for row in each) for each in rows.values()]
    assert answered[1] < answered[0]
    assert sum(row["redeemed_before"] for row in rows["known"]) > 0


def test_earlier_answers_are_features_of_later_promotions(con: duckdb.DuckDBPyConnection) -> None:
    rows = {
        (row["customer_no"], row["promotion_id"]): row for row in trial_rows(con, Shop(), ended_before=DAY).to_pylist()
    }
    for (customer, promotion), row in rows.items():
        # A higher number is an earlier promotion here.
        past = [rows[customer, n] for n in range(promotion + 1, PROMOTIONS) if (customer, n) in rows]
        treated = [each["bought"] for each in past if each["treated"]]
        assert row["treated_before"] == len(treated)
        assert row["bought_when_treated"] == (pytest.approx(sum(treated) / len(treated)) if treated else None)


def test_a_plan_of_a_day_contacts_only_whom_it_may_and_can(con: duckdb.DuckDBPyConnection) -> None:
    trained = trial_rows(con, Shop(), ended_before=DAY)
    model = train_uplift(
        trained, seed=1, threads=1, settings=UpliftSettings(candidates=(Candidate("hazard", 1.0),), folds=2, members=3)
    )
    offers = plannable_offers(con, "promotions", on=DAY)
    assert offers["promotion_id"].to_pylist() == [PROMOTIONS]
    found = find_candidates(con, Shop(), model, offers, PlanTerms(), on=DAY)
    people = {
        row[0]: row[1:]
        for row in con.execute(
            "SELECT customer_no, has_marketing_consent, is_active, has_email, has_phone FROM customers"
        ).fetchall()
    }
    running = {
        row[0]
        for row in con.execute("SELECT customer_no FROM contacts WHERE promotion_id = ?", [PROMOTIONS]).fetchall()
    }
    expected = {number for number, (consents, active, _, _) in people.items() if consents and active} - running
    assert set(found.table["customer_no"].to_pylist()) == expected
    assert found.table.num_rows == len(expected) and found.draws.uplift.shape == found.draws.redemption.shape == (
        DRAWS,
        len(expected),
    )
    for row in found.table.to_pylist():
        _, _, email, phone = people[row["customer_no"]]
        assert (row["channel"] != "email" or email) and (row["channel"] != "sms" or phone)
    customers = con.execute("SELECT customer_no, has_marketing_consent, is_active FROM customers").to_arrow_table()
    contacts = con.execute(
        "SELECT customer_no, contacted_on FROM contacts WHERE trial_group = 'treatment'"
    ).to_arrow_table()
    plan = plan_promotions(found.table, offers, customers, on=DAY, contacts=contacts, draws=found.draws)
    assert plan.table.num_rows > 0
    assert set(plan.table["customer_no"].to_pylist()) <= expected
    lately = {
        row[0]
        for row in con.execute(
            "SELECT customer_no FROM contacts WHERE trial_group = 'treatment' AND contacted_on > ?",
            [DAY - timedelta(days=21)],
        ).fetchall()
    }
    assert not lately & set(plan.table["customer_no"].to_pylist())


def test_a_plan_of_a_day_knows_no_later_order(con: duckdb.DuckDBPyConnection) -> None:
    trained = trial_rows(con, Shop(), ended_before=DAY)
    model = train_uplift(
        trained, seed=1, threads=1, settings=UpliftSettings(candidates=(Candidate("hazard", 1.0),), folds=2, members=3)
    )
    offers = plannable_offers(con, "promotions", on=DAY)
    before = find_candidates(con, Shop(), model, offers, PlanTerms(), on=DAY).table
    con.execute(
        "INSERT INTO orders SELECT customer, basket || 'x', $1, 3, 2, 6, 5000, $1, NULL FROM orders",
        [datetime.combine(DAY, datetime.min.time())],
    )
    assert find_candidates(con, Shop(), model, offers, PlanTerms(), on=DAY).table.equals(before)


def _learnt(con: duckdb.DuckDBPyConnection) -> Uplift:
    settings = UpliftSettings(candidates=(Candidate("hazard", 1.0),), folds=2, members=3)
    return train_uplift(trial_rows(con, Shop(), ended_before=DAY), seed=1, threads=1, settings=settings)


def test_a_running_promotion_has_cost_its_contacts_what_was_redeemed_and_what_may_still_be(
    con: duckdb.DuckDBPyConnection,
) -> None:
    con.execute(
        "UPDATE contacts SET is_redeemed = true, redeemed_on = contacted_on + 4 WHERE trial_group = 'treatment' AND promotion_id <> ?",
        [PROMOTIONS],
    )
    model, offers, terms = _learnt(con), plannable_offers(con, "promotions", on=DAY), PlanTerms()
    treated = [
        row[0]
        for row in con.execute(
            "SELECT customer_no FROM contacts WHERE promotion_id = ? AND trial_group = 'treatment'", [PROMOTIONS]
        ).fetchall()
    ]
    contacts = len(treated) * terms.contact_cost["email"]
    now = spent_so_far(con, Shop(), model, offers, terms, on=DAY)
    assert set(now) == {PROMOTIONS}, "what has ended is over, whatever it cost"
    assert (now[PROMOTIONS].contacts, now[PROMOTIONS].redemptions) == (len(treated), 0)
    last = spent_so_far(con, Shop(), model, offers, terms, on=DAY + timedelta(days=8))
    assert contacts < last[PROMOTIONS].cost < now[PROMOTIONS].cost, "few days are left to redeem in"
    con.execute("UPDATE contacts SET is_redeemed = true WHERE promotion_id = ?", [PROMOTIONS])
    values = order_values(con, "orders", at=DAY)
    worth = dict(zip(values["customer_no"].to_pylist(), values["order_value"].to_pylist(), strict=True))
    typical = np.median(list(worth.values()))
    redeemed = spent_so_far(con, Shop(), model, offers, terms, on=DAY)
    assert redeemed[PROMOTIONS].redemptions == len(treated)
    expected = contacts + sum(0.1 * worth.get(customer, typical) for customer in treated)
    assert redeemed[PROMOTIONS].cost == pytest.approx(expected)


def test_a_repeat_that_nobody_announced_has_its_budget_whole(con: duckdb.DuckDBPyConnection) -> None:
    day = DAY + timedelta(days=30)
    offers = plannable_offers(con, "promotions", on=day)
    assert all(offers["is_proposal"].to_pylist()) and PROMOTIONS in offers["promotion_id"].to_pylist()
    assert spent_so_far(con, Shop(), _learnt(con), offers, PlanTerms(), on=day) == {}
