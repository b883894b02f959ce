"""Publishing: the serving tables, the items, the features, the catalogue and the session's model as one version of the online store.

What belongs here: which versions belong together, and in which order their documents come. What does not: how a document is made
(`documents`, `catalogue`) and how a version appears at once (`plinth.online`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from plinth.engine import connect
from plinth.lakehouse.tables import TableId, TableVersion
from plinth.online import Document, OnlineVersion
from plinth.registry import RegisteredVersion
from plinth.serving.catalogue import catalogue_documents, compact
from plinth.serving.champion import RECOMMENDER, input_name, input_text, named_version
from plinth.serving.consents import withhold_offers
from plinth.serving.documents import KINDS, RECOMMENDATIONS, Kind, documents_of, open_kind
from plinth.serving.feature_documents import feature_documents
from plinth.serving.features import OnlineFeatures, find_features
from plinth.serving.lists import Setting
from plinth.serving.standing import Standing, open_standing, standing_of

if TYPE_CHECKING:
    import duckdb

    from plinth.online import OnlineStore

ITEM_MODEL, ABOUT = "item_model", "about"
FORM = "the form of documents"
_FORM = "2"
"""Grows when the same tables and models give other documents: else a mended release would publish nothing before the next day's trade."""


@dataclass(frozen=True)
class Published:
    """What a publish came to."""

    version: OnlineVersion
    before: OnlineVersion | None
    pruned: int
    seconds: float

    @property
    def changed(self) -> bool:
        """Whether readers see something else than before."""
        return self.before is None or self.before.id != self.version.id


@dataclass(frozen=True)
class Sources:
    """What one version is made from: kinds whose tables exist, these tables at one version each, and the model of the lists with what it knows."""

    kinds: Sequence[Kind]
    tables: Mapping[TableId, TableVersion]
    standing: Standing
    features: OnlineFeatures

    @property
    def model(self) -> RegisteredVersion | None:
        """The version that the lists were made with."""
        return self.standing.champion

    @property
    def inputs(self) -> dict[str, str]:
        """Each table with its Delta version, each feature view with its declaration, each model with its number and digest, and the documents' form."""
        tables = {str(table): str(version.version) for table, version in self.tables.items()}
        return {**tables, **self.features.declared, input_name(RECOMMENDER): input_text(self.model), FORM: _FORM}


def publish(setting: Setting, store: OnlineStore, *, keep: int, label: str = "") -> Published:
    """Publishes what the tables hold now, and takes away all but the newest `keep` versions.

    Raises:
        ResidencyViolation: a column may not be where the serving layer is; nothing was published.
        ModelMissing: the model that the tables were made from is gone.
        StoreUnavailable, StoreConflict, PublishSuperseded: passing faults; readers see what they saw.
    """
    began = time.perf_counter()
    platform = setting.lakehouse.platform
    store.set_up()
    before = store.current()
    con = connect(setting.profile, extensions=("delta",), scratch=platform.path(platform.stores.scratch))
    try:
        sources = find_sources(setting)
        # Before the version appears: nobody who does not consent is shown an offer of it, not even for a moment.
        withhold_offers(setting.lakehouse, setting.profile, store)
        version = store.publish(_documents(con, setting, sources), inputs=sources.inputs, label=label)
    finally:
        con.close()
    pruned = store.prune(keep)
    return Published(version, before, pruned, round(time.perf_counter() - began, 3))


def find_sources(setting: Setting) -> Sources:
    """The newest versions of the tables. A kind of which a table was never made is left out.

    Raises:
        ModelMissing: as `publish`.
    """
    lakehouse = setting.lakehouse
    tables: dict[TableId, TableVersion] = {}
    there = []
    for kind in KINDS:
        found = {table: tables.get(table) or lakehouse.find(table) for table in kind.uses}
        if all(version is not None for version in found.values()):
            there.append(kind)
            tables.update({table: version for table, version in found.items() if version is not None})
    lists = tables.get(RECOMMENDATIONS)
    text = lists.state.inputs.get(input_name(RECOMMENDER)) if lists is not None else None
    standing = standing_of(lakehouse, named_version(setting.registry, RECOMMENDER, text))
    features = find_features(lakehouse, tables)
    return Sources(there, {**standing.tables, **features.tables, **tables}, standing, features)


def _documents(con: duckdb.DuckDBPyConnection, setting: Setting, sources: Sources) -> Iterator[Document]:
    for kind in sources.kinds:
        open_kind(con, setting.lakehouse, kind, sources.tables)
        yield from documents_of(con, kind)
    yield from feature_documents(con, setting.lakehouse, sources.features)
    yield from catalogue_documents(setting.lakehouse)
    yield Document("model", ABOUT, compact(_about(sources.model)))
    opened = open_standing(con, setting.lakehouse, setting.registry, sources.standing, setting.profile)
    if opened is not None:
        yield Document("model", ITEM_MODEL, opened.recommender.item_model.to_bytes())


def _about(model: RegisteredVersion | None) -> dict[str, object]:
    if model is None:
        return {}
    return {
        RECOMMENDER: {
            "version": model.version,
            "digest": model.digest,
            "registered_at": model.created_at.isoformat(timespec="seconds").replace("+00:00", "Z"),
            "metrics": dict(model.metrics),
            "evaluated_on": model.evaluated_on,
        }
    }
