"""The registry of models: what is registered, found and fetched.

What belongs here: the way of a version into the registry and out of it. What does not: which version is served (`plinth.registry.champions`),
MLflow's settings (`plinth.registry.store`), and what is inside a model (`plinth.recommend`, `plinth.promote`). The registry handles files; it
never opens one as a model, so nothing that was stored can run here.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from plinth.errors import ConfigurationError
from plinth.registry import version as tag
from plinth.registry.champions import Challenge, challenge, promote, roll_back
from plinth.registry.content import digest_of, hashes_of
from plinth.registry.errors import ModelMissing
from plinth.registry.fetch import fetch, plots
from plinth.registry.prune import prune
from plinth.registry.runs import Training, written_run
from plinth.registry.store import Absent, Store, faults
from plinth.registry.version import Decision, RegisteredVersion, parse_version

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

    from plinth.platform import Platform

_PAGE = 200
_DATABASE = "mlflow.db"


class Registry:
    """The models of a platform, by name and version.

    Example:
        >>> registry = Registry.of(platform)  # doctest: +SKIP
        >>> champion = registry.champion("recommender")  # doctest: +SKIP
        >>> Recommender.load(registry.fetch(champion))  # doctest: +SKIP
    """

    def __init__(self, tracking_uri: str, artifact_root: Path) -> None:
        self.store = Store(tracking_uri, artifact_root)

    @classmethod
    def of(cls, platform: Platform) -> Registry:
        """The registry that `platform.yaml` names: a tracking server, or an SQLite file below `stores.registry`.

        Raises:
            ConfigurationError: the tracking server's address is no URL, or its environment variable is not set.
        """
        root = platform.path(platform.stores.registry)
        address = platform.tracking_url()
        if address is not None and urlsplit(address).scheme not in ("http", "https"):
            raise ConfigurationError(
                "the tracking server's address is no URL of a server",
                expected="http://… or https://…",
                found=address.partition("://")[0] + "://…",
                where="platform.yaml, stores.tracking or stores.tracking_env",
            )
        return cls(address or f"sqlite:///{root / _DATABASE}", root)

    def log(
        self,
        model: str,
        *,
        files: Path,
        parameters: Mapping[str, object],
        metrics: Mapping[str, float],
        plots: Mapping[str, bytes],
        inputs: Mapping[str, int],
        seed: int,
        code: str = "",
        origin: str = "",
        evaluated_on: str = "",
        tags: Mapping[str, str] | None = None,
    ) -> RegisteredVersion:
        """Registers the files of a trained model as a new version, with the alias `challenger`.

        A model whose digest is registered already is not registered twice: the version that has it is returned, with the newest origin.

        Args:
            files: the folder that the model was saved to; plain files only.
            plots: PNG images by name, without the extension.
            inputs: Delta version of each table that was read.
            code: fingerprint of the code that trained it.
            origin: what it was trained from, as one text; `find` looks it up before the next training.
            evaluated_on: names the snapshot that `metrics` were measured on.

        Raises:
            RegistryUnavailable, RegistryRefused: it could not be registered; there is no half of a version.
        """
        _check_name(model)
        hashes = hashes_of(files)
        digest = digest_of(hashes)
        measured = {name: float(value) for name, value in metrics.items() if math.isfinite(value)}
        described = {name: str(value) for name, value in parameters.items()}
        kept = {
            **(tags or {}),
            tag.DIGEST: digest,
            tag.FILES: json.dumps(hashes),
            tag.INPUTS: json.dumps(dict(sorted(inputs.items()))),
            tag.METRICS: json.dumps(dict(sorted(measured.items()))),
            tag.PARAMETERS: json.dumps(dict(sorted(described.items()))),
            tag.SEED: str(seed),
            tag.CODE: code,
            tag.ORIGIN: origin,
            tag.EVALUATED_ON: evaluated_on,
        }
        client = self.store.client
        with self.store.lock(), faults(self.store.uri):
            same = self.find(model, digest=digest)
            if same is not None:
                if origin not in ("", same.origin):
                    # Found by it before the next training, which would give the same once more.
                    client.set_model_version_tag(model, str(same.version), tag.ORIGIN, origin)
                    same = replace(same, origin=origin)
                return same
            self._ensure_model(model)
            with written_run(self.store, Training(model, files, described, measured, plots, inputs)) as (run, source):
                made = client.create_model_version(model, source, run_id=run, tags=kept, await_creation_for=60)
            client.set_registered_model_alias(model, tag.CHALLENGER, made.version)
        found = self.version(model, int(made.version))
        if found is None:
            raise ModelMissing(f"{model} version {made.version} was removed while it was registered")
        return found

    def models(self) -> Sequence[str]:
        """The names of all registered models."""
        if not self.store.exists:
            return []
        client = self.store.client
        with faults(self.store.uri):
            return sorted(each.name for each in client.search_registered_models(max_results=_PAGE))

    def versions(self, model: str) -> Sequence[RegisteredVersion]:
        """All versions of a model, newest first; none where nothing is registered."""
        if not self.store.exists:
            return []
        found = self._search(f"name='{_check_name(model)}'")
        aliases = self._aliases(model) if found else {}
        parsed = [parse_version(each, aliases.get(int(each.version), ())) for each in found]
        return sorted((each for each in parsed if each is not None), key=lambda each: -each.version)

    def find(self, model: str, *, digest: str | None = None, origin: str | None = None) -> RegisteredVersion | None:
        """The newest version with this digest, or trained from this origin."""
        for each in self.versions(model):
            # Equal files that were removed cannot be taken in the place of new ones.
            usable = digest is None or each.pruned is None
            if usable and digest in (None, each.digest) and origin in (None, each.origin):
                return each
        return None

    def version(self, model: str, number: int) -> RegisteredVersion | None:
        """One version by its number."""
        if not self.store.exists:
            return None
        client = self.store.client
        try:
            with faults(self.store.uri):
                found = client.get_model_version(_check_name(model), str(number))
        except Absent:
            return None
        return parse_version(found, self._aliases(model).get(number, ()))

    def champion(self, model: str) -> RegisteredVersion | None:
        """The version that is served; None where none was promoted yet."""
        return self._by_alias(model, tag.CHAMPION)

    def challenger(self, model: str) -> RegisteredVersion | None:
        """The newest version that is not, or not yet, the champion."""
        return self._by_alias(model, tag.CHALLENGER)

    def fetch(self, version: RegisteredVersion) -> Path:
        """A local folder with the files of a version, every byte of which was held to the registered digest before.

        The files are copied first and verified where they will be read, so that nobody can change them in between by writing to the artefact
        store.

        Raises:
            ModelMissing: its files were removed (`prune`).
            ModelTampered: the files are not those that were registered; nothing of them was opened.
            RegistryUnavailable: the tracking server does not give them.
        """
        return fetch(self.store, version)

    def plots(self, version: RegisteredVersion) -> Mapping[str, bytes]:
        """The plots of a version as PNG, by name."""
        return plots(self.store, version)

    def challenge(
        self,
        version: RegisteredVersion,
        metric: str,
        higher_is_better: bool,
        evaluated_on: str,
        *,
        evaluate: Callable[[RegisteredVersion], float | None] | None = None,
        unfit: str = "",
    ) -> Decision:
        """Makes a version the champion if it beats the present one on the same snapshot, and records the decision on it.

        Args:
            metric: the figure of `version.metrics` that decides.
            evaluated_on: names the snapshot. A version whose own figures are of this snapshot is not evaluated again.
            evaluate: measures the figure of a version on that snapshot; None where today's code cannot use the version any more, which then
                stays champion until a person decides.
            unfit: why the version must not serve, whatever it is held against; empty where nothing stands against it.

        Raises:
            NotComparable: a figure on this snapshot is missing, and nothing was given to measure it.
        """
        return challenge(self, Challenge(version, metric, higher_is_better, evaluated_on, evaluate, unfit))

    def promote(self, model: str, number: int) -> RegisteredVersion:
        """Makes a version the champion by hand.

        Raises:
            ModelMissing: there is no such version.
        """
        return promote(self, model, number)

    def rollback(self, model: str, to: int | None = None, *, reason: str = "") -> RegisteredVersion:
        """Puts an earlier champion back: the one before, or the version `to`. What was champion is not promoted again but by hand.

        Raises:
            NothingToRollBack: there was no champion before.
            ModelMissing: there is no version `to`.
        """
        return roll_back(self, model, to, reason)

    def note(self, version: RegisteredVersion, tags: Mapping[str, str]) -> None:
        """Changes tags of a version that the caller gave, or adds some."""
        with self.store.lock(), faults(self.store.uri):
            for name, value in tags.items():
                self.store.client.set_model_version_tag(version.model, str(version.version), name, value)

    def prune(self, model: str, keep: int) -> Sequence[int]:
        """Removes the files of old versions, and gives the numbers of those that lost them now. Figures, settings and decisions stay.

        Kept are the newest `keep` versions, the champion, the champion before it, and the challenger. Of a tracking server only the local copies go: its
        artefacts are its own.
        """
        return prune(self, model, keep)

    def _ensure_model(self, model: str) -> None:
        try:
            with faults(self.store.uri):
                self.store.client.get_registered_model(model)
        except Absent:
            self.store.client.create_registered_model(model)

    def _search(self, condition: str) -> Sequence[ModelVersion]:
        found: list[ModelVersion] = []
        token: str | None = None
        client = self.store.client
        with faults(self.store.uri):
            while True:
                page = client.search_model_versions(condition, max_results=_PAGE, page_token=token)
                found += page
                token = page.token
                if not token:
                    return found

    def _aliases(self, model: str) -> Mapping[int, tuple[str, ...]]:
        # Of a search for versions MLflow leaves the aliases out.
        client = self.store.client
        with faults(self.store.uri):
            named = client.get_registered_model(model).aliases
        by_version: dict[int, tuple[str, ...]] = {}
        for alias, number in sorted(named.items()):
            by_version[int(number)] = (*by_version.get(int(number), ()), alias)
        return by_version

    def _by_alias(self, model: str, alias: str) -> RegisteredVersion | None:
        for each in self.versions(model):
            if alias in each.aliases:
                return each
        return None


def _check_name(model: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_]*", model):
        raise ModelMissing(
            f"{model!r} is no name of a model", expected="lower-case letters, digits and underscores", found=model
        )
    return model
