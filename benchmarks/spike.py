"""Traffic ten times as large within a minute, against the API with one worker and with two; and what an autoscaler would do with it.

`python -m benchmarks.spike [--small] [--rate R] [--out FOLDER]`. Needs wrk. Figures: `errors` of both spikes together (bar 0), `p99_ms` and
`p99_ms_2_workers` over the whole spike, from the moment at which a request was due; `worker_peak`, `contention` and `crosstalk` of the scaling law fitted to one
worker under 1 to 64 requests at once; `start_seconds` from the start of a server until it is ready; and of a simulated spike from 10,000 to
100,000 requests a second `simulated_pods` at its height, `simulated_wait_seconds` (the longest), `simulated_late_share` (requests that wait over a
second), and `simulated_least_pods`: the fewest that have to run before the spike so that no request waits over a second. What a second worker costs the first is measured in requests for each second of CPU time, since client and servers share two cores.
The simulation runs pods of one worker at half of what the law says that one can do. Everything is sent to 127.0.0.1.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from benchmarks.measure import ROOT, python
from benchmarks.report import Bar, finish
from benchmarks.serve_site import Load, Site, make_site, running_api, wrk
from benchmarks.spike_law import Autoscaler, ScalingLaw, fit_law, least_pods, plot, simulate, spike

BARS = {"errors": Bar("=", 0)}
_AT_ONCE = (1, 2, 4, 8, 16, 32, 64)
_POD_SHARE = 0.5
_FROM, _TO = 10_000.0, 100_000.0


def main() -> int:
    options = _options()
    folder = Path(tempfile.mkdtemp(prefix="plinth-benchmark-"))
    try:
        site = make_site(folder, customers=options.customers, items=min(1_000, options.customers))
        spikes = {workers: _spiked(site, workers, options) for workers in (1, 2)}
        loads, start_seconds = _measured(site, options)
        second = _second_worker(site, options)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    law = fit_law(_AT_ONCE, [each.rate for each in loads])
    # Two pods do of twice one pod's work what a request's CPU time says; of more than two nothing was measured, so crosstalk is not known.
    across = ScalingLaw(1.0, max(0.0, 1 / min(1.0, second) - 1), 0.0)
    scaler = Autoscaler(start_seconds=max(20.0, start_seconds))
    seen = simulate(_POD_SHARE * law.peak, across, scaler, spike(_FROM, _TO))
    picture = options.out / "spike.png"
    plot(law, _AT_ONCE, [each.rate for each in loads], seen, picture)
    print(f"The law and the simulated spike: {picture}", file=sys.stderr)
    figures = {
        "errors": float(sum(each["errors"] for each in spikes.values())),
        "p99_ms": spikes[1]["p99_ms"],
        "p99_ms_2_workers": spikes[2]["p99_ms"],
        "worker_peak": law.peak,
        "contention": law.contention,
        "crosstalk": law.crosstalk,
        "second_worker_share": second,
        "start_seconds": start_seconds,
        "simulated_pods": float(seen.pods.max()),
        "simulated_wait_seconds": float(seen.waiting.max()),
        "simulated_least_pods": float(least_pods(_POD_SHARE * law.peak, across, scaler, spike(_FROM, _TO))),
        "simulated_late_share": float(seen.demand[seen.waiting > 1].sum() / seen.demand.sum()),
    }
    notes = {"from": options.rate, "to": 10 * options.rate, "ramp_seconds": options.ramp, "spikes": spikes}
    return finish("spike", figures, {} if options.small else BARS, notes)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--small", action="store_true", help="seconds instead of minutes, no bars: only to see that it works"
    )
    parser.add_argument("--rate", type=float, help="requests a second before the spike; by default 200")
    parser.add_argument("--out", type=Path, default=ROOT / "data" / "benchmarks", help="folder of the plot")
    options = parser.parse_args()
    options.rate = options.rate or (50 if options.small else 200)
    options.steady, options.ramp = (1.0, 2.0) if options.small else (10.0, 50.0)
    options.customers = 100 if options.small else 2_000
    options.rounds = 1 if options.small else 3
    return options


def _spiked(site: Site, workers: int, options: argparse.Namespace) -> dict[str, float]:
    """The spike against so many workers, in a process of its own."""
    with running_api(site, workers=workers):
        numbers = (options.rate, 10 * options.rate, options.steady, options.ramp, 64)
        arguments = (str(site.port), site.key, str(options.customers), *(str(each) for each in numbers))
        done = subprocess.run(
            python("benchmarks.spike_load", *arguments), cwd=ROOT, capture_output=True, text=True, check=True
        )
    found: dict[str, float] = json.loads(done.stdout)
    print(f"  {workers} workers: {found}", file=sys.stderr)
    return found


def _measured(site: Site, options: argparse.Namespace) -> tuple[list[Load], float]:
    """One worker under ever more requests at once, and how long it takes to be ready."""
    began = time.monotonic()
    with running_api(site) as process:
        started = time.monotonic() - began
        rounds = [[_load(site, process, each, options) for each in _AT_ONCE] for _ in range(options.rounds)]
    loads = [sorted(each, key=lambda load: load.rate)[len(each) // 2] for each in zip(*rounds, strict=True)]
    for number, load in zip(_AT_ONCE, loads, strict=True):
        print(f"  {number:3} at once: {load.rate:,.0f} a second, p99 {load.p99:.2f} ms", file=sys.stderr)
    return loads, started


def _second_worker(site: Site, options: argparse.Namespace) -> float:
    """What of its requests for a second of CPU time a server keeps when a second one serves the same store beside it."""
    other = Site(site.folder, site.key, site.hello_port, site.port)
    shares = []
    with running_api(site) as process:
        for _ in range(options.rounds):
            alone = _load(site, process, 16, options).per_cpu
            with ExitStack() as beside:
                second = beside.enter_context(running_api(other))
                loading = subprocess.Popen(
                    ["wrk", "-t1", "-c4", "-d2s", "-H", f"Authorization: Bearer {site.key}",
                     f"{other.base}/v1/customers/1/recommendations"],
                    stdout=subprocess.DEVNULL,
                )  # fmt: skip
                both = _load(site, process, 16, options).per_cpu
                loading.wait(30)
                assert second
            shares.append(both / alone)
    return statistics.median(shares)


def _load(site: Site, process: int, connections: int, options: argparse.Namespace) -> Load:
    script = (
        f"wrk.headers['Authorization'] = 'Bearer {site.key}'\n"
        f"request = function() return wrk.format('GET', '/v1/customers/' .. math.random(0, {options.customers - 1}) .. '/recommendations') end\n"
    )
    return wrk(site.base, script, site.folder, process, seconds=1 if options.small else 2, connections=connections)


if __name__ == "__main__":
    sys.exit(main())
