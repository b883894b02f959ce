"""Object stores: zones at `s3://`, `gs://` and `abfss://` beside those in folders.

What belongs here: what an address means, the options that delta-rs and DuckDB each want for it, the few things that are done to single
objects (size, removal, listing), and faults told in the project's words. What does not: tables (`plinth.lakehouse`), which look the same
wherever they lie.

One library beside those that read tables: obstore, the same Rust client as in delta-rs. The options and environment variables that let delta-rs
commit let it look and remove, so that a zone is configured once; pyarrow's file systems and fsspec's each bring their own client and settings.
"""
