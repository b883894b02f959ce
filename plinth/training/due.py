"""When a model is due for a training in the runs that refresh everything: never trained, other code, a week of trade, or drift.

What belongs here: the reasons, in words. What does not: the figures of drift and their limits (`plinth.training.drift`), and who asks: the nightly
job and `plinth run` ask here, while a schedule, a sensor or a person has decided already.

Time is told by the data: a model learns from purchases, so a week is a week of them. A platform that nobody trades on trains nothing, and one that
takes up a month at once is not told by the wall clock that only a minute has passed.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from plinth.engine import connect
from plinth.errors import StorageFailure
from plinth.features import load_views
from plinth.lakehouse.tables import Lakehouse
from plinth.training.code import code_of_target
from plinth.training.moments import first_unseen
from plinth.training.tags import SEEN
from plinth.training.watched import INTERACTIONS, Sight, Watch, data_sight, purchases_sight, quality_sight

if TYPE_CHECKING:
    import duckdb

    from plinth.profile import Profile
    from plinth.training.target import Target


def why_due(target: Target, watch: Watch) -> str:
    """Why a model should be trained again, for people; empty where it should not.

    Raises:
        RegistryUnavailable: the tracking server does not answer.
    """
    newest = next(iter(watch.registry.versions(target.name)), None)
    if newest is None:
        return "it was never trained"
    if newest.code != code_of_target(target, load_views(watch.lakehouse.platform)):
        return "its code or the declaration of its features changed"
    seen, now = newest.tags.get(SEEN), seen_until(watch.lakehouse, watch.profile)
    if not seen or not now:
        return "it is not known which purchases it has seen"
    days = (datetime.fromisoformat(now) - datetime.fromisoformat(seen)).days
    if days >= watch.every_days:
        return (
            f"{days} days of trade since version {newest.version} was trained, at most {watch.every_days} are to pass"
        )
    if days <= 0:
        return ""
    purchases = purchases_sight(watch, newest, datetime.fromisoformat(seen))
    return _drifted([purchases, data_sight(target, watch), quality_sight(target, watch)], watch)


def _drifted(sights: list[Sight | str], watch: Watch) -> str:
    """What the first look that finds a drift says."""
    looks = {sight.token: sight.look for sight in sights if isinstance(sight, Sight)}

    def look(con: duckdb.DuckDBPyConnection) -> str:
        for each in looks.values():
            try:
                reason = each(con).reason
            except StorageFailure:
                # What was published weeks ago is gone after an erasure, which removes all files of older versions: then its quality cannot be told.
                continue
            if reason:
                return reason
        return ""

    return _looked(watch.lakehouse, watch.profile, look)


def seen_until(lakehouse: Lakehouse, profile: Profile) -> str:
    """The first moment after the newest purchase, as text; empty where there is no purchase."""
    interactions = lakehouse.find(INTERACTIONS)
    if interactions is None or interactions.rows == 0:
        return ""

    def look(con: duckdb.DuckDBPyConnection) -> str:
        newest = con.execute(f"SELECT max(bought_at) FROM {interactions.scan}").fetchone()
        return first_unseen(newest and newest[0]).isoformat()

    return _looked(lakehouse, profile, look)


def _looked(lakehouse: Lakehouse, profile: Profile, look: Callable[[duckdb.DuckDBPyConnection], str]) -> str:
    platform = lakehouse.platform
    con = connect(profile, extensions=("delta",), scratch=platform.path(platform.stores.scratch))
    try:
        return look(con)
    finally:
        con.close()
