"""The uplift part of the propensity benchmark: the sample's trials, what the models make of them, and the sample's truth beside it.

What belongs here: reading the sample as silver and gold would give it, learning from its earlier promotions, judging on the later ones. What does not: the
propensity (`propensity`). The truth is only read after the last choice has been made, and only to judge.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from plinth.engine import literal, load_extension
from plinth.promote import PlanTerms, Uplift, UpliftSettings, plan_promotions, train_uplift
from plinth.promote.booked import make_orders
from plinth.promote.columns import Array, numbers
from plinth.promote.offers import offer_money, order_values
from plinth.promote.qini import QiniCurve, UpliftMetrics, measure_uplift, true_curve
from plinth.promote.trial import Shop, trial_rows
from plinth.promote.uplift import UpliftPrediction
from plinth.sample import SampleSpec, write_sample

if TYPE_CHECKING:
    import duckdb

_TABLES = """
CREATE OR REPLACE TEMP TABLE lines AS SELECT "CUSTNO"::BIGINT AS customer, "INVNO" AS basket, "ITEMNO" AS item, "INVTS"::TIMESTAMP AS time,
    "UPDTS"::TIMESTAMP AS known, "QTY" AS quantity, "UNITPR" AS price
    FROM sample."INVLINE" WHERE "CUSTNO" IS NOT NULL AND NOT starts_with("INVNO", 'C') AND "QTY" > 0 AND "UNITPR" > 0;
CREATE OR REPLACE TABLE contacts AS SELECT "CUSTNO"::BIGINT AS customer_no, "PROMOID"::BIGINT AS promotion_id, "CONTDT"::DATE AS contacted_on,
    CASE trim("CHANCD") WHEN 'EM' THEN 'email' WHEN 'SM' THEN 'sms' ELSE 'post' END AS channel,
    if(trim("GRPCD") = 'T', 'treatment', 'control') AS trial_group, trim("RDMFLG") = 'Y' AS is_redeemed,
    nullif("RDMDT"::DATE, DATE '9999-12-31') AS redeemed_on, "UPDTS"::TIMESTAMP AS known_at FROM sample."CAMPCON";
CREATE OR REPLACE TABLE promotions AS SELECT "PROMOID"::BIGINT AS promotion_id, "PROMNM" AS promotion_name, "MINVAL"::DOUBLE AS minimum_value,
    CASE trim("PROMTYP") WHEN 'PC' THEN 'percent_off' WHEN 'AM' THEN 'amount_off' ELSE 'free_shipping' END AS promotion_type,
    if(trim("PROMTYP") = 'PC', "DISCPC", NULL)::DOUBLE AS discount_percent, if(trim("PROMTYP") = 'AM', "DISCPC", NULL)::DOUBLE AS discount_amount,
    "STARTDT"::DATE AS starts_on, "ENDDT"::DATE AS ends_on, "BUDGET"::DOUBLE AS budget FROM sample."PROMOS";
CREATE OR REPLACE TABLE customers AS SELECT "CUSTNO"::BIGINT AS customer_no, nullif(year("BIRTHDT"::DATE), 1900) AS birth_year FROM sample."CUSTMAS";
"""
_LEARNT = 0.7  # of the promotions, the earlier ones
_BUDGET_SHARE = 0.25  # of what contacting everyone would cost


@dataclass(frozen=True)
class World:
    """A model, the later promotions of its sample, what it says of them, and their truth: uplift and chance of a redemption of each row."""

    model: Uplift
    test: pa.Table
    predicted: UpliftPrediction
    truth: tuple[Array, Array]
    learnt: int


@dataclass(frozen=True)
class PlanTried:
    """One promotion's plan: what it expects with the ends of its interval, and by the truth its profit, that of lot, and that of everyone."""

    expected: float
    low: float
    high: float
    true: float
    lot: float
    everyone: float


@dataclass(frozen=True)
class UpliftResult:
    """What came of it: the figure, what stands beside it, and the curves on the later promotions by the sample's truth."""

    qini_vs_truth: float
    beside: dict[str, float]
    curves: dict[str, QiniCurve]


def uplift_on_sample(
    con: duckdb.DuckDBPyConnection, folder: Path, *, customers: int, days: int, seed: int
) -> UpliftResult:
    """Writes a sample, learns from its earlier promotions, judges on the later ones, prints both."""
    world = trained_on_sample(con, folder, SampleSpec(customers=customers, days=days), seed=seed)
    predicted, truth, test = world.predicted, world.truth, world.test
    metrics = _judge(predicted.uplift, test, seed)
    curves = {name: true_curve(score, truth[0]) for name, score in (("model", predicted.uplift), ("truth", truth[0]))}
    own, best = curves["model"].coefficient, curves["truth"].coefficient
    seen = _judge(truth[0], test, seed)
    beside = {
        "qini": metrics.qini,
        "qini_of_truth": seen.qini,
        "uplift_seen": metrics.uplift,
        "uplift_true": float(truth[0].mean()),
        **_plan_figures(plans_tried(con, world, seed)),
    }
    _print(world.model, metrics, seen, world.learnt, test.num_rows)
    for name, value in beside.items():
        print(f"{name:>40}{value:12.4f}")
    return UpliftResult(own / best, beside, curves)


def trained_on_sample(
    con: duckdb.DuckDBPyConnection, folder: Path, spec: SampleSpec, *, seed: int, settings: UpliftSettings | None = None
) -> World:
    """Writes a sample, learns from its earlier promotions, and asks about the later ones."""
    file = folder / f"trials-{spec.customers}-{spec.seed}.sqlite"
    write_sample(f"sqlite:///{file}", spec)
    load_extension(con, "sqlite_scanner")
    con.execute(f"ATTACH {literal(str(file))} AS sample (TYPE sqlite, READ_ONLY)")
    con.execute(_TABLES)
    con.execute("DETACH sample")
    make_orders(con, "orders", "lines")
    learn, test = _rounds(trial_rows(con, Shop(), ended_before=_end(con)))
    model = train_uplift(learn, seed=seed, threads=2, settings=settings)
    return World(model, test, model.predict(test), _truth(f"sqlite:///{file}", test), learn.num_rows)


def _end(con: duckdb.DuckDBPyConnection) -> date:
    row = con.execute("SELECT max(time)::DATE + 1 FROM orders").fetchone()
    assert row is not None
    found: date = row[0]
    return found


def _rounds(rows: pa.Table) -> tuple[pa.Table, pa.Table]:
    promotions = sorted(set(rows["promotion_id"].to_pylist()))
    earlier = pc.less(rows["promotion_id"], promotions[int(len(promotions) * _LEARNT)])
    return rows.filter(earlier), rows.filter(pc.invert(earlier))


def _truth(url: str, rows: pa.Table) -> tuple[Array, Array]:
    """The true uplift and the true chance of a redemption of each row."""
    from plinth.sample.truth import uplift_truth

    table = uplift_truth(url)
    names = ("PROMOID", "CUSTNO", "UPLIFT", "REDEMPTION")
    known = {(p, c): (u, r) for p, c, u, r in zip(*(table[name].to_pylist() for name in names), strict=True)}
    found = [
        known[pair] for pair in zip(rows["promotion_id"].to_pylist(), rows["customer_no"].to_pylist(), strict=True)
    ]
    return np.array([each[0] for each in found]), np.array([each[1] for each in found])


def _judge(score: Array, rows: pa.Table, seed: int) -> UpliftMetrics:
    treated, bought, customer = (numbers(rows, name) for name in ("treated", "bought", "customer_no"))
    return measure_uplift(score, treated, bought, customer, seed=seed)


def plans_tried(con: duckdb.DuckDBPyConnection, world: World, seed: int) -> list[PlanTried]:
    """Plans each later promotion on the customers of its trial with a quarter of what all would cost; the truth prices plan, lot and everyone."""
    promotions = con.execute("FROM promotions ORDER BY promotion_id").to_arrow_table()
    numbered = numbers(world.test, "promotion_id")
    return [
        _tried(con, world, promotions.filter(pc.equal(promotions["promotion_id"], promotion)), seed)
        for promotion in sorted(set(numbered.tolist()))
    ]


def _tried(con: duckdb.DuckDBPyConnection, world: World, offer: pa.Table, seed: int) -> PlanTried:
    inside = np.flatnonzero(numbers(world.test, "promotion_id") == offer["promotion_id"][0].as_py())
    predicted, on = world.predicted, world.test["at"][int(inside[0])].as_py().date()
    pairs = _candidates(con, world.test.take(inside), predicted.uplift[inside], predicted.redemption[inside], on)
    terms = PlanTerms(total_budget=_BUDGET_SHARE * float(offer_money(pairs, offer, PlanTerms()).cost.sum()))
    people = pairs.select(["customer_no"]).append_column("has_marketing_consent", pa.array([True] * pairs.num_rows))
    plan = plan_promotions(pairs, offer, people, on=on, terms=terms, draws=predicted.draws.take(inside), seed=seed)
    worth = plan.summary.worth
    real = pairs.set_column(pairs.column_names.index("redemption"), "redemption", pa.array(world.truth[1][inside]))
    profit = offer_money(real, offer, terms, world.truth[0][inside]).profit
    chosen = np.isin(numbers(pairs, "customer_no"), numbers(plan.table, "customer_no"))
    # The same budget spent by lot buys that share of everyone's profit.
    true = float(profit[chosen].sum()), float(_BUDGET_SHARE * profit.sum()), float(profit.sum())
    return PlanTried(worth.profit, worth.profit_low, worth.profit_high, *true)


def _plan_figures(plans: list[PlanTried]) -> dict[str, float]:
    """The sums. Level and slope are the same for all plans, so their errors do not cancel out; the seasons' would, so the sum's interval is a wide one."""
    names = {
        "plan_profit_expected": "expected", "plan_profit_low": "low", "plan_profit_high": "high", "plan_profit_true": "true",
        "random_profit_true": "lot", "everyone_profit_true": "everyone",
    }  # fmt: skip
    return {figure: sum(getattr(plan, name) for plan in plans) for figure, name in names.items()}


def _candidates(con: duckdb.DuckDBPyConnection, rows: pa.Table, uplift: Array, redemption: Array, on: date) -> pa.Table:
    values = order_values(con, "orders", at=on)
    known = dict(zip(values["customer_no"].to_pylist(), values["order_value"].to_pylist(), strict=True))
    typical = float(np.median(list(known.values())))
    table = rows.select(["customer_no", "promotion_id", "channel"])
    for name, column in (("uplift", uplift), ("redemption", redemption)):
        table = table.append_column(name, pa.array(column))
    return table.append_column(
        "order_value", pa.array([known.get(who, typical) for who in table["customer_no"].to_pylist()])
    )


def _print(model: Uplift, metrics: UpliftMetrics, truth: UpliftMetrics, learnt: int, judged: int) -> None:
    print(
        f"\nuplift on the sample: learnt from {learnt:,} contacts and hold-outs, judged on {judged:,} of later promotions"
    )
    print(f"{'Qini by trial on unseen promotions':40}{'':>9}")
    for name, value in model.tried.items():
        print(f"{name:>40}{value:9.4f}{'  chosen' if name == str(model.chosen) else ''}")
    print(f"{'on later promotions, by their trials':40}{'Qini':>9}{'low':>9}{'high':>9}{'top 30 %':>10}{'slope':>8}")
    for name, each in (("the model's ranking", metrics), ("the truth's own ranking", truth)):
        print(
            f"{name:>40}{each.qini:9.4f}{each.qini_low:9.4f}{each.qini_high:9.4f}{each.uplift_top_30:10.3f}{each.slope:8.2f}"
        )
