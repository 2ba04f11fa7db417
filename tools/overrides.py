"""Hyper-parameters given as `a.b=value` on the command line."""

import json
from collections.abc import Iterable
from typing import Any

from nascc.tools.errors import CommandError


def parse_overrides(texts: Iterable[str]) -> dict[str, Any]:
    """`a.b=1` becomes {'a': {'b': 1}}; a value is JSON, or else a word. Raises CommandError."""
    found: dict[str, Any] = {}
    for text in texts:
        path, equals, value = text.partition("=")
        keys = path.split(".")
        if not equals or not all(key.isidentifier() for key in keys):
            raise CommandError(f"--set must be KEY=VALUE, like retrain.epochs=10, got '{text}'")
        at = found
        for key in keys[:-1]:
            at = at.setdefault(key, {})
            if not isinstance(at, dict):
                raise CommandError(f"--set must give '{path}' one value or parts, got both")
        at[keys[-1]] = _value(value)
    return found


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
