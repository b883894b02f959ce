"""Tests of the sources: value by value, per type and per database, through staged Parquet."""
