"""Run a float64 graph as if every value were rounded to its recorded dtype: what a correct deployment may differ by."""

from collections.abc import Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor, fx
from torch.fx import Node

from nascc.runtime.runners.base import Array
from nascc.runtime.runners.torch import to_array, to_tensor

NOISE_ULPS = 8.0
SHORT_SUM = 256
"""A sum of more numbers than this is as noisy as it is longer: runtimes add one by one what torch adds in a tree."""
MEANS = (
    torch.ops.aten.mean.dim,
    torch.ops.aten.sum.dim_IntList,
    torch.ops.aten.adaptive_avg_pool1d.default,
    torch.ops.aten.adaptive_avg_pool2d.default,
    torch.ops.aten.adaptive_avg_pool3d.default,
    torch.ops.aten.avg_pool2d.default,
)


class RoundingInterpreter(fx.Interpreter):
    """Rounds each float to the node's recorded dtype; where that changes a value, adds `ulps` of random noise first.

    What is exact in the recorded dtype (moves, maxima, comparisons) stays exact, so equal values stay equal.
    """

    def __init__(self, gm: fx.GraphModule, *, ulps: float = 0.0, seed: int = 0) -> None:
        super().__init__(gm)
        self._ulps = ulps
        self._random = torch.Generator().manual_seed(seed)

    def run_node(self, n: Node) -> Any:
        """The rounded result of a node."""
        result, dtypes = super().run_node(n), n.meta.get("dtype")
        if isinstance(result, (tuple, list)) and isinstance(dtypes, (tuple, list)):
            return tuple(self._rounded(r, d) for r, d in zip(result, dtypes, strict=True))
        return self._rounded(result, dtypes, _summands(n) / SHORT_SUM)

    def _rounded(self, value: Any, dtype: object, more: float = 1.0) -> Any:
        if not isinstance(value, Tensor) or not value.is_floating_point() or not isinstance(dtype, torch.dtype):
            return value
        rounded = value.to(dtype).to(value.dtype)
        if not self._ulps:
            return rounded
        noise = torch.randn(value.shape, generator=self._random, dtype=value.dtype)
        noisy = value * (1.0 + self._ulps * max(1.0, more) * torch.finfo(dtype).eps / 2 * noise)
        return torch.where(rounded == value, value, noisy.to(dtype).to(value.dtype))


def _summands(node: Node) -> float:
    """How many numbers go into one output of a mean or a sum: their rounding may all go the same way."""
    x = node.args[0] if node.target in MEANS else None
    if not isinstance(x, Node):
        return 1.0
    before, after = (
        prod(s if isinstance(s, int) else int(s.node.hint) for s in n.meta["val"].shape) for n in (x, node)
    )
    return before / max(1, after)


def noisy_outputs(
    gm: fx.GraphModule, inputs: Sequence[Array], trials: int, *, jitter: float = 0.0
) -> list[tuple[Array, ...]]:
    """The outputs of a graph, as float64, under rounding and noise of a few units in the last place.

    `jitter` is the size of the noise that floating-point inputs get as well.
    """
    tensors = [promoted(array) for array in inputs]
    random = torch.Generator().manual_seed(trials)
    with torch.no_grad():
        runs = [
            RoundingInterpreter(gm, ulps=NOISE_ULPS, seed=k).run(*(_jittered(t, jitter, random) for t in tensors))
            for k in range(trials)
        ]
    return [tuple(to_array(value) for value in outputs) for outputs in runs]


def _jittered(value: Tensor, size: float, random: torch.Generator) -> Tensor:
    if not size or not value.is_floating_point():
        return value
    return value + size * torch.randn(value.shape, generator=random, dtype=value.dtype)


def promoted(array: Array) -> Tensor:
    """A tensor of an array, float64 where it holds floats."""
    tensor: Tensor = to_tensor(array)
    return tensor.to(torch.float64) if tensor.is_floating_point() else tensor
