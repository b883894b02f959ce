"""The smaller sections of `platform.yaml`: zones, stores, training, sources and the code location.

What belongs here: each section's keys, defaults, and what holds within it. What does not: what holds between sections (`plinth.platform`), and the
larger sections, which have modules of their own (`plinth.profile`, `plinth.execution_settings`, …).
"""

from __future__ import annotations

from typing import Literal, get_args
from urllib.parse import parse_qs, urlsplit

from pydantic import BaseModel, ConfigDict, Field, model_validator

from plinth.fanout import FanOut
from plinth.objects.settings import StoreOptions, check_root

Classification = Literal["public", "internal", "confidential", "restricted"]
Layer = Literal["bronze", "silver", "gold", "features", "serving", "ops"]

LAYERS: tuple[str, ...] = (*get_args(Layer), "models")
"""What a code location can hold: the layers of tables, and the models."""


class Strict(BaseModel):
    """A section that refuses keys which it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Zone(Strict):
    """A place where tables may live: its storage root and the classifications that it is cleared for.

    The root is a folder, or an address in an object store (`s3://bucket/prefix`) that `options` say how to reach.
    """

    root: str
    clearance: tuple[Classification, ...] = Field(min_length=1)
    options: StoreOptions | None = None

    @model_validator(mode="after")
    def _reachable(self) -> Zone:
        check_root(self.root, self.options)
        return self


class Stores(Strict):
    """Files and databases beside the lakehouse.

    `registry` is the folder of the models; `tracking` is the URL of an MLflow server that keeps them instead, or `tracking_env` names the
    environment variable that holds it. `online` is the URL of the store that the API reads, or `online_env` names the variable that holds it
    (with its password). `history_env` names the variable with the PostgreSQL URL of Dagster's history; without it that is in SQLite.
    """

    report: str = "data/report.json"
    scratch: str = "data/scratch"
    registry: str = "data/registry"
    tracking: str | None = None
    tracking_env: str | None = None
    online: str = "sqlite:///data/online/online.db"
    online_env: str | None = None
    history_env: str | None = None

    @model_validator(mode="after")
    def _one_tracking(self) -> Stores:
        if self.tracking is not None and self.tracking_env is not None:
            raise ValueError("only one of tracking and tracking_env is expected")
        if self.tracking is not None and urlsplit(self.tracking).password:
            raise ValueError(
                "a password stands in tracking: name the variable that holds the URL in tracking_env instead"
            )
        if urlsplit(self.online).password:
            raise ValueError("a password stands in online: name the variable that holds the URL in online_env instead")
        return self


class DriftLimits(Strict):
    """From when on training again is worth it; how each figure is measured stands in `plinth.training`.

    Attributes:
        rows: with fewer new interactions nothing is judged by them: shares of a handful jump.
        growth: new interactions, as a share of those that were trained on.
        new_items: share of the new interactions with items that had never been sold.
        new_customers: share of the customers since who had never bought.
        psi: population stability index of the items' shares; 0 where none has changed, 0.1 is commonly called a shift, 0.25 a change.
        feature_rows: with fewer customers on either side the features of a model are not compared.
        feature_psi: population stability index from which on a feature counts as moved.
        moved_features: share of a model's features that may have moved.
        customers: with fewer customers who can be judged by what they did since, nothing that was published is judged.
        kept: share of the recall at training that the published lists have to keep.
        buyers: with fewer customers who bought, or who did not, published chances are not judged.
        ranking_kept: share of what the ROC-AUC had above one half at training that published chances have to keep.
        calibration: by how much the calibration error of published chances may lie above that at training.
        effect_apart: by how many standard errors the effect of new trials may lie from what the uplift's champion expected of them.
    """

    rows: int = Field(default=1_000, ge=1)
    growth: float = Field(default=0.10, gt=0)
    new_items: float = Field(default=0.10, gt=0, le=1)
    new_customers: float = Field(default=0.30, gt=0, le=1)
    psi: float = Field(default=0.10, gt=0)
    feature_rows: int = Field(default=500, ge=1)
    feature_psi: float = Field(default=0.25, gt=0)
    moved_features: float = Field(default=0.15, ge=0, le=1)
    customers: int = Field(default=100, ge=1)
    kept: float = Field(default=0.7, ge=0, le=1)
    buyers: int = Field(default=50, ge=1)
    ranking_kept: float = Field(default=0.8, ge=0, le=1)
    calibration: float = Field(default=0.10, gt=0, le=1)
    effect_apart: float = Field(default=2.5, gt=0)


class Training(Strict):
    """When the runs that refresh everything train, and what is kept of it.

    A model is trained again after `every_days` days of trade, and before that where data or quality drift; 1 trains with every day's purchases.
    The files of the newest `keep` versions of a model stay, and those of the champion, the one before it and the challenger in any case.
    `drift` says from when on something has drifted, and `fan_out` how the independent parts of a training are spread.
    """

    every_days: int = Field(default=7, ge=1)
    keep: int = Field(default=5, ge=1)
    drift: DriftLimits = DriftLimits()
    fan_out: FanOut = FanOut()


class Source(Strict):
    """A legacy system: where it is, and the contract that describes it.

    Exactly one of `url` and `url_env` is given; `password_env` names the variable whose value is put into the URL as its password.
    `check_every` is the sensor's interval in seconds; `tables_per_tick` bounds what one look may request. A table without a cursor is read as a
    whole after `read_whole_every` seconds, though no look saw a change: of some databases a cheap look can miss one.
    """

    url: str | None = None
    url_env: str | None = None
    password_env: str | None = None
    contract: str
    profile: str | None = None
    check_every: int = Field(default=60, ge=5)
    read_whole_every: int = Field(default=24 * 3600, ge=60)
    tables_per_tick: int = Field(default=50, ge=1)

    @model_validator(mode="after")
    def _one_address(self) -> Source:
        if (self.url is None) == (self.url_env is None):
            raise ValueError("exactly one of url and url_env is expected")
        if self.url is not None and _has_password(self.url):
            raise ValueError(
                "a password stands in url: name the environment variable that holds it in password_env, or the whole url in url_env"
            )
        return self


def _has_password(url: str) -> bool:
    """Drivers take it beside the user, and most among the options as well."""
    parts = urlsplit(url)
    return bool(parts.password) or not {"password", "passwd", "sslpassword"}.isdisjoint(parse_qs(parts.query))


class Location(Strict):
    """Which assets a code location holds: those of `layers`, or all.

    Several locations of one Dagster instance share the platform: what one does not hold another makes, and it is read here as any table is.
    """

    layers: tuple[Layer | Literal["models"], ...] | None = Field(default=None, min_length=1)

    def holds(self, layer: str) -> bool:
        """Whether the assets of a layer are made here."""
        return self.layers is None or layer in self.layers
