"""PostgreSQL: described by its catalogue, read by DuckDB's scanner in parallel under one exported snapshot."""
