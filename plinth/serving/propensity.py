"""`serving/purchase_propensity`: how likely each customer is to buy within the next 28 days, by the propensity's champion.

What belongs here: asking the champion of every customer who has ordered, as of the newest data, and the rule that its rows keep. What does not:
the model and its features (`plinth.promote`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from plinth.engine import connect
from plinth.lakehouse.files import rows_of
from plinth.lakehouse.tables import TableId
from plinth.registry import RegisteredVersion, Registry
from plinth.serving.champion import PROPENSITY, input_name, input_text
from plinth.serving.lists import Setting
from plinth.serving.tables import PURCHASE_PROPENSITY
from plinth.serving.write import Origin, Served, write
from plinth.training.moments import first_unseen

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

LINES = TableId("silver", "invoice_lines")
_DIGITS = 6
"""Of a probability: what lies beyond differs between machines, and would make equal tables look changed."""
_CODE = "1"
"""Grows when the same model and tables give other rows."""


@dataclass(frozen=True)
class Scored:
    """What became of the table, and why its rows are what they are."""

    served: Served
    reason: str


def make_purchase_propensity(setting: Setting) -> Scored:
    """Brings serving/purchase_propensity up to the champion and the newest orders; without a champion, or an order, it is empty.

    Raises:
        TableMissing: silver/invoice_lines has not been made yet.
        ExamplesUnusable: the champion asks for a feature that is no longer made.
        CommitConflict, StorageFailure, ModelTampered, ModelFileRefused: the table is as it was.
    """
    champion = setting.registry.champion(PROPENSITY)
    lines = setting.lakehouse.open(LINES)
    origin = Origin({input_name(PROPENSITY): input_text(champion), str(LINES): lines.content}, _CODE, setting.run)
    base = setting.lakehouse.find(PURCHASE_PROPENSITY.id)
    reason = _reason(setting.registry, champion)
    if base is not None and origin.made(base):
        return Scored(Served(PURCHASE_PROPENSITY, base), reason)
    platform = setting.lakehouse.platform
    con = connect(setting.profile, scratch=platform.path(platform.stores.scratch))
    try:
        at = None if champion is None else _open(con, rows_of(lines))
        if champion is None or at is None:
            why = reason if champion is None else "nobody ever ordered"
            return Scored(write(con, setting.lakehouse, PURCHASE_PROPENSITY, base, (), origin), why)
        found = _scores(con, setting.registry, champion, at)
        origin = replace(origin, until=at.isoformat())
        return Scored(write(con, setting.lakehouse, PURCHASE_PROPENSITY, base, found, origin), reason)
    finally:
        con.close()


def unlikely_rows(scan: str) -> str:
    """SQL of the rows that are no probabilities, or stand beside another of the same customer.

    Args:
        scan: what to read the table by.
    """
    return (
        f"SELECT * FROM (SELECT *, count(*) OVER (PARTITION BY customer_no) AS times FROM {scan}) r "
        "WHERE times > 1 OR customer_no IS NULL OR (probability BETWEEN 0 AND 1 AND NOT isnan(probability)) IS NOT TRUE"
    )


def _reason(registry: Registry, champion: RegisteredVersion | None) -> str:
    if champion is not None:
        return f"by the champion, version {champion.version}"
    newest = next(iter(registry.versions(PROPENSITY)), None)
    if newest is None:
        return "models/propensity has no champion: no version was trained yet"
    decision = "it was not compared yet" if newest.decision is None else newest.decision.reason
    return f"models/propensity has no champion; its version {newest.version}: {decision}"


def _open(con: duckdb.DuckDBPyConnection, scan: str) -> datetime | None:
    """Reads lines and orders; gives the first moment that they know nothing of, None where nobody ever ordered."""
    from plinth.promote.booked import make_lines, make_orders

    make_lines(con, "lines", scan)
    make_orders(con, "orders", "lines")
    found = con.execute("SELECT max(time) FROM orders").fetchone()
    return first_unseen(found[0]) if found and found[0] is not None else None


def _scores(
    con: duckdb.DuckDBPyConnection, registry: Registry, champion: RegisteredVersion, at: datetime
) -> Iterator[pa.Table]:
    import numpy as np
    import pyarrow as pa

    from plinth.promote import Propensity, buyer_features

    model = Propensity.load(registry.fetch(champion))
    con.execute(
        'CREATE OR REPLACE TEMP TABLE plinth_scored AS SELECT DISTINCT customer, $at::TIMESTAMP AS "at" FROM orders',
        {"at": at},
    )
    features = buyer_features(con, "plinth_scored", "orders", "lines")
    yield pa.table(
        {
            "customer_no": features["customer"].cast(pa.int64()),
            "probability": pa.array(np.round(model.predict(features), _DIGITS), pa.float64()),
            "as_of": pa.array([at.date()] * features.num_rows, pa.date32()),
            "model_version": pa.array([int(champion.version)] * features.num_rows, pa.int32()),
        }
    )
