"""Served against offline: the features that some customers' documents hold, computed again one by one as of the same moment.

What belongs here: choosing customers, reading their documents back and comparing. What does not: what becomes of a difference (the asset check).
Documents are made for all customers at once; here each customer's rows are read from the very versions of the tables that the documents name,
and computed in memory. Equal means equal to the last digit.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from plinth.engine import quote
from plinth.features.compute import read_events, values_of
from plinth.features.query import instant
from plinth.features.rows import Inputs, session
from plinth.features.skew import Difference
from plinth.lakehouse.tables import Lakehouse
from plinth.serving.features import ENTITY, FEATURES, OnlineFeatures, customer_views, instant_of

if TYPE_CHECKING:
    import duckdb

    from plinth.online import OnlineStore, OnlineVersion


@dataclass(frozen=True)
class ServedSkew:
    """What a comparison found.

    Attributes:
        at: the moment that the documents are as of; None where there is nothing to compare.
        customers: how many were compared.
        values: how many values of theirs.
        differences: the values that are not the same; `as_of` among them where a document is of another moment.
        why: the reason for comparing nothing, in words.
    """

    at: datetime | None = None
    customers: int = 0
    values: int = 0
    differences: tuple[Difference, ...] = ()
    why: str = ""


def measure_served_skew(lakehouse: Lakehouse, store: OnlineStore, *, customers: int = 10) -> ServedSkew:
    """Compares what is served of some customers, other ones for each version, with their features as of the same moment.

    Raises:
        StoreUnavailable: the store does not answer.
    """
    version = store.current()
    if version is None:
        return ServedSkew(why="nothing was published yet")
    features, why = _made_from(lakehouse, version)
    if features is None:
        return ServedSkew(why=why)
    with session(lakehouse) as con:
        at = instant_of(con, features)
        if at is None:
            return ServedSkew(why="there is no row yet that features are made from")
        keys = _some(con, features, at, customers, version.id)
        served = store.read_many(FEATURES, [str(key) for key in keys], version.id)
        differences, values = [], 0
        for key in keys:
            body = served.get(str(key))
            found = list(_compared(con, features, at, key, json.loads(body) if body is not None else {}))
            values += len(found)
            differences += [each for each in found if each.offline != each.online]
    return ServedSkew(at, len(keys), values, tuple(differences))


def _made_from(lakehouse: Lakehouse, version: OnlineVersion) -> tuple[OnlineFeatures | None, str]:
    """The views over the versions of the tables that a version of the store names, or why that cannot be."""
    views = customer_views(lakehouse)
    made = {name: view for name, view in views.items() if str(view.table) in version.inputs}
    if not made:
        return None, "no features were published"
    opened = OnlineFeatures(
        {
            name: Inputs(
                view,
                {table: lakehouse.open(table, version=int(version.inputs[str(table)])) for table in view.tables},
            )
            for name, view in made.items()
        }
    )
    if any(version.inputs[name] != said for name, said in opened.declared.items()):
        return None, "the declarations changed since; the next publication follows them"
    return opened, ""


def _some(
    con: duckdb.DuckDBPyConnection, features: OnlineFeatures, at: datetime, number: int, seed: int
) -> list[int | str]:
    (key,) = ENTITY
    known = " UNION ALL ".join(
        f"SELECT {quote(key)} AS key FROM {rows} WHERE event_time < {instant(at)} AND known_time < {instant(at)}"
        for inputs in features.views.values()
        for name, rows in inputs.rows().items()
        if key in inputs.view.sources[name].scope
    )
    found = con.execute(
        f"SELECT key FROM (SELECT DISTINCT key FROM ({known}) WHERE key IS NOT NULL) ORDER BY hash(key, {seed}), key LIMIT {number}"
    )
    return [row[0] for row in found.fetchall()]


def _compared(
    con: duckdb.DuckDBPyConnection, features: OnlineFeatures, at: datetime, key: int | str, served: Mapping[str, Any]
) -> Iterator[Difference]:
    """Each value of a customer twice: offline as computed here, online as served."""
    entity = {ENTITY[0]: key}
    yield Difference(entity, "as_of", at.isoformat(), served.get("as_of"))
    for name, inputs in features.views.items():
        offline = values_of(inputs.view, read_events(con, inputs, at, entity), at, entity) or {}
        online = (served.get("features") or {}).get(name) or {}
        for feature in inputs.view.features:
            yield Difference(entity, f"{name}.{feature}", _as_sent(offline.get(feature)), online.get(feature))


def _as_sent(value: Any) -> Any:
    """A value as JSON gives it back."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)
