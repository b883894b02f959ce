"""Which items stand in the same baskets is counted by Spark, DuckDB and in memory to the same bits, and a training that has Spark count gives the same model."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy import sparse

from benchmarks.recommender_made import made_end, made_events, made_items
from plinth.engine import connect
from plinth.lakehouse.tables import Lakehouse
from plinth.platform import Platform
from plinth.recommend import RecommenderSettings, train_recommender
from plinth.recommend.by_spark import common_for, common_sql, held_table, matrix_of
from plinth.recommend.item_item import baskets_in_common
from plinth.spark.engine import SparkEngine
from plinth.training.recommender import RecommenderTask
from plinth.training.target import Desk

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.slow
ITEMS, KEPT = 150, 25
QUICK = RecommenderSettings(trees=20, cutoffs=2, seasons=0, leaf_rows=20)


@pytest.fixture(scope="module")
def baskets() -> sparse.csr_matrix:
    """Baskets of ones: few items stand in most of them, so that rows are cut and many weights are equal; the last item stands in none."""
    draws = np.random.default_rng(3)
    rows, columns = draws.integers(0, 9_000, 60_000), (ITEMS - 1) * draws.random(60_000) ** 3
    matrix = sparse.csr_matrix((np.ones(60_000, dtype=np.float32), (rows, columns.astype(int))), shape=(9_000, ITEMS))
    matrix.data[:] = 1.0
    return matrix


def bits(matrix: sparse.csr_matrix) -> tuple[list[int], list[int], bytes]:
    """All that a matrix holds."""
    matrix = matrix.sorted_indices()
    return matrix.indptr.tolist(), matrix.indices.tolist(), matrix.data.astype(np.float32).tobytes()


def test_the_query_gives_in_duckdb_what_is_counted_in_memory(lake: Platform, baskets: sparse.csr_matrix) -> None:
    expected = baskets_in_common(baskets, row_items=KEPT)
    assert np.diff(expected.indptr).max() == KEPT, "rows were cut"
    with connect(lake.profile()) as con:
        con.register("held", held_table(baskets))
        found = con.execute(common_sql(KEPT, 10.0)).to_arrow_table()
    assert bits(matrix_of(found, ITEMS)) == bits(expected)


def test_spark_counts_to_the_same_bits(spark: SparkSession, lake: Platform, baskets: sparse.csr_matrix) -> None:
    common = common_for(lake, lake.profile(), SparkEngine(lambda: spark))
    assert common is not baskets_in_common
    assert bits(common(baskets, row_items=KEPT)) == bits(baskets_in_common(baskets, row_items=KEPT))
    assert bits(common(baskets[:3], row_items=KEPT, shrink=2.5)) == bits(
        baskets_in_common(baskets[:3], row_items=KEPT, shrink=2.5)
    )
    assert not [table.name for table in spark.catalog.listTables() if table.name == "held"], "nothing is left behind"


def test_cut_offs_in_threads_do_not_count_each_others_baskets(
    spark: SparkSession, lake: Platform, baskets: sparse.csr_matrix
) -> None:
    common = common_for(lake, lake.profile(), SparkEngine(lambda: spark))
    parts = [baskets[number::4] for number in range(4)] * 2
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda part: bits(common(part, row_items=KEPT)), parts))
    assert found == [bits(baskets_in_common(part, row_items=KEPT)) for part in parts]


def test_a_profile_of_duckdb_counts_in_memory(lake: Platform) -> None:
    assert common_for(lake, lake.profile("small")) is baskets_in_common


def test_a_round_in_a_spark_profile_gives_the_same_model_byte_for_byte(
    spark: SparkSession, lake: Platform, tmp_path: Path
) -> None:
    events, items, end = made_events(200, 120, 200, seed=1), made_items(120), made_end(172)
    in_memory = train_recommender(events, items, at=end, threads=1, seed=1, settings=QUICK)
    desk = Desk(Lakehouse(lake), {}, lake.profile().model_copy(update={"threads": 1}), tmp_path / "scratch", 1)
    until = end + timedelta(days=QUICK.window_days)
    task = RecommenderTask(desk, QUICK, events, {end: items, until: items}, until)
    counted: list[int] = []

    def seen(held: sparse.csr_matrix, *, row_items: int, shrink: float = 10.0) -> sparse.csr_matrix:
        counted.append(held.shape[0])
        return task.common(held, row_items=row_items, shrink=shrink)

    by_spark = train_recommender(events, items, at=end, threads=1, seed=1, settings=QUICK, common=seen)
    assert len(counted) == QUICK.cutoffs + 1, "the cut-offs and the moment itself"
    assert digest(in_memory.save, tmp_path / "memory") == digest(by_spark.save, tmp_path / "spark")
    task.train().save(tmp_path / "round")
    assert list((tmp_path / "round").iterdir())


def digest(save: object, folder: Path) -> dict[str, str]:
    """What a model's files hold."""
    save(folder)  # type: ignore[operator]
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(folder.iterdir())}
