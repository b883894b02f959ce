"""The models of the platform.

What belongs here: the list. What does not: what each of them is.
"""

from __future__ import annotations

from plinth.errors import ConfigurationError
from plinth.training.propensity import PropensityTarget
from plinth.training.recommender import RecommenderTarget
from plinth.training.target import Target
from plinth.training.uplift import UpliftTarget

TARGETS: tuple[Target, ...] = (RecommenderTarget(), PropensityTarget(), UpliftTarget())


def target_of(name: str) -> Target:
    """A model by its name.

    Raises:
        ConfigurationError: there is none of this name.
    """
    for target in TARGETS:
        if target.name == name:
            return target
    raise ConfigurationError(
        f"there is no model {name!r}", expected=f"one of {', '.join(each.name for each in TARGETS)}", found=name
    )
