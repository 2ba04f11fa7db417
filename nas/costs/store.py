"""Descriptions on disk, so that a second run compiles nothing again."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nascc.nas.costs.description import Description
from nascc.nas.run.files import to_json, write_whole

SCHEMA = "nascc.descriptions/1"
NAME = "descriptions.json"
EVERY = 25


class Store:
    """Descriptions by key, in memory and in a folder (None: in memory alone).

    A file for another deployment or another version, or one that is damaged, counts as none: it can be made again.
    """

    def __init__(self, identity: str, folder: Path | None = None) -> None:
        self.identity = identity
        self.path = None if folder is None else folder / NAME
        self._known = self._read()
        self._new = 0

    def __len__(self) -> int:
        return len(self._known)

    def get(self, key: str) -> Description | None:
        """What is known under a key."""
        return self._known.get(key)

    def put(self, key: str, description: Description) -> None:
        """Remember a description; a file is written after every few. Raises OSError."""
        self._known[key] = description
        self._new += 1
        if self._new >= EVERY:
            self.save()

    def save(self) -> None:
        """Write what is new. Raises OSError."""
        if self.path is None or not self._new:
            return
        found = {key: self._known[key].to_json() for key in sorted(self._known)}
        document = {"schema": SCHEMA, "deployment": self.identity, "descriptions": found}
        write_whole(self.path, to_json(document).encode())
        self._new = 0

    @contextmanager
    def saving(self) -> Iterator[None]:
        """Write what is new at the end, also after an error. Raises OSError."""
        try:
            yield
        finally:
            self.save()

    def _read(self) -> dict[str, Description]:
        if self.path is None or not self.path.exists():
            return {}
        try:
            found = json.loads(self.path.read_bytes())
            if (found["schema"], found["deployment"]) != (SCHEMA, self.identity):
                return {}
            return {str(key): Description.from_json(row) for key, row in found["descriptions"].items()}
        except (ValueError, KeyError, TypeError, AttributeError):
            return {}
