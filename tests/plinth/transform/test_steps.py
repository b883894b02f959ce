"""Which models are built together: one step where all ask for one size, else as few as their order allows, and each test where it sees all it reads."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from plinth.transform.project import PreparedModel, PreparedProject, PreparedTest
from plinth.transform.steps import Step, split

ROOM = {"small": 1.0, "memory": 4.0, "spark": 8.0}


def project(models: Mapping[str, str], tests: Mapping[str, str] | None = None) -> PreparedProject:
    """Models with the names of their inputs, in an order in which they can be made, and tests with what they read, their own table first."""

    def names(text: str) -> tuple[str, ...]:
        return tuple(f"silver/{name}" for name in text.split())

    made = [
        PreparedModel(name, f"silver/{name}", "", (), (), ("bronze/raw", *names(inputs)), "", "full", None, None, (), "", None)
        for name, inputs in models.items()
    ]  # fmt: skip
    checks = [
        PreparedTest(name, names(reads)[0], "", True, ("bronze/raw", *names(reads)))
        for name, reads in (tests or {}).items()
    ]
    return PreparedProject(Path(), Path(), tuple(made), tuple(checks))


def dealt(of: PreparedProject, **sizes: str) -> tuple[Step, ...]:
    return split(of, {model.table: sizes.get(model.name, "small") for model in of.models}, ROOM.__getitem__)


def shown(steps: tuple[Step, ...]) -> list[tuple[str, str]]:
    return [(step.size, " ".join(model.name for model in step.models)) for step in steps]


SHOP = {"items": "", "lines": "", "orders": "lines", "daily": "lines", "catalog": "items lines", "all": "orders daily"}


def test_models_of_one_size_are_one_step_with_the_tests_as_they_are() -> None:
    shop = project(SHOP, {"known": "lines items", "sums": "daily lines", "ahead": "lines all"})
    (step,) = dealt(shop)
    assert step.models == shop.models and step.tests == shop.tests and not step.across
    assert shown(dealt(shop, **dict.fromkeys(SHOP, "memory"))) == [("memory", "items lines orders daily catalog all")]


def test_a_model_that_asks_for_more_has_a_step_of_its_own_between_what_it_reads_and_what_reads_it() -> None:
    shop = project(SHOP)
    assert shown(dealt(shop, all="memory")) == [("small", "items lines orders daily catalog"), ("memory", "all")]
    assert shown(dealt(shop, daily="memory")) == [
        ("small", "items lines orders catalog"),
        ("memory", "daily"),
        ("small", "all"),
    ]


def test_there_are_as_few_steps_as_the_order_allows() -> None:
    shop = project(SHOP)
    assert shown(dealt(shop, lines="memory")) == [("memory", "lines"), ("small", "items orders daily catalog all")]
    assert shown(dealt(shop, lines="memory", daily="memory", all="spark")) == [
        ("memory", "lines daily"),
        ("small", "items orders catalog"),
        ("spark", "all"),
    ]
    names = [f"m{at}" for at in range(60)]
    chain = project({name: " ".join(names[max(0, at - 1) : at]) for at, name in enumerate(names)})
    every = dict(zip(names, ("small", "memory", "spark") * 20, strict=True))
    assert len(dealt(chain, **every)) == 60


def test_a_test_over_tables_of_several_steps_runs_in_the_last_of_them() -> None:
    shop = project(SHOP, {"sums": "daily lines", "own": "lines", "ahead": "lines daily", "known": "orders items"})
    small, memory, last = dealt(shop, daily="memory")
    assert {test.name for test in small.tests} == {"own", "known"} and not small.across
    assert {test.name: test.table for test in memory.tests} == {"sums": "silver/daily", "ahead": "silver/daily"}
    assert memory.across == {"sums", "ahead"} and not last.tests


def test_tables_that_a_test_compares_and_nothing_orders_are_made_side_by_side_in_the_larger_size() -> None:
    shop = project(SHOP | {"stock": ""}, {"known": "stock items", "own": "stock"})
    assert shown(dealt(shop, stock="memory")) == [
        ("memory", "items stock"),
        ("small", "lines orders daily catalog all"),
    ]
    first, _ = dealt(shop, stock="memory")
    assert {test.name for test in first.tests} == {"known", "own"} and not first.across
