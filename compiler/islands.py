"""Layers that fp16 is not good enough for: those that overflow, and those that lose accuracy, found on samples."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from onnx import ModelProto, NodeProto

from nascc.compiler.errors import NotEquivalent
from nascc.compiler.exact_onnx import exact_values
from nascc.compiler.half import LARGEST, island_of, typed_half
from nascc.compiler.layer_error import LayerError, layer_error
from nascc.compiler.tolerance import FLOORS
from nascc.runtime.runners.base import Array

Samples = Sequence[Mapping[str, Array]]
TOLERANCE = FLOORS["float16"]
MOST = 24
"""Rounds in which layers are added to the islands before fp16 counts as hopeless."""
HEADROOM = 0.5
"""A value must stay below this part of the largest fp16 number on the samples: others will be larger."""


@dataclass(frozen=True)
class Halved:
    """An fp16 model, the names of the layers that stay in fp32, and the error of every layer.

    `error` is the largest relative error of an output on the samples.
    """

    model: ModelProto
    single: tuple[str, ...]
    layers: tuple[LayerError, ...]
    error: float
    overflowing: tuple[str, ...] = ()


def halve(model: ModelProto, samples: Samples, *, tolerance: float = TOLERANCE) -> Halved:
    """The fp16 form of a model, with as many layers in fp32 as the outputs need to be within `tolerance` of float64.

    Layers whose values come near 65504, and whoever reads them, are in fp32 from the start; then, as long as an output
    is too far off, the layer at which the error grows most; those that turn out not to matter go back to fp16. Raises
    NotEquivalent when that does not help.
    """
    judge = _Judge(model, samples, [exact_values(model, sample) for sample in samples])
    overflowing = _overflowing(model, judge.exact)
    single = forced = island_of(model) | overflowing
    found = judge(single)
    for _ in range(MOST):
        if found.error <= tolerance or (worst := _steepest(model, found.layers, single)) is None:
            break
        single |= {worst}
        found = judge(single)
    for name in _in_order(model, single - forced):
        # the error shows where it is read, which need not be where it comes from
        if (without := judge(single - {name})).error <= tolerance:
            single, found = single - {name}, without
    if found.error <= tolerance:
        return replace(found, overflowing=_in_order(model, overflowing))
    raise NotEquivalent(
        f"fp16 must keep outputs within {tolerance:g} of float64, but they are {found.error:.1e} off with "
        f"{len(single)} of {len(model.graph.node)} layers in fp32; use --fp32"
    )


@dataclass(frozen=True)
class _Judge:
    """Tells what a choice of layers in fp32 comes to, on samples of which all values are known in float64."""

    model: ModelProto
    samples: Samples
    exact: Sequence[Mapping[str, Array]]

    def __call__(self, single: frozenset[str]) -> Halved:
        half = typed_half(self.model, single)
        layers = layer_errors(self.model, half, self.samples, self.exact, single)
        outputs = {output.name for output in self.model.graph.output}
        ends = {_label(node) for node in self.model.graph.node if outputs.intersection(node.output)}
        error = max((e.relative for e in layers if e.node in ends), default=0.0)
        return Halved(half, _in_order(self.model, single), layers, error)


def layer_errors(
    model: ModelProto, half: ModelProto, samples: Samples, exact: Sequence[Mapping[str, Array]], single: Collection[str]
) -> tuple[LayerError, ...]:
    """The error of every layer of an fp16 model, the worst sample each; `exact` holds all values in float64."""
    names = [name for node in half.graph.node for name in node.output if name]
    shown = {name.removesuffix("/half"): name for name in names if not name.endswith("/single")}
    wanted = {n.output[0]: shown.get(n.output[0], n.output[0]) for n in model.graph.node}
    runs = [exact_values(half, sample) for sample in samples]
    found = []
    for node in model.graph.node:
        value = node.output[0]
        pairs = [(e[value], r[wanted[value]]) for e, r in zip(exact, runs, strict=True)]
        if pairs[0][0].dtype.kind == "f" and pairs[0][1].dtype.kind == "f":
            found.append(layer_error(_label(node), node.op_type, pairs, _label(node) in single))
    return tuple(found)


def _overflowing(model: ModelProto, exact: Sequence[Mapping[str, Array]]) -> frozenset[str]:
    """Layers that write, or read, a value that fp16 may not hold."""
    large = {
        name
        for values in exact
        for name, value in values.items()
        if value.dtype.kind == "f" and value.size and float(np.abs(value).max()) > HEADROOM * LARGEST
    }
    return frozenset(_label(n) for n in model.graph.node if large.intersection((*n.input, *n.output)))


def _steepest(model: ModelProto, found: Sequence[LayerError], single: Collection[str]) -> str | None:
    """The layer in fp16 at which the error grows most over that of what it reads; None where none is left."""
    by_value = {o: e for n, e in _paired(model, found) for o in n.output}
    best, growth = None, 0.0
    for node, error in _paired(model, found):
        if error.node in single:
            continue
        before = max((by_value[i].relative for i in node.input if i in by_value), default=0.0)
        grown = float("inf") if np.isinf(error.relative) and not np.isinf(before) else error.relative - before
        if best is None or grown > growth:
            best, growth = error.node, grown
    return best


def _paired(model: ModelProto, found: Sequence[LayerError]) -> Iterator[tuple[NodeProto, LayerError]]:
    errors = {error.node: error for error in found}
    yield from ((n, errors[_label(n)]) for n in model.graph.node if _label(n) in errors)


def _label(node: NodeProto) -> str:
    return str(node.name or node.output[0])


def _in_order(model: ModelProto, names: Collection[str]) -> tuple[str, ...]:
    return tuple(_label(n) for n in model.graph.node if _label(n) in names)
