"""When what stands downstream of bronze works by itself.

What belongs here: the automation condition and what each term of it is for. What does not: when bronze works (`sensors`: a legacy system
tells nobody that it changed, someone has to look).
"""

from __future__ import annotations

import dagster as dg


def downstream_condition() -> dg.AutomationCondition[dg.AssetKey | dg.AssetCheckKey]:
    """Work when an input has new content, its checks let it pass, and nothing of it is still being written."""
    when = dg.AutomationCondition
    content_changed = when.any_deps_match(
        # The data version, not the materialisation: a nightly load that finds nothing new materialises bronze all the same, with the data
        # version that it had. Dagster's own eager() would then rebuild all of silver and gold from equal inputs every night.
        when.data_version_changed()
        # Models of one tick go into one run, in their order, instead of one run for each level of the graph.
        | when.will_be_requested()
    )
    asked = (
        content_changed
        # A table that was dropped, or never made because its inputs came before it, is made without waiting for news.
        | when.newly_missing()
        # Changed SQL means changed rows, also from equal inputs.
        | when.code_version_changed()
    )
    return (
        # What was asked for stays so until it is handled: while an input is in progress, the reason to work must not be forgotten.
        asked.since_last_handled()  # type: ignore[misc]  # the stubs tell conditions of assets and of checks apart
        # The first load of a legacy system brings its tables one by one; a model over half of them would be rebuilt for each.
        & ~when.any_deps_missing()
        # A model over inputs of which one is being loaded would be built twice, first with an old and a new one joined.
        & ~when.any_deps_in_progress()
        # One writer per table: a second request would only wait in the pool.
        & ~when.in_progress()
        # Blocking checks stop a run between assets; between runs only this term does. A check that is planned but not yet done counts as
        # not passed, which covers the seconds between a load and its checks.
        & when.all_deps_blocking_checks_passed()
    ).with_label("new_content")
