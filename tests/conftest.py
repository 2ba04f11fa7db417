"""What every test shares: the repository root stays off sys.path, and optional packages turn into skips."""

import sys
from pathlib import Path
from types import ModuleType

import pytest

from vision_schemas import import_vision

ROOT = Path(__file__).resolve().parents[1]

sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != ROOT]


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def vision() -> tuple[ModuleType, ModuleType]:
    """(timm, torchvision), or a skip where they are not installed."""
    try:
        return import_vision()
    except ImportError as error:
        pytest.skip(f"timm and torchvision must be installed with --no-deps (see README.md): {error}")
