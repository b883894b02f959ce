"""Spark as an engine: the session by configuration, the models' SQL in Spark's dialect, and the rows that it makes, staged.

What belongs here: everything that knows pyspark's API, which is imported when a session is asked for and not before. What does not: publishing
(`plinth.lakehouse.spark_door`, beside the door of the other engines), the settings' shape (`plinth.spark_settings`), and Dagster. No module uses
`sparkContext`, which a Spark Connect session has not.
"""
