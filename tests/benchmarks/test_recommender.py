"""The recommender's protocol: the counts of the data, the windows, and the forms of the benchmark."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.recommender_data import Retail, read_retail
from benchmarks.recommender_ratings import RatingsUnusable, ratings_figures, read_ratings, split
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


def figures_of(file: Path, **more: float) -> dict[str, float]:
    return ratings_figures(read_ratings(file), seed=1, row_items=100, **{"penalty": 1.0, **more})  # type: ignore[arg-type]


def test_a_table_of_ratings_is_judged_with_what_was_seen_removed(ratings: Path) -> None:
    figures = figures_of(ratings)
    assert set(figures) >= {"map_at_10", "ndcg_at_10", "precision_at_10", "recall_at_10", "popularity_ndcg_at_10"}
    # About 12 unseen items of the user's taste, 4.5 of them held out: chance within the taste is .37, popularity half of that.
    assert figures["precision_at_10"] > 1.5 * figures["popularity_precision_at_10"]
    assert figures["recall_at_10"] > 0.6


def test_the_figures_are_those_of_the_formulas_worked_out_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.recommender_ratings._BLOCK", 7)
    rng = np.random.default_rng(5)
    # Of 14 items the widest readers have seen so many that fewer than ten are left to list.
    rated = rng.random((60, 14)) < rng.uniform(0.2, 0.9, (60, 1)) * rng.uniform(0.4, 1.0, (1, 14))
    user, item = rated.nonzero()
    file = written(tmp_path, user=user, item=[f"item {n:02}" for n in item], rating=rng.normal(size=len(user)))
    found = figures_of(file, penalty=0.3)
    learnt = split(read_ratings(file).item, 1)
    for prefix, lists in worked_out_lists(user, item, learnt, 0.3).items():
        worked = worked_out_figures(lists, user, item, learnt)
        assert {f"{prefix}{name}": value for name, value in worked.items()} == pytest.approx(
            {name: value for name, value in found.items() if name.startswith("popularity_") == bool(prefix)}
        )


def worked_out_lists(
    user: np.ndarray, item: np.ndarray, learnt: np.ndarray, penalty: float
) -> dict[str, dict[int, list[int]]]:
    """EASE by its formula in double precision, and popularity; ten unseen items for each user, the best first."""
    seen = np.zeros((user.max() + 1, item.max() + 1))
    seen[user[learnt], item[learnt]] = 1.0
    gram = seen.T @ seen
    inverse = np.linalg.inv(gram + penalty * np.trace(gram) / len(gram) * np.eye(len(gram)))
    weights = np.eye(len(gram)) - inverse / np.diag(inverse)
    scores = {"": seen @ weights, "popularity_": np.tile(seen.sum(axis=0), (len(seen), 1))}
    return {
        name: {
            who: sorted(np.flatnonzero(seen[who] == 0).tolist(), key=lambda each: (-values[who, each], each))[:10]
            for who in range(len(seen))
        }
        for name, values in scores.items()
    }


def worked_out_figures(
    lists: dict[int, list[int]], user: np.ndarray, item: np.ndarray, learnt: np.ndarray
) -> dict[str, float]:
    """The four figures of each user by hand, averaged over those with a learnt and a held-out rating."""
    each: dict[str, list[float]] = {"map_at_10": [], "ndcg_at_10": [], "precision_at_10": [], "recall_at_10": []}
    for who in sorted(set(user[learnt].tolist()) & set(user[~learnt].tolist())):
        truth = set(item[~learnt & (user == who)].tolist())
        places = [place for place, listed in enumerate(lists[who], start=1) if listed in truth]
        ideal = sum(1 / math.log2(place + 1) for place in range(1, min(10, len(truth)) + 1))
        precisions = [number / place for number, place in enumerate(places, start=1)]
        each["map_at_10"].append(sum(precisions) / min(10, len(truth)))
        each["ndcg_at_10"].append(sum(1 / math.log2(place + 1) for place in places) / ideal)
        each["precision_at_10"].append(len(places) / 10)
        each["recall_at_10"].append(len(places) / len(truth))
    return {name: sum(values) / len(values) for name, values in each.items()}


def written(folder: Path, **columns: object) -> Path:
    """A Parquet file of the columns."""
    file = folder / "written.parquet"
    pq.write_table(pa.table(columns), file)
    return file


@given(counts=st.lists(st.integers(1, 9), min_size=1, max_size=12), seed=st.integers(0, 99))
def test_of_each_item_three_quarters_of_the_ratings_are_learnt_from_rounded_up(counts: list[int], seed: int) -> None:
    item = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    learnt = np.bincount(item[split(item, seed)], minlength=len(counts))
    assert learnt.tolist() == [math.ceil(0.75 * count) for count in counts]


def test_rows_that_say_nothing_are_left_out_and_a_repeated_pair_counts_once(ratings: Path, tmp_path: Path) -> None:
    clean = pq.read_table(ratings)
    texts = clean.set_column(0, "user", pc.cast(clean["user"], pa.float64()))
    odd = pa.table(
        {
            "user": pa.array([3.0, None, math.nan, 5.0, 5.0]),
            "item": pa.array(["i1", "i1", "i2", None, "i7"]),
            "rating": pa.array([4.0, 4.0, 4.0, 4.0, None]),
        }
    )
    again = texts.slice(0, 50).set_column(2, "rating", pa.array([0.0] * 50))
    pq.write_table(pa.concat_tables([again, odd.slice(1), texts]), tmp_path / "odd.parquet")
    read = read_ratings(tmp_path / "odd.parquet")
    assert (read.rows, read.incomplete, read.repeated) == (clean.num_rows + 54, 4, 50)
    assert figures_of(tmp_path / "odd.parquet") == figures_of(ratings)


def test_a_rating_of_0_is_one_too(ratings: Path, tmp_path: Path) -> None:
    table = pq.read_table(ratings)
    pq.write_table(table.set_column(2, "rating", pa.array([0.0] * table.num_rows)), tmp_path / "zero.parquet")
    assert figures_of(tmp_path / "zero.parquet") == figures_of(ratings)


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"user": [1], "item": [2]}, "lacks columns"),
        ({"user": ["a"], "item": ["b"], "rating": ["good"]}, "no numbers"),
        ({"user": [[1]], "item": [2], "rating": [1.0]}, "holds no ids"),
        ({"user": ["a"], "item": ["b"], "rating": pa.array([None], pa.float64())}, "holds no rating"),
        ({"user": ["me"] * 9, "item": list(range(9)), "rating": [1] * 9}, "no user has both"),
        ({"user": list(range(9)), "item": ["one"] * 9, "rating": [1] * 9}, "no user has both"),
    ],
)
def test_a_file_that_cannot_be_judged_by_is_refused_in_a_sentence(
    columns: dict[str, object], said: str, tmp_path: Path
) -> None:
    with pytest.raises(RatingsUnusable, match=said):
        figures_of(written(tmp_path, **columns))


def test_what_is_no_parquet_file_is_refused_and_so_is_a_ridge_of_0(ratings: Path, tmp_path: Path) -> None:
    (tmp_path / "text.parquet").write_text("user,item,rating")
    for file, said in ((tmp_path / "text.parquet", "cannot be read"), (tmp_path / "none.parquet", "there is no file")):
        with pytest.raises(RatingsUnusable, match=said):
            read_ratings(file)
    with pytest.raises(RatingsUnusable, match="ridge"):
        figures_of(ratings, penalty=0.0)


@pytest.mark.slow
def test_the_ratings_form_ends_with_its_figures_as_json(ratings: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.recommender", "--ratings", str(ratings)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    line = json.loads(done.stdout.strip().splitlines()[-1])
    assert {"map_at_10", "ndcg_at_10", "precision_at_10", "recall_at_10"} <= set(line["figures"])
    assert line["bars"] == {}
    assert line["notes"]["users"] == 200
    refused = subprocess.run([*command, "--penalty", "0"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert refused.returncode == 2 and "Traceback" not in refused.stderr, refused.stderr
