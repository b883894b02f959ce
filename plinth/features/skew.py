"""Offline against online: some entities of the newest snapshot, computed again one by one the way the online store's values are.

What belongs here: choosing entities and comparing. What does not: what becomes of a difference (the asset check). Equal means equal to the last
digit; anything else is a fault of the declaration (a scope that leaves out rows that count, a sum of floating-point numbers whose order
matters) or of the snapshot (its inputs changed since).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from plinth.engine import quote
from plinth.features.by_spark import SAME
from plinth.features.compute import read_events, values_of
from plinth.features.declare import SNAPSHOT, FeatureView
from plinth.features.due import instant_of, mondays_of
from plinth.features.rows import Inputs, session
from plinth.lakehouse.files import rows_of
from plinth.lakehouse.tables import Lakehouse


@dataclass(frozen=True)
class Difference:
    """One value that is not the same offline and online."""

    entity: Mapping[str, Any]
    feature: str
    offline: Any
    online: Any


@dataclass(frozen=True)
class Skew:
    """What a comparison found: of how many values how many differ, and the greatest difference of two numbers over the offline one."""

    monday: date | None
    entities: int
    values: int
    differences: tuple[Difference, ...]

    @property
    def worst(self) -> float:
        """The greatest relative difference of two numbers; infinite where one is missing or no number."""
        return worst(self.differences)


def measure_skew(
    lakehouse: Lakehouse, view: FeatureView, *, entities: int | None = None, monday: date | None = None
) -> Skew:
    """Compares a snapshot (the newest by default) with the online computation, for entities chosen by a hash of their keys.

    Equal means to the last digit, or within `SAME` where the view's profile is one of Spark.

    Args:
        entities: how many; 10 by default, or 3 of a view for which the rows of all others count, as each of these costs a pass over all rows.

    Raises:
        TableMissing: the view has no snapshots, or an input is missing.
    """
    version, inputs = lakehouse.open(view.table), Inputs.open(lakehouse, view)
    days = mondays_of(version)
    if not days:
        return Skew(None, 0, 0, ())
    day = monday or days[-1]
    number = entities or (10 if all(source.scope for source in view.sources.values()) else 3)
    keys = ", ".join(quote(key) for key in view.keys)
    within = SAME if lakehouse.platform.declared(view.profile).engine == "spark" else 0.0
    differences: list[Difference] = []
    with session(lakehouse) as con:
        chosen = con.execute(
            f"SELECT * FROM {rows_of(version)} WHERE {SNAPSHOT} = ? ORDER BY hash({keys}), {keys} LIMIT ?",
            [day, number],
        ).to_arrow_table()
        for offline in chosen.to_pylist():
            entity = {key: offline[key] for key in view.keys}
            events = read_events(con, inputs, instant_of(day), entity)
            online = values_of(view, events, instant_of(day), entity) or {}
            differences += [
                Difference(entity, name, offline[name], online.get(name))
                for name in view.features
                if not _same(offline[name], online.get(name), within)
            ]
    return Skew(day, chosen.num_rows, chosen.num_rows * len(view.features), tuple(differences))


def _same(offline: Any, online: Any, within: float) -> bool:
    if isinstance(offline, float) and isinstance(online, float) and within:
        return math.isclose(offline, online, rel_tol=within, abs_tol=within)
    return bool(offline == online)


def worst(differences: Sequence[Difference]) -> float:
    """The greatest relative difference of two numbers; infinite where one is missing or no number."""
    return max((_distance(each.offline, each.online) for each in differences), default=0.0)


def _distance(offline: Any, online: Any) -> float:
    if not isinstance(offline, int | float) or not isinstance(online, int | float):
        return math.inf
    return abs(offline - online) / max(abs(offline), 1e-12)
