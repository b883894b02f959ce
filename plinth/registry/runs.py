"""A training as a run of MLflow, so that its figures and plots stand in MLflow's own pages too.

What belongs here: writing the run. What does not: the version that is made of it (`plinth.registry.registry`). A run that did not become a
version says FAILED and is read by nobody.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from plinth.registry.errors import RegistryRefused
from plinth.registry.store import Store

FOLDER = "model"
PLOTS = "plots"


@dataclass(frozen=True)
class Training:
    """What one training has to show.

    Attributes:
        files: folder of the saved model.
        plots: PNG images by name, without the extension.
        inputs: Delta version of each table that was read.
    """

    model: str
    files: Path
    parameters: Mapping[str, str]
    metrics: Mapping[str, float]
    plots: Mapping[str, bytes]
    inputs: Mapping[str, int]


@contextmanager
def written_run(store: Store, training: Training) -> Iterator[tuple[str, str]]:
    """The run's id and the address of its files, for a block that makes a version of them."""
    from mlflow.entities import Dataset, DatasetInput, Metric, Param

    client = store.client
    run = client.create_run(_experiment(store, training.model), run_name=training.model)
    identity, now, status = run.info.run_id, run.info.start_time, "FAILED"
    try:
        client.log_batch(
            identity,
            metrics=[Metric(name, value, now, 0) for name, value in training.metrics.items()],
            params=[Param(name, value) for name, value in training.parameters.items()],
        )
        datasets = [
            Dataset(table, str(number), "delta", json.dumps({"table": table}))
            for table, number in training.inputs.items()
        ]
        client.log_inputs(identity, datasets=[DatasetInput(each) for each in datasets])
        client.log_artifacts(identity, str(training.files), FOLDER)
        with tempfile.TemporaryDirectory() as scratch:
            for name, image in training.plots.items():
                path = Path(scratch) / f"{name}.png"
                path.write_bytes(image)
                client.log_artifact(identity, str(path), PLOTS)
        yield identity, f"{run.info.artifact_uri}/{FOLDER}"
        status = "FINISHED"
    finally:
        client.set_terminated(identity, status)


def _experiment(store: Store, model: str) -> str:
    location = (store.root / "artifacts" / model).as_uri() if store.is_local else None
    # MLflow keeps an absolute folder with the experiment. A project that was moved, or is mounted elsewhere, gets a new one here instead of
    # writing to a folder that is not its own.
    for name in (f"plinth/{model}", f"plinth/{model} in {location}"):
        found = store.client.get_experiment_by_name(name)
        if found is None:
            return str(store.client.create_experiment(name, artifact_location=location))
        if location in (None, found.artifact_location):
            return str(found.experiment_id)
    raise RegistryRefused("no experiment fits this folder", found=location, where=store.uri)
