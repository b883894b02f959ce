"""The core library of the platform, which knows no Dagster.

What belongs here: algorithms and the types they exchange (contracts, sources, ingestion, lakehouse, sample data), usable from any
Python process. What does not: assets, sensors, jobs (they are thin and live in their own rooms) and anything of one company
(contracts, dbt models and `platform.yaml` declare that). Importing this package imports no heavy library.
"""
