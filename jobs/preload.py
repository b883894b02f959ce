"""What every step needs, imported once for all steps of a run: by the fork server from which their processes come.

What belongs here: imports that each step would do anyway, of modules that start no thread, since a fork takes only one along. What does not: DuckDB
and deltalake, which start one each as they are imported (0.04 s), and what a few steps need (dbt, scikit-learn, MLflow, Spark), which would
lengthen the run of a single table and be in the memory of all.
"""

from __future__ import annotations

import gc

import dagster  # noqa: F401

import assets  # noqa: F401
import plinth.features
import plinth.ingest  # noqa: F401
import resources  # noqa: F401

# What is here stays: a collector that went through it in each step's process would have its pages copied there.
gc.freeze()
