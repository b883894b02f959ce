"""The campaigns: a hold-out that is a fair lot, and an effect that is the documented one."""

from __future__ import annotations

from math import sqrt

import duckdb
import pytest

from plinth.sample.truth import uplift_truth

SIGMAS = 4.0  # one false alarm in 16,000; the seed is fixed, so it is one in all or none

# Promotions that are over, with their late bookings; who bought in their days, by the invoice lines alone.
OUTCOMES = """
CREATE OR REPLACE TABLE outcome AS
SELECT t.*, k."RDMFLG" = 'Y' AS redeemed, EXISTS (
           SELECT 1 FROM "INVLINE" l WHERE l."CUSTNO" = t."CUSTNO" AND l."INVNO" NOT LIKE 'C%'
               AND l."INVTS"::DATE BETWEEN p."STARTDT" AND p."ENDDT") AS bought
FROM truth t JOIN "CAMPCON" k USING ("PROMOID", "CUSTNO") JOIN "PROMOS" p USING ("PROMOID")
WHERE p."ENDDT" + 9 <= (SELECT "KEYVAL" FROM "SYSINFO" WHERE "KEYNM" = 'LASTDAY')::DATE
"""


@pytest.fixture(scope="module")
def outcomes(year: str, query: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    query.register("truth", uplift_truth(year))
    query.execute(OUTCOMES)
    return query


def numbers(con: duckdb.DuckDBPyConnection, sql: str) -> tuple[float, ...]:
    row = con.execute(sql).fetchone()
    assert row is not None
    return tuple(float(value) for value in row)


def test_one_in_five_is_held_out_and_none_of_them_redeems(outcomes: duckdb.DuckDBPyConnection) -> None:
    share, count, redeemed = numbers(
        outcomes,
        """SELECT avg(("GRPCD" = 'C')::INT), count(*), sum(("GRPCD" = 'C' AND "RDMFLG" = 'Y')::INT) FROM "CAMPCON" """,
    )
    assert abs(share - 0.2) < SIGMAS * sqrt(0.2 * 0.8 / count)
    assert redeemed == 0


@pytest.mark.parametrize(
    "trait", ['"RATE"', '"WHOLESALE"::INT', '"BASKET"', "\"LEAVES\" - DATE '2000-01-01'", '("CLUSTER" = 3)::INT']
)
def test_the_hold_out_is_balanced_in_every_hidden_trait(
    outcomes: duckdb.DuckDBPyConnection, year: str, trait: str
) -> None:
    from plinth.sample.truth import taste_truth

    outcomes.register("taste", taste_truth(year))
    difference, error = numbers(
        outcomes,
        f"""SELECT avg(x) FILTER (g = 'T') - avg(x) FILTER (g = 'C'),
                   sqrt(var_samp(x) FILTER (g = 'T') / count(*) FILTER (g = 'T') + var_samp(x) FILTER (g = 'C') / count(*) FILTER (g = 'C'))
            FROM (SELECT k."GRPCD" AS g, ({trait})::DOUBLE AS x FROM "CAMPCON" k JOIN taste USING ("CUSTNO"))""",
    )
    assert abs(difference) < SIGMAS * error


@pytest.mark.parametrize(
    ("group", "happened", "chance"),
    [("T", "bought", "PURCHASE_TREATED"), ("C", "bought", "PURCHASE_UNTREATED"), ("T", "redeemed", "REDEMPTION")],
)
def test_what_happened_is_within_the_error_of_the_documented_chance(
    outcomes: duckdb.DuckDBPyConnection, group: str, happened: str, chance: str
) -> None:
    excess, variance, count = numbers(
        outcomes,
        f"""SELECT sum({happened}::INT - "{chance}"), sum("{chance}" * (1 - "{chance}")), count(*) FROM outcome WHERE "GRPCD" = '{group}'""",
    )
    assert count > 1000
    assert abs(excess) < SIGMAS * sqrt(variance)


def test_the_observed_uplift_matches_the_true_one_and_is_not_nothing(outcomes: duckdb.DuckDBPyConnection) -> None:
    observed, error, truth = numbers(
        outcomes,
        """SELECT avg(bought::INT) FILTER ("GRPCD" = 'T') - avg(bought::INT) FILTER ("GRPCD" = 'C'),
                  sqrt(var_samp(bought::INT) FILTER ("GRPCD" = 'T') / count(*) FILTER ("GRPCD" = 'T')
                       + var_samp(bought::INT) FILTER ("GRPCD" = 'C') / count(*) FILTER ("GRPCD" = 'C')), avg("UPLIFT") FROM outcome""",
    )
    assert abs(observed - truth) < SIGMAS * error
    assert observed > 2.5 * error
    assert truth > 0.03


def test_the_uplift_differs_from_customer_to_customer_and_is_negative_for_some(
    outcomes: duckdb.DuckDBPyConnection,
) -> None:
    low, high, negative = numbers(
        outcomes,
        """SELECT quantile_cont("UPLIFT", .1), quantile_cont("UPLIFT", .9), avg(("UPLIFT" < -.01)::INT) FROM outcome""",
    )
    assert high - low > 0.08
    assert 0.01 < negative < 0.12
    gap, error = numbers(
        outcomes,
        """WITH halves AS (SELECT *, "UPLIFT" > (SELECT median("UPLIFT") FROM outcome) AS upper_half FROM outcome), arms AS (
               SELECT upper_half, "GRPCD" AS g, avg(bought::INT) AS m, var_samp(bought::INT) / count(*) AS v FROM halves GROUP BY ALL)
           SELECT sum(m * if(g = 'T', 1, -1) * if(upper_half, 1, -1)), sqrt(sum(v)) FROM arms""",
    )
    assert gap > 2.5 * error
