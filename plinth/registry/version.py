"""A registered version of a model, and how it is written into the registry's tags.

What belongs here: the names of the tags and their parsing. What does not: MLflow's calls (`plinth.registry.registry`). All that a version has to
be trusted by stands in tags that are written in the same statement as the version, so a version is there whole or not at all.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

CHAMPION, CHALLENGER = "champion", "challenger"

DIGEST = "plinth.digest"
FILES = "plinth.files"
INPUTS = "plinth.inputs"
METRICS = "plinth.metrics"
PARAMETERS = "plinth.parameters"
SEED = "plinth.seed"
CODE = "plinth.code"
ORIGIN = "plinth.origin"
"""What the version was trained from: equal origins mean that training again gives the same model."""
EVALUATED_ON = "plinth.evaluated_on"
ROLLED_BACK = "plinth.rolled_back"
DECISION = "plinth.decision"
PRUNED = "plinth.pruned"
_OWN = (DIGEST, FILES, INPUTS, METRICS, PARAMETERS, SEED, CODE, ORIGIN, EVALUATED_ON, ROLLED_BACK, DECISION, PRUNED)


@dataclass(frozen=True)
class Decision:
    """Whether a challenger became champion, and by which figures.

    Attributes:
        promoted: whether the challenger is the champion now by this decision.
        reason: one sentence for people.
        metric: name of the figure that decided.
        challenger_value, champion_value: the figure of both on the same snapshot; None where there was none to hold.
        champion_version: the version that was champion before; None where there was none.
        evaluated_on: names the snapshot.
        open: there was nothing to hold it against, and a person has to decide.
    """

    promoted: bool
    reason: str
    metric: str
    challenger_value: float | None
    champion_value: float | None
    champion_version: int | None
    evaluated_on: str
    open: bool = False

    def as_text(self) -> str:
        """The decision as JSON."""
        return json.dumps(vars(self), sort_keys=True)

    @classmethod
    def parse(cls, text: str) -> Decision:
        """The decision of a text that `as_text` made."""
        return cls(**json.loads(text))


@dataclass(frozen=True)
class RegisteredVersion:
    """One version of a model, as the registry knows it.

    Attributes:
        model, version: its name in the registry.
        digest: of its files' paths and bytes.
        files: SHA-256 of each file by its path.
        metrics, parameters: what was measured, and what was set.
        inputs: Delta version of every table that was read.
        seed, code: of the training.
        origin: what it was trained from, as one text.
        evaluated_on: the snapshot that `metrics` were measured on.
        aliases: `champion`, `challenger`, or none.
        decision: the newest decision about it.
        rolled_back: when, and why, it was taken out of service; a version that was is never promoted again but by hand.
        tags: those that the caller gave.
        pruned: when its files were removed; what is known of it stays.
    """

    model: str
    version: int
    digest: str
    files: Mapping[str, str] = field(repr=False)
    metrics: Mapping[str, float]
    parameters: Mapping[str, str]
    inputs: Mapping[str, int]
    seed: int
    code: str
    origin: str
    evaluated_on: str
    created_at: datetime
    aliases: tuple[str, ...]
    decision: Decision | None
    rolled_back: str | None
    run_id: str
    source: str
    tags: Mapping[str, str]
    pruned: str | None = None

    @property
    def is_champion(self) -> bool:
        """Whether it is what is served."""
        return CHAMPION in self.aliases

    def __str__(self) -> str:
        return f"{self.model} version {self.version}"


def parse_version(found: ModelVersion, aliases: tuple[str, ...]) -> RegisteredVersion | None:
    """A version from MLflow's own; None where another tool registered it, without a digest."""
    tags: dict[str, str] = dict(found.tags)
    if DIGEST not in tags or FILES not in tags:
        return None
    return RegisteredVersion(
        model=found.name,
        version=int(found.version),
        digest=tags[DIGEST],
        files=json.loads(tags[FILES]),
        metrics={name: float(value) for name, value in json.loads(tags.get(METRICS, "{}")).items()},
        parameters=json.loads(tags.get(PARAMETERS, "{}")),
        inputs=json.loads(tags.get(INPUTS, "{}")),
        seed=int(tags.get(SEED, 0)),
        code=tags.get(CODE, ""),
        origin=tags.get(ORIGIN, ""),
        evaluated_on=tags.get(EVALUATED_ON, ""),
        created_at=datetime.fromtimestamp(found.creation_timestamp / 1000, UTC),
        aliases=aliases,
        decision=Decision.parse(tags[DECISION]) if DECISION in tags else None,
        rolled_back=tags.get(ROLLED_BACK),
        run_id=found.run_id or "",
        source=found.source or "",
        tags={name: value for name, value in tags.items() if name not in _OWN},
        pruned=tags.get(PRUNED),
    )
