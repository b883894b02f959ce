"""A job of its own process, with nothing but a platform's files to go by: `python -m tests.spark.job OVERLAY ROWS`.

It reads a table by Spark, groups it in two stages, and publishes the result through the door.
"""

from __future__ import annotations

import sys
from dataclasses import replace

from plinth.engine import connect
from plinth.lakehouse.spark_door import SparkWrite, replace_by_spark
from plinth.lakehouse.staged_apart import files_in, new_folder
from plinth.lakehouse.state import State
from plinth.lakehouse.tables import Lakehouse, TableId
from plinth.platform import load_platform
from plinth.spark.engine import Input, SparkEngine
from plinth.spark.session import open_session
from tests.spark.house import ROOT

INPUT, OUTPUT = TableId("silver", "numbers"), TableId("gold", "sums")
SQL = """select n.id % 1009 as rest, count(*) as numbers, cast(sum(n.id) as bigint) as total,
    count(distinct md5(cast(n.id as varchar))) as hashes from memory.silver.numbers as n group by n.id % 1009"""


def main() -> None:
    lakehouse = Lakehouse(load_platform(ROOT / "platform.yaml", sys.argv[1]))
    platform = lakehouse.platform
    engine = SparkEngine(lambda: open_session(platform, platform.profile("spark")))
    read = lakehouse.open(INPUT)
    from plinth.lakehouse.schema import columns_of

    with connect(platform.profile("spark"), extensions=("delta",)) as con:
        con.execute(f"CREATE SCHEMA silver; CREATE VIEW silver.numbers AS SELECT * FROM {read.scan}")
        columns = tuple(replace(column, classification="public") for column in columns_of(con, SQL))
        folder = new_folder(lakehouse, OUTPUT)
        print("starts", flush=True)
        engine.stage(SQL, [Input(INPUT, read.columns, read.uri, read.version)], columns, folder)
        rows = sum(file.rows for file in files_in(con, folder))
    state = State().next(changed=True, run="job", inputs={str(INPUT): read.content})
    write = SparkWrite(None, columns, state, rows, engine.staged(folder, columns))
    print(
        replace_by_spark(lakehouse, OUTPUT, write).rows,
        engine.session.conf.get("spark.sql.session.timeZone"),
        flush=True,
    )


if __name__ == "__main__":
    main()
