"""What a model has to say to be trained in a round.

What belongs here: the shape that `plinth.training.work` asks for, and what it hands over. What does not: any one model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

from plinth.errors import PlinthError
from plinth.fanout import FanOut
from plinth.features import FeatureViews
from plinth.lakehouse.tables import Lakehouse, TableId, TableVersion
from plinth.profile import Profile


class NotTrainable(PlinthError):
    """The tables hold nothing that this model could be trained on; there is no fault in that."""


@dataclass(frozen=True)
class Desk:
    """What a training may use.

    Attributes:
        versions: the pinned version of every input, by `<layer>/<name>`.
        scratch: folder for what does not fit into memory.
        fan_out: how independent parts are spread.
        tell: hears what a training has done and how long it took, as it goes on.
    """

    lakehouse: Lakehouse
    versions: Mapping[str, TableVersion]
    profile: Profile
    scratch: Path
    seed: int
    fan_out: FanOut = field(default_factory=FanOut)
    tell: Callable[[str], None] = field(default=lambda _: None, repr=False, compare=False)


@dataclass(frozen=True)
class Trained:
    """A trained model with its figures.

    Attributes:
        save: writes the model's files into a folder.
        plots: PNG images by name.
        until: the first moment that was not seen; drift is measured from it.
    """

    parameters: Mapping[str, object]
    metrics: Mapping[str, float]
    plots: Mapping[str, bytes]
    until: datetime
    save: Callable[[Path], None]


class Task(Protocol):
    """A model's training on tables that have been read."""

    @property
    def snapshot(self) -> str:
        """Names the data and the window that versions are judged on."""
        ...

    def train(self) -> Trained:
        """Trains on what was before the window, and measures on the window."""
        ...

    def value_of(self, folder: Path) -> float | None:
        """The figure that decides, of an earlier version's files on the same window; None where today's code cannot use them."""
        ...


class Target(Protocol):
    """A kind of model; a frozen dataclass whose text says all that a training depends on beside tables, code and seed."""

    @property
    def name(self) -> str:
        """Its name in the registry and of its asset."""
        ...

    @property
    def description(self) -> str:
        """What it says, in one sentence."""
        ...

    @property
    def metric(self) -> str:
        """The figure that decides between two versions."""
        ...

    @property
    def higher_is_better(self) -> bool:
        """Whether the higher figure wins."""
        ...

    @property
    def inputs(self) -> tuple[TableId, ...]:
        """The tables that it reads."""
        ...

    @property
    def feature_views(self) -> tuple[str, ...]:
        """The declared feature views that it learns from; a round reads their tables too."""
        ...

    @property
    def packages(self) -> tuple[str, ...]:
        """The packages of `plinth` that decide what a training yields."""
        ...

    @property
    def ranges(self) -> Mapping[str, tuple[float, float]]:
        """Least and most of the figures that are no shares of 0 to 1."""
        ...

    def unfit(self, metrics: Mapping[str, float]) -> str:
        """Why a version of these figures must not serve, be there a champion or not: it is no better than the baseline. Empty where it is better."""
        ...

    def open(self, desk: Desk) -> Task:
        """Reads the tables.

        Raises:
            NotTrainable: there is nothing to train on, and the message says why.
        """
        ...


def tables_of(target: Target, views: FeatureViews) -> tuple[TableId, ...]:
    """Every table that a model reads, itself or by its feature views; views that are not declared read none."""
    declared = [views.views[name] for name in target.feature_views if name in views.views]
    return tuple(dict.fromkeys([*target.inputs, *(table for view in declared for table in view.tables)]))


def is_plausible(target: Target, name: str, value: float) -> bool:
    """Whether a figure is a number that such a figure can be."""
    least, most = target.ranges.get(name, (0.0, 1.0))
    return least <= value <= most  # never true of NaN
