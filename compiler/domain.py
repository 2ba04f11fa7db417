"""What values and sizes the inputs of a network may take, read from an example and from the graph."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, fx
from torch.fx import Node

from nascc.compiler.capture import Captured
from nascc.runtime.compare import is_float
from nascc.runtime.runners.base import Array
from nascc.runtime.runners.torch import to_array

aten = torch.ops.aten
MOVERS = (
    aten._to_copy.default, aten.clone.default, aten.reshape.default, aten.flatten.using_ints, aten.permute.default,
    aten.unsqueeze.default, aten.squeeze.dims, aten.slice.Tensor, aten.select.int, aten.expand.default,
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class InputDomain:
    """One input: `dims` are sizes or names of dynamic ones, `example` a legal value.

    Integers are drawn from `low` to `high`. Floats are drawn between them when the example has one sign only, and
    otherwise from a normal distribution with the mean and deviation of the example.
    """

    name: str
    dims: tuple[int | str, ...]
    example: Array
    low: float
    high: float

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """The dtype that the input must have."""
        return self.example.dtype

    @property
    def is_informative(self) -> bool:
        """Does the example hold more than one float?"""
        return bool(self.low < self.high) or not is_float(self.dtype)

    def shape(self, sizes: Mapping[str, int]) -> tuple[int, ...]:
        """The shape under a choice of dynamic sizes."""
        return tuple(sizes[d] if isinstance(d, str) else d for d in self.dims)

    def draw(self, shape: Sequence[int], rng: np.random.Generator) -> Array:
        """Random values in the domain."""
        if not is_float(self.dtype):
            return rng.integers(int(self.low), int(self.high), shape, endpoint=True).astype(self.dtype)
        if not self.is_informative:
            return rng.standard_normal(shape).astype(self.dtype)
        if self.low >= 0 or self.high <= 0:
            return rng.uniform(self.low, self.high, shape).astype(self.dtype)
        known = _finite(self.example)
        return rng.normal(known.mean(), known.std(), shape).astype(self.dtype)

    def zero(self, shape: Sequence[int]) -> Array:
        """Zeros, or the legal integer nearest to zero."""
        value = 0.0 if is_float(self.dtype) else min(max(0, int(self.low)), int(self.high))
        return np.full(shape, value).astype(self.dtype)


def domains_of(captured: Captured) -> tuple[InputDomain, ...]:
    """The domain of each input of a captured network."""
    placeholders = captured.gm.graph.find_nodes(op="placeholder")
    return tuple(
        domain_of(spec.name, spec.dims, to_array(example), index_limit(node))
        for spec, example, node in zip(captured.input_specs, captured.example, placeholders, strict=True)
    )


def domain_of(name: str, dims: Sequence[int | str], example: Array, limit: int | None = None) -> InputDomain:
    """The domain of an input, from a legal value; an integer that is an index stays below `limit`."""
    if example.dtype.kind == "b":
        return InputDomain(name, tuple(dims), example, 0, 1)
    if not is_float(example.dtype) and limit is not None:
        return InputDomain(name, tuple(dims), example, 0, limit - 1)
    if example.dtype == np.uint8 and example.ndim > 2:
        return InputDomain(name, tuple(dims), example, 0, 255)
    known = _finite(example)
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 0.0)
    return InputDomain(name, tuple(dims), example, low, high)


def _finite(values: Array) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    wide = values.astype(np.float64)
    return wide[np.isfinite(wide)]


def dynamic_sizes(domains: Sequence[InputDomain]) -> dict[str, int]:
    """The size that the examples give to each dynamic dimension, by name."""
    return {
        dim: size
        for domain in domains
        for dim, size in zip(domain.dims, domain.example.shape, strict=True)
        if isinstance(dim, str)
    }


def batch_names(domains: Sequence[InputDomain]) -> set[str]:
    """The dynamic dimensions that stand first in an input."""
    return {domain.dims[0] for domain in domains if domain.dims and isinstance(domain.dims[0], str)}


def index_limit(node: Node) -> int | None:
    """How many values an integer input may take when it is used as an index: the rows of what it indexes."""
    return min(_limits(node), default=None)


def _limits(node: Node) -> Iterator[int]:
    for user in node.users:
        if user.op != "call_function":
            continue
        if user.target in MOVERS and user.args[0] is node:
            yield from _limits(user)
        elif (indexed := _indexed(user, node)) is not None and isinstance(indexed, int):
            yield indexed


def _indexed(user: Node, node: Node) -> int | torch.SymInt | None:
    """The size of the dimension of another value that `node` picks from, None when it does not."""
    args = user.args
    if user.target == aten.embedding.default and args[1] is node:
        return _size(args[0], 0)
    if user.target in (aten.index_select.default, aten.gather.default) and args[2] is node:
        return _size(args[0], args[1])
    if user.target == aten.index.Tensor and isinstance(args[1], (list, tuple)) and node in args[1]:
        return _size(args[0], list(args[1]).index(node))
    return None


def _size(value: fx.node.Argument, dim: fx.node.Argument) -> int | torch.SymInt | None:
    fake = value.meta["val"] if isinstance(value, Node) else None
    return fake.shape[dim] if isinstance(fake, Tensor) and isinstance(dim, int) else None
