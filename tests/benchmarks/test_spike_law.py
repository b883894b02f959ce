"""The scaling law that is fitted is the one that the rates follow, and the simulated autoscaler does what Kubernetes' does."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from benchmarks.spike_law import Autoscaler, ScalingLaw, fit_law, least_pods, simulate, spike
from benchmarks.spike_load import moments

LOAD = (1, 2, 4, 8, 16, 32, 64)
STRAIGHT = ScalingLaw(1.0, 0.0, 0.0)


def test_the_law_of_exact_rates_is_found_again() -> None:
    law = ScalingLaw(900.0, 0.05, 0.001)
    found = fit_law(LOAD, [law.at(each) for each in LOAD])
    assert found.rate == pytest.approx(900) and found.contention == pytest.approx(0.05)
    assert found.crosstalk == pytest.approx(0.001)
    assert found.peak == pytest.approx(max(law.at(each) for each in np.linspace(1, 200, 20_000)), rel=1e-4)


def test_rates_that_only_grow_have_no_negative_shares() -> None:
    found = fit_law(LOAD, [1.1 * each for each in LOAD])
    assert found.contention == pytest.approx(0, abs=1e-9) and found.crosstalk == pytest.approx(0, abs=1e-9)


def test_the_autoscaler_doubles_at_most_waits_for_pods_and_shrinks_late() -> None:
    scaler = Autoscaler(least=8, start_seconds=20)
    seen = simulate(1_000, STRAIGHT, scaler, spike(2_000, 30_000))
    assert seen.pods[0] == 8 and seen.pods.max() >= 60
    grows = np.flatnonzero(np.diff(seen.pods) > 0)
    assert all(seen.pods[at + 1] <= 2 * seen.pods[at] for at in grows)
    demand_grows = int(np.flatnonzero(np.diff(seen.demand) > 0)[0])
    assert grows[0] - demand_grows >= 20, "a pod that is asked for is not there before it has started"
    back = int(np.flatnonzero(seen.demand > 29_000)[-1])
    shrinks = np.flatnonzero(np.diff(seen.pods) < 0)
    assert shrinks[-1] > back + 250 and seen.pods[-1] == 8


def test_a_constant_demand_needs_what_it_takes_and_no_more() -> None:
    demand = np.full(900, 5_000.0)
    seen = simulate(1_000, STRAIGHT, Autoscaler(least=10), demand)
    assert set(seen.pods) == {10} and seen.waiting.max() == 0
    assert least_pods(1_000, STRAIGHT, Autoscaler(target=0.5), demand) in (4, 5)


def test_contention_among_pods_takes_more_of_them() -> None:
    demand = spike(1_000, 10_000)
    alone = simulate(1_000, STRAIGHT, Autoscaler(), demand).pods.max()
    assert simulate(1_000, ScalingLaw(1.0, 0.02, 0.0), Autoscaler(), demand).pods.max() > alone


def test_requests_are_due_ten_times_as_often_after_the_ramp_and_bounded_in_number() -> None:
    due = list(moments(100, 1_000, 2.0, 3.0))
    before, after = [at for at in due if at < 2], [at for at in due if at >= 5]
    assert len(before) == pytest.approx(200, abs=2) and len(after) == pytest.approx(2_000, abs=4)
    assert all(later > earlier for earlier, later in itertools.pairwise(due)) and due[-1] < 7
    assert sum(1 for _ in moments(1e6, 1e7, 100, 1)) == 600_000
    assert math.isclose(due[0], 0)
