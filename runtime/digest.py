"""Digests of files: what tells one file from another."""

import hashlib
from pathlib import Path


def sha256(path: Path) -> str:
    """The digest of a file, or of the files of a folder in the order of their names, in hex."""
    digest = hashlib.sha256()
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    for file in files:
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
