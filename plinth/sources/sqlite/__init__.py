"""SQLite: described and read through DuckDB's scanner, as text and exactly, within one read transaction."""
