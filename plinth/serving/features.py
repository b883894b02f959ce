"""Features as they are served: which views, in which documents, and the instant that their values are as of.

What belongs here: the views whose values the documents hold, each over its tables at one version, and that instant. What does not: what a view
computes (`plinth.features`), the documents (`feature_documents`), and whether what is served equals the offline values (`skew`). Weekly snapshots
are for training: they end with a Monday, and whoever bought first since then is in none of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from plinth.features.bound import OnlineRows
from plinth.features.declare import FeatureView, load_views
from plinth.features.rows import Inputs, end_of
from plinth.lakehouse.tables import Lakehouse, TableId, TableVersion

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True)
class Form:
    """How the values of views about one kind of entity are served.

    Attributes:
        kind: of the documents.
        entity: key columns of the views; a document is of one value of the first, and holds rows of the others.
        names: what the key columns are called in a document.
    """

    kind: str
    entity: tuple[str, ...]
    names: tuple[str, ...]


OF_CUSTOMERS = Form("features", ("customer_no",), ("customer",))
OF_ITEMS = Form("item_features", ("item_code",), ("item",))
OF_PAIRS = Form("customer_items", ("customer_no", "item_code"), ("customer", "item"))
FORMS = (OF_CUSTOMERS, OF_ITEMS, OF_PAIRS)


@dataclass(frozen=True)
class OnlineFeatures:
    """The views that documents are made from, by name, each over its tables at one version."""

    views: Mapping[str, Inputs]

    @property
    def tables(self) -> dict[TableId, TableVersion]:
        """Every table that a view reads."""
        return {table: version for inputs in self.views.values() for table, version in inputs.versions.items()}

    @property
    def declared(self) -> dict[str, str]:
        """What each view says, so that another declaration makes another version."""
        return {str(inputs.view.table): _said(inputs.view) for inputs in self.views.values()}

    def of(self, form: Form) -> dict[str, Inputs]:
        """The views whose values stand in documents of this form."""
        return {name: inputs for name, inputs in self.views.items() if inputs.view.keys == form.entity}


def online_views(lakehouse: Lakehouse) -> dict[str, FeatureView]:
    """The declared views whose values are served: online, of an entity that there is a form for, and bounded where they are of pairs."""
    views = load_views(lakehouse.platform).views
    entities = {form.entity for form in FORMS}
    return {
        name: view
        for name, view in views.items()
        if view.keys in entities and (isinstance(view.online, OnlineRows) or (view.online and len(view.keys) == 1))
    }


def find_features(lakehouse: Lakehouse, read: Mapping[TableId, TableVersion]) -> OnlineFeatures:
    """The views that are served and whose tables have been made.

    Args:
        read: versions of tables that are read already; others are read at their newest.
    """
    there = {}
    for name, view in online_views(lakehouse).items():
        found = {table: read.get(table) or lakehouse.find(table) for table in view.tables}
        versions = {table: version for table, version in found.items() if version is not None}
        if len(versions) == len(found):
            there[name] = Inputs(view, versions)
    return OnlineFeatures(there)


def instant_of(con: duckdb.DuckDBPyConnection, features: OnlineFeatures) -> datetime | None:
    """The first full second at which everything that the tables hold has happened and become known; None where there is no row.

    It is one for all views, so what is served of a customer and of an item belongs together. Rows from the future by the clock of the wall
    have wrong dates: they move it nowhere and do not count.
    """
    until = end_of(datetime.now(UTC).date())
    spans = [inputs.newest(con, until) for inputs in features.views.values()]
    newest = max((span[1] for span in spans if span is not None), default=None)
    return None if newest is None else (newest + timedelta(seconds=1)).replace(microsecond=0)


def _said(view: FeatureView) -> str:
    bound = view.online
    most = f", {bound.most} by {bound.order}" if isinstance(bound, OnlineRows) else ""
    return f"declared {view.fingerprint}{most}"
