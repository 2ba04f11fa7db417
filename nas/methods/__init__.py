"""The search methods, by name."""

import difflib

from nascc.nas.errors import SearchError
from nascc.nas.methods.dw_nas import DW_NAS
from nascc.nas.methods.hant import HANT
from nascc.nas.methods.lightnas import LIGHTNAS
from nascc.nas.methods.method import PRESETS, SearchMethod
from nascc.nas.methods.netadaptv2 import NETADAPTV2
from nascc.nas.methods.running import adopted_names, phases_of, run_method
from nascc.nas.methods.single_path import SINGLE_PATH

METHODS: dict[str, SearchMethod] = {method.name: method for method in (DW_NAS, HANT, LIGHTNAS, NETADAPTV2, SINGLE_PATH)}


def find_method(name: str) -> SearchMethod:
    """The method of a name. Raises SearchError with the near matches."""
    if name in METHODS:
        return METHODS[name]
    near = difflib.get_close_matches(name, METHODS) or METHODS
    raise SearchError(f"a method must be one of {', '.join(METHODS)}, got '{name}': try {', '.join(near)}")


__all__ = ["METHODS", "PRESETS", "SearchMethod", "adopted_names", "find_method", "phases_of", "run_method"]
