"""`serving/promotion_plan`: who gets which offer, by the champion of the uplift or by what is left without one (`policy`).

What belongs here: giving the planner its tables at pinned versions, and its plan to the writer. What does not: the plan (`plinth.promote`).
The day of the plan is the one after the newest order, and after the last of them was booked: what is known, not what the clock says, decides it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from plinth.engine import connect, quote
from plinth.lakehouse.files import rows_of
from plinth.lakehouse.tables import TableId, TableVersion
from plinth.promotion_settings import Promotions
from plinth.serving.champion import UPLIFT, input_name, input_text
from plinth.serving.lists import Setting
from plinth.serving.policy import BY_AVERAGE, BY_UPLIFT, NOBODY, Policy, policy_of
from plinth.serving.tables import PROMOTION_PLAN
from plinth.serving.write import Origin, Served, write

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from plinth.promote.plan import PlanSummary
    from plinth.promote.uplift import Uplift

LINES, CATALOG = TableId("silver", "invoice_lines"), TableId("gold", "item_catalog")
CUSTOMERS, CONTACTS = TableId("silver", "customers"), TableId("silver", "campaign_contacts")
PROMOTIONS = TableId("silver", "promotions")
INPUTS = (LINES, CATALOG, CUSTOMERS, CONTACTS, PROMOTIONS)

_MONEY = ("order_value", "expected_gain", "expected_cost", "expected_profit")
_SHARES = ("untreated", "uplift", "redemption")
_CODE = "5"
"""Grows when the same model and tables give another plan."""


@dataclass(frozen=True)
class Planned:
    """What became of the plan.

    Attributes:
        summary: None where the plan stood already, or nobody is contacted.
        policy: the name of the policy (`plinth.serving.policy`), and `reason` why it is this one.
        plots: PNG images by name; none where there is no summary.
        left_out: promotions that run or are announced, and whose cost nobody knows; told where the plan is made anew.
    """

    served: Served
    summary: PlanSummary | None
    policy: str
    reason: str
    left_out: tuple[str, ...] = ()
    plots: Mapping[str, bytes] = field(default_factory=dict, repr=False)


def make_promotion_plan(setting: Setting) -> Planned:
    """Brings serving/promotion_plan up to the champion and today's customers, offers and contacts.

    Where there is no champion the plan goes by the trials' average effect; where they show none, or nobody ever ordered, it is empty.

    Raises:
        TableMissing: a table has not been made yet.
        PlanImpossible: the terms or the tables contradict each other.
        CommitConflict, StorageFailure, ModelTampered, ModelFileRefused: the table is as it was.
    """
    from plinth.promote.offers import unpriced_offers

    champion = setting.registry.champion(UPLIFT)
    read = {table: setting.lakehouse.open(table) for table in INPUTS}
    contents = {str(table): version.content for table, version in read.items()}
    platform = setting.lakehouse.platform
    origin = Origin({input_name(UPLIFT): input_text(champion), **contents}, plan_code(platform.promotions), setting.run)
    base = setting.lakehouse.find(PROMOTION_PLAN.id)
    if base is not None and origin.made(base):
        return Planned(Served(PROMOTION_PLAN, base), None, served_policy(base), "as it was planned before")
    con = connect(setting.profile, scratch=platform.path(platform.stores.scratch))
    try:
        _open(con, read)
        day = _day(con)
        policy = Policy(NOBODY, "nobody ever ordered")
        if day is not None:
            policy = policy_of(con, setting.registry, champion, setting.profile, on=day)
        rows, summary, plots = [], None, {}
        left_out: tuple[str, ...] = ()
        if day is not None and policy.model is not None:
            left_out = unpriced_offers(con, "promotions", on=day)
            table, summary = _plan(con, platform.promotions, policy.model, day)
            rows, plots = [_rounded(table)], _plots(table, summary)
        served = write(con, setting.lakehouse, PROMOTION_PLAN, base, rows, origin)
        return Planned(served, summary, policy.name, policy.reason, left_out, plots)
    finally:
        con.close()


def plan_code(terms: Promotions) -> str:
    """What beside model and tables decides a plan: the code and the terms of `platform.yaml`."""
    return f"{_CODE} {hashlib.sha256(terms.model_dump_json().encode()).hexdigest()[:12]}"


def served_policy(served: TableVersion) -> str:
    """The policy by which a plan was made, as its table tells it."""
    if served.state.inputs.get(input_name(UPLIFT), input_text(None)) != input_text(None):
        return BY_UPLIFT
    return BY_AVERAGE if served.rows else NOBODY


def _open(con: duckdb.DuckDBPyConnection, read: Mapping[TableId, TableVersion]) -> None:
    """Gives the connection the tables under the names that the planner knows."""
    from plinth.promote.booked import make_lines, make_orders

    make_lines(con, "lines", rows_of(read[LINES]))
    make_orders(con, "orders", "lines")
    views = {
        "catalogue": f"FROM {rows_of(read[CATALOG])}",
        "customers": f"FROM {rows_of(read[CUSTOMERS])}",
        "contacts": f"FROM {rows_of(read[CONTACTS])}",
        "promotions": f"FROM {rows_of(read[PROMOTIONS])}",
    }
    for name, sql in views.items():
        con.execute(f"CREATE OR REPLACE TEMP VIEW {quote(name)} AS {sql}")


def _day(con: duckdb.DuckDBPyConnection) -> date | None:
    found = con.execute("SELECT greatest(max(time), max(known)) FROM orders").fetchone()
    newest = found[0] if found else None
    return newest.date() + timedelta(days=1) if isinstance(newest, datetime) else None


def _plan(
    con: duckdb.DuckDBPyConnection, settings: Promotions, model: Uplift, day: date
) -> tuple[pa.Table, PlanSummary]:
    from plinth.promote.candidates import find_candidates
    from plinth.promote.offers import PlanTerms, margin_share, plannable_offers
    from plinth.promote.plan import plan_promotions
    from plinth.promote.spent import spent_so_far
    from plinth.promote.trial import Shop

    terms = PlanTerms.of(settings, margin_share(con, "catalogue"))
    offers = plannable_offers(con, "promotions", on=day, propose_repeats=terms.propose_repeats)
    candidates = find_candidates(con, Shop(), model, offers, terms, on=day)
    customers = con.execute("SELECT customer_no, has_marketing_consent, is_active FROM customers").to_arrow_table()
    made = con.execute(
        "SELECT customer_no, contacted_on FROM contacts WHERE trial_group = 'treatment'"
    ).to_arrow_table()
    spent = {number: each.cost for number, each in spent_so_far(con, Shop(), model, offers, terms, on=day).items()}
    plan = plan_promotions(
        candidates.table, offers, customers, on=day, terms=terms, contacts=made, spent=spent, draws=candidates.draws
    )
    return plan.table, plan.summary


def _plots(plan: pa.Table, summary: PlanSummary) -> dict[str, bytes]:
    from plinth.promote.columns import numbers
    from plinth.promote.plots import worth_plot

    if plan.num_rows == 0:
        return {}
    return {"worth": worth_plot(numbers(plan, "expected_cost"), numbers(plan, "expected_profit"), summary.worth)}


def _rounded(plan: pa.Table) -> pa.Table:
    """What lies beyond a hundredth of a penny differs between machines, and would make equal plans look changed."""
    import pyarrow.compute as pc

    for names, digits in ((_MONEY, 4), (_SHARES, 6)):
        for name in names:
            place = plan.schema.get_field_index(name)
            plan = plan.set_column(place, name, pc.round(plan[name], digits))
    return plan
