"""The declaration of feature views: `feature_views.yaml` as typed, frozen values.

What belongs here: the shape of the file, its validation, and the fingerprint of a view. What does not: what a view's SQL means (`query`) and
whether it may read what it reads (`guard`). Errors name the file, the key and the values that are allowed.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from plinth.contracts.naming import NAME, RESERVED, near
from plinth.errors import PlinthError
from plinth.features.bound import OnlineRows
from plinth.features.document import explain, read_mapping
from plinth.lakehouse.tables import TableId
from plinth.platform import Platform

FILE = "feature_views.yaml"
SNAPSHOT, AS_OF, KNOWN_AT = "snapshot_date", "as_of", "known_at"
"""Columns that every feature table has beside its entity and its features."""
OWN_COLUMNS = ("event_time", "known_time", "age")
"""Columns that every source has beside those that it declares; `age` is the days from the event to the instant asked for."""

FeatureType = Literal["double", "long", "integer", "boolean", "string", "date", "timestamp_ntz"]
EntityType = Literal["long", "integer", "string"]
_SINCE = date(2000, 1, 3)


class FeatureViewError(PlinthError):
    """A feature view cannot be used as it is declared."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class EntityKey(_Strict):
    """One column that names whom or what the features are about."""

    type: EntityType
    description: str = Field(min_length=1)


class FeatureSource(_Strict):
    """Rows that a view is computed from.

    Attributes:
        table: `<layer>/<name>`.
        columns: what the view may use, each an SQL expression over a row of the table.
        where: which rows count, as an SQL condition.
        event_time: when a row happened; an expression.
        known_time: when it was known here; an expression. By default the event time. A row without either never counts.
        window: how far back rows count, such as `730d`; all of them by default.
        scope: entity columns by which the rows may be narrowed when only some entities are asked for. Empty where the rows of others count too.
        ahead: rows may be dated ahead of what has happened, as planned contacts are: they do not say how far the data reach.
    """

    table: str
    columns: dict[str, str] = Field(min_length=1)
    where: str = "true"
    event_time: str
    known_time: str | None = None
    window: timedelta | None = None
    scope: tuple[str, ...] = ()
    ahead: bool = False

    @field_validator("table")
    @classmethod
    def _a_table(cls, value: str) -> str:
        if not re.fullmatch(r"(bronze|silver|gold)/[a-z][a-z0-9_]*", value):
            raise ValueError(
                f"a table of bronze, silver or gold such as silver/invoice_lines is expected, found {value!r}"
            )
        return value

    @field_validator("window", mode="before")
    @classmethod
    def _window_days(cls, value: Any) -> Any:
        return days(value)

    @property
    def table_id(self) -> TableId:
        """The table in the lakehouse."""
        layer, _, name = self.table.partition("/")
        return TableId(layer, name)  # type: ignore[arg-type]

    @property
    def known(self) -> str:
        """The expression of the known time."""
        return self.known_time or self.event_time


class Feature(_Strict):
    """One value of a view.

    Attributes:
        expression: an SQL aggregate over the rows that the entity has in `rows`.
        rows: a source or a query of the view.
        window: only rows of at most this age count, such as `30d`; `rows` has the column `age` then.
        default: the value where the entity has no such row; null by default.
    """

    expression: str
    rows: str = Field(alias="from")
    type: FeatureType = "double"
    window: timedelta | None = None
    default: int | float | str | bool | None = None
    description: str = Field(min_length=1)

    @field_validator("window", mode="before")
    @classmethod
    def _window_days(cls, value: Any) -> Any:
        return days(value)


class FeatureView(_Strict):
    """Features of one kind of entity, computed as of any instant from what happened and was known before it.

    Attributes:
        entity: key columns with their types.
        sources: the rows, by the names that the SQL uses.
        queries: further rows, derived from the sources and from queries before them; `$as_of` is the instant.
        refresh_weeks: how many of the newest weekly snapshots a refresh makes; older ones are made by a backfill.
        online: whether the documents that the API serves hold its values; not those that only models ask for. Of a view of pairs how many
            rows of each they hold; without that bound none.
        profile: of `platform.yaml`, in which its snapshots are computed, and whose engine computes them; the default one where it is left out.
    """

    name: str = ""
    line: int = 1
    owner: str = Field(pattern=r"^(team:[A-Za-z0-9._-]+|[^@\s]+@[^@\s]+\.[^@\s]+)$")
    description: str = Field(min_length=1)
    entity: dict[str, EntityKey] = Field(min_length=1)
    sources: dict[str, FeatureSource] = Field(min_length=1)
    queries: dict[str, str] = {}
    features: dict[str, Feature] = Field(min_length=1)
    refresh_weeks: int = Field(default=26, ge=1, le=2600)
    online: bool | OnlineRows = True
    profile: str | None = None

    @model_validator(mode="after")
    def _names_resolve(self) -> FeatureView:
        for where, names in (
            ("entity", self.entity),
            ("sources", self.sources),
            ("queries", self.queries),
            ("features", self.features),
        ):
            for name in names:
                plain_name(name, f"{where}.{name}")
        rows = [*self.sources, *self.queries]
        if doubled := set(self.sources) & set(self.queries):
            raise ValueError(f"queries.{min(doubled)}: a source has this name already")
        if doubled := set(self.entity) & set(self.features):
            raise ValueError(f"features.{min(doubled)}: an entity column has this name already")
        for name, source in self.sources.items():
            _source_fits(name, source, self.entity)
        if all(source.ahead for source in self.sources.values()):
            raise ValueError("sources: one that is not ahead is expected, to tell how far the data reach")
        if not isinstance(self.online, bool):
            numbers = [name for name, feature in self.features.items() if feature.type in ("double", "long", "integer")]
            self.online.check(keys=len(self.entity), numbers=numbers)
        for name, feature in self.features.items():
            if feature.rows not in rows:
                raise ValueError(
                    f"features.{name}.from: a source or query of the view is expected, one of {', '.join(rows)}; "
                    f"found {feature.rows!r}{near(feature.rows, rows)}"
                )
        return self

    @property
    def table(self) -> TableId:
        """The table that holds its snapshots."""
        return TableId("features", self.name)

    @property
    def keys(self) -> tuple[str, ...]:
        """The entity's columns."""
        return tuple(self.entity)

    @property
    def tables(self) -> tuple[TableId, ...]:
        """The tables that it reads, each once."""
        return tuple(dict.fromkeys(source.table_id for source in self.sources.values()))

    @property
    def fingerprint(self) -> str:
        """Equal fingerprints mean that equal rows give equal features; descriptions and the owner are left out."""
        values = self.model_dump(mode="json", exclude=_MEANS_NOTHING)
        for part in (*values["entity"].values(), *values["features"].values()):
            del part["description"]
        return hashlib.sha256(json.dumps([_MEANING, values], sort_keys=True).encode()).hexdigest()[:16]


_MEANS_NOTHING = {"line", "owner", "description", "refresh_weeks", "online", "profile"}
_MEANING = 1
"""Grows when `query` gives the same declaration another meaning: every snapshot is then made anew."""


class FeatureViews(_Strict):
    """All of `feature_views.yaml`; `since` is the first Monday of which there can be a snapshot."""

    since: date = _SINCE
    views: dict[str, FeatureView] = {}

    @model_validator(mode="after")
    def _fits(self) -> FeatureViews:
        if self.since.weekday() != 0:
            raise ValueError(f"since: a Monday is expected, found {self.since} (a {self.since:%A})")
        for name in self.views:
            plain_name(name, f"views.{name}")
        return self

    def view(self, name: str) -> FeatureView:
        """The view `name`.

        Raises:
            FeatureViewError: there is no such view.
        """
        if name not in self.views:
            raise FeatureViewError(
                f"there is no feature view {name!r}",
                expected=f"one of {', '.join(self.views) or 'none is declared'}{near(name, self.views)}",
                found=name,
                where=FILE,
            )
        return self.views[name]


def load_views(source: Platform | Path) -> FeatureViews:
    """Reads `feature_views.yaml` of a platform, or the file given; a platform without one has no views.

    Raises:
        FeatureViewError: the file is no YAML, or a key or value in it is wrong; the message names all of them.
    """
    path = source.path(FILE) if isinstance(source, Platform) else source
    if isinstance(source, Platform) and not path.exists():
        return FeatureViews()
    try:
        values, lines = read_mapping(path)
    except ValueError as error:
        raise FeatureViewError("the feature views cannot be read", found=error, where=path) from None
    views = values.get("views")
    for name, view in views.items() if isinstance(views, dict) else ():
        if isinstance(view, dict) and not {"name", "line"} & set(view):
            view.update(name=str(name), line=lines.get(str(name), 1))
    try:
        return FeatureViews.model_validate(values)
    except ValidationError as error:
        raise FeatureViewError(
            "the feature views have wrong keys or values:\n    " + "\n    ".join(explain(error, _MODELS)),
            where=path,
            remedy="mend the keys named above; docs/features.md describes every key",
        ) from None


_MODELS: Mapping[str, type[BaseModel]] = {
    "entity": EntityKey,
    "sources": FeatureSource,
    "features": Feature,
    "views": FeatureView,
    "": FeatureViews,
}


def days(value: Any) -> Any:
    """A span such as `30d` as a timedelta."""
    if value is None or isinstance(value, timedelta):
        return value
    match = re.fullmatch(r"([1-9]\d{0,4})d", str(value))
    if match is None:
        raise ValueError(f"days such as 30d are expected, found {value!r}")
    return timedelta(days=int(match.group(1)))


def plain_name(name: str, where: str) -> None:
    """Refuses a name that would need quotes in SQL, or that is one of the platform's own."""
    if not NAME.fullmatch(name) or name in RESERVED:
        raise ValueError(
            f"{where}: a name of lower-case letters, digits and underscores that SQL does not reserve is expected, found {name!r}"
        )
    if name in (SNAPSHOT, AS_OF, KNOWN_AT, *OWN_COLUMNS):
        raise ValueError(f"{where}: the name is the platform's own, choose another")


def _source_fits(name: str, source: FeatureSource, entity: Mapping[str, EntityKey]) -> None:
    for column in source.columns:
        plain_name(column, f"sources.{name}.columns.{column}")
    for key in source.scope:
        if key not in entity or key not in source.columns:
            both = [each for each in entity if each in source.columns]
            raise ValueError(
                f"sources.{name}.scope: entity columns that the source has are expected, {' or '.join(both) or 'of which there are none'}; "
                f"found {key!r}{near(key, both)}"
            )
