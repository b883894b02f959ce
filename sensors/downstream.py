"""Evaluates the automation conditions of what stands downstream of bronze (`assets.automation`)."""

from __future__ import annotations

import dagster as dg


def downstream_sensor() -> dg.AutomationConditionSensorDefinition:
    """The one sensor for all conditions. It is off until someone turns it on: a fresh installation starts nothing by itself."""
    return dg.AutomationConditionSensorDefinition(
        "downstream_of_bronze",
        target=dg.AssetSelection.all(),
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.STOPPED,
        run_tags={"plinth/asked_by": "downstream_of_bronze"},
        description="Builds silver and gold when the content of their inputs has changed and its blocking checks have passed.",
    )
