"""MySQL and MariaDB: described by information_schema, read by DuckDB's scanner within one consistent snapshot."""
