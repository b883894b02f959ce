"""The steps of `benchmarks.scale`, each as a process of its own: `python -m benchmarks.scale_worker STEP FOLDER PROFILE [LINES]`.

`sample`: the legacy warehouse, which is not measured. `bronze`: all its tables loaded. `models`: silver and gold with their dbt tests; the highest
memory while each model was computed goes to `models.json`. `features`: the newest weekly snapshot of each declared view.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from benchmarks.measure import ROOT
from benchmarks.transform_worker import load, platform
from plinth.features import load_views
from plinth.features.due import last_reached
from plinth.features.store import materialise
from plinth.lakehouse.tables import Lakehouse
from plinth.platform import Platform
from plinth.transform.project import prepare

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class Peaks:
    """The highest resident memory between two looks, in MB, by name; nothing where the system keeps no such mark (Linux does).

    dbt's tests of a model run after it and count for the next one, in whose time they fall.
    """

    def __init__(self) -> None:
        self.found: dict[str, float] = {}

    def look(self, name: str) -> None:
        """Notes the peak since the last look, and begins anew."""
        if not _CLEAR.exists():
            return
        line = next(each for each in _STATUS.read_text(encoding="ascii").splitlines() if each.startswith("VmHWM:"))
        self.found[name] = max(self.found.get(name, 0.0), int(line.split()[1]) * 1024 / 1e6)
        _CLEAR.write_text("5")  # 5 is the kernel's word for "set the high-water mark to what is held now"

    def write(self, file: Path) -> None:
        """All of them as a file."""
        file.write_text(json.dumps(self.found))


def build(settings: Platform, folder: Path) -> None:
    """All models with their tests.

    Raises:
        SystemExit: one was not published.
    """
    from plinth.transform.run import build as build_models

    peaks, models = Peaks(), {model.table for model in prepare(ROOT / "dbt_project").models}

    def told(line: str) -> None:
        name = line.partition(": ")[0]
        if name in models:
            peaks.look(name)

    built = build_models(ROOT / "dbt_project", Lakehouse(settings), run="benchmark", tell=told)
    peaks.look("the last tests and publishing")
    failed = [each for each in built.models if each.status.value != "published"]
    if failed:
        raise SystemExit("not published: " + "; ".join(f"{each.table}: {each.reason}" for each in failed))
    peaks.write(folder / "models.json")


def features(settings: Platform, folder: Path) -> None:
    """The newest Monday of each view."""
    lakehouse, views, peaks = Lakehouse(settings), load_views(ROOT / "feature_views.yaml"), Peaks()
    for name, view in views.views.items():
        last = last_reached(lakehouse, view)
        if last is None:
            raise SystemExit(f"there is no row for the view {name}")
        materialise(lakehouse, views, name, [last], run="benchmark")
        peaks.look(f"features/{name}")
    peaks.write(folder / "features.json")


def main() -> None:
    step, folder = sys.argv[1], Path(sys.argv[2])
    settings = platform(folder, sys.argv[3])
    if step == "sample":
        from plinth.sample import SampleSpec, write_sample

        write_sample(settings.source_url("erp"), SampleSpec(lines=int(sys.argv[4])))
        # dbt parses the project once for all runs that follow: the first size should not pay for it.
        prepare(ROOT / "dbt_project")
    elif step == "bronze":
        load(settings)
    else:
        {"models": build, "features": features}[step](settings, folder)


if __name__ == "__main__":
    main()
