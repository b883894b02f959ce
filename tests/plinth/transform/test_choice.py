"""`auto`: the smallest profile that fits by what was measured, and never Spark for what DuckDB does in a minute."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from plinth.engine import connect
from plinth.errors import ConfigurationError
from plinth.lakehouse.state import Measured, State
from plinth.platform import Platform, load_platform
from plinth.profile import Profile
from plinth.transform.choice import Choice, Size, Sizes, choose, in_order
from plinth.transform.choosing import KEPT, Meter, choice_for, noted, ran_short, sizes_of

SIZES = in_order(
    [
        Size("spark", 8192, "spark", 0.30),
        Size("memory", 4096, "duckdb", 0.12),
        Size("small", 1024, "duckdb", 0.05),
        Size("vast", 65536, "spark", 2.0),
    ],
    "small",
    "price",
)


def ran(
    seconds: float, peak_mb: float, profile: str = "small", engine: str = "duckdb", rows_in: int = 1_000
) -> Measured:
    return Measured(rows_in, 10, seconds, peak_mb, profile, engine)


def numbers_in(choice: Choice) -> list[float]:
    return [float(found.replace(",", "")) for found in re.findall(r"\d[\d,]*\.?\d*", choice.reason)]


def test_without_history_the_default_profile() -> None:
    choice = choose(SIZES, 5_000, ())
    assert (choice.profile, choice.engine) == ("small", "duckdb") and "no run of it was measured" in choice.reason
    spark_only = choose(SIZES, 5_000, [ran(200, 100, "spark", "spark")])
    assert spark_only.profile == "small" and "none of its 1 measured runs was on DuckDB" in spark_only.reason


@pytest.mark.parametrize(
    ("history", "rows_in", "profile"),
    [
        ([ran(2, 600)], 1_000, "small"),
        ([ran(2, 600)], 4_000, "memory"),  # 1,500 MiB, as 300 MiB do not grow
        ([ran(2, 290)], 9_000, "small"),
        ([ran(600, 300)], 1_000, "small"),  # slow, but there is room
        ([ran(2, 800)], 9_000, "memory"),  # 4,800 MiB fit nowhere, in 18 s
        ([ran(20, 3_000, "memory")], 2_000, "memory"),  # 5,700 MiB in 40 s
        ([ran(20, 3_000, "memory")], 4_000, "spark"),  # 11,100 MiB in 80 s
        ([ran(20, 3_000, "memory")], 3_500, "memory"),  # 70 s are not clearly more than a minute
        ([ran(90, 1, "spark", "spark"), ran(20, 3_000, "memory")], 3_500, "spark"),  # but no reason to leave Spark
        ([ran(90, 1, "spark", "spark"), ran(20, 3_000, "memory")], 2_900, "memory"),  # 58 s are
        ([ran(2, 950, "memory")], 1_000, "memory"),  # would fit the smaller one, with nothing to spare
        ([ran(2, 800, "memory")], 1_000, "small"),
        ([ran(2, 800), ran(500, 800), ran(2, 800)], 9_000, "memory"),  # one slow run moves nothing
        ([ran(0.5, 320)], 100_000_000, "small"),  # a hundred thousand times a run's start would be Spark's
    ],
)
def test_the_smallest_that_fits(history: list[Measured], rows_in: int, profile: str) -> None:
    choice = choose(SIZES, rows_in, history)
    assert choice.profile == profile, choice.reason
    assert rows_in in numbers_in(choice) and len(numbers_in(choice)) >= 4, choice.reason


def test_an_estimate_says_that_it_does_not_reach_as_far_as_the_rows() -> None:
    assert "take DuckDB at least 5.0 s and 500 MiB" in choose(SIZES, 100_000_000, [ran(0.5, 320)]).reason
    assert "take DuckDB about 5.0 s and 500 MiB" in choose(SIZES, 10_000, [ran(0.5, 320)]).reason


def test_it_does_not_flip_from_run_to_run() -> None:
    last, seen = "small", []
    for peak in (1_000, 1_050, 1_000, 1_050, 1_000, 1_050):
        last = choose(SIZES, 1_000, [ran(2, peak, last)]).profile
        seen.append(last)
    assert seen == ["small", "memory", "memory", "memory", "memory", "memory"]


def test_out_of_memory_is_answered_by_one_step_up() -> None:
    steps = [choose(SIZES, 1_000, [ran(2, 300)], short) for short in ("small", "memory", "spark", "vast")]
    assert [step.profile for step in steps] == ["memory", "spark", "vast", "vast"]
    assert {1_024.0, 4_096.0} <= set(numbers_in(steps[0])) and "no profile has more" in steps[-1].reason


def test_a_price_is_what_decides_between_sizes_that_fit() -> None:
    sizes = in_order([Size("dear", 512, "duckdb", 3), Size("cheap", 2_048, "duckdb", 1)], "dear", "price")
    choice = choose(sizes, 1_000, [ran(1, 100, "gone")])
    assert choice.profile == "cheap" and "the cheapest by price" in choice.reason


sizes_drawn = st.lists(
    st.tuples(st.integers(64, 10_000), st.sampled_from(["duckdb", "spark"]), st.integers(0, 50)), min_size=1, max_size=6
).map(
    lambda drawn: in_order(
        [Size(f"p{at}", memory, engine, price) for at, (memory, engine, price) in enumerate(drawn)], "p0", "price"
    )
)
runs_drawn = st.lists(
    st.builds(
        Measured,
        rows_in=st.integers(0, 10**7),
        rows=st.just(1),
        seconds=st.floats(0, 1_000),
        peak_mb=st.floats(1, 20_000),
        profile=st.sampled_from([f"p{at}" for at in range(7)]),
        engine=st.sampled_from(["duckdb", "spark"]),
    ),
    max_size=5,
)


@given(sizes=sizes_drawn, history=runs_drawn)
def test_never_spark_for_what_duckdb_does_in_a_minute(sizes: Sizes, history: list[Measured]) -> None:
    rows_in = 1_000
    scaled = sorted(
        run.seconds * (rows_in / run.rows_in if run.rows_in else 1) for run in history if run.engine == "duckdb"
    )
    # The upper of the middle two is no less than the median.
    if scaled and scaled[len(scaled) // 2] < 60 and sizes.of("duckdb"):
        assert choose(sizes, rows_in, history).engine == "duckdb"


@given(sizes=sizes_drawn, history=runs_drawn, few=st.integers(0, 10**8), more=st.integers(0, 10**8))
def test_more_rows_never_get_a_smaller_profile(sizes: Sizes, history: list[Measured], few: int, more: int) -> None:
    of_few, of_more = (choose(sizes, few, history), choose(sizes, few + more, history))
    assert sizes.place(of_few.profile) <= sizes.place(of_more.profile), (of_few, of_more)


@given(history=runs_drawn, rows_in=st.integers(0, 10**8))
def test_the_reason_is_one_sentence_with_the_rows(history: list[Measured], rows_in: int) -> None:
    choice = choose(SIZES, rows_in, history)
    assert rows_in in numbers_in(choice) and "\n" not in choice.reason and ". " not in choice.reason


def test_a_table_carries_its_newest_measurements_and_the_last_of_duckdb() -> None:
    history: tuple[Measured, ...] = (ran(1, 1),)
    for seconds in range(10):
        history = noted(history, ran(seconds, 1, "spark", "spark"))
    assert len(history) == KEPT and history[0].seconds == 9 and history[-1] == ran(1, 1)
    state = State(measured=history)
    assert State.from_metadata(state.to_metadata()) == state
    assert "measured" not in State(rows=1).to_metadata()["plinth"]


def platform(folder: Path, default: str = "small", **profiles: dict[str, Any]) -> Platform:
    """A platform with two profiles and more, read from its file."""
    settings = {
        "zones": {"here": {"root": "here", "clearance": ["public", "internal", "confidential", "restricted"]}},
        "layers": dict.fromkeys(("bronze", "silver", "gold", "ops"), "here"),
        "profiles": {"small": {"cpu": 1, "memory": "1GiB"}, "memory": {"cpu": 2, "memory": "4GiB"}, **profiles},
        "default_profile": default,
    }
    (folder / "platform.yaml").write_text(yaml.safe_dump(settings))
    return load_platform(folder / "platform.yaml")


def test_auto_is_no_name_of_a_profile(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"profiles\.auto: another name is expected"):
        platform(tmp_path, auto={"cpu": 1, "memory": "1GiB"})


def test_auto_by_default_is_for_models_and_the_cheapest_profile_for_everything_else(tmp_path: Path) -> None:
    told = platform(tmp_path, "auto")
    assert told.profile().memory == 2**30 and told.base_profile == "small"
    assert choice_for(told, None, 10, (), None).auto and not choice_for(told, "memory", 10, (), None).auto


def test_sizes_are_the_platforms_without_graphics_processors_and_say_what_they_are_priced_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu = {"cpu": 1, "memory": "1GiB", "gpu": 1}
    told = platform(tmp_path, gpu=gpu, dear={"cpu": 1, "memory": "2GiB", "price": 9})
    sizes = sizes_of(told)
    assert [size.name for size in sizes.sizes] == ["small", "dear", "memory"] and "not every profile" in sizes.priced_by
    assert ran_short(told, told.profile("small")) == "small" and ran_short(told, told.profile("memory")) is None
    monkeypatch.setenv("PLINTH_PROFILE", "small")
    assert [size.name for size in sizes_of(platform(tmp_path)).sizes] == ["small"], "a pod of this size has no more"


@pytest.mark.slow
def test_what_spills_is_measured_as_memory_that_would_have_been_needed(tmp_path: Path) -> None:
    con = connect(Profile(cpu=1, memory=128 * 2**20), scratch=tmp_path)
    rows = "SELECT i, hash(i)::VARCHAR || hash(i + 1)::VARCHAR || hash(i + 2)::VARCHAR AS t FROM range(3000000) r(i)"
    with Meter(con) as meter:
        before = meter.peak_mb
        con.execute(f"CREATE TABLE sorted AS {rows} ORDER BY t")
    # 3 million rows of some 70 bytes are 200 MiB, of which DuckDB's 96 MiB hold less than a half.
    assert meter.peak_mb > before + 150 and meter.seconds > 0
