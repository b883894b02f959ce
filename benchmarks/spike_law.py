"""How throughput grows with load, fitted from what was measured, and how an autoscaler follows a spike by it.

What belongs here: the law, the simulation and their plot. What does not: measuring (`benchmarks.spike`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class ScalingLaw:
    """The Universal Scalability Law (Gunther 2007): n at once give `rate` n / (1 + contention (n - 1) + crosstalk n (n - 1)).

    `rate` is what one gives alone, `contention` the share that waits for others, `crosstalk` what each pair costs each other.
    """

    rate: float
    contention: float
    crosstalk: float

    def at(self, n: float) -> float:
        """Requests a second of n at once."""
        return self.rate * n / (1 + self.contention * (n - 1) + self.crosstalk * n * (n - 1))

    @property
    def peak(self) -> float:
        """The most requests a second, at however many at once."""
        most = math.sqrt((1 - self.contention) / self.crosstalk) if self.crosstalk > 0 else 1e6
        return self.at(max(1.0, most))


def fit_law(load: Sequence[float], rates: Sequence[float]) -> ScalingLaw:
    """The law that comes closest to measured rates, each share at least 0: least squares of n / rate, in which it is linear."""
    from scipy.optimize import nnls

    n, rate = np.asarray(load, dtype=float), np.asarray(rates, dtype=float)
    # n / rate = (1 + contention (n - 1) + crosstalk n (n - 1)) / rate(1), each point weighted by its rate: relative errors count.
    terms = np.column_stack([np.ones_like(n), n - 1, n * (n - 1)]) * (rate / n)[:, None]
    (first, second, third), _ = nnls(terms, np.ones_like(n))
    return ScalingLaw(1 / first, second / first, third / first)


@dataclass(frozen=True)
class Autoscaler:
    """What a HorizontalPodAutoscaler does, by its defaults of Kubernetes: looks every 15 s, at most doubles or adds 4, shrinks after 300 s.

    `start_seconds` is from the decision until a new pod is ready.
    """

    target: float = 0.5
    look_seconds: int = 15
    start_seconds: float = 20.0
    least: int = 2
    most: int = 200
    shrink_after: int = 300


@dataclass(frozen=True)
class Simulated:
    """Second by second: what is asked for, what the ready pods can do, how many there are, and how long a request waits (s)."""

    demand: np.ndarray
    capacity: np.ndarray
    pods: np.ndarray
    waiting: np.ndarray


def simulate(pod: float, across: ScalingLaw, scaler: Autoscaler, demand: np.ndarray) -> Simulated:
    """Follows a demand (requests a second, second by second).

    Args:
        pod: requests a second that one pod can do.
        across: what n pods do of n times that; only its shares are used.
    """
    alone = ScalingLaw(pod, across.contention, across.crosstalk)
    ready, starting, wishes = scaler.least, [], []  # type: ignore[var-annotated]
    queue, rows = 0.0, []
    for second, asked in enumerate(demand):
        ready += sum(number for at, number in starting if at <= second)
        starting = [(at, number) for at, number in starting if at > second]
        capacity = alone.at(ready)
        queue = max(0.0, queue + asked - capacity)
        if second % scaler.look_seconds == 0:
            coming = ready + sum(number for _, number in starting)
            busy = min(1.0, (asked + queue) / capacity)
            wish = min(scaler.most, max(scaler.least, math.ceil(ready * busy / scaler.target)))
            wish = min(wish, max(2 * coming, coming + 4))
            wishes = [(at, each) for at, each in wishes if second - at < scaler.shrink_after] + [(second, wish)]
            if wish > coming:
                starting.append((second + scaler.start_seconds, wish - coming))
            elif (kept := max(each for _, each in wishes)) < ready and not starting:
                ready = kept
        rows.append((capacity, ready, queue / capacity))
    capacity_, pods, waiting = (np.array(column) for column in zip(*rows, strict=True))
    return Simulated(demand, capacity_, pods, waiting)


def least_pods(pod: float, across: ScalingLaw, scaler: Autoscaler, demand: np.ndarray) -> int:
    """The fewest pods that have to be there before a spike so that no request waits over a second."""
    for least in range(1, scaler.most + 1):
        if simulate(pod, across, replace(scaler, least=least), demand).waiting.max() <= 1:
            return least
    return scaler.most


def spike(start: float, end: float, *, before: int = 120, ramp: int = 60, after: int = 600) -> np.ndarray:
    """A demand that grows from `start` to `end` within `ramp` seconds, stays and goes back."""
    up = np.linspace(start, end, ramp)
    return np.concatenate([np.full(before, start), up, np.full(after, end), up[::-1], np.full(after, start)])


def plot(law: ScalingLaw, load: Sequence[float], rates: Sequence[float], seen: Simulated, file: Path) -> None:
    """Draws the law over its measured points, and the simulated spike."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, middle, right) = pyplot.subplots(1, 3, figsize=(14, 4.2), layout="constrained")
    many = np.geomspace(min(load), max(load) * 2, 100)
    left.plot(many, [law.at(each) for each in many], color="#1f6f78", label="fitted law")
    left.plot(load, rates, "o", color="#c8553d", label="measured")
    left.set(title="One worker", xlabel="requests at once", ylabel="requests a second", xscale="log")
    left.legend(frameon=False)
    minutes = np.arange(len(seen.demand)) / 60
    middle.plot(minutes, seen.demand, color="#c8553d", label="asked for")
    middle.plot(minutes, seen.capacity, color="#1f6f78", label="capacity of ready pods")
    middle.set(title="Simulated spike", xlabel="minutes", ylabel="requests a second")
    middle.legend(frameon=False)
    right.plot(minutes, seen.pods, color="#1f6f78", label="pods")
    right.plot(minutes, seen.waiting, color="#c8553d", label="a request waits (s)")
    right.set(title="Pods, and how long a request waits", xlabel="minutes")
    right.legend(frameon=False)
    for axis in (left, middle, right):
        axis.spines[["top", "right"]].set_visible(False)
        axis.set_ylim(bottom=0)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=130)
    pyplot.close(figure)
