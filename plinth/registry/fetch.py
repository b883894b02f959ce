"""The files of a registered version, brought here and held to their digest before anybody opens one.

What belongs here: the copy and its verification. What does not: opening a model.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from urllib.parse import unquote, urlsplit

from plinth.registry.content import verify
from plinth.registry.errors import ModelMissing, ModelTampered, RegistryRefused
from plinth.registry.runs import FOLDER, PLOTS
from plinth.registry.store import Store, faults
from plinth.registry.version import RegisteredVersion


def fetch(store: Store, version: RegisteredVersion) -> Path:
    """A local folder with the files of a version; see `Registry.fetch`."""
    if version.pruned is not None:
        raise ModelMissing(
            f"the files of {version} were removed",
            found=version.pruned,
            where="platform.yaml, training.keep",
            remedy=f"choose another version: plinth model list {version.model}",
        )
    kept = store.root / "fetched" / version.digest
    if kept.is_dir():
        try:
            verify(kept, version.files, version.digest, model=str(version))
            return kept
        except (ModelTampered, RegistryRefused):
            # The copy is spoiled, the original may not be: take it anew, and fail on that if it is.
            shutil.rmtree(kept)
    kept.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept.parent, prefix=".fetching-") as scratch:
        folder = _copy(store, version, Path(scratch))
        verify(folder, version.files, version.digest, model=str(version))
        try:
            folder.rename(kept)
        except OSError:
            # Another process fetched the same version meanwhile; its copy is held to the digest as well.
            verify(kept, version.files, version.digest, model=str(version))
    return kept


def plots(store: Store, version: RegisteredVersion) -> dict[str, bytes]:
    """The plots of a version as PNG, by name."""
    with tempfile.TemporaryDirectory() as scratch, faults(store.uri):
        names = [artifact.path for artifact in store.client.list_artifacts(version.run_id, PLOTS)]
        files = [Path(store.client.download_artifacts(version.run_id, name, scratch)) for name in names]
        return {file.stem: file.read_bytes() for file in files}


def folder_of(store: Store, version: RegisteredVersion) -> Path:
    """Where a local store keeps the files of a version."""
    # By the run's number and not by the recorded address, which names the folder that the project stood in then.
    recorded = Path(unquote(urlsplit(version.source).path))
    return store.root / "artifacts" / Path(*recorded.parts[-4:])


def _copy(store: Store, version: RegisteredVersion, scratch: Path) -> Path:
    if not store.is_local:
        with faults(store.uri):
            return Path(store.client.download_artifacts(version.run_id, FOLDER, str(scratch)))
    here = folder_of(store, version)
    if not here.is_dir():
        raise ModelTampered(
            f"the files of {version} are gone",
            expected=f"{len(version.files)} files",
            found="no folder",
            where=here,
            remedy=f"restore the folder, or roll back: plinth model rollback {version.model}",
        )
    # Links are copied as links, which the verification then refuses.
    return Path(shutil.copytree(here, scratch / FOLDER, symlinks=True))
