"""Silver and gold: what dbt makes of bronze, stored as Delta tables.

What belongs here: one dbt invocation from its pinned inputs to its published tables (`session`, `store`, `publish`), how a model's work
is kept proportional to what changed (`changes`, `code`), the prepared form of the dbt project (`project`), which models are built together (`steps`),
and running it (`run`). What does not: the models themselves (`dbt_project/`), Dagster (`assets/transform.py`), and dbt-duckdb's plugin interface, which
`plinth.dbt_plugin` adapts to this package.
"""
