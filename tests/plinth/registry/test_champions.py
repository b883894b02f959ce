"""Which version is served, and the way back."""

from __future__ import annotations

import math

import pytest

from plinth.registry import ModelMissing, NotComparable, NothingToRollBack, RegisteredVersion, Registry
from tests.plinth.registry.conftest import Save, register

pytestmark = pytest.mark.slow


def challenge(registry: Registry, version: RegisteredVersion, **more: object) -> bool:
    return registry.challenge(version, "recall", True, version.evaluated_on, **more).promoted  # type: ignore[arg-type]


def champion(registry: Registry) -> int | None:
    found = registry.champion("recommender")
    return found.version if found else None


@pytest.fixture
def two(registry: Registry, save: Save) -> tuple[RegisteredVersion, RegisteredVersion]:
    """Two versions of one snapshot that were champion one after the other."""
    first, second = register(registry, save("a"), 0.5), register(registry, save("b"), 0.6)
    assert challenge(registry, first) and challenge(registry, second)
    return first, second


def test_a_new_version_challenges_and_nothing_is_served_before_it_has_won(registry: Registry, save: Save) -> None:
    made = register(registry, save("a"))
    assert made.aliases == ("challenger",)
    assert champion(registry) is None
    assert challenge(registry, made)
    assert champion(registry) == 1
    assert registry.challenger("recommender") is None


def test_an_unfit_version_is_champion_of_nothing_whether_or_not_there_is_one(registry: Registry, save: Save) -> None:
    made = register(registry, save("a"), 0.9)
    decision = registry.challenge(made, "recall", True, "june", unfit="it is no better than guessing")
    assert not decision.promoted and "no better than guessing" in decision.reason
    assert (champion(registry), registry.challenger("recommender")) == (None, registry.version("recommender", 1))
    assert challenge(registry, register(registry, save("b"), 0.5))
    better = registry.challenge(register(registry, save("c"), 0.95), "recall", True, "june", unfit="so is this one")
    assert (better.promoted, champion(registry)) == (False, 2)
    assert registry.promote("recommender", 1).is_champion, "by hand it is somebody's decision"


@pytest.mark.parametrize(
    ("value", "higher_is_better", "wins"),
    [
        (0.51, True, True),
        (0.5, True, False),
        (0.49, True, False),
        (0.49, False, True),
        (0.5, False, False),
        (0.51, False, False),
    ],
)
def test_only_a_better_figure_on_the_same_snapshot_wins(
    registry: Registry, save: Save, value: float, higher_is_better: bool, wins: bool
) -> None:
    assert challenge(registry, register(registry, save("a"), 0.5))
    second = register(registry, save("b"), value)
    decision = registry.challenge(second, "recall", higher_is_better, "june")
    assert decision.promoted is wins
    assert (decision.challenger_value, decision.champion_value, decision.champion_version) == (value, 0.5, 1)
    assert champion(registry) == (2 if wins else 1)
    kept = registry.version("recommender", 2)
    assert kept is not None and kept.decision == decision
    assert kept.aliases == (("champion",) if wins else ("challenger",))


def test_a_champion_of_another_snapshot_is_evaluated_again(registry: Registry, save: Save) -> None:
    first = register(registry, save("a"), 0.9, snapshot="june")
    assert challenge(registry, first)
    second = register(registry, save("b"), 0.5, snapshot="july")
    with pytest.raises(NotComparable, match="version 1 has no recall on this snapshot"):
        challenge(registry, second)
    asked: list[int] = []

    def evaluate(version: RegisteredVersion) -> float:
        asked.append(version.version)
        return 0.4

    decision = registry.challenge(second, "recall", True, "july", evaluate=evaluate)
    assert decision.promoted and decision.champion_value == 0.4
    assert asked == [1], "the challenger's own figure is of this snapshot already"


@pytest.mark.parametrize("found", [None, math.nan])
def test_a_champion_that_today_s_code_cannot_judge_stays_until_a_person_decides(
    registry: Registry, save: Save, found: float | None
) -> None:
    assert challenge(registry, register(registry, save("a"), 0.1, snapshot="june"))
    second = register(registry, save("b"), 0.9, snapshot="july")
    decision = registry.challenge(second, "recall", True, "july", evaluate=lambda _: found)
    assert (decision.promoted, decision.open, champion(registry)) == (False, True, 1)
    assert "plinth model promote recommender 2" in decision.reason
    challenger = registry.challenger("recommender")
    assert challenger is not None and challenger.version == 2, "it is kept for the decision"
    assert challenger.decision is not None and challenger.decision.reason == decision.reason, "on record as well"
    registry.promote("recommender", 2)
    assert champion(registry) == 2


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_figure_that_is_no_number_never_wins(registry: Registry, save: Save, value: float) -> None:
    made = register(registry, save("a"), value)
    assert not challenge(registry, made, evaluate=lambda _: value)
    assert champion(registry) is None


def test_a_second_challenge_of_the_champion_changes_nothing(registry: Registry, save: Save) -> None:
    made = register(registry, save("a"))
    assert challenge(registry, made)
    before = registry.version("recommender", 1)
    assert not challenge(registry, made)
    assert registry.version("recommender", 1) == before


def test_a_champion_that_changes_while_it_is_evaluated_is_compared_anew(registry: Registry, save: Save) -> None:
    first, second = (
        register(registry, save("a"), 0.5, snapshot="june"),
        register(registry, save("b"), 0.7, snapshot="june"),
    )
    assert challenge(registry, first)
    third = register(registry, save("c"), 0.6, snapshot="july")

    def evaluate(version: RegisteredVersion) -> float:
        registry.promote("recommender", second.version)
        return version.metrics["recall"]

    decision = registry.challenge(third, "recall", True, "july", evaluate=evaluate)
    assert (decision.promoted, decision.champion_version, decision.champion_value) == (False, 2, 0.7)
    assert champion(registry) == 2


def test_a_rollback_brings_back_the_champion_before(
    registry: Registry, two: tuple[RegisteredVersion, RegisteredVersion]
) -> None:
    back = registry.rollback("recommender", reason="complaints")
    assert (back.version, back.is_champion, champion(registry)) == (1, True, 1)
    out = registry.version("recommender", 2)
    assert out is not None and out.rolled_back is not None and "complaints" in out.rolled_back
    with pytest.raises(NothingToRollBack, match="no earlier champion"):
        registry.rollback("recommender")


def test_what_was_rolled_back_comes_back_by_hand_only(
    registry: Registry, two: tuple[RegisteredVersion, RegisteredVersion]
) -> None:
    registry.rollback("recommender")
    decision = registry.challenge(two[1], "recall", True, "june")
    assert not decision.promoted and "rolled back" in decision.reason
    promoted = registry.promote("recommender", 2)
    assert promoted.is_champion and promoted.rolled_back is None
    assert registry.rollback("recommender").version == 1


def test_rollbacks_go_further_back_each_time(
    registry: Registry, save: Save, two: tuple[RegisteredVersion, RegisteredVersion]
) -> None:
    assert challenge(registry, register(registry, save("c"), 0.7))
    assert [registry.rollback("recommender").version for _ in range(2)] == [2, 1]


def test_a_rollback_to_a_version_of_choice(
    registry: Registry, save: Save, two: tuple[RegisteredVersion, RegisteredVersion]
) -> None:
    assert challenge(registry, register(registry, save("c"), 0.7))
    assert registry.rollback("recommender", 1).version == 1
    with pytest.raises(ModelMissing, match="no version 9") as missing:
        registry.rollback("recommender", 9)
    assert missing.value.expected == "one of 3, 2, 1"
    assert champion(registry) == 1


def test_a_champion_that_was_chosen_in_mlflow_can_be_rolled_back(
    registry: Registry, save: Save, two: tuple[RegisteredVersion, RegisteredVersion]
) -> None:
    third = register(registry, save("c"), 0.1)
    registry.store.client.set_registered_model_alias("recommender", "champion", str(third.version))
    assert registry.rollback("recommender").version == 2


def test_a_rollback_of_nothing_says_so(registry: Registry, save: Save) -> None:
    with pytest.raises(NothingToRollBack, match="champions so far: none"):
        registry.rollback("recommender")
    register(registry, save("a"))
    with pytest.raises(NothingToRollBack):
        registry.rollback("recommender")
