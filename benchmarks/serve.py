"""Requests a second of the API on one pinned core, in turn with a bare ASGI hello on the same server that is sent the same requests.

`python -m benchmarks.serve [--small] [--rounds N] [--seconds S] [--customers N] [--without-feast]`. Needs wrk. Figures: `requests_per_second` of the hot
route (recommendations by customer), `vs_hello` (the worst GET by key, over hello), `vs_hello_hot`, one `vs_hello_<route>` each,
`p99_vs_p50` of the hot route at 70 % of its most (beside it that of hello at 70 % of its own), and `vs_feast`: the hot route over Feast's `get_online_features` called in one process
without HTTP. A ratio is the median of the rounds' own ratios, each of runs side by side; `cpu_vs_hello_hot` is that of requests for each
second of the server's CPU time.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.features import feast_peer, feast_python
from benchmarks.report import Bar, finish
from benchmarks.serve_site import Load, Site, make_site, running_api, running_hello, wrk

BARS = {
    "vs_hello": Bar(">=", 0.22),
    "vs_hello_hot": Bar(">=", 0.6),
    "p99_vs_p50": Bar("<=", 5),
}
HOT = "recommendations"
_CONNECTIONS = 16
_SHARE = 0.7


def main() -> int:
    options = _options()
    folder = Path(tempfile.mkdtemp(prefix="plinth-benchmark-"))
    try:
        site = make_site(folder, customers=options.customers, items=min(4_000, options.customers))
        with running_hello(site) as hello, running_api(site) as api:
            loads = _in_turn(site, hello, api, options)
            contenders = {
                HOT: (site.base, api, loads[HOT]),
                "hello": (f"http://127.0.0.1:{site.hello_port}", hello, loads["hello"]),
            }
            shared = _at_share(site, contenders, options)
            calm, still = shared[HOT], shared["hello"]
        feast = None if options.without_feast else _feast(folder, options.seconds)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    figures = _figures(loads, calm, still, feast)
    _print(loads, calm)
    notes = {
        "customers": options.customers,
        "rounds": options.rounds,
        "share_reached": round(_median([each.rate for each in calm]) / figures["requests_per_second"], 2),
        "p99_vs_p50_by_round": [round(each.p99 / each.p50, 1) for each in calm],
        "hello_p99_vs_p50_by_round": [round(each.p99 / each.p50, 1) for each in still],
        "feast": feast is not None,
    }
    return finish("serve", figures, {} if options.small else BARS, notes)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--customers", type=int)
    parser.add_argument("--without-feast", action="store_true", help="Leave Feast's figure out.")
    options = parser.parse_args()
    options.rounds = options.rounds or (1 if options.small else 9)
    options.seconds = options.seconds or 1
    options.customers = options.customers or (200 if options.small else 20_000)
    options.without_feast = options.without_feast or options.small
    return options


def _in_turn(site: Site, hello: int, api: int, options: argparse.Namespace) -> dict[str, list[Load]]:
    items = min(4_000, options.customers)
    paths = {
        HOT: ("/v1/customers/", "/recommendations", 0, options.customers),
        "promotions": ("/v1/customers/", "/promotions", 0, options.customers),
        "features": ("/v1/customers/", "/features", 0, options.customers),
        "customer_items": ("/v1/customers/", "/items", 0, options.customers),
        "similar": ("/v1/items/", "/similar", 10_000, items),
        "item_features": ("/v1/items/", "/features", 10_000, items),
        "tables": ("/v1/tables/gold/table_", "", 0, 60),
    }
    loads: dict[str, list[Load]] = {"hello": [], **{name: [] for name in paths}}
    for turn in range(options.rounds):
        hello_at = f"http://127.0.0.1:{site.hello_port}"
        loads["hello"].append(_load(hello_at, _script(site.key, *paths[HOT]), site, hello, options))
        for name, path in paths.items():
            loads[name].append(_load(site.base, _script(site.key, *path), site, api, options))
        rates = {name: round(each[-1].rate) for name, each in loads.items()}
        print(f"  round {turn + 1}/{options.rounds}: {rates}", file=sys.stderr)
    return loads


def _load(address: str, script: str, site: Site, process: int, options: argparse.Namespace) -> Load:
    return wrk(address, script, site.folder, process, seconds=options.seconds, connections=_CONNECTIONS)


def _at_share(
    site: Site, contenders: dict[str, tuple[str, int, list[Load]]], options: argparse.Namespace
) -> dict[str, list[Load]]:
    """Each address in turn at a share of its own most: connections that pause between requests, so many that the rate comes out.

    wrk counts a late answer as so many late ones as its connection would have asked for meanwhile. The first turn only finds the numbers of
    connections, and is not counted.

    Args:
        contenders: address, process and loads at full rate, by name.
    """
    script = _script(site.key, "/v1/customers/", "/recommendations", 0, options.customers)
    script += "function delay() return math.random(3, 5) end\n"
    wanted = {name: _SHARE * _median([each.rate for each in full]) for name, (_, _, full) in contenders.items()}
    connections = {name: max(1, round(rate * 0.0045)) for name, rate in wanted.items()}
    calm: dict[str, list[Load]] = {name: [] for name in contenders}
    for _ in range(options.rounds + 1):
        for name, (address, process, _) in contenders.items():
            load = wrk(address, script, site.folder, process, seconds=options.seconds, connections=connections[name])
            calm[name].append(load)
            # What a pause takes on top of its time is the machine's: the number of connections follows the rate that was reached.
            connections[name] = max(1, min(2_000, round(connections[name] * min(1.5, wanted[name] / load.rate))))
    return {name: loads[1:] for name, loads in calm.items()}


def _feast(folder: Path, seconds: float) -> float | None:
    interpreter = feast_python()
    if interpreter is None:
        return None
    command = [*feast_peer(interpreter), "serve", str(folder), str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout.strip().splitlines()[-1])


def _script(key: str, before: str, after: str, first: int, count: int) -> str:
    # The step shares no factor with the counts, so that every key comes before one comes again.
    return (
        f'local n = 0\nlocal head = {{["Authorization"] = "Bearer {key}"}}\n'
        f'request = function()\n  n = n + 1\n  return wrk.format("GET", "{before}" .. ({first} + (n * 7919) % {count}) .. "{after}", head)\nend\n'
    )


def _figures(
    loads: dict[str, list[Load]], calm: list[Load], still: list[Load], feast: float | None
) -> dict[str, float]:
    hello, hot = loads["hello"], loads[HOT]
    shares = {
        name: _median([ours.rate / theirs.rate for ours, theirs in zip(runs, hello, strict=True)])
        for name, runs in loads.items()
        if name != "hello"
    }
    figures = {
        "requests_per_second": _median([each.rate for each in hot]),
        "hello_per_second": _median([each.rate for each in hello]),
        "vs_hello": min(shares.values()),
        "vs_hello_hot": shares[HOT],
        **{f"vs_hello_{name}": share for name, share in shares.items() if name != HOT},
        "cpu_vs_hello_hot": _median([ours.per_cpu / its.per_cpu for ours, its in zip(hot, hello, strict=True)]),
        "p99_vs_p50": _median([each.p99 / each.p50 for each in calm]),
        "hello_p99_vs_p50": _median([each.p99 / each.p50 for each in still]),
        "p99_ms": _median([each.p99 for each in calm]),
    }
    if feast is not None:
        figures |= {"feast_per_second": feast, "vs_feast": figures["requests_per_second"] / feast}
    return figures


def _median(values: list[float]) -> float:
    return statistics.median(values)


def _print(loads: dict[str, list[Load]], calm: list[Load]) -> None:
    print(f"\n{'':20} {'requests/s':>10}  {'per CPU second':>14}")
    for name, runs in loads.items():
        print(f"{name:20} {_median([e.rate for e in runs]):10.0f}  {_median([e.per_cpu for e in runs]):14.0f}")
    reached, half, most = (_median([getattr(e, name) for e in calm]) for name in ("rate", "p50", "p99"))
    print(f"\nhot route at {reached:.0f} a second: p50 {half:.2f} ms, p99 {most:.2f} ms")


if __name__ == "__main__":
    sys.exit(main())
