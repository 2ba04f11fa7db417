"""The search methods, by name."""

from nascc.nas.methods.lightnas import LIGHTNAS
from nascc.nas.methods.method import PRESETS, SearchMethod

METHODS: dict[str, SearchMethod] = {method.name: method for method in (LIGHTNAS,)}

__all__ = ["METHODS", "PRESETS", "SearchMethod"]
