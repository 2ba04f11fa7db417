"""Inputs to capture a model with, made from shapes or taken from the user."""

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim

from nascc.compiler.errors import UsageError
from nascc.compiler.shapes import InputSpec

BATCH, IMAGE, LENGTH = 2, 224, 16
"""Sizes that stand for a dynamic batch (1 would be taken for a constant), image side and sequence length."""


def example_of(spec: InputSpec, *, seed: int, position: int = 0) -> Tensor:
    """A seeded tensor as specified: normal floats, bytes from 0 to 255, other integers from 0 to 7."""
    generator = torch.Generator().manual_seed(seed * 1000 + position)
    sizes = [d if isinstance(d, int) else _stand_in(spec, k) for k, d in enumerate(spec.dims)]
    if spec.dtype.is_floating_point:
        return torch.randn(sizes, generator=generator).to(spec.dtype)
    top = 2 if spec.dtype is torch.bool else 256 if spec.dtype is torch.uint8 else 8
    return torch.randint(0, top, sizes, generator=generator).to(spec.dtype)


def _stand_in(spec: InputSpec, k: int) -> int:
    if k == 0:
        return BATCH
    return IMAGE if len(spec.dims) >= 4 else LENGTH


def examples_of(
    model: nn.Module, inputs: Any, shapes: Sequence[InputSpec], seed: int
) -> tuple[tuple[Any, ...], dict[str, Any], Any]:
    """(args, kwargs, dynamic shapes) to export `model` with.

    `inputs` win over tensors made from `shapes`; the open sizes of `shapes` apply to both, in order.
    """
    is_dynamic = any(s.is_dynamic for s in shapes)
    if inputs is not None:
        args = inputs if isinstance(inputs, tuple) else (inputs,)
        if not is_dynamic:
            return args, {}, None
        if len(shapes) != len(args):
            raise UsageError(f"shapes must be given for all {len(args)} inputs, found {len(shapes)}")
        return args, {}, _by_parameter(model, tuple(open_sizes(s) for s in shapes))
    tensors = {s.name: example_of(s, seed=seed, position=k) for k, s in enumerate(shapes)}
    dynamic = {s.name: open_sizes(s) for s in shapes}
    keywords = _keywords(model, list(tensors))
    if keywords:
        return (), {n: tensors[n] for n in keywords}, {n: dynamic[n] for n in keywords} if is_dynamic else None
    return tuple(tensors.values()), {}, _by_parameter(model, tuple(dynamic.values())) if is_dynamic else None


def open_sizes(spec: InputSpec) -> dict[int, Any]:
    """The dimensions that torch.export is to leave open; it finds their legal range itself."""
    return {k: Dim.DYNAMIC for k, d in enumerate(spec.dims) if isinstance(d, str)}


def _by_parameter(model: nn.Module, dynamic: tuple[Any, ...]) -> tuple[Any, ...]:
    """One entry for each parameter of forward: what `*args` takes stands in a tuple of its own."""
    try:
        parameters = list(inspect.signature(model.forward).parameters.values())
    except (TypeError, ValueError):
        return dynamic
    for k, parameter in enumerate(parameters):
        if parameter.kind is parameter.VAR_POSITIONAL:
            return (*dynamic[:k], dynamic[k:])
    return dynamic


def _keywords(model: nn.Module, names: list[str]) -> list[str]:
    """The inputs in the order of the model's parameters when all are named as those are; empty: pass by position.

    Raises UsageError when there are too few or too many.
    """
    try:
        parameters = inspect.signature(model.forward).parameters
    except (TypeError, ValueError):
        return []
    known = [n for n, p in parameters.items() if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    required = [n for n in known if parameters[n].default is inspect.Parameter.empty]
    takes_any = any(p.kind is p.VAR_POSITIONAL for p in parameters.values())
    if not takes_any and not len(required) <= len(names) <= len(known):
        raise UsageError(
            f"the model takes {len(required)} to {len(known)} inputs ({', '.join(known)}), but --shapes "
            f"gives {len(names)}; repeat --shapes, once for each input"
        )
    by_name = set(names) <= set(known) and names != known[: len(names)]
    needs_names = any(parameters[n].kind is inspect.Parameter.KEYWORD_ONLY for n in required)
    return [n for n in known if n in names] if by_name or (needs_names and set(names) <= set(known)) else []
