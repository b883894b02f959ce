"""How far the features have moved that a model learns from: for each the population stability index between two instants, over the same share of customers.

What belongs here: samples of features at two instants, the index, and the sentence that says which have moved. What does not: the limits (`training.drift`
in platform.yaml), purchases as a whole (`plinth.training.drift`), and when a look is taken (`plinth.training.watched`).

The work is bounded: of declared views two weekly snapshots are read, of orders those of the sampled customers, at most `MOST` customers at each
instant. The index of a feature is taken over the tenths of the earlier instant, with a bin of its own for customers without a value.

The limits lie above what four weeks of ordinary trade moved on Online Retail II; docs/models.md has the figures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from plinth.engine import quote
from plinth.features.declare import SNAPSHOT, FeatureView
from plinth.features.due import as_date, mondays_of
from plinth.lakehouse.files import damage_told, read_files
from plinth.lakehouse.schema import DeltaColumn
from plinth.lakehouse.tables import TableVersion
from plinth.sections import DriftLimits

if TYPE_CHECKING:
    import duckdb
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    Values = npt.NDArray[np.float64]

MOST = 20_000
"""Customers of a sample: the index of ten bins of so many moves by 0.001 of itself."""
_TENTHS = tuple(number / 10 for number in range(1, 10))
_FLOOR = 1e-4
"""Share that an empty bin counts as, without which its logarithm would be infinite."""
_NAMED = 5
"""So many features a reason names, those that moved most."""


@dataclass(frozen=True)
class Shifted:
    """How far features have moved from one instant to another.

    Attributes:
        before, after: the instants.
        rows: customers of the smaller sample.
        psi: the index of each feature.
    """

    before: date
    after: date
    rows: int
    psi: Mapping[str, float]

    def reason(self, model: str, limits: DriftLimits) -> str:
        """Whether too many features moved, for people; empty where they did not."""
        moved = self._moved(limits)
        if self.rows < limits.feature_rows or len(moved) <= limits.moved_features * len(self.psi):
            return ""
        named = ", ".join(f"{name} {self.psi[name]:.2f}" for name in moved[:_NAMED])
        return (
            f"data drift: {len(moved)} of the {len(self.psi)} features of {model} have a PSI > {limits.feature_psi:g}, "
            f"most {named}; {self.before} to {self.after}, {self.rows:,} customers"
        )

    def said(self, limits: DriftLimits) -> str:
        """What was seen where nothing is asked for."""
        if self.rows < limits.feature_rows:
            return f"{self.rows} customers are too few to compare features, {limits.feature_rows} are to be"
        return f"no limit is passed: {len(self._moved(limits))} of {len(self.psi)} features moved from {self.before} to {self.after}"

    def _moved(self, limits: DriftLimits) -> list[str]:
        passed = [name for name, value in self.psi.items() if value > limits.feature_psi]
        return sorted(passed, key=lambda name: (-self.psi[name], name))


def snapshots_shift(
    con: duckdb.DuckDBPyConnection, views: Sequence[tuple[FeatureView, TableVersion]], seen: datetime
) -> Shifted | str:
    """How far the features of declared views have moved between their newest weekly snapshot and the one of when a model last saw its data.

    Returns:
        why that cannot be told, where a view has no snapshot of one of the two instants.

    Raises:
        StorageFailure: a file of a snapshot is damaged or gone.
    """
    common = set.intersection(*({*mondays_of(version)} for _, version in views)) if views else set()
    earlier = [day for day in common if datetime(day.year, day.month, day.day) <= seen]
    tables = ", ".join(str(view.table) for view, _ in views)
    if not earlier:
        return f"{tables} have no snapshot of {seen:%Y-%m-%d} or before, when the model last saw its data"
    before, after = max(earlier), max(common)
    if after <= before:
        return f"{tables} have no snapshot after {before} yet, by which the model had seen its data"
    psi: dict[str, float] = {}
    rows = []
    for view, version in views:
        names = [name for name, feature in view.features.items() if _is_number(feature.type)]
        old, new = (_snapshot(con, view, version, day, names) for day in (before, after))
        rows += [old.num_rows, new.num_rows]
        psi |= {f"{view.name}.{name}": index_of(old[name], new[name]) for name in names}
    return Shifted(before, after, min(rows), psi)


def orders_shift(con: duckdb.DuckDBPyConnection, lines: TableVersion, seen: datetime, now: datetime) -> Shifted:
    """How far the features that an uplift takes of customers' orders have moved between two instants.

    Args:
        con: a DuckDB with the delta extension.
        lines: silver/invoice_lines.
    """
    import numpy as np

    from plinth.promote import history_features
    from plinth.promote.booked import make_lines, make_orders

    with damage_told(lines):
        count = con.execute(f"SELECT approx_count_distinct(customer_no) FROM {lines.scan}").fetchone()
        sampled = f"(SELECT * FROM {lines.scan} WHERE {_sampled(['customer_no'], count[0] if count else 0)})"
        make_lines(con, "plinth_drift_lines", sampled)
    make_orders(con, "plinth_drift_orders", "plinth_drift_lines")
    con.execute(
        'CREATE OR REPLACE TEMP TABLE plinth_drift_points AS SELECT DISTINCT o.customer, p.at FROM (VALUES (?::TIMESTAMP), (?::TIMESTAMP)) p("at") '
        "JOIN plinth_drift_orders o ON o.known < p.at AND o.time < p.at",
        [seen, now],
    )
    found = history_features(con, "plinth_drift_points", "plinth_drift_orders")
    at = np.asarray(found["at"].to_numpy()).astype("datetime64[us]")
    then = at == np.datetime64(seen, "us")
    names = [name for name in found.column_names if name not in ("customer", "at")]
    psi = {name: _index(_values(found[name])[then], _values(found[name])[~then]) for name in names}
    return Shifted(seen.date(), now.date(), int(min(then.sum(), (~then).sum())), psi)


def index_of(before: pa.ChunkedArray, after: pa.ChunkedArray) -> float:
    """The population stability index of a column between two samples, over the tenths of the first; 0 where one of them has no row."""
    return _index(_values(before), _values(after))


def _index(before: Values, after: Values) -> float:
    import numpy as np

    if not len(before) or not len(after):
        return 0.0
    known = before[~np.isnan(before)]
    # Of a feature that most have none of, several tenths are one value: their bins are one.
    edges = np.unique(np.quantile(known, _TENTHS)) if len(known) else np.empty(0)
    old, new = (np.maximum(_shares(each, edges), _FLOOR) for each in (before, after))
    return float(((new - old) * np.log(new / old)).sum())


def _shares(values: Values, edges: Values) -> Values:
    """The share of each bin, those without a value last."""
    import numpy as np

    known = values[~np.isnan(values)]
    counts = np.bincount(np.searchsorted(edges, known, side="left"), minlength=len(edges) + 1)
    shares: Values = np.append(counts, len(values) - len(known)) / len(values)
    return shares


def _snapshot(
    con: duckdb.DuckDBPyConnection, view: FeatureView, version: TableVersion, monday: date, names: Sequence[str]
) -> pa.Table:
    """The named features of a share of the entities of one snapshot."""
    files = [file for file in version.files if as_date(file.partition[SNAPSHOT]) == monday]
    columns = [DeltaColumn(key, entry.type) for key, entry in view.entity.items()]
    columns += [DeltaColumn(name, view.features[name].type) for name in names]
    listed = ", ".join(f"CAST({quote(name)} AS DOUBLE) AS {quote(name)}" for name in names)
    chosen = _sampled(list(view.keys), sum(file.rows for file in files))
    with damage_told(version):
        return con.execute(f"SELECT {listed} FROM ({read_files(files, columns)}) WHERE {chosen}").to_arrow_table()


def _sampled(keys: Sequence[str], rows: int) -> str:
    """The condition that leaves about `MOST` of so many entities, the same ones wherever it is used."""
    share = max(1, -(-rows // MOST))
    return f"hash({', '.join(map(quote, keys))}) % {share} = 0"


def _is_number(kind: str) -> bool:
    return kind in ("byte", "short", "integer", "long", "float", "double", "boolean") or kind.startswith("decimal")


def _values(column: Any) -> Values:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    found = pc.cast(
        pc.cast(column, pa.int8()) if pa.types.is_boolean(column.type) else column, pa.float64(), safe=False
    )
    return np.asarray(found.to_numpy(), dtype=np.float64)
