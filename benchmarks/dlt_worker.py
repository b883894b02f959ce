"""The same load by dlt (`sql_database` to Delta on the filesystem): `python -m benchmarks.dlt_worker URL FOLDER BACKEND replace|merge`."""

from __future__ import annotations

import os
import sys
from datetime import datetime
from pathlib import Path

from benchmarks.lines import TABLE

BATCH_ROWS = 100_000


def main() -> None:
    url, folder, backend, disposition = sys.argv[1:5]
    os.environ["DLT_DATA_DIR"] = str(Path(folder) / "dlt")
    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
    import dlt
    from dlt.destinations import filesystem
    from dlt.sources.sql_database import sql_table

    options = {"backend_kwargs": {"return_type": "arrow"}} if backend == "connectorx" else {}
    lines = sql_table(credentials=url.replace("postgresql://", "postgresql+psycopg://") if backend != "connectorx" else url, table=TABLE,
                      backend=backend, chunk_size=BATCH_ROWS, reflection_level="full_with_precision", **options)  # fmt: skip
    if disposition == "merge":
        lines.apply_hints(
            incremental=dlt.sources.incremental("updated_at", initial_value=datetime(2000, 1, 1)), primary_key="line_id"
        )
    pipeline = dlt.pipeline(
        pipeline_name="benchmark", pipelines_dir=str(Path(folder) / "pipelines"), destination=filesystem(bucket_url=f"file://{folder}/delta"),
        dataset_name="shop",
    )  # fmt: skip
    how = {"disposition": "merge", "strategy": "upsert"} if disposition == "merge" else "replace"
    print(pipeline.run(lines, write_disposition=how, table_format="delta"))


if __name__ == "__main__":
    main()
