"""What is looked at to tell whether a model should be trained again: which table moves it, which publication shows how good it still is.

What belongs here: for each model its looks, what has to be there before one can be taken, and a name for what it would see. What does not: the figures
(`plinth.training.drift`, `feature_drift`, `score_drift`, `trial_drift`), whether a week has passed (`plinth.training.due`), and asking for a run (`sensors.retraining`).

An uplift's quality is told by trials alone: its champion is asked of those that ended after it had seen the last.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING

from plinth.features import load_views
from plinth.lakehouse.files import damage_told
from plinth.lakehouse.tables import Lakehouse, TableId, TableVersion
from plinth.registry import RegisteredVersion, Registry
from plinth.sections import DriftLimits
from plinth.serving.champion import input_text
from plinth.serving.judged import lists_to_judge, scores_to_judge
from plinth.serving.tables import PURCHASE_PROPENSITY, RECOMMENDATIONS
from plinth.training.contents import content_of, digest_of_contents
from plinth.training.drift import hits_since, moved_since
from plinth.training.feature_drift import Shifted, orders_shift, snapshots_shift
from plinth.training.moments import first_unseen
from plinth.training.recommender import RecommenderTarget
from plinth.training.score_drift import came_true
from plinth.training.tags import contents_seen, seen_by
from plinth.training.target import NotTrainable, Target
from plinth.training.trial_drift import trials_told
from plinth.training.uplift import UpliftTarget

if TYPE_CHECKING:
    import duckdb

    from plinth.profile import Profile

INTERACTIONS, INVOICE_LINES = TableId("gold", "interactions"), TableId("silver", "invoice_lines")
FINE = "no limit is passed"


@dataclass(frozen=True)
class Watch:
    """What is looked at, and how often a model is trained anyhow: after so many days of trade."""

    lakehouse: Lakehouse
    registry: Registry
    profile: Profile
    every_days: int
    limits: DriftLimits = field(default_factory=DriftLimits)


@dataclass(frozen=True)
class Verdict:
    """What a look came to: `reason` says why training again is worth it, and where it is not, `said` says what was seen or could not be told."""

    reason: str = ""
    said: str = FINE


@dataclass(frozen=True)
class Sight:
    """A look that can be taken.

    Attributes:
        token: names what it would see: the same is not worth a second look.
        look: takes it, with a DuckDB that has the delta extension; may raise StorageFailure.
        own: whether only this model would have to be trained, not all that learn from purchases.
    """

    token: str
    look: Callable[[duckdb.DuckDBPyConnection], Verdict]
    own: bool = True


def data_sight(target: Target, watch: Watch) -> Sight | str:
    """The look at the data that a model learns from, or why none can be taken.

    Raises:
        RegistryUnavailable: the tracking server does not answer.
    """
    newest = next(iter(watch.registry.versions(target.name)), None)
    seen = seen_by(newest)
    if newest is None or seen is None:
        return f"nothing was trained yet: materialise models/{target.name} first"
    if target.feature_views:
        return _features_sight(target, watch, newest, seen)
    if isinstance(target, UpliftTarget):
        return _orders_sight(target, watch, newest, seen)
    return purchases_sight(watch, newest, seen)


def purchases_sight(watch: Watch, newest: RegisteredVersion, seen: datetime) -> Sight | str:
    """The look at purchases since a version saw them last."""
    interactions = watch.lakehouse.find(INTERACTIONS)
    if interactions is None:
        return f"{INTERACTIONS} was never made"
    if content_of(interactions) == contents_seen(newest).get(str(INTERACTIONS)):
        return f"version {newest.version} was trained on what {INTERACTIONS} holds"

    def look(con: duckdb.DuckDBPyConnection) -> Verdict:
        return Verdict(moved_since(con, interactions, seen).reason(watch.limits))

    return Sight(f"{content_of(interactions)}-after-{newest.version}", look, own=False)


def _features_sight(target: Target, watch: Watch, newest: RegisteredVersion, seen: datetime) -> Sight | str:
    declared = load_views(watch.lakehouse.platform).views
    asked = [declared[name] for name in target.feature_views if name in declared]
    found = [(view, watch.lakehouse.find(view.table)) for view in asked]
    views = [(view, version) for view, version in found if version is not None]
    missing = [str(view.table) for view, version in found if version is None]
    if missing or not views:
        return f"{', '.join(missing) or 'no feature view'} was never made"

    def look(con: duckdb.DuckDBPyConnection) -> Verdict:
        return _shift(target, snapshots_shift(con, views, seen), watch.limits)

    return Sight(f"{'-'.join(content_of(version) for _, version in views)}-after-{newest.version}", look)


def _orders_sight(target: Target, watch: Watch, newest: RegisteredVersion, seen: datetime) -> Sight | str:
    lines = watch.lakehouse.find(INVOICE_LINES)
    if lines is None:
        return f"{INVOICE_LINES} was never made"
    if content_of(lines) == contents_seen(newest).get(str(INVOICE_LINES)):
        return f"version {newest.version} was trained on what {INVOICE_LINES} holds"

    def look(con: duckdb.DuckDBPyConnection) -> Verdict:
        now = newest_order(con, lines)
        if now is None or now <= seen:
            return Verdict(said=f"nothing was ordered since version {newest.version} was trained")
        return _shift(target, orders_shift(con, lines, seen, now), watch.limits)

    return Sight(f"{content_of(lines)}-after-{newest.version}", look)


def _shift(target: Target, found: Shifted | str, limits: DriftLimits) -> Verdict:
    if isinstance(found, str):
        return Verdict(said=found)
    return Verdict(found.reason(target.name, limits), found.said(limits))


def quality_sight(target: Target, watch: Watch) -> Sight | str:
    """The look at how good what was published by a model's champion has been, or why none can be taken.

    Raises:
        RegistryUnavailable: the tracking server does not answer.
    """
    sight = _published_sight(target, watch)
    return sight if isinstance(sight, str) else _unless_answered(target, watch, sight)


def _unless_answered(target: Target, watch: Watch, sight: Sight) -> Sight:
    """The same look, which asks for nothing while a version that has seen the loss is new.

    Such a version was trained, and lost against the champion: it would lose again tomorrow. Without this a loss that training cannot mend, as one that
    January brings each year, asked for a training each day as long as it lasted.
    """
    newest, lines = next(iter(watch.registry.versions(target.name)), None), watch.lakehouse.find(INVOICE_LINES)
    seen = seen_by(newest)
    if newest is None or newest.is_champion or seen is None or lines is None:
        return sight

    def look(con: duckdb.DuckDBPyConnection) -> Verdict:
        found = sight.look(con)
        now = newest_order(con, lines) if found.reason else None
        if now is None or (now - seen).days >= watch.every_days:
            return found
        return Verdict(
            said=f"{found.reason}. Version {newest.version} was trained on what was there on {seen:%Y-%m-%d} and did not become champion; the next is "
            f"due after {watch.every_days} days of trade"
        )

    return replace(sight, token=f"{sight.token}-beside-{newest.version}", look=look)


def _published_sight(target: Target, watch: Watch) -> Sight | str:
    if isinstance(target, UpliftTarget):
        return _trials_sight(target, watch)
    published = (RECOMMENDATIONS if isinstance(target, RecommenderTarget) else PURCHASE_PROPENSITY).id
    champion, made = watch.registry.champion(target.name), watch.lakehouse.find(published)
    if champion is None or made is None:
        return f"nothing was published yet: {published} is made from the champion of models/{target.name}"
    if isinstance(target, RecommenderTarget):
        return _lists_sight(target, watch, champion, made)
    return _chances_sight(watch, champion, made)


def _lists_sight(
    target: RecommenderTarget, watch: Watch, champion: RegisteredVersion, lists: TableVersion
) -> Sight | str:
    interactions = watch.lakehouse.find(INTERACTIONS)
    if interactions is None:
        return f"{INTERACTIONS} was never made"

    def look(con: duckdb.DuckDBPyConnection) -> Verdict:
        # What was bought before the lists were made stands in them by no merit of theirs.
        judged = lists_to_judge(watch.lakehouse, lists)
        if judged is None or target.metric not in champion.metrics:
            return Verdict(said="the lists do not say up to when they know")
        # Files of older versions may have been removed in between, as an erasure asks for.
        with damage_told(judged.table):
            hits = hits_since(con, judged.table, interactions, judged.until, target.k, target.settings.window_days)
        return Verdict(hits.reason(champion.metrics[target.metric], watch.limits))

    return Sight(f"{content_of(interactions)}-{content_of(lists)}-of-{champion.version}", look)


def _chances_sight(watch: Watch, champion: RegisteredVersion, scores: TableVersion) -> Sight | str:
    lines = watch.lakehouse.find(INVOICE_LINES)
    if lines is None:
        return f"{INVOICE_LINES} was never made"
    if not {"roc_auc", "ece"} <= set(champion.metrics):
        return f"version {champion.version} has no figures to hold published chances against"

    def look(con: duckdb.DuckDBPyConnection) -> Verdict:
        from plinth.promote import HORIZON

        now = newest_order(con, lines)
        judged = None if now is None else scores_to_judge(watch.lakehouse, scores, input_text(champion), now - HORIZON)
        if judged is None:
            return Verdict(said=f"no chances of version {champion.version} are kept whose {HORIZON.days} days are over")
        found = came_true(con, judged.table, lines, judged.until)
        return Verdict(found.reason(champion.metrics, watch.limits), found.said(watch.limits))

    return Sight(f"{content_of(lines)}-{content_of(scores)}-of-{champion.version}", look)


def _trials_sight(target: UpliftTarget, watch: Watch) -> Sight | str:
    champion = watch.registry.champion(target.name)
    seen = seen_by(champion)
    if champion is None or seen is None:
        return f"models/{target.name} has no champion to judge"
    found = {str(table): watch.lakehouse.find(table) for table in target.inputs}
    versions = {name: version for name, version in found.items() if version is not None}
    if len(versions) < len(found):
        return f"{', '.join(sorted(found.keys() - versions))} was never made"

    def look(con: duckdb.DuckDBPyConnection) -> Verdict:
        from plinth.promote.booked import trials
        from plinth.promote.errors import ExamplesUnusable, ModelFileRefused
        from plinth.promote.uplift import Uplift

        with ExitStack() as damaged:
            for version in versions.values():
                damaged.enter_context(damage_told(version))
            # Those that ended before were among the trials that it was judged by at training. All orders are read for those since, so they are counted first.
            rows = trials(con, versions, ended_from=seen.date()) if _ended(con, versions, seen) else None
        if rows is None or rows.num_rows == 0:
            return Verdict(
                said=f"no trial has ended since version {champion.version} last saw its data, {seen:%Y-%m-%d}"
            )
        try:
            told = trials_told(Uplift.load(watch.registry.fetch(champion)), rows)
        except (ExamplesUnusable, ModelFileRefused) as why:
            return Verdict(said=f"version {champion.version} cannot be judged by the new trials: {why.what}")
        return Verdict(told.reason(watch.limits), told.said(watch.limits))

    return Sight(f"{digest_of_contents(versions)}-of-{champion.version}", look)


def _ended(con: duckdb.DuckDBPyConnection, versions: Mapping[str, TableVersion], seen: datetime) -> bool:
    """Whether a promotion has ended since a version saw its data, by the day of the newest order."""
    newest = newest_order(con, versions[str(INVOICE_LINES)])
    scan = versions["silver/promotions"].scan
    found = con.execute(f"SELECT count(*) FROM {scan} WHERE ends_on >= ?::DATE AND ends_on < ?::DATE", [seen, newest])
    row = found.fetchone()
    return bool(row and row[0])


def newest_order(con: duckdb.DuckDBPyConnection, lines: TableVersion) -> datetime | None:
    """The first moment after the newest sale of goods in silver/invoice_lines; None where there is none."""
    found = con.execute(
        f"SELECT max(invoiced_at) FROM {lines.scan} WHERE line_type = 'sale' AND item_kind = 'goods' AND customer_no IS NOT NULL"
    ).fetchone()
    try:
        return first_unseen(found and found[0])
    except NotTrainable:
        return None
