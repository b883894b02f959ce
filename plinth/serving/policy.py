"""By what a plan chooses whom to contact: the champion, or what is left where there is none.

What belongs here: the policies, which of them a day has, and why. What does not: the models (`plinth.promote`) and the plan (`plan`).

- `uplift`: the champion says by how much a contact moves each customer. It has beaten a random ranking on trials that it had not seen.
- `average_effect`: no model tells customers apart, but the trials show that a contact moves them: every customer is given the same factor on his own
  chance to buy. Who is chosen then follows from chances, order values and costs, which need no ranking of effects.
- `nobody`: the trials do not show that a contact moves anybody, or there is none. A plan would spend money on a hope.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from plinth.profile import Profile
from plinth.registry import RegisteredVersion, Registry

if TYPE_CHECKING:
    import duckdb

    from plinth.promote.uplift import Uplift

BY_UPLIFT, BY_AVERAGE, NOBODY = "uplift", "average_effect", "nobody"
_SEED = 20


@dataclass(frozen=True)
class Policy:
    """A policy by its name, the sentence that says why it is this one, and the model that it asks; None where it contacts nobody."""

    name: str
    reason: str
    model: Uplift | None = None


def policy_of(
    con: duckdb.DuckDBPyConnection,
    registry: Registry,
    champion: RegisteredVersion | None,
    profile: Profile,
    *,
    on: date,
) -> Policy:
    """The policy of a day.

    Args:
        con: has the relations of `plinth.promote.trial.Shop` under their usual names.
        on: the day of the plan; trials that ended before it are known.

    Raises:
        ModelTampered, ModelFileRefused: the champion's files are not those that were registered, or not what they should be.
    """
    from plinth.promote.uplift import Uplift

    if champion is not None:
        return Policy(BY_UPLIFT, f"by the champion, version {champion.version}", Uplift.load(registry.fetch(champion)))
    return _without_champion(con, profile, on)


def _without_champion(con: duckdb.DuckDBPyConnection, profile: Profile, on: date) -> Policy:
    from plinth.promote.errors import ExamplesUnusable
    from plinth.promote.trial import Shop, trial_rows
    from plinth.promote.uplift import train_average_effect

    try:
        model = train_average_effect(trial_rows(con, Shop(), ended_before=on), seed=_SEED, threads=profile.threads)
    except ExamplesUnusable as why:
        return Policy(NOBODY, f"{why.what} (found: {why.found})")
    effect = f"{model.metrics.uplift:.4f}, 95 % from {model.metrics.uplift_low:.4f} to {model.metrics.uplift_high:.4f}"
    if not model.metrics.uplift_low > 0:
        return Policy(NOBODY, f"the trials do not show that a contact moves anybody: mean effect {effect}")
    return Policy(
        BY_AVERAGE,
        f"no model tells customers apart better than chance, but a contact moves them: mean effect {effect}",
        model,
    )
