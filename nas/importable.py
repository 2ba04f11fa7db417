"""Modules that lie in the working folder, where a user's own often do."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def working_folder_importable() -> Iterator[None]:
    """The installed command does not look for modules there by itself; what is installed still comes first."""
    folder = os.getcwd()
    sys.path.append(folder)
    try:
        yield
    finally:
        sys.path.remove(folder)
