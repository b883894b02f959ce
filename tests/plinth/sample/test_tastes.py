"""There is something to learn for a recommender: hidden tastes show in what is bought, and favourites are bought again."""

from __future__ import annotations

import duckdb

from plinth.sample.truth import preference_truth, taste_truth


def test_customers_buy_from_their_own_categories_far_more_often_than_others_do(
    year: str, query: duckdb.DuckDBPyConnection
) -> None:
    query.register("tastes", taste_truth(year))
    own, others = query.execute(
        """WITH bought AS (SELECT l."CUSTNO", i."CATCD" FROM "INVLINE" l JOIN "ITEMMAS" i ON upper(l."ITEMNO") = i."ITEMNO"
                           WHERE l."CUSTNO" IS NOT NULL AND i."CATCD" <> 'SERV')
           SELECT avg((b."CATCD" = t."CATEGORY1")::INT), avg((b."CATCD" = s."CATEGORY1")::INT)
           FROM bought b JOIN tastes t USING ("CUSTNO") JOIN tastes s ON s."CUSTNO" = if(b."CUSTNO" = 12346, 12347, b."CUSTNO" - 1)"""
    ).fetchone() or (0, 0)
    assert own > 0.35
    assert others < 0.25


def test_items_are_bought_again_at_the_customers_own_rate(year: str, query: duckdb.DuckDBPyConnection) -> None:
    query.register("tastes", taste_truth(year))
    rows = query.execute(
        """WITH bought AS (SELECT DISTINCT "CUSTNO", "INVNO", upper("ITEMNO") AS item FROM "INVLINE"
                           WHERE "CUSTNO" IS NOT NULL AND "INVNO" NOT LIKE 'C%'),
                again AS (SELECT "CUSTNO", item, count(*) AS n FROM bought GROUP BY ALL),
                person AS (SELECT "CUSTNO", sum(n - 1) / sum(n) AS share FROM again GROUP BY 1 HAVING sum(n) > 100)
           SELECT avg(share) FILTER ("REPEATS" < .25), avg(share) FILTER ("REPEATS" > .5) FROM person JOIN tastes USING ("CUSTNO")"""
    ).fetchone()
    assert rows is not None
    assert rows[1] > rows[0] + 0.06


def test_the_true_preferences_rank_what_is_bought_next_far_above_chance(
    year: str, query: duckdb.DuckDBPyConnection
) -> None:
    people = [
        row[0]
        for row in query.execute(
            'SELECT "CUSTNO" FROM "INVLINE" WHERE "CUSTNO" IS NOT NULL GROUP BY 1 ORDER BY count(*) DESC LIMIT 40'
        ).fetchall()
    ]
    query.register("preferences", preference_truth(year, people))
    within, most = query.execute(
        """WITH ranked AS (SELECT *, percent_rank() OVER (PARTITION BY "CUSTNO" ORDER BY "CHANCE" DESC) AS place FROM preferences)
           SELECT avg((place < .05)::INT), max(total) FROM ranked JOIN "INVLINE" l ON l."CUSTNO" = ranked."CUSTNO" AND upper(l."ITEMNO") = ranked."ITEMNO",
                (SELECT sum("CHANCE") AS total FROM preferences GROUP BY "CUSTNO")"""
    ).fetchone() or (0, 0)
    assert within > 0.25
    assert 0.9 < most <= 1.0001


def test_few_items_make_up_much_of_the_trade(query: duckdb.DuckDBPyConnection) -> None:
    row = query.execute(
        """WITH sold AS (SELECT upper("ITEMNO") AS item, count(*) AS n FROM "INVLINE" GROUP BY 1),
                ranked AS (SELECT n, percent_rank() OVER (ORDER BY n DESC) AS place FROM sold)
           SELECT sum(n) FILTER (place <= .2) / sum(n) FROM ranked"""
    ).fetchone()
    assert row is not None
    assert 0.45 < row[0] < 0.9
