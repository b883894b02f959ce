"""What `promotion_results` makes of a few customers: its SQL as it is compiled."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from plinth.transform.project import prepare

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.slow

TABLES = """
CREATE SCHEMA silver; CREATE SCHEMA gold;
CREATE TABLE silver.promotions (promotion_id INTEGER, promotion_name VARCHAR, promotion_type VARCHAR, starts_on DATE, ends_on DATE,
    budget DECIMAL(12, 2));
CREATE TABLE silver.campaign_contacts (promotion_id INTEGER, customer_no INTEGER, trial_group VARCHAR, is_redeemed BOOLEAN);
CREATE TABLE gold.customer_orders (customer_no INTEGER, order_no VARCHAR, ordered_at TIMESTAMP, net_value DECIMAL(18, 4));
INSERT INTO silver.promotions VALUES (1, 'Spring', 'percent_off', '2024-03-01', '2024-03-31', 100);
INSERT INTO silver.campaign_contacts VALUES (1, 1, 'treatment', true), (1, 2, 'treatment', false), (1, 3, 'control', false);
"""


@pytest.mark.parametrize("large", [Decimal("250.5"), Decimal("96038.4"), Decimal("80999999999.9999")])
def test_however_much_a_customer_orders_its_mean_and_interval_come_out(large: Decimal) -> None:
    with duckdb.connect(":memory:") as con:
        con.execute(TABLES)
        con.execute(
            "INSERT INTO gold.customer_orders VALUES (1, 'A', '2024-03-05', ?), (3, 'B', '2024-03-06', 10)", [large]
        )
        compiled = (
            prepare(ROOT / "dbt_project").parsed / "compiled" / "plinth" / "models" / "gold" / "promotion_results.sql"
        )
        row = con.execute(
            f"SELECT treated, treated_buyers, value_uplift, value_uplift_high FROM ({compiled.read_text()})"
        ).fetchone()
    assert row is not None and row[:2] == (2, 1)
    mean = float(large) / 2
    assert row[2] == pytest.approx(mean - 10)
    # Two values, one of them 0: their standard deviation is mean * sqrt(2), the mean's error is the mean itself.
    assert row[3] is None or row[3] == pytest.approx(mean - 10 + 1.96 * mean, rel=1e-6)
