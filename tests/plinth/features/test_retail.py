"""The retailer's own views on Online Retail II: offline is online to the last digit, and known figures are met."""

from __future__ import annotations

import json
from collections import Counter
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from plinth.engine import connect, literal
from plinth.features import FeatureViews, events_of, load_views, snapshot, training_set, values_of
from plinth.features.query import Part, sql_of
from plinth.features.rows import Inputs, session
from plinth.features.skew import measure_skew
from plinth.features.store import materialise, refresh
from plinth.lakehouse.door import Write, commit
from plinth.lakehouse.schema import columns_of
from plinth.lakehouse.staging import stage
from plinth.lakehouse.state import State
from plinth.lakehouse.tables import Lakehouse, TableId
from plinth.serving.feature_documents import feature_documents
from plinth.serving.features import OnlineFeatures
from tests.plinth.features.shop import ROOT, make_shop

pytestmark = pytest.mark.slow
AT = datetime(2011, 11, 11)
MONDAYS = [date(2011, 12, 5)]

# The lines of the published protocol, as silver has them; and the cancellations beside them.
_LINES = """
WITH booked AS (
    SELECT *, upper(trim(StockCode)) AS code, Invoice LIKE 'C%' AS cancelled FROM read_parquet({file}) AS l
    WHERE NOT (SourceSheet LIKE '%2010-2011%' AND Invoice IN (SELECT Invoice FROM read_parquet({file}) WHERE SourceSheet NOT LIKE '%2010-2011%'))
)
SELECT row_number() OVER () AS line_id, Invoice AS invoice_no, code AS item_code, 'goods' AS item_kind,
    CASE WHEN cancelled THEN 'cancellation' ELSE 'sale' END AS line_type, Quantity::INTEGER AS quantity, Price::DECIMAL(12, 4) AS unit_price,
    (Quantity * Price::DECIMAL(12, 4))::DECIMAL(18, 4) AS line_value, InvoiceDate::TIMESTAMP AS invoiced_at, InvoiceDate::TIMESTAMP AS known_at, "Customer ID"::INTEGER AS customer_no
FROM booked WHERE "Customer ID" IS NOT NULL AND Price > 0 AND regexp_matches(code, '^[0-9]{{5}}') AND (Quantity > 0) <> cancelled
"""
_CONTACTS = """
SELECT DISTINCT 1 + i % 20 AS promotion_id, customer_no, DATE '2010-01-10' + (35 * (i % 20))::INTEGER AS contacted_on,
    CASE WHEN hash(customer_no, i) % 5 = 0 THEN 'control' ELSE 'treatment' END AS trial_group, hash(customer_no, i) % 7 = 1 AS is_redeemed,
    CASE WHEN hash(customer_no, i) % 7 = 1 THEN DATE '2010-01-15' + (35 * (i % 20))::INTEGER END AS redeemed_on,
    DATE '2010-01-15' + (35 * (i % 20))::INTEGER AS known_at
FROM (SELECT DISTINCT customer_no FROM lines), range(20) t(i) WHERE hash(i, customer_no) % 2 = 0
"""


@pytest.fixture(scope="module")
def retail(tmp_path_factory: pytest.TempPathFactory, plinth_data: Path) -> Lakehouse:
    """The real lines in silver, and made-up contacts, as the data have none."""
    lakehouse = make_shop(tmp_path_factory.mktemp("retail")).lakehouse
    con = connect(lakehouse.platform.profile())
    con.execute(f"CREATE TABLE lines AS {_LINES.format(file=literal(str(plinth_data / 'online_retail_ii.parquet')))}")
    for name, sql in (("invoice_lines", "SELECT * FROM lines"), ("campaign_contacts", _CONTACTS)):
        table, columns = TableId("silver", name), columns_of(con, sql)
        files = stage(con, sql, lakehouse.uri_of(table), columns)
        commit(lakehouse, table, Write(None, columns, State(data_version=1), files))
    con.close()
    return lakehouse


@pytest.fixture(scope="module")
def views() -> FeatureViews:
    return load_views(ROOT / "feature_views.yaml")


def test_the_figures_of_the_published_protocol_are_met(retail: Lakehouse, views: FeatureViews) -> None:
    found = snapshot(retail, views.view("customer"), AT)
    buyers = found.filter(pc.greater(found["orders"], 0))
    assert buyers.num_rows == 5711
    assert pc.sum(pc.equal(buyers["orders"], 1)).as_py() > 1000
    assert pc.min(buyers["days_since_order"]).as_py() > 0


def test_every_view_gives_one_entity_online_what_the_snapshot_of_all_holds(
    retail: Lakehouse, views: FeatureViews
) -> None:
    for view in views.views.values():
        whole = snapshot(retail, view, AT)
        assert whole.num_rows > 4000
        some = whole.take(pa.array(range(7, whole.num_rows, whole.num_rows // 6)))
        for row in some.to_pylist():
            entity = {key: row[key] for key in view.keys}
            online = values_of(view, events_of(retail, view, AT, entity), AT, entity)
            assert online == {name: row[name] for name in view.features}, (view.name, entity)


def test_all_entities_of_one_customer_are_those_of_the_whole(retail: Lakehouse, views: FeatureViews) -> None:
    view = views.view("customer_item")
    whole = snapshot(retail, view, AT)
    mine = snapshot(retail, view, AT, entity={"customer_no": 14911})
    assert mine.num_rows > 500
    assert mine.equals(whole.filter(pc.equal(whole["customer_no"], 14911)))


def test_snapshots_are_the_instants_and_hold_no_skew_within_the_profiles_memory(
    retail: Lakehouse, views: FeatureViews
) -> None:
    for name, view in views.views.items():
        done = materialise(retail, views, name, MONDAYS)
        assert [snapshot.changed for snapshot in done.snapshots] == [True]
        skew = measure_skew(retail, view, entities=3)
        assert (skew.entities, skew.differences) == (3, ())
    at = datetime.combine(MONDAYS[-1], datetime.min.time())
    for name, view in views.views.items():
        whole = snapshot(retail, view, at)
        asked = whole.select(view.keys).append_column(
            "at", pa.array([at + timedelta(days=2)] * whole.num_rows, pa.timestamp("us"))
        )
        joined = training_set(retail, views, asked, [name])
        for feature in view.features:
            assert joined[f"{name}__{feature}"].equals(whole[feature]), (name, feature)


def test_whoever_bought_first_since_the_last_monday_is_served_too_and_every_form_says_what_its_view_says(
    retail: Lakehouse, views: FeatureViews
) -> None:
    features = OnlineFeatures(
        {name: Inputs.open(retail, views.view(name)) for name in ("customer", "item", "customer_item")}
    )
    served: dict[str, dict[str, dict[str, Any]]] = {}
    with session(retail) as con:
        for document in feature_documents(con, retail, features):
            served.setdefault(document.kind, {})[document.key] = json.loads(document.body)
    moment = "2011-12-09T12:50:01"
    assert {document["as_of"] for found in served.values() for document in found.values()} == {moment}
    held = {
        name: snapshot(retail, views.view(name), datetime.fromisoformat(moment)).to_pylist() for name in features.views
    }
    for name, kind, key in (("customer", "features", "customer_no"), ("item", "item_features", "item_code")):
        assert served[kind].keys() == {str(row[key]) for row in held[name]}
        for row in held[name]:
            values = {feature: row[feature] for feature in views.view(name).features}
            assert served[kind][str(row[key])]["features"][name] == values
    pairs = {(row["customer_no"], row["item_code"]): row for row in held["customer_item"]}
    said = 0
    for customer, document in served["customer_items"].items():
        rows = document["features"]["customer_item"]
        said += len(rows)
        for row in rows:
            whole = pairs[int(customer), row["item"]]
            assert row["values"] == {feature: whole[feature] for feature in views.view("customer_item").features}
    counts = Counter(customer for customer, _ in pairs)
    assert said == sum(min(number, 20) for number in counts.values()) and len(pairs) > 5 * said / 2
    monday = snapshot(retail, views.view("customer"), datetime(2011, 12, 5)).to_pylist()
    new = {row["customer_no"] for row in held["customer"] if row["orders"]} - {
        row["customer_no"] for row in monday if row["orders"]
    }
    assert len(new) > 10 and {str(customer) for customer in new} <= served["customer_items"].keys()


def test_a_refresh_after_the_last_day_ends_with_the_last_monday_that_the_data_reach(
    retail: Lakehouse, views: FeatureViews
) -> None:
    short = views.model_copy(
        update={"views": {"customer": views.view("customer").model_copy(update={"refresh_weeks": 2})}}
    )
    done = refresh(retail, short, "customer")
    assert done.there[-1] == date(2011, 12, 5)


def test_a_view_in_parts_of_its_customers_is_the_whole_to_the_last_digit(
    retail: Lakehouse, views: FeatureViews
) -> None:
    for name in ("customer", "customer_item"):
        view = views.view(name)
        rows, whole = Inputs.open(retail, view).rows(), snapshot(retail, view, AT)
        shown = ", ".join(whole.column_names)
        with session(retail) as con:
            found = pa.concat_tables(
                con.execute(
                    f"SELECT {shown} FROM ({sql_of(view, rows, AT, part=Part('customer_no', 'INTEGER', place, 3))})"
                ).to_arrow_table()
                for place in range(3)
            )
        assert found.sort_by([(key, "ascending") for key in view.keys]).equals(whole.combine_chunks()), name
