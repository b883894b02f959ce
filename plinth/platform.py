"""`platform.yaml` as one typed object: zones, layers, stores, profiles, sources, and the settings of API, execution, promotions, Spark and
code locations.

What belongs here: the shape of the file, what holds between its parts, and the resolution of paths and addresses. What does not: the larger
sections (`plinth.profile`, `plinth.execution_settings`, …), the words of an error (`plinth.explain`), opening a source (`plinth.sources`) or a
table (`plinth.lakehouse`). Errors name the file, the key and the values that are allowed.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, ValidationError, model_validator

from plinth.api_settings import Api
from plinth.errors import ConfigurationError
from plinth.execution_settings import Execution, check_pods
from plinth.explain import explained, known, suggestion
from plinth.objects.stores import know
from plinth.profile import AUTO, GRANTED_VARIABLE, Profile, cheapest, check_next
from plinth.promotion_settings import Promotions
from plinth.secret import variable, with_password
from plinth.sections import LAYERS, Classification, Layer, Location, Source, Stores, Strict, Training, Zone
from plinth.spark_memory import check_spark
from plinth.spark_settings import Spark

__all__ = [
    "LAYERS",
    "OVERLAY_VARIABLE",
    "Classification",
    "Layer",
    "Location",
    "Platform",
    "Source",
    "Stores",
    "Training",
    "Zone",
    "find_overlay",
    "load_platform",
]

OVERLAY_VARIABLE = "PLINTH_PLATFORM"


class Platform(Strict):
    """The whole of `platform.yaml`.

    `home` is the folder that relative paths start from. `granted` is the profile that this process was given (`PLINTH_PROFILE` of its pod).
    """

    zones: dict[str, Zone] = Field(min_length=1)
    layers: dict[Layer, str]
    stores: Stores = Stores()
    profiles: dict[str, Profile] = Field(min_length=1)
    default_profile: str
    sources: dict[str, Source] = Field(default_factory=dict)
    api: Api = Api()
    promotions: Promotions = Promotions()
    training: Training = Training()
    execution: Execution = Execution()
    spark: Spark = Spark()
    location: Location = Location()
    home: Path = Field(default=Path("."), exclude=True)
    granted: str | None = Field(default=None, exclude=True)

    @model_validator(mode="after")
    def _names_resolve(self) -> Platform:
        for layer, zone in self.layers.items():
            known(zone, self.zones, f"layers.{layer}", "a zone")
        if AUTO in self.profiles:
            raise ValueError(f"profiles.{AUTO}: another name is expected; {AUTO} asks for the choice of one")
        if self.default_profile != AUTO:
            known(self.default_profile, self.profiles, "default_profile", "a profile")
        for name, source in self.sources.items():
            if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
                raise ValueError(f"sources.{name}: a name of lower-case letters, digits and underscores is expected")
            if source.profile is not None:
                known(source.profile, self.profiles, f"sources.{name}.profile", "a profile")
        check_next(self.profiles)
        if self.granted is not None:
            known(self.granted, self.profiles, GRANTED_VARIABLE, "a profile")
        check_pods(self.execution, self.profiles)
        check_spark(None if self.spark.connects else self.spark.master, self.profiles)
        missing = [layer for layer in ("bronze", "silver", "gold", "ops") if layer not in self.layers]
        if missing:
            raise ValueError(f"layers: a zone for {', '.join(missing)} is expected")
        for name, place in self.zones.items():
            know(place.root, place.options, name)
        return self

    def path(self, relative: str) -> Path:
        """A local path of the file, resolved against `home`."""
        return (self.home / relative).resolve()

    def root_of(self, zone: str) -> str:
        """The storage root of a zone as a URI (`s3://…`) or an absolute local path."""
        root = self.zones[zone].root
        return root.rstrip("/") if "://" in root else str(self.path(root))

    def profile(self, name: str | None = None) -> Profile:
        """The profile to work within: `name`, or the default one; in a pod that was made for a profile, that one.

        Raises:
            ConfigurationError: there is no such profile.
        """
        return self.declared(self.granted or name)

    @property
    def base_profile(self) -> str:
        """The name of the default profile; where that is `auto`, which only models can be, the cheapest one of DuckDB."""
        return cheapest(self.profiles) if self.default_profile == AUTO else self.default_profile

    def declared(self, name: str | None = None) -> Profile:
        """The profile `name`, or the default one, whatever this process was given.

        Raises:
            ConfigurationError: there is no such profile.
        """
        chosen = name or self.base_profile
        if chosen not in self.profiles:
            raise ConfigurationError(
                f"there is no profile {chosen!r}",
                expected=f"one of {', '.join(sorted(self.profiles))}",
                found=f"{chosen}{suggestion(chosen, self.profiles)}",
                where="platform.yaml, profiles",
                remedy="declare it under profiles, or ask for one that is declared",
            )
        return self.profiles[chosen]

    def tracking_url(self) -> str | None:
        """The address of the MLflow server that keeps the models; None where they are kept in `stores.registry`.

        Raises:
            ConfigurationError: the environment variable that it names is not set.
        """
        if self.stores.tracking_env is not None:
            return variable(self.stores.tracking_env, "stores.tracking_env")
        return self.stores.tracking

    def spark_remote(self) -> str | None:
        """The address of the Spark Connect server; None where sessions run on `spark.master`.

        Raises:
            ConfigurationError: the environment variable that it names is not set.
        """
        if self.spark.remote_env is not None:
            return variable(self.spark.remote_env, "spark.remote_env")
        return self.spark.remote

    def online_url(self) -> str:
        """The URL of the online store; a relative SQLite path is resolved against `home`.

        Raises:
            ConfigurationError: the environment variable that it names is not set.
        """
        url = self.stores.online
        if self.stores.online_env is not None:
            url = variable(self.stores.online_env, "stores.online_env")
        return self._resolved(url)

    def history_url(self) -> str | None:
        """The PostgreSQL URL of Dagster's history; None where it is in the instance's folder.

        Raises:
            ConfigurationError: the environment variable that it names is not set.
        """
        name = self.stores.history_env
        return variable(name, "stores.history_env") if name is not None else None

    def source(self, name: str) -> Source:
        """The source `name`.

        Raises:
            ConfigurationError: there is no such source.
        """
        if name not in self.sources:
            raise ConfigurationError(
                f"there is no source {name!r}",
                expected=f"one of {', '.join(sorted(self.sources)) or 'none is declared'}",
                found=name,
                where="platform.yaml, sources",
                remedy=f"declare it under sources, or call one that is declared{suggestion(name, self.sources)}",
            )
        return self.sources[name]

    def source_url(self, name: str) -> str:
        """The URL of a source with its secret put in; a relative SQLite path is resolved against `home`.

        Raises:
            ConfigurationError: the environment variable that it names is not set.
        """
        source = self.source(name)
        url = source.url or variable(source.url_env or "", f"sources.{name}.url_env")
        if url.startswith("sqlite"):
            return self._resolved(url)
        if source.password_env is None:
            return url
        return with_password(url, variable(source.password_env, f"sources.{name}.password_env"))

    def _resolved(self, url: str) -> str:
        if url.startswith("sqlite:///") and not url.startswith("sqlite:////"):
            return f"sqlite:///{self.path(url.removeprefix('sqlite:///'))}"
        return url


def load_platform(path: str | Path, overlay: str | Path | None = None) -> Platform:
    """Reads `platform.yaml`, with an overlay merged over it.

    Args:
        path: the file. Relative paths in it start from its folder.
        overlay: a file with some of the same keys; the environment variable `PLINTH_PLATFORM` names one by default. Mappings merge
            key by key, every other value replaces.

    Raises:
        ConfigurationError: a file is missing or is no YAML, or a key or value in it is wrong; the message names file and key.
    """
    base = Path(path).resolve()
    values = _read(base)
    chosen = overlay or os.environ.get(OVERLAY_VARIABLE)
    where = str(base)
    if chosen:
        over = find_overlay(base.parent, chosen)
        values = _merge(values, _read(over))
        where = f"{base} with overlay {over}"
    try:
        return Platform.model_validate(
            {**values, "home": base.parent, "granted": os.environ.get(GRANTED_VARIABLE) or None}
        )
    except ValidationError as error:
        raise explained(error, Platform, where) from None


def find_overlay(home: Path, named: str | Path) -> Path:
    """The absolute path of an overlay that is named from the current folder or, where it is not there, from the project's."""
    over = Path(named).expanduser()
    return (over if over.is_absolute() or over.exists() else home / over).resolve()


def _read(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigurationError("the platform file is missing", expected="a YAML file", where=path) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigurationError("the platform file is no YAML", found=str(error), where=path) from None
    if not isinstance(values, dict):
        raise ConfigurationError("the platform file is empty", expected="a mapping with zones, layers, …", where=path)
    return values


def _merge(base: Any, over: Any) -> Any:
    if isinstance(base, dict) and isinstance(over, dict):
        return {key: _merge(base.get(key), over[key]) if key in over else base[key] for key in {**base, **over}}
    return over
