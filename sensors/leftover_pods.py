"""A sensor that ends what runs have left behind on Kubernetes: pods that wait or work for a run that is over.

What belongs here: the tick. What does not: finding and ending them, which is the launcher's (`jobs.run_pods`).
"""

# No `from __future__ import annotations` here: Dagster does not resolve the texts that it makes of a step's parameters.
import dagster as dg

AFTER = 60.0
"""Seconds. A step's process may need a moment to end after the last word of its run; the pools of a failed run are freed after as many."""


def leftover_pods_sensor() -> dg.SensorDefinition:
    """Looks every half minute; on from the start, as it is for the platform's own order and asks for no work."""

    @dg.sensor(
        name="leftover_pods",
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Ends the pods of runs that are over: a run that was given up while its pod waited, steps of a run whose own pod was killed.",
    )
    def look(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        end = getattr(context.instance.run_launcher, "end_leftovers", None)
        if end is None:
            return dg.SkipReason("the instance does not launch its runs as pods (deploy/dagster-kubernetes.yaml)")
        ended = end(AFTER)
        return dg.SkipReason(f"ended {', '.join(ended)}" if ended else "no pod was left behind")

    return look
