"""`serving/purchase_propensity`: how likely each customer is to buy within the next 28 days, by the propensity's champion.

What belongs here: asking the champion of every customer who has ordered, as of the newest data, and the rule that its rows keep. What does not:
the model (`plinth.promote`) and its features, which are the declared views that it has learnt from, computed by the same SQL.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from plinth.engine import connect
from plinth.features import FeatureView, FeatureViews, load_views
from plinth.features.rows import Inputs, end_of
from plinth.features.training import portions_of, training_set
from plinth.lakehouse.files import rows_of
from plinth.lakehouse.tables import TableVersion
from plinth.registry import RegisteredVersion, Registry
from plinth.serving.champion import PROPENSITY, input_name, input_text, view_input
from plinth.serving.lists import Setting
from plinth.serving.tables import PURCHASE_PROPENSITY
from plinth.serving.write import Origin, Served, write
from plinth.training.moments import first_unseen
from plinth.training.propensity import PropensityTarget
from plinth.training.target import tables_of

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

_DIGITS = 6
"""Of a probability: what lies beyond differs between machines, and would make equal tables look changed."""
_CODE = "3"
"""Grows when the same model and tables give other rows."""


@dataclass(frozen=True)
class Scored:
    """What became of the table, and why its rows are what they are."""

    served: Served
    reason: str


def make_purchase_propensity(setting: Setting) -> Scored:
    """Brings serving/purchase_propensity up to the champion and the newest orders; without a champion, or an order, it is empty.

    Raises:
        TableMissing: a table of the views has not been made yet.
        ExamplesUnusable: the champion asks for a feature that is no longer made.
        CommitConflict, StorageFailure, ModelTampered, ModelFileRefused: the table is as it was.
    """
    champion = setting.registry.champion(PROPENSITY)
    known = _Known.open(setting)
    origin = Origin({input_name(PROPENSITY): input_text(champion), **known.contents}, _CODE, setting.run)
    base = setting.lakehouse.find(PURCHASE_PROPENSITY.id)
    reason = _reason(setting.registry, champion)
    if base is not None and origin.made(base):
        return Scored(Served(PURCHASE_PROPENSITY, base), reason)
    platform = setting.lakehouse.platform
    con = connect(setting.profile, scratch=platform.path(platform.stores.scratch))
    try:
        at = None if champion is None else known.until(con)
        customers = None if at is None else _customers(con, known, at)
        if champion is None or at is None or customers is None or customers.num_rows == 0:
            why = reason if champion is None else "nobody ever ordered"
            return Scored(write(con, setting.lakehouse, PURCHASE_PROPENSITY, base, (), origin), why)
        found = _scores(setting, champion, known, customers, at)
        origin = replace(origin, until=at.isoformat())
        return Scored(write(con, setting.lakehouse, PURCHASE_PROPENSITY, base, found, origin), reason)
    finally:
        con.close()


@dataclass(frozen=True)
class _Known:
    """The views that a propensity learns from, and their tables at one version each."""

    views: FeatureViews
    tables: Mapping[str, TableVersion]

    @classmethod
    def open(cls, setting: Setting) -> _Known:
        views, target = load_views(setting.lakehouse.platform), PropensityTarget()
        return cls(views, {str(table): setting.lakehouse.open(table) for table in tables_of(target, views)})

    @property
    def contents(self) -> dict[str, str]:
        """The content of each table, and what each view declares."""
        declared = {view_input(view): view.fingerprint for view in self._views}
        return {**{name: version.content for name, version in self.tables.items()}, **declared}

    def until(self, con: duckdb.DuckDBPyConnection) -> datetime | None:
        """The midnight after all that is held has happened and become known; None where nobody ever ordered."""
        spans = [
            Inputs(view, {table: self.tables[str(table)] for table in view.tables}).newest(
                con, end_of(datetime.now(UTC).date())
            )
            for view in self._views
        ]
        newest = max((span[1] for span in spans if span is not None), default=None)
        return None if newest is None else first_unseen(newest)

    @property
    def _views(self) -> list[FeatureView]:
        return [self.views.views[name] for name in PropensityTarget().feature_views if name in self.views.views]


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


def _customers(con: duckdb.DuckDBPyConnection, known: _Known, at: datetime) -> pa.Table:
    """Everyone who has ordered, as rows to ask the views about."""
    from plinth.promote import labels
    from plinth.promote.booked import INVOICE_LINES, make_lines

    make_lines(con, "lines", rows_of(known.tables[str(INVOICE_LINES)]))
    return labels(con, "lines", [at]).select(["customer_no", "at"])


def _scores(
    setting: Setting, champion: RegisteredVersion, known: _Known, customers: pa.Table, at: datetime
) -> Iterator[pa.Table]:
    import numpy as np
    import pyarrow as pa

    from plinth.promote import Propensity, room_for, thinned

    model = Propensity.load(setting.registry.fetch(champion))
    room = room_for(setting.profile, len(model.features))
    asked = PropensityTarget().feature_views
    house, views, pinned = setting.lakehouse, known.views, known.tables
    among = None
    if model.settings.standing and customers.num_rows > room:
        # A portion is not everybody: customers are held against a share of all that there is room for, the same for each portion.
        some = training_set(house, views, thinned(customers, room), asked, tables=pinned, profile=setting.profile)
        among = model.standing(some)
    for features in portions_of(house, views, customers, asked, tables=pinned, profile=setting.profile, rows=room):
        yield pa.table(
            {
                "customer_no": features["customer_no"].cast(pa.int64()),
                "probability": pa.array(np.round(model.predict(features, among), _DIGITS), pa.float64()),
                "as_of": pa.array([at.date()] * features.num_rows, pa.date32()),
                "model_version": pa.array([int(champion.version)] * features.num_rows, pa.int32()),
            }
        )
