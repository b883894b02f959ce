"""A declaration is taken as it is meant or refused with the place, what is allowed and what was probably meant."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from plinth.features import FeatureViewError, load_views
from plinth.features.guard import check_sql
from plinth.features.store import refresh
from tests.plinth.features.shop import ROOT, FeatureShop, declaration


def refusal(shop: FeatureShop, change: Callable[[dict[str, Any]], object]) -> str:
    """What the loader says of the declaration after a change to the view `buyer`."""
    values = declaration()
    change(values["views"]["buyer"])
    shop.declare(values)
    with pytest.raises(FeatureViewError) as caught:
        load_views(shop.folder / "feature_views.yaml")
    return str(caught.value)


def pairs(view: dict[str, Any], **online: object) -> None:
    """Makes the view one of pairs, served within a bound."""
    view["entity"]["item"] = {"type": "string", "description": "Item."}
    view["online"] = online


def test_the_retailers_own_views_are_valid_and_read_only_their_sources() -> None:
    views = load_views(ROOT / "feature_views.yaml")
    assert set(views.views) == {"customer", "item", "customer_item", "buyer"}
    for view in views.views.values():
        check_sql(view)


def test_an_unknown_key_is_named_with_the_allowed_ones_and_the_probable_one(shop: FeatureShop) -> None:
    said = refusal(shop, lambda view: view["sources"]["sales"].update(event_tine="at"))
    assert "views.buyer.sources.sales.event_tine: unknown key" in said
    assert "known_time" in said and "did you mean 'event_time'?" in said
    assert "feature_views.yaml" in said


@pytest.mark.parametrize(
    ("change", "place", "hint"),
    [
        (
            lambda view: view["features"]["spent"].update({"from": "sale"}),
            "features.spent.from",
            "did you mean 'sales'?",
        ),
        (lambda view: view["features"]["recent"].update(window="a week"), "features.recent.window", "30d"),
        (lambda view: view["sources"]["sales"].update(scope=["whom"]), "sources.sales.scope", "who"),
        (lambda view: view["sources"]["sales"].update(table="sales"), "sources.sales.table", "silver/invoice_lines"),
        (lambda view: view.update(owner="me"), "owner", "team:"),
        (
            lambda view: view.update(entity={"as_of": {"type": "long", "description": "x"}}),
            "entity.as_of",
            "platform's own",
        ),
        (lambda view: view["features"].update({"Total": view["features"]["spent"]}), "features.Total", "lower-case"),
        (lambda view: view["features"].update({"who": view["features"]["spent"]}), "features.who", "entity column"),
        (lambda view: view["features"]["spent"].update(type="decimal"), "features.spent.type", "'double'"),
        (lambda view: view["features"]["spent"].pop("description"), "features.spent.description", "required"),
        (lambda view: view.update(queries={"sales": "SELECT 1"}), "queries.sales", "already"),
        (lambda view: view.update(refresh_weeks=0), "refresh_weeks", "1"),
        (lambda view: view.update(online={"most": 5, "order": "spent"}), "online", "has one row"),
        (lambda view: pairs(view, most=5, order="spend"), "online.order", "did you mean 'spent'?"),
        (lambda view: pairs(view, most=0, order="spent"), "most", "greater than or equal to 1"),
        (lambda view: pairs(view, most=5, by="spent"), "by", "order"),
        (lambda view: view["sources"]["sales"].update(ahead=True), "sources", "how far the data reach"),
    ],
)
def test_a_wrong_value_is_refused_at_its_place_with_what_would_be_right(
    shop: FeatureShop, change: Callable[[dict[str, Any]], object], place: str, hint: str
) -> None:
    said = refusal(shop, change)
    assert f"{place}" in said
    assert hint in said


def test_a_key_that_stands_twice_is_refused_with_both_lines(tmp_path: Path) -> None:
    file = tmp_path / "feature_views.yaml"
    file.write_text("since: 2024-01-01\nviews: {}\nviews: {}\n")
    with pytest.raises(FeatureViewError, match=r"line 3: the key 'views' stands in line 2 already"):
        load_views(file)


def test_snapshots_begin_on_a_monday(tmp_path: Path) -> None:
    file = tmp_path / "feature_views.yaml"
    file.write_text("since: 2024-01-02\nviews: {}\n")
    with pytest.raises(FeatureViewError, match="a Monday is expected, found 2024-01-02"):
        load_views(file)


def test_a_view_that_does_not_exist_is_answered_with_those_that_do(shop: FeatureShop) -> None:
    with pytest.raises(FeatureViewError, match="did you mean 'buyer'"):
        shop.views.view("buyers")


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("SELECT * FROM silver.sales", "none of its sources"),
        ("SELECT * FROM read_parquet('x.parquet')", "none of its sources"),
        ("SELECT * FROM 'x.parquet'", "none of its sources"),
        ("SELECT * FROM sales WHERE who IN (SELECT who FROM later)", "none of its sources"),
        ("SELECT *, now() AS n FROM sales", "does not follow from the rows"),
        ("SELECT *, current_date AS n FROM sales", "does not follow from the rows"),
        ("SELECT *, random() AS n FROM sales", "does not follow from the rows"),
        ("SELECT *, today() AS n FROM sales", "does not follow from the rows"),
        ("SELECT *, getvariable('x') AS n FROM sales", "does not follow from the rows"),
        ("SELECT who, first(item) AS n FROM sales GROUP BY who", "depends on the order of the rows"),
        ("SELECT who, any_value(item) AS n FROM sales GROUP BY who", "depends on the order of the rows"),
        ("SELECT who, string_agg(item, ',') AS n FROM sales GROUP BY who", "depends on the order of the rows"),
        ("SELECT who, list(item) AS n FROM sales GROUP BY who", "depends on the order of the rows"),
        ("SELECT who, max_by(item, event_time) AS n FROM sales GROUP BY who", "depends on the order of the rows"),
        ("SELECT * FROM sales LIMIT 3", "by no rule"),
        ("SELECT * FROM sales USING SAMPLE 10%", "by no rule"),
        ("SELECT 1; SELECT 2", "no single query"),
        ("DROP TABLE sales", "no single query"),
        ("SELECT FROM WHERE", "cannot be parsed|no single query"),
    ],
)
def test_sql_that_could_see_past_the_instant_is_refused(shop: FeatureShop, query: str, said: str) -> None:
    values = declaration()
    values["views"]["buyer"]["queries"] = {"derived": query}
    shop.declare(values)
    with pytest.raises(FeatureViewError, match=said):
        check_sql(shop.views.view("buyer"))


def test_what_follows_from_the_rows_whatever_their_order_is_taken(shop: FeatureShop) -> None:
    values = declaration()
    values["views"]["buyer"]["queries"] = {
        "named": "SELECT who, string_agg(item, ',' ORDER BY item) AS items FROM sales GROUP BY who",
        "newest": "SELECT * FROM sales ORDER BY event_time, item LIMIT 3",
    }
    shop.declare(values)
    check_sql(shop.views.view("buyer"))
    for view in load_views(ROOT / "feature_views.yaml").views.values():
        check_sql(view)


@pytest.mark.parametrize("part", ["event_time", "known_time"])
@pytest.mark.parametrize("time", ["TIMESTAMP '2000-01-01'", "'2000-01-01'", "CAST('2000-01-01' AS DATE) + 1"])
def test_a_time_that_is_the_same_for_every_row_is_refused(shop: FeatureShop, part: str, time: str) -> None:
    values = declaration()
    values["views"]["buyer"]["sources"]["sales"][part] = time
    shop.declare(values)
    with pytest.raises(FeatureViewError, match="does not come from its rows") as caught:
        check_sql(shop.views.view("buyer"))
    assert f"sources.sales.{part}" in str(caught.value)


def test_the_fingerprint_follows_what_changes_values_and_nothing_else(shop: FeatureShop) -> None:
    first = shop.views.view("buyer").fingerprint
    values = declaration()
    values["views"]["buyer"].update(description="In other words.", owner="team:other", refresh_weeks=9)
    values["views"]["buyer"]["features"]["spent"]["description"] = "In other words."
    shop.declare(values)
    assert shop.views.view("buyer").fingerprint == first
    values["views"]["buyer"]["features"]["spent"]["expression"] = "max(value)"
    shop.declare(values)
    assert shop.views.view("buyer").fingerprint != first


@pytest.mark.parametrize("expression", ["max(values)", "no_such_function(value)", "sum(value", "count(*) FROM sales"])
def test_an_expression_that_cannot_be_run_is_told_as_a_fault_of_its_view(shop: FeatureShop, expression: str) -> None:
    values = declaration()
    values["views"]["buyer"]["features"]["spent"]["expression"] = expression
    shop.declare(values)
    shop.sell([(day, 1, "a", 1.0, datetime(2024, 1, day), datetime(2024, 1, day)) for day in (2, 9)])
    with pytest.raises(FeatureViewError, match=r"views\.buyer") as caught:
        refresh(shop.lakehouse, shop.views, "buyer")
    assert "feature_views.yaml" in str(caught.value)
    assert shop.lakehouse.find(shop.views.view("buyer").table) is None
