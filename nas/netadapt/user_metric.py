"""A metric of the user's own: a Python callable, named by its module or its file."""

import importlib
import importlib.util
from pathlib import Path
from typing import Any

from nascc.nas.errors import SearchError
from nascc.nas.importable import working_folder_importable
from nascc.nas.netadapt.costing import UserMetric


def settled(text: str) -> str:
    """The same metric, whatever folder the run is gone on with in."""
    place, colon, name = text.rpartition(":")
    return f"{Path(place).absolute()}:{name}" if colon and place.endswith(".py") else text


def open_metric(text: str) -> UserMetric:
    """'package.module:function', also of the working folder, or 'path/file.py:function'. Runs that code.

    Raises SearchError.
    """
    place, _, name = text.rpartition(":")
    if not place or not name.isidentifier():
        raise SearchError(f"a metric must be 'package.module:function' or 'file.py:function', got '{text}'")
    try:
        found = getattr(_module(place), name, None)
    except (Exception, SystemExit) as error:
        raise SearchError(f"the metric '{text}' must be importable, but: {type(error).__name__}: {error}") from error
    if not callable(found):
        raise SearchError(f"'{place}' must have a function '{name}', found {type(found).__name__}")
    return found  # type: ignore[no-any-return]


def _module(place: str) -> Any:
    if not place.endswith(".py"):
        with working_folder_importable():
            return importlib.import_module(place)
    if not Path(place).is_file():
        raise FileNotFoundError(f"there is no file '{place}'")
    spec = importlib.util.spec_from_file_location(f"nascc_metric_{Path(place).stem}", place)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
