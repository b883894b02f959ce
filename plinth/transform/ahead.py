"""The size that a build wants, known before it starts: by what the tables' own runs have measured, and by the rows that their inputs have now.

What belongs here: one profile for a step that builds several models. What does not: the rules (`plinth.transform.choice`), which the build itself
asks once more for each model within that size, and pods (`jobs.step_sizes`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from plinth.errors import StorageFailure
from plinth.lakehouse.tables import Lakehouse
from plinth.platform import Platform
from plinth.profile import AUTO
from plinth.transform.choosing import asked, choice_for, may_choose
from plinth.transform.model import table_id
from plinth.transform.project import PreparedModel


@dataclass(frozen=True)
class Ahead:
    """A profile, and one sentence that says why."""

    profile: str
    reason: str


def size_ahead(lakehouse: Lakehouse, models: Sequence[PreparedModel]) -> Ahead:
    """The largest of the profiles that these models get by what is known now; where it is not known of one, the largest that it may come to have.

    Rows that the same build is going to add to its own inputs are not known: a build that they make too large runs out of memory, and is done
    once more with the largest.

    Args:
        models: at least one.

    Raises:
        ConfigurationError: a model asks for a profile that is not there.
    """
    # Who asks may stand in a small pod of its own.
    platform = lakehouse.platform.model_copy(update={"granted": None})
    found = [_of(Lakehouse(platform), platform, model) for model in models]
    return max(found, key=lambda each: platform.declared(each.profile).memory)


def _of(lakehouse: Lakehouse, platform: Platform, model: PreparedModel) -> Ahead:
    named = asked(platform, model.profile)
    if named != AUTO:
        return Ahead(named, f"{model.table} asks for {named}")
    try:
        base = lakehouse.find(table_id(model.table))
        inputs = {table: lakehouse.find(table_id(table)) for table in model.inputs}
    except StorageFailure as error:
        # The run's pod may lack the credentials that pods of steps have.
        return _largest(platform, model, f"what {model.table} is made of cannot be read here: {error.args[0]}")
    missing = [table for table, version in inputs.items() if version is None]
    if missing:
        return _largest(platform, model, f"{missing[0]}, which {model.table} reads, is not there yet")
    history = base.state.measured if base is not None else ()
    if not any(run.engine == "duckdb" for run in history):
        return _largest(platform, model, f"no run of {model.table} on DuckDB was measured yet")
    rows_in = sum(version.rows for version in inputs.values() if version is not None)
    choice = choice_for(platform, model.profile, rows_in, history, None)
    return Ahead(choice.profile, f"{model.table}: {choice.reason}")


def _largest(platform: Platform, model: PreparedModel, why: str) -> Ahead:
    names = may_choose(platform, model.profile)
    return Ahead(max(names, key=lambda name: platform.declared(name).memory), why)
