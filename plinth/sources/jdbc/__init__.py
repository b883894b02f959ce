"""Legacy tables as sessions of JDBC read them that are not ours: those of Spark's executors, beside each other and of one moment.

What belongs here: the address in JDBC's words, the SELECT that a session runs, in what form each value travels, and how it becomes again what DuckDB's
scanner would have given, so that casts, rejects and counts are those of every other way. What does not: Spark (`plinth.spark.jdbc`), and which
tables are read so (`plinth.ingest.by_spark`).
"""
