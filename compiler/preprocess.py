"""`--mean` and `--std`: normalisation of the first image becomes part of the graph, where passes can fold it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, fx

from nascc.compiler.errors import UsageError
from nascc.compiler.shapes import InputSpec
from nascc.passes import Edit
from nascc.passes import graph as g

aten = torch.ops.aten


@dataclass(frozen=True)
class Normalisation:
    """(x - mean) / std over the channels of input number `index`, given as `dtype`."""

    index: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    dtype: torch.dtype

    @staticmethod
    def of(
        specs: Sequence[InputSpec],
        mean: Sequence[float] | None,
        std: Sequence[float] | None,
        dtype: torch.dtype | None,
    ) -> "Normalisation":
        """Of the first input with four dimensions. Raises UsageError when the numbers do not fit its channels."""
        index = next((k for k, s in enumerate(specs) if len(s.dims) == 4 and s.dtype.is_floating_point), None)
        if index is None:
            raise UsageError("--mean and --std need a floating-point input of 4 dimensions (NCHW), found none")
        channels = specs[index].dims[1]
        if not isinstance(channels, int):
            raise UsageError(f"--mean and --std need a fixed number of channels, found '{channels}'")
        numbers = [tuple(v) if v else (d,) for v, d in ((mean, 0.0), (std, 1.0))]
        wrong = [
            f"--{n} has {len(v)}" for n, v in zip(("mean", "std"), numbers, strict=True) if len(v) not in (1, channels)
        ]
        if wrong or not all(numbers[1]):
            what = " and ".join(wrong) or "--std has a zero"
            raise UsageError(f"--mean and --std must have 1 or {channels} numbers, std not 0, but {what}")
        full = [v * channels if len(v) == 1 else v for v in numbers]
        return Normalisation(index, full[0], full[1], dtype or specs[index].dtype)


def normalise_input(
    gm: fx.GraphModule,
    n: Normalisation,
    specs: tuple[InputSpec, ...],
    example: tuple[Tensor, ...],
    call: Callable[..., Any],
) -> tuple[tuple[InputSpec, ...], tuple[Tensor, ...], Callable[..., Any]]:
    """Put the normalisation in front of the graph, and in front of the original that it is compared with."""
    _insert(gm, n)
    shape = (1, -1, 1, 1)
    mean, std = (torch.tensor(v, dtype=torch.float64) for v in (n.mean, n.std))
    raw = example[n.index].double() * std.reshape(shape) + mean.reshape(shape)
    if not n.dtype.is_floating_point:
        info = torch.iinfo(n.dtype)
        raw = raw.round().clamp(max(info.min, 0), min(info.max, 255))
    inner = specs[n.index].dtype

    def normalised(*tensors: Tensor) -> Any:
        x = tensors[n.index]
        wide = x.to(torch.float64 if inner is torch.float64 else torch.float32 if inner is not torch.float64 else inner)
        y = ((wide - mean.reshape(shape).to(wide.dtype)) / std.reshape(shape).to(wide.dtype)).to(inner)
        return call(*tensors[: n.index], y, *tensors[n.index + 1 :])

    new_spec = replace(specs[n.index], dtype=n.dtype)
    return (
        (*specs[: n.index], new_spec, *specs[n.index + 1 :]),
        (*example[: n.index], raw.to(n.dtype), *example[n.index + 1 :]),
        normalised,
    )


def _insert(gm: fx.GraphModule, n: Normalisation) -> None:
    placeholder = gm.graph.find_nodes(op="placeholder")[n.index]
    users, inner = list(placeholder.users), g.dtype(placeholder)
    first = next(node for node in gm.graph.nodes if node.op not in ("placeholder", "get_attr"))
    edit = Edit(first)
    x = placeholder
    if n.dtype != inner:
        placeholder.meta["dtype"] = n.dtype
        if not n.dtype.is_floating_point:
            placeholder.meta["val"] = placeholder.meta["val"].to(n.dtype)
        x = edit.call(aten._to_copy.default, placeholder, dtype=torch.float64)
        x.meta["dtype"] = inner
    shape = (1, -1, 1, 1)
    mean = edit.constant(torch.tensor(n.mean, dtype=torch.float64).reshape(shape), "input.mean", like=x)
    std = edit.constant(torch.tensor(n.std, dtype=torch.float64).reshape(shape), "input.std", like=x)
    new = edit.call(aten.div.Tensor, edit.call(aten.sub.Tensor, x, mean), std)
    for node in (x, mean, std, new, new.args[0]):
        node.meta["dtype"] = inner if node is not placeholder else n.dtype  # type: ignore[union-attr]
        if node is not placeholder:
            node.meta |= {"module": "input", "sources": ("input",)}  # type: ignore[union-attr]
    for user in users:
        user.replace_input_with(placeholder, new)
    gm.recompile()
