"""The lakehouse: open Delta tables, read at a pinned version and written through one door.

What belongs here: where a table lives, what a version of it holds, staging of Parquet, the commit, row-wise merges, quarantine and
maintenance. It is the only package that imports deltalake's write API, so that authorisation, the writer's token and the commit's
metadata cannot be passed by. What does not belong here: reading legacy systems (`plinth.sources`) or deciding what to load
(`plinth.ingest`).
"""
