"""When a model is due for a training in the runs that refresh everything: never trained, other code, a week of trade, or drift.

What belongs here: the reasons, in words. What does not: the figures of drift and their limits (`plinth.training.drift`), and who asks: the nightly
job and `plinth run` ask here, while a schedule, a sensor or a person has decided already.

Time is told by the data: a model learns from purchases, so a week is a week of them. A platform that nobody trades on trains nothing, and one that
takes up a month at once is not told by the wall clock that only a minute has passed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from plinth.engine import connect
from plinth.features import load_views
from plinth.lakehouse.tables import Lakehouse, TableId, TableVersion
from plinth.serving.judged import lists_to_judge
from plinth.training.code import code_of_target
from plinth.training.drift import Limits, hits_since, moved_since
from plinth.training.moments import first_unseen
from plinth.training.recommender import RecommenderTarget

if TYPE_CHECKING:
    import duckdb

    from plinth.profile import Profile
    from plinth.registry import RegisteredVersion, Registry
    from plinth.training.target import Target

SEEN = "plinth.seen"
"""Tag of a version: the first moment after the newest purchase that was there when it was trained, or found to be what training gives."""
INTERACTIONS, LISTS = TableId("gold", "interactions"), TableId("serving", "recommendations")


@dataclass(frozen=True)
class Watch:
    """What is looked at, and how often a model is trained anyhow: after so many days of trade."""

    lakehouse: Lakehouse
    registry: Registry
    profile: Profile
    every_days: int
    limits: Limits = field(default_factory=Limits)


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
    interactions = watch.lakehouse.find(INTERACTIONS)
    seen, now = newest.tags.get(SEEN), seen_until(watch.lakehouse, watch.profile)
    if not seen or not now or interactions is None:
        return "it is not known which purchases it has seen"
    days = (datetime.fromisoformat(now) - datetime.fromisoformat(seen)).days
    if days >= watch.every_days:
        return (
            f"{days} days of trade since version {newest.version} was trained, at most {watch.every_days} are to pass"
        )
    if days <= 0:
        return ""

    def look(con: duckdb.DuckDBPyConnection) -> str:
        moved = moved_since(con, interactions, datetime.fromisoformat(seen)).reason(watch.limits)
        if moved or target.name != RecommenderTarget().name:
            return moved
        champion, lists = watch.registry.champion(target.name), watch.lakehouse.find(LISTS)
        return "" if champion is None or lists is None else quality(con, watch, interactions, lists, champion)

    return _looked(watch.lakehouse, watch.profile, look)


def quality(
    con: duckdb.DuckDBPyConnection,
    watch: Watch,
    interactions: TableVersion,
    lists: TableVersion,
    champion: RegisteredVersion,
) -> str:
    """Whether the published lists hit too little, for people; empty where they do not, or where that cannot be told yet."""
    target = RecommenderTarget()
    # What was bought before the lists were made stands in them by no merit of theirs.
    judged = lists_to_judge(watch.lakehouse, lists)
    if judged is None or target.metric not in champion.metrics:
        return ""
    hits = hits_since(con, judged.lists, interactions, judged.until, target.k, target.settings.window_days)
    return hits.reason(champion.metrics[target.metric], watch.limits)


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
