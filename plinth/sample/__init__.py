"""The sample legacy warehouse: an ERP of a gift retailer that can be written into a database, and moved on day by day.

What belongs here: everything that makes the sample (its schema, its world of customers, goods and campaigns, the mess, the writer, the
loader of Online Retail II and the truth behind the numbers). What does not: reading such a warehouse, which is `plinth.sources`' work;
nothing outside this package may know how the data were made, except to compare results with `plinth.sample.truth`.

    from plinth.sample import SampleSpec, write_sample, advance
    write_sample("sqlite:///legacy.db", SampleSpec(customers=2000, days=540))
    advance("sqlite:///legacy.db", days=1)
"""

from __future__ import annotations

from plinth.sample.spec import AdvanceReport, SampleError, SampleReport, SampleSpec

__all__ = [
    "AdvanceReport",
    "SampleError",
    "SampleReport",
    "SampleSpec",
    "advance",
    "load_online_retail",
    "write_sample",
]


def __getattr__(name: str) -> object:
    # DuckDB and SQLAlchemy load with the first real use, not with the import of the package.
    if name == "write_sample":
        from plinth.sample.write import write_sample

        return write_sample
    if name == "load_online_retail":
        from plinth.sample.retail import load_online_retail

        return load_online_retail
    if name == "advance":
        from plinth.sample.advancing import advance

        return advance
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
