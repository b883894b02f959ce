"""Files of old versions, taken away when nobody can need them any more; what was measured and decided stays on record.

What belongs here: which files go. What does not: what a version is (`plinth.registry.version`).
"""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from plinth.registry import version as tag
from plinth.registry.champions import row_of
from plinth.registry.fetch import folder_of
from plinth.registry.runs import FOLDER
from plinth.registry.store import faults

if TYPE_CHECKING:
    from plinth.registry.registry import Registry


def prune(registry: Registry, model: str, keep: int) -> list[int]:
    """Removes the files of old versions; see `Registry.prune`."""
    store = registry.store
    with store.lock(), faults(store.uri):
        versions = registry.versions(model)
        # The champion, and the one that a rollback would put back.
        served = set(row_of(registry, model)[-2:])
        kept = {each.version for each in versions[:keep]} | served | {each.version for each in versions if each.aliases}
        opened = {each.digest for each in versions if each.version in served}
        gone = [each for each in versions if each.version not in kept and each.pruned is None]
        for each in gone:
            # The mark first: files that are marked and still there are only waste, files that are gone and not marked look like a fault.
            said = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, of old versions {keep} are kept"
            store.client.set_model_version_tag(model, str(each.version), tag.PRUNED, said)
        for each in versions:
            here = folder_of(store, each)
            # A version that names no folder of its own would lead to the folder of all.
            if (each.pruned is not None or each in gone) and store.is_local and here.name == FOLDER:
                shutil.rmtree(here, ignore_errors=True)
            if each.digest not in opened:
                # A copy is made for those who open a version, which are they that serve it and the next challenge.
                shutil.rmtree(store.root / "fetched" / each.digest, ignore_errors=True)
    return [each.version for each in gone]
