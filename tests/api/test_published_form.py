"""What a run publishes has the form that the OpenAPI document promises: bodies made by the publisher's own SQL, read by the API's models."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pytest
from pydantic import BaseModel

from api.routes.models import Promotions, Recommendations, SimilarItems
from api.served.lists import stored
from plinth.serving.documents import ALIKE, BOUGHT_MOST, OFFERS, RECOMMENDED, Kind

TABLES = """
CREATE TABLE "gold/item_catalog" AS SELECT * FROM (VALUES ('10001', 'ITEM ONE'), ('10002', NULL)) t(item_code, description);
CREATE TABLE "serving/recommendations" AS SELECT * FROM (VALUES
  (1::BIGINT, 1, '10001', 0.5::DOUBLE, 'bought before'), (1, 2, '10002', 0.25, NULL), (2, 1, '10003', 0.1, 'popular'))
  t(customer_no, rank, item_code, score, reason);
CREATE TABLE "serving/similar_items" AS SELECT * FROM (VALUES ('10001', 1, '10002', 0.5::DOUBLE)) t(item_code, rank, similar_item_code, score);
CREATE TABLE "serving/popular_items" AS SELECT * FROM (VALUES ('', 1, '10001', 1.0::DOUBLE), ('France', 1, '10002', 0.5))
  t(country, rank, item_code, score);
CREATE TABLE "serving/promotion_plan" AS SELECT * FROM (VALUES
  (1::BIGINT, 7::BIGINT, 'Summer', 'percent', DATE '2026-08-01', DATE '2026-08-14', 1, 1.25::DOUBLE, true, DATE '2026-07-30'),
  (2, 8, NULL, NULL, NULL, NULL, 1, NULL, NULL, NULL))
  t(customer_no, promotion_id, promotion_name, promotion_type, starts_on, ends_on, place, expected_profit, is_proposal, planned_on);
"""


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    """The tables that are published, with the gaps that they may have."""
    with duckdb.connect() as connection:
        connection.execute(TABLES)
        yield connection


@pytest.mark.parametrize(
    ("kind", "model"), [(RECOMMENDED, Recommendations), (ALIKE, SimilarItems), (OFFERS, Promotions)]
)
def test_a_published_body_is_what_the_document_promises(
    con: duckdb.DuckDBPyConnection, kind: Kind, model: type[BaseModel]
) -> None:
    rows = con.execute(kind.sql).fetchall()
    assert rows
    for key, body in rows:
        read = model.model_validate_json(body)
        assert key in (getattr(read, "customer", None), getattr(read, "item", None))


@pytest.mark.parametrize("kind", [RECOMMENDED, ALIKE, BOUGHT_MOST])
def test_a_published_list_can_be_blended(con: duckdb.DuckDBPyConnection, kind: Kind) -> None:
    for _, body in con.execute(kind.sql).fetchall():
        rows = stored(body.encode())
        assert [row.score for row in rows] == sorted((row.score for row in rows), reverse=True)
        assert all(isinstance(row.reason, str) and row.item for row in rows)
