"""What wakes assets up: looks at the legacy systems, and declarative automation for what stands downstream.

What belongs here: sensors. Each looks cheaply, keeps a cursor, bounds what it asks for, and never loads anything itself. What does not:
schedules (`jobs.nightly`; the weekly one of training stands in `sensors.retraining`, beside the limits that it complements).
See https://docs.dagster.io/guides/automate/sensors.
"""

from sensors.downstream import downstream_sensor
from sensors.retraining import retraining_schedule, retraining_sensors
from sensors.source_changes import source_sensor

__all__ = ["downstream_sensor", "retraining_schedule", "retraining_sensors", "source_sensor"]
