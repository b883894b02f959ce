"""Requests a second of the API on one pinned core, in turn with a bare ASGI hello on the same server.

`python -m benchmarks.serve [--small] [--rounds N] [--seconds S] [--customers N]`. Needs wrk. Figures: `requests_per_second` of the hot
route (recommendations by customer), `vs_hello` (the worst GET by key, over hello), `vs_hello_hot`, one `vs_hello_<route>` each, and
`p99_vs_p50` of the hot route at 70 % of its most.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

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
        with running_hello(site), running_api(site):
            loads = _in_turn(site, options)
            calm = _at_share(site, loads[HOT], options)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    rates = {name: statistics.median(each.rate for each in runs) for name, runs in loads.items()}
    _print(rates, calm)
    shares = {f"vs_hello_{name}": rate / rates["hello"] for name, rate in rates.items() if name not in ("hello", HOT)}
    hot = rates[HOT] / rates["hello"]
    figures = {
        "requests_per_second": rates[HOT],
        "hello_per_second": rates["hello"],
        "vs_hello": min(*shares.values(), hot),
        "vs_hello_hot": hot,
        **shares,
        "p99_vs_p50": statistics.median(each.p99 / each.p50 for each in calm),
        "p99_ms": statistics.median(each.p99 for each in calm),
    }
    notes = {
        "customers": options.customers,
        "rounds": options.rounds,
        "share": _SHARE,
        "feast": "not installed: skipped",
    }
    return finish("serve", figures, {} if options.small else BARS, notes)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--customers", type=int)
    options = parser.parse_args()
    options.rounds = options.rounds or (1 if options.small else 3)
    options.seconds = options.seconds or (1 if options.small else 4)
    options.customers = options.customers or (200 if options.small else 20_000)
    return options


def _in_turn(site: Site, options: argparse.Namespace) -> dict[str, list[Load]]:
    items = min(4_000, options.customers)
    paths = {
        HOT: ("/v1/customers/", "/recommendations", 0, options.customers),
        "promotions": ("/v1/customers/", "/promotions", 0, options.customers),
        "features": ("/v1/customers/", "/features", 0, options.customers),
        "similar": ("/v1/items/", "/similar", 10_000, items),
        "tables": ("/v1/tables/gold/table_", "", 0, 60),
    }
    loads: dict[str, list[Load]] = {"hello": [], **{name: [] for name in paths}}
    for turn in range(options.rounds):
        loads["hello"].append(_load(f"http://127.0.0.1:{site.hello_port}", "", site, options))
        for name, path in paths.items():
            loads[name].append(_load(site.base, _script(site.key, *path), site, options))
        print(
            f"  round {turn + 1}/{options.rounds}: { ({n: round(e[-1].rate) for n, e in loads.items()}) }",
            file=sys.stderr,
        )
    return loads


def _at_share(site: Site, loads: list[Load], options: argparse.Namespace) -> list[Load]:
    """The hot route at a share of its most: connections that pause between requests for 3 to 5 ms, so many that the rate comes out."""
    wanted = _SHARE * statistics.median(each.rate for each in loads)
    pause = "function delay() return math.random(3, 5) end\n"
    script = _script(site.key, "/v1/customers/", "/recommendations", 0, options.customers) + pause
    connections = max(1, round(wanted * 0.0045))
    return [
        wrk(site.base, script, site.folder, seconds=options.seconds, connections=connections)
        for _ in range(options.rounds)
    ]


def _load(address: str, script: str, site: Site, options: argparse.Namespace) -> Load:
    return wrk(address, script, site.folder, seconds=options.seconds, connections=_CONNECTIONS)


def _script(key: str, before: str, after: str, first: int, count: int) -> str:
    # The step shares no factor with the counts, so that every key comes before one comes again.
    return (
        f'local n = 0\nlocal head = {{["Authorization"] = "Bearer {key}"}}\n'
        f'request = function()\n  n = n + 1\n  return wrk.format("GET", "{before}" .. ({first} + (n * 7919) % {count}) .. "{after}", head)\nend\n'
    )


def _print(rates: dict[str, float], calm: list[Load]) -> None:
    print(f"\n{'':20} {'requests/s':>10}  {'of hello':>8}")
    for name, rate in rates.items():
        print(f"{name:20} {rate:10.0f}  {rate / rates['hello']:8.2f}")
    reached = statistics.median(each.rate for each in calm)
    print(f"\nhot route at {reached:.0f} a second ({reached / rates[HOT]:.0%} of its most):", end=" ")
    print(f"p50 {statistics.median(e.p50 for e in calm):.2f} ms, p99 {statistics.median(e.p99 for e in calm):.2f} ms")


if __name__ == "__main__":
    sys.exit(main())
