"""What lists are made of: the champion's ranker over the purchases and items of gold as they are now.

A champion may serve for months while its challengers lose; its purchases would be as old as it is. So whatever is served is asked of the champion
moved to gold's newest moment, which trains nothing (`plinth.recommend.moved`).

What belongs here: which tables count beside the champion, and opening the two together. What does not: which version is champion
(`champion`), and what is asked (`lists`, `publish`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from plinth.lakehouse.tables import Lakehouse, TableId, TableVersion
from plinth.profile import Profile
from plinth.registry import RegisteredVersion, Registry
from plinth.serving.champion import RECOMMENDER, input_name, input_text, open_recommender
from plinth.training.contents import contents_of
from plinth.training.moments import first_unseen
from plinth.training.tags import CONTENTS

if TYPE_CHECKING:
    import duckdb

    from plinth.recommend.recommender import Recommender

INPUTS = (
    TableId("gold", "interactions"),
    TableId("gold", "customer_orders"),
    TableId("gold", "item_catalog"),
    TableId("silver", "invoice_lines"),
)
"""What purchases and items are read from."""
_EPOCH = datetime(1970, 1, 1)


@dataclass(frozen=True)
class Standing:
    """A recommender and the tables that it is to know.

    Attributes:
        champion: None where there was nothing to train on; then nothing is read either.
    """

    champion: RegisteredVersion | None
    tables: Mapping[TableId, TableVersion] = field(default_factory=dict)

    @property
    def inputs(self) -> dict[str, str]:
        """What was made from it names these: the model with its digest, and the content of each table."""
        contents = {str(table): version.content for table, version in self.tables.items()}
        return {input_name(RECOMMENDER): input_text(self.champion), **contents}


@dataclass(frozen=True)
class Opened:
    """The recommender, and the first moment of which it knows nothing."""

    recommender: Recommender
    until: datetime


def standing_of(lakehouse: Lakehouse, champion: RegisteredVersion | None) -> Standing:
    """The version and the newest tables.

    Raises:
        TableMissing: there is a model, and no run has made one of the tables here.
    """
    return Standing(champion, {} if champion is None else {table: lakehouse.open(table) for table in INPUTS})


def open_standing(
    con: duckdb.DuckDBPyConnection, lakehouse: Lakehouse, registry: Registry, standing: Standing, profile: Profile
) -> Opened | None:
    """The recommender at the newest moment of the tables; None where there is none.

    Args:
        con: a DuckDB with the delta extension.

    Raises:
        ModelTampered, ModelRefused: the model's files are not those that were registered, or not what they should be.
        EventsUnusable, NotTrainable: the tables hold no purchase.
    """
    from plinth.recommend import events_from_lakehouse, items_from_lakehouse, moved
    from plinth.recommend.by_spark import common_for

    champion = standing.champion
    if champion is None:
        return None
    model = open_recommender(registry, champion, profile.threads)
    versions = {str(table): version for table, version in standing.tables.items()}
    if json.loads(champion.tags.get(CONTENTS, "{}")) == contents_of(versions):
        # It was stored with just these purchases.
        return Opened(model, _EPOCH + timedelta(days=model.at))
    newest = con.execute(f"SELECT max(bought_at) FROM {versions[str(INPUTS[0])].scan}").fetchone()
    until = first_unseen(newest and newest[0])
    events = events_from_lakehouse(con, lakehouse, until, versions=versions)
    items = items_from_lakehouse(con, lakehouse, until, versions=versions)
    common = common_for(lakehouse.platform, profile)
    return Opened(moved(model, events, items, until, threads=profile.threads, common=common), until)
