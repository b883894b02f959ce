"""The content of a folder of files as one digest, and what differs when it is another.

What belongs here: hashing and comparing. What does not: where the folders come from, and the meaning of their files. A digest covers the
paths and the bytes of all files and nothing else: no times, no permissions, no order of the file system, so equal models have equal digests on
every machine.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from plinth.registry.errors import ModelTampered, RegistryRefused

_CHUNK = 2**20


def hashes_of(folder: Path) -> dict[str, str]:
    """The SHA-256 of every file below a folder, by its relative path with `/`, in the order of the paths.

    Raises:
        RegistryRefused: there is no file, or something that is no plain file (a link could lead out of what was hashed).
    """
    found: dict[str, str] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise RegistryRefused(
                "a model's folder holds something that is no plain file", expected="files and folders", where=path
            )
        if path.is_file():
            found[path.relative_to(folder).as_posix()] = _hash_of(path)
    if not found:
        raise RegistryRefused(
            "a model's folder is empty", expected="the files that the model was saved as", where=folder
        )
    return dict(sorted(found.items()))


def digest_of(hashes: Mapping[str, str]) -> str:
    """One digest of a whole folder: the SHA-256 of its sorted paths with their files' SHA-256."""
    # A path may hold any character but NUL, so NUL keeps two different folders from the same text.
    text = "".join(f"{path}\0{value}\0" for path, value in sorted(hashes.items()))
    return hashlib.sha256(text.encode()).hexdigest()


def verify(folder: Path, expected: Mapping[str, str], digest: str, *, model: str) -> None:
    """Holds the files of a folder to what was registered, by reading their bytes only.

    Args:
        folder: what is to be verified.
        expected: the files' hashes as they were registered.
        digest: the digest as it was registered.
        model: name and version, for the message.

    Raises:
        ModelTampered: a file is another, is missing, or was added; or the registered hashes do not make up the registered digest.
    """
    remedy = f"do not use these files; roll back (plinth model rollback {model.split()[0]}) or train anew, and find out who wrote them"
    if digest_of(expected) != digest:
        raise ModelTampered(
            f"the registry's entry of {model} contradicts itself",
            expected=f"digest {digest}",
            found=f"{digest_of(expected)} from the hashes of its files",
            where="tags plinth.digest and plinth.files of the registered version",
            remedy=remedy,
        )
    found = hashes_of(folder) if folder.is_dir() and any(folder.iterdir()) else {}
    for path in sorted({*expected, *found}):
        if expected.get(path) != found.get(path):
            raise ModelTampered(
                f"the files of {model} are not those that were registered: {path}",
                expected=f"sha256 {expected[path]}" if path in expected else "no such file",
                found=f"sha256 {found[path]}" if path in found else "no such file",
                where=folder / path,
                remedy=remedy,
            )


def _hash_of(path: Path) -> str:
    hasher = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            hasher.update(chunk)
    return hasher.hexdigest()
