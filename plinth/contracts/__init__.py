"""Contracts: what a company says about its legacy tables, and what the platform makes of it.

What belongs here: reading ODCS v3 files into frozen dataclasses (`load`, `model`), the rules that follow from them (`rules`), a first
draft from a live database (`infer`), the difference between contract and database (`drift`) and their commands (`cli`). What does
not: reading data (`plinth.sources`, `plinth.ingest`) and checking rows (the rules are SQL text; whoever has the rows runs them).
Importing this package imports no engine: definitions must load in under 3 s.
"""
