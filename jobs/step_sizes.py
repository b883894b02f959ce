"""The size of a step's pod where that is chosen when it is launched: for the build of models whose profile is `auto`.

What belongs here: from a step to the models that it builds. What does not: the choice (`plinth.transform.ahead`), and the pod (`jobs.pods`).
"""

from __future__ import annotations

import dagster as dg
from dagster._core.executor.step_delegating import StepHandlerContext

from assets.profiles import AUTO_TAG
from plinth.lakehouse.tables import Lakehouse
from plinth.platform import Platform
from plinth.transform.ahead import Ahead, size_ahead
from plinth.transform.project import prepare


def size_at_launch(platform: Platform, context: StepHandlerContext, step: str) -> Ahead | None:
    """The profile that a step gets by what is known at its launch; None where its asset names one."""
    if AUTO_TAG not in context.step_tags[step]:
        return None
    of_step = context.get_step_context(step)
    layer = of_step.job.get_definition().asset_layer
    chosen = {
        key.to_user_string()
        for key in layer.get_selected_entity_keys_for_node(of_step.step.node_handle)
        if isinstance(key, dg.AssetKey)
    }
    models = [model for model in prepare(platform.path("dbt_project")).models if model.table in chosen]
    return size_ahead(Lakehouse(platform), models) if models else None
