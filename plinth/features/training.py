"""Training sets: rows with a time stamp, and the features of their entities as they were known then.

What belongs here: choosing features by name, opening their tables, and the shape of the result. What does not: the rule by which a feature
row is chosen (`join`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from plinth.contracts.naming import near
from plinth.features.declare import AS_OF, KNOWN_AT, FeatureView, FeatureViewError, FeatureViews
from plinth.features.join import FeatureRows, join
from plinth.features.rows import session
from plinth.lakehouse.files import rows_of
from plinth.lakehouse.tables import Lakehouse, TableVersion

if TYPE_CHECKING:
    import pyarrow as pa


def training_set(
    lakehouse: Lakehouse,
    views: FeatureViews,
    entities: pa.Table,
    features: Sequence[str],
    *,
    at: str = "at",
    versions: Mapping[str, int] | None = None,
) -> pa.Table:
    """The entity rows with the features that were known at their time stamps, from the weekly snapshots.

    A snapshot counts from its instant on, and holds nothing that happened or became known at or after it. Where no snapshot of an entity
    counts yet, its features are null. For values at the very instant of a row use `snapshot`.

    Args:
        entities: the views' key columns, a time stamp without a zone, and whatever else (a label); rows may repeat.
        features: views (`customer`) or single features (`item.price`).
        at: name of the time stamp's column.
        versions: Delta version of the feature tables to read, by view; the newest by default.

    Returns:
        the entity rows as they are, in their order, and a column `<view>__<feature>` for each feature.

    Raises:
        FeatureViewError: a feature, a key column or the time stamp does not exist.
        TableMissing: a view has no snapshot yet.
    """
    chosen = _chosen(views, features)
    result = entities
    with session(lakehouse) as con:
        for name, names in chosen.items():
            view = views.view(name)
            _fits(view, entities, at)
            version = lakehouse.open(view.table, version=(versions or {}).get(name))
            named = {feature: f"{name}__{feature}" for feature in names}
            rows = FeatureRows(rows_of(version), view.keys, named, one_a_time=True, in_time=known_in_time(version))
            found = join(con, entities, at, rows)
            for column in found.column_names:
                result = result.append_column(column, found[column])
    return result


def known_in_time(version: TableVersion) -> bool:
    """Whether the log proves that every row was known at its event time; a snapshot's file holds one event time."""
    return all(
        KNOWN_AT in file.maximum and AS_OF in file.minimum and file.maximum[KNOWN_AT] <= file.minimum[AS_OF]
        for file in version.files
    )


def _chosen(views: FeatureViews, features: Sequence[str]) -> dict[str, list[str]]:
    chosen: dict[str, list[str]] = {}
    for asked in features:
        name, _, feature = asked.partition(".")
        view = views.view(name)
        if feature and feature not in view.features:
            raise FeatureViewError(
                f"the feature view {name} has no feature {feature!r}{near(feature, view.features)}",
                expected=", ".join(view.features),
                found=asked,
            )
        names = chosen.setdefault(name, [])
        names += [each for each in ([feature] if feature else view.features) if each not in names]
    return chosen


def _fits(view: FeatureView, entities: pa.Table, at: str) -> None:
    import pyarrow as pa

    missing = [name for name in (*view.keys, at) if name not in entities.column_names]
    if missing:
        raise FeatureViewError(
            f"the entity rows lack columns that the feature view {view.name} is joined by",
            expected=", ".join((*view.keys, at)),
            found=", ".join(entities.column_names),
        )
    kind = entities.schema.field(at).type
    if not pa.types.is_timestamp(kind) or kind.tz is not None:
        raise FeatureViewError(
            f"the column {at} is no time stamp of the trade's local time",
            expected="a time stamp without a zone",
            found=kind,
        )
