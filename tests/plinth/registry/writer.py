"""A process that registers, challenges and looks, while others do the same: `writer.py <registry> <models> <name> <rounds>`."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.plinth.registry.conftest import register, registry_in

if __name__ == "__main__":
    root, models, name, rounds = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    registry = registry_in(root)
    for number in range(rounds):
        for text in (f"{name}-{number}", f"shared-{number}"):
            folder = models / name / text
            folder.mkdir(parents=True)
            (folder / "model.bin").write_bytes(text.encode())
            made = register(registry, folder, value=number / 10)
            registry.challenge(made, "recall", True, "june")
            champion = registry.champion("recommender")
            assert champion is not None
            assert (registry.fetch(made) / "model.bin").read_bytes() == text.encode()
