"""Build a module from the callable a user names: `--model package.module:callable`, `--kwargs` JSON, or `zoo:NAME`."""

import importlib
import json
import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any

from torch import nn

from nascc.nas.importable import working_folder_importable
from nascc.nas.zoo import ARCHITECTURES
from nascc.tools.errors import CommandError, one_line

ZOO = "zoo:"
SPELLING = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


def parse_kwargs(kwargs: str | Mapping[str, Any] | None) -> dict[str, Any]:
    """Keyword arguments from a JSON object, or as they are. Raises CommandError when it is anything else."""
    if kwargs is None or isinstance(kwargs, Mapping):
        return dict(kwargs or {})
    try:
        value = json.loads(kwargs)
    except (ValueError, RecursionError) as error:
        raise CommandError(
            f"--kwargs must be a JSON object like '{{\"width\": 0.5}}', got '{kwargs}': {error}"
        ) from error
    if not isinstance(value, dict):
        raise CommandError(f"--kwargs must be a JSON object like '{{\"width\": 0.5}}', got '{kwargs}'")
    return value


def build_module(spelling: str, kwargs: Mapping[str, Any]) -> nn.Module:
    """Call what `spelling` names, in eval mode afterwards.

    Raises CommandError (exit 2) when it can not be imported or found, is not callable, raises, or returns no module.
    """
    with working_folder_importable():
        found = zoo_builder(spelling) if spelling.startswith(ZOO) else find_callable(spelling)
        if isinstance(found, nn.Module) and not kwargs:
            return found.eval()
        try:
            module = found(**kwargs)
        except Exception as error:
            raise CommandError(
                f"'{spelling}' must build the model with {dict(kwargs)}, raised {one_line(error)}; "
                "pass its keyword arguments with --kwargs"
            ) from error
    if not isinstance(module, nn.Module):
        raise CommandError(f"'{spelling}' must return a torch.nn.Module, returned {type(module).__name__}")
    return module.eval()


def zoo_builder(spelling: str) -> Callable[..., nn.Module]:
    """The reference network of `zoo:NAME`. Raises CommandError with the near matches."""
    name = spelling[len(ZOO) :]
    if name not in ARCHITECTURES:
        near = get_close_matches(name, ARCHITECTURES, 3, 0.4) or sorted(ARCHITECTURES)
        raise CommandError(f"'{spelling}' must name a reference network, found none; did you mean {_listed(near)}?")
    return ARCHITECTURES[name]


def find_callable(spelling: str) -> Callable[..., Any]:
    """Import `package.module:callable`. Raises CommandError when that is not possible."""
    if not SPELLING.fullmatch(spelling):
        raise CommandError(
            f"--model must be package.module:callable, got '{spelling}'; for example torchvision.models:resnet18"
        )
    path, _, attributes = spelling.partition(":")
    try:
        found: Any = importlib.import_module(path)
    except Exception as error:
        raise CommandError(
            f"module '{path}' of --model must be importable, but: {one_line(error)}; "
            "install it, or run where it can be imported"
        ) from error
    for name in attributes.split("."):
        if not hasattr(found, name):
            near = get_close_matches(name, dir(found), 3) or [each for each in dir(found) if each[0] != "_"][:5]
            raise CommandError(f"'{path}' must have '{attributes}', found none; did you mean {_listed(near)}?")
        found = getattr(found, name)
    if not callable(found):
        raise CommandError(f"'{spelling}' must be callable, found {type(found).__name__}; name what builds the model")
    return found  # type: ignore[no-any-return]


def _listed(names: list[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
