"""Training sets: rows with a time stamp, and the features of their entities as they were known then.

What belongs here: choosing features by name, opening their tables, and the shape of the result. What does not: the rule by which a feature
row of the snapshots is chosen (`join`), and computing a view at the rows' own instants (`instants`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from plinth.contracts.naming import near
from plinth.features.declare import AS_OF, KNOWN_AT, FeatureView, FeatureViewError, FeatureViews
from plinth.features.instants import PORTION, ROW, Wanted, portions_at
from plinth.features.join import FeatureRows, join
from plinth.features.rows import Inputs, session
from plinth.lakehouse.files import rows_of
from plinth.lakehouse.tables import Lakehouse, TableVersion
from plinth.profile import Profile

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
    tables: Mapping[str, TableVersion] | None = None,
    profile: Profile | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> pa.Table:
    """The entity rows with the features that were known at their time stamps, from the weekly snapshots or computed at those instants.

    A snapshot counts from its instant on, and holds nothing that happened or became known at or after it. Where no snapshot of an entity
    counts yet, its features are null. With `tables` no snapshot is read: each view is computed as of each different time stamp, from what
    happened and was known before it. That is for rows of few instants, such as a model's cut-offs.

    Args:
        entities: the views' key columns, a time stamp without a zone, and whatever else (a label); rows may repeat.
        features: views (`customer`) or single features (`item.price`).
        at: name of the time stamp's column.
        versions: Delta version of the feature tables to read, by view; the newest by default.
        tables: versions of the views' own tables by `<layer>/<name>`, to compute from; those that are left out are read at their newest.
        profile: memory and threads of the engine; the default profile's without it.
        tell: hears how many rows have theirs, where they are computed.

    Returns:
        the entity rows as they are, in their order, and a column `<view>__<feature>` for each feature.

    Raises:
        FeatureViewError: a feature, a key column or the time stamp does not exist, or there are too many time stamps to compute at.
        TableMissing: a view has no snapshot yet, or a table that it is computed from was never made.
    """
    if tables is not None:
        return _computed(lakehouse, views, entities, features, at, tables, profile, tell)
    chosen = _chosen(views, features)
    result = entities
    with session(lakehouse, profile) as con:
        for name, names in chosen.items():
            view = views.view(name)
            _fits(view, entities, at, names)
            version = lakehouse.open(view.table, version=(versions or {}).get(name))
            named = {feature: f"{name}__{feature}" for feature in names}
            rows = FeatureRows(rows_of(version), view.keys, named, one_a_time=True, in_time=known_in_time(version))
            found = join(con, entities, at, rows)
            for column in found.column_names:
                result = result.append_column(column, found[column])
    return result


def portions_of(
    lakehouse: Lakehouse,
    views: FeatureViews,
    entities: pa.Table,
    features: Sequence[str],
    *,
    at: str = "at",
    tables: Mapping[str, TableVersion],
    profile: Profile | None = None,
    rows: int = PORTION,
) -> Iterator[pa.Table]:
    """What `training_set` gives with `tables`, in portions of at most so many rows, sorted by time stamp: however many rows, memory stays bounded.

    Raises:
        FeatureViewError, TableMissing: as `training_set`.
    """
    wanted = []
    for name, names in _chosen(views, features).items():
        _fits(views.view(name), entities, at, names)
        named = {feature: f"{name}__{feature}" for feature in names}
        wanted.append(Wanted(Inputs.open(lakehouse, views.view(name), tables), named))
    with session(lakehouse, profile) as con:
        for found in portions_at(con, wanted, entities, at, rows=rows):
            portion = entities.take(found[ROW])
            for column in found.column_names[1:]:
                portion = portion.append_column(column, found[column])
            yield portion


def _computed(
    lakehouse: Lakehouse,
    views: FeatureViews,
    entities: pa.Table,
    features: Sequence[str],
    at: str,
    tables: Mapping[str, TableVersion],
    profile: Profile | None,
    tell: Callable[[str], None],
) -> pa.Table:
    import numpy as np
    import pyarrow as pa

    # The rows may have a column of any name: one more is named longer than all of them.
    number = ROW + "_" * max(map(len, entities.column_names))
    numbered = entities.append_column(number, pa.array(np.arange(entities.num_rows)))
    asked, found = portions_of(lakehouse, views, numbered, features, at=at, tables=tables, profile=profile), []
    for portion in asked:
        found.append(portion)
        tell(
            f"features of {', '.join(features)}: {sum(each.num_rows for each in found):,} of {entities.num_rows:,} rows"
        )
    return pa.concat_tables(found).sort_by(number).drop_columns([number])


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


def _fits(view: FeatureView, entities: pa.Table, at: str, features: Sequence[str]) -> None:
    """Refuses entity rows that could only be matched by a guess."""
    import pyarrow as pa

    missing = [name for name in (*view.keys, at) if name not in entities.column_names]
    if missing:
        raise FeatureViewError(
            f"the entity rows lack columns that the feature view {view.name} is joined by",
            expected=", ".join((*view.keys, at)),
            found=", ".join(entities.column_names),
        )
    taken = [name for name in (f"{view.name}__{feature}" for feature in features) if name in entities.column_names]
    if taken:
        raise FeatureViewError(
            f"the entity rows have a column {taken[0]} already, where the feature would stand",
            expected="no column of that name",
            found=", ".join(taken),
            remedy="leave it out of the rows, or give it another name",
        )
    kind = entities.schema.field(at).type
    if not pa.types.is_timestamp(kind) or kind.tz is not None:
        raise FeatureViewError(
            f"the column {at} is no time stamp of the trade's local time",
            expected="a time stamp without a zone",
            found=kind,
        )
    for key, entry in view.entity.items():
        kind = entities.schema.field(key).type
        if not _key_fits(kind, text=entry.type == "string"):
            raise FeatureViewError(
                f"the column {key} of the entity rows has another type than in the feature view {view.name}",
                expected=entry.type,
                found=kind,
                remedy="cast it: 7 and 007 are one number and two texts",
            )


def _key_fits(kind: pa.DataType, *, text: bool) -> bool:
    """Whether values of a type can be keys; those of a column of nulls are of any type."""
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_null(kind):
        return True
    texts = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    return bool(texts if text else pa.types.is_integer(kind))
