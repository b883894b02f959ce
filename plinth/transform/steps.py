"""How a build is dealt out to steps: models that ask for one size are made together, those that ask for another by a step of their own.

What belongs here: which models and tests a step has, and the order of the steps. What does not: what a size is (`plinth.profile`), and how a step is
told to Dagster (`assets.transform`).

Where all models ask for one size there is one step. Else there are as few as the models' order allows: a step takes what asks for its size and can be
made from what the steps before it have made. A test runs in the last step that makes a table which it reads, as only there all of them are new.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from plinth.transform.project import PreparedModel, PreparedProject, PreparedTest

_KEPT = 64
"""Beginnings that are followed up in the search for the fewest steps: all of them for two or three sizes, and an end to it for many."""


@dataclass(frozen=True)
class Step:
    """Models that are made together, in the order in which they can be, and the tests that run with them.

    Attributes:
        size: the name that its models ask for.
        tests: each attached to a table of this step, which for a test that belongs to a table of an earlier one is another than the project says.
        across: names of those tests that also read models of other steps.
    """

    size: str
    models: tuple[PreparedModel, ...]
    tests: tuple[PreparedTest, ...]
    across: frozenset[str]


def split(project: PreparedProject, sizes: Mapping[str, str], room: Callable[[str], float]) -> tuple[Step, ...]:
    """The steps of a build, in an order in which each has what it reads.

    A test over two tables of which neither step waits for the other would see one of them as it was before: so the table of the smaller size is made
    beside the other, in the larger one.

    Args:
        sizes: what each model asks for, by table.
        room: how much a size of that name holds; the larger, the more.
    """
    sizes = dict(sizes)
    while True:
        groups = _fewest(project.models, sizes)
        place = {model.table: at for at, group in enumerate(groups) for model in group}
        loose = next(_unordered(project, place), None)
        if loose is None:
            return tuple(_step(project, at, group, place, sizes) for at, group in enumerate(groups))
        smaller, larger = sorted(loose, key=lambda table: (room(sizes[table]), sizes[table]))
        sizes[smaller] = sizes[larger]


def _step(
    project: PreparedProject,
    at: int,
    models: Sequence[PreparedModel],
    place: Mapping[str, int],
    sizes: Mapping[str, str],
) -> Step:
    own = [model.table for model in models]
    tests, across = [], set()
    for test in project.tests:
        read = _read(test, place)
        if max(place[table] for table in read) != at:
            continue
        tests.append(
            test if test.table in own else replace(test, table=next(each for each in reversed(own) if each in read))
        )
        if any(place[table] != at for table in read):
            across.add(test.name)
    return Step(sizes[own[0]], tuple(models), tuple(tests), frozenset(across))


def _read(test: PreparedTest, place: Mapping[str, int]) -> list[str]:
    """The models among the tables of a test; what is loaded from a legacy system is there before every step."""
    return [table for table in dict.fromkeys((test.table, *test.reads)) if table in place]


def _fewest(models: Sequence[PreparedModel], sizes: Mapping[str, str]) -> list[list[PreparedModel]]:
    """The shortest row of groups, each of one size and made from what stands before it; of several such rows always the same."""
    names = sorted(set(sizes.values()))
    rows: dict[frozenset[str], list[list[PreparedModel]]] = {frozenset(): []}
    while len(max(rows, key=len)) < len(models):
        longer: dict[frozenset[str], list[list[PreparedModel]]] = {}
        for done, row in rows.items():
            for name in names:
                taken = _ready(models, sizes, name, done)
                if taken:
                    longer.setdefault(done | {model.table for model in taken}, [*row, taken])
        rows = dict(sorted(longer.items(), key=lambda entry: -len(entry[0]))[:_KEPT])
    return rows[max(rows, key=len)]


def _ready(
    models: Sequence[PreparedModel], sizes: Mapping[str, str], name: str, done: frozenset[str]
) -> list[PreparedModel]:
    """The models of a size that can be made from what is done, and from each other."""
    made, taken = set(done), []
    all_made = {model.table for model in models}
    for model in models:
        needs = [table for table in model.inputs if table in all_made]
        if sizes[model.table] == name and model.table not in made and made.issuperset(needs):
            made.add(model.table)
            taken.append(model)
    return taken


def _unordered(project: PreparedProject, place: Mapping[str, int]) -> Iterator[tuple[str, str]]:
    """Pairs of tables that a test reads together, of which neither's step waits for the other's."""
    before = _waits(project.models, place)
    for test in project.tests:
        read = _read(test, place)
        last = max(read, key=lambda table: place[table])
        yield from ((table, last) for table in read if place[table] not in {*before[place[last]], place[last]})


def _waits(models: Sequence[PreparedModel], place: Mapping[str, int]) -> dict[int, set[int]]:
    """For each step those that it waits for, at once or by way of others."""
    before: dict[int, set[int]] = {at: set() for at in place.values()}
    for at in sorted(before):
        for model in models:
            if place[model.table] == at:
                direct = {place[table] for table in model.inputs if place.get(table, at) != at}
                before[at] |= direct.union(*(before[each] for each in direct))
    return before
