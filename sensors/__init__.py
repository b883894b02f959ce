"""What wakes assets up: looks at the legacy systems, declarative automation for what stands downstream, what a failure left, and looks for drift.

What belongs here: sensors, and the schedule of training beside them. Each looks cheaply, keeps a cursor, bounds what it asks for, and never
loads anything itself. What does not: the nightly schedule (`jobs.nightly`). See https://docs.dagster.io/guides/automate/sensors.
"""

from sensors.downstream import downstream_sensor
from sensors.going_on import going_on_sensor
from sensors.retraining import retraining_schedule, retraining_sensors
from sensors.source_changes import source_sensor

__all__ = ["downstream_sensor", "going_on_sensor", "retraining_schedule", "retraining_sensors", "source_sensor"]
