"""The customers' features as they are served: the online values, of everything that silver holds, for everyone who is known.

What belongs here: which views a customer's document holds, the instant that they are as of, and the SQL of the documents. What does not: what
a view computes (`plinth.features`), and whether what is served equals it (`skew`). Weekly snapshots are for training: they end with a Monday,
and whoever bought first since then is in none of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from plinth.engine import literal, quote
from plinth.features.declare import FeatureView, load_views
from plinth.features.guard import check_sql, classified, columns_read, lineage_of
from plinth.features.query import columns_of, prepare, sql_of
from plinth.features.rows import Inputs, end_of, explained
from plinth.lakehouse.door import authorise
from plinth.lakehouse.tables import Lakehouse, TableId, TableVersion
from plinth.online import Document
from plinth.serving.documents import ONLINE, Kind, documents_of

if TYPE_CHECKING:
    import duckdb

ENTITY = ("customer_no",)
"""Of the views whose features a customer's document holds, unless they say that they are not online."""
FEATURES = "features"


@dataclass(frozen=True)
class OnlineFeatures:
    """The views that customers' documents are made from, by name, each over its tables at one version."""

    views: Mapping[str, Inputs]

    @property
    def tables(self) -> dict[TableId, TableVersion]:
        """Every table that a view reads."""
        return {table: version for inputs in self.views.values() for table, version in inputs.versions.items()}

    @property
    def declared(self) -> dict[str, str]:
        """What each view says, so that another declaration makes another version."""
        return {str(inputs.view.table): f"declared {inputs.view.fingerprint}" for inputs in self.views.values()}


def customer_views(lakehouse: Lakehouse) -> dict[str, FeatureView]:
    """The declared views whose entity is the customer and that are online."""
    views = load_views(lakehouse.platform).views
    return {name: view for name, view in views.items() if view.keys == ENTITY and view.online}


def find_features(lakehouse: Lakehouse, read: Mapping[TableId, TableVersion]) -> OnlineFeatures:
    """The views of customers whose tables have been made.

    Args:
        read: versions of tables that are read already; others are read at their newest.
    """
    there = {}
    for name, view in customer_views(lakehouse).items():
        found = {table: read.get(table) or lakehouse.find(table) for table in view.tables}
        versions = {table: version for table, version in found.items() if version is not None}
        if len(versions) == len(found):
            there[name] = Inputs(view, versions)
    return OnlineFeatures(there)


def instant_of(con: duckdb.DuckDBPyConnection, features: OnlineFeatures) -> datetime | None:
    """The first full second at which everything that the tables hold has happened and become known; None where there is no row.

    Rows from the future by the clock of the wall have wrong dates: they move it nowhere and do not count.
    """
    until = end_of(datetime.now(UTC).date())
    spans = [inputs.newest(con, until) for inputs in features.views.values()]
    newest = max((span[1] for span in spans if span is not None), default=None)
    return None if newest is None else (newest + timedelta(seconds=1)).replace(microsecond=0)


def feature_documents(
    con: duckdb.DuckDBPyConnection, lakehouse: Lakehouse, features: OnlineFeatures
) -> Iterator[Document]:
    """A document for each customer of whom any view knows anything, in the order of the keys.

    Raises:
        ResidencyViolation: a feature may not be where the serving layer is.
        FeatureViewError: a view reads what it may not, or its SQL cannot be run.
    """
    prepare(con)
    at = instant_of(con, features)
    if at is None:
        return
    relations = {}
    for name, inputs in features.views.items():
        check_sql(inputs.view)
        read = columns_read(inputs, lakehouse.platform)
        columns = classified(columns_of(inputs.view), lineage_of(inputs.view, read), read)
        authorise(lakehouse, ONLINE, columns)
        relations[name] = f"({sql_of(inputs.view, inputs.rows(), at)})"
        with explained(inputs.view):
            con.execute(f"EXPLAIN {relations[name][1:-1]}")
    kind = features_kind({name: inputs.view for name, inputs in features.views.items()}, relations, at)
    yield from documents_of(con, kind)


def features_kind(views: Mapping[str, FeatureView], relations: Mapping[str, str], at: datetime) -> Kind:
    """The documents of customers' features as of an instant, view by view.

    Args:
        relations: for each view, SQL that can stand behind FROM and yields `customer_no` and its features.
    """
    names = sorted(views)
    parts = [
        f"{literal(name)}: CASE WHEN {quote(name)}.customer_no IS NULL THEN NULL ELSE {_struct(views[name])} END"
        for name in names
    ]
    first, *others = names
    joins = "".join(f" FULL JOIN {relations[name]} {quote(name)} USING (customer_no)" for name in others)
    said = literal(at.isoformat())
    sql = (
        f"SELECT customer_no::VARCHAR AS key, to_json({{'as_of': {said}, 'customer': customer_no::VARCHAR, "
        f"'features': {{{', '.join(parts)}}}}}) AS body FROM {relations[first]} {quote(first)}{joins} ORDER BY key"
    )
    return Kind(FEATURES, sql, {})


def _struct(view: FeatureView) -> str:
    fields = []
    for name in sorted(view.features):
        value = f"{quote(view.name)}.{quote(name)}"
        if view.features[name].type == "double":
            # JSON has no word for them, and DuckDB writes one that no reader takes.
            value = f"CASE WHEN isfinite({value}) THEN {value} END"
        fields.append(f"{literal(name)}: {value}")
    return f"{{{', '.join(fields)}}}"
