"""The recommender's protocol: the counts of the data, the windows, and the forms of the benchmark."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from benchmarks.recommender_data import Retail, read_retail
from benchmarks.recommender_ratings import ratings_figures
from benchmarks.retail_protocol import TEST, VALIDATION
from plinth.recommend.evaluate import window_of
from plinth.recommend.log import encode

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def retail(plinth_data: Path) -> Retail:
    return read_retail(plinth_data / "online_retail_ii.parquet")


@pytest.mark.slow
def test_the_data_of_the_protocol_has_the_counts_of_the_protocol(retail: Retail) -> None:
    assert retail.lines == 788_187
    counts = {name: pc.count_distinct(retail.events.column(name)).as_py() for name in ("customer", "item", "basket")}
    assert counts == {"customer": 5_852, "item": 4_619, "basket": 36_594}
    keys = retail.events.group_by(["customer", "basket", "item"]).aggregate([])
    assert keys.num_rows == retail.events.num_rows


@pytest.mark.slow
def test_the_windows_ask_about_the_customers_and_items_of_the_protocol(retail: Retail) -> None:
    log = encode(retail.events, retail.items)
    for at, customers, size in ((TEST, 1_422, 32.63), (VALIDATION, 1_205, 30.76)):
        window = window_of(log, at, 28)
        assert len(window.customers) == customers
        assert round(float(window.truth.sizes.mean()), 2) == size


@pytest.mark.slow
def test_items_are_described_as_known_before_the_window(retail: Retail, plinth_data: Path) -> None:
    earlier = read_retail(plinth_data / "online_retail_ii.parquet", VALIDATION).items
    sold = retail.events.filter(pc.less(retail.events.column("time"), pa.scalar(VALIDATION, pa.timestamp("us"))))
    assert set(earlier.column("item").to_pylist()) == set(sold.column("item").to_pylist())
    assert earlier.num_rows < retail.items.num_rows


@pytest.fixture
def ratings(tmp_path: Path) -> Path:
    """Two tastes: every user rates most items of one half."""
    rng = np.random.default_rng(3)
    user, item = np.meshgrid(np.arange(200), np.arange(60), indexing="ij")
    rated = ((user % 2) == (item % 2)) & (rng.random(user.shape) < 0.6)
    file = tmp_path / "ratings.parquet"
    table = {"user": user[rated], "item": [f"i{n}" for n in item[rated]], "rating": np.full(rated.sum(), 4.0)}
    pq.write_table(pa.table(table), file)
    return file


def test_a_table_of_ratings_is_judged_with_what_was_seen_removed(ratings: Path) -> None:
    figures = ratings_figures(ratings, seed=1, penalty=1.0, row_items=100)
    assert set(figures) >= {"map_at_10", "ndcg_at_10", "precision_at_10", "recall_at_10", "popularity_ndcg_at_10"}
    # About 12 unseen items of the user's taste, 4.5 of them held out: chance within the taste is .37, popularity half of that.
    assert figures["precision_at_10"] > 1.5 * figures["popularity_precision_at_10"]
    assert figures["recall_at_10"] > 0.6


@pytest.mark.slow
def test_the_ratings_form_ends_with_its_figures_as_json(ratings: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.recommender", "--ratings", str(ratings)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    line = json.loads(done.stdout.strip().splitlines()[-1])
    assert {"map_at_10", "ndcg_at_10", "precision_at_10", "recall_at_10"} <= set(line["figures"])
    assert line["bars"] == {}
