"""Prove that what was made from a network computes what the network computes."""

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TypeAlias

import onnx
from onnx import ModelProto
from torch import Tensor, fx, nn
from torch.utils import _pytree as pytree

from nascc.compiler.capture import Captured
from nascc.compiler.divergence import Divergence, first_divergence
from nascc.compiler.equivalence import verify_runner
from nascc.compiler.errors import NotEquivalent
from nascc.compiler.reference import Reference, ReferenceRun, exact_runner, output_dtypes
from nascc.compiler.verification import Verification
from nascc.passes.graph import signature
from nascc.runtime.compare import compare
from nascc.runtime.errors import RunnerFailed
from nascc.runtime.runners.base import Array
from nascc.runtime.runners.onnx import OnnxRunner
from nascc.runtime.runners.torch import TorchRunner

PASS_TOLERANCE = 1e-10
Model: TypeAlias = ModelProto | Path


def verify_pass(gm: fx.GraphModule, reference: Reference, name: str = "the pass") -> float:
    """The relative error of a rewritten graph against the captured one, both in float64.

    Raises NotEquivalent, with the name of the pass, when it is above 1e-10 or an output has another form.
    """
    run = reference.proof
    try:
        with exact_runner(gm) as runner:
            outputs = tuple(runner.run(run.sample.inputs).values())
    except RunnerFailed as error:
        raise NotEquivalent(f"{name} must leave a graph that runs on {run.sample.label}, but: {error}") from error
    results = compare(run.exact, outputs, reference.names, [PASS_TOLERANCE] * len(run.exact))
    wrong = [f"output '{r.name}': {r.reason}" for r in results if not r]
    if (found := output_dtypes(gm)) != reference.dtypes:
        wrong.append(f"recorded dtypes must be {[d.name for d in reference.dtypes]}, got {[d.name for d in found]}")
    if wrong:
        raise NotEquivalent(f"{name} must not change what the graph computes in float64, but {'; '.join(wrong)}")
    return max((r.max_rel or 0.0 for r in results), default=0.0)


def verify_onnx(
    captured: Captured,
    model: Model,
    *,
    reference: Reference | None = None,
    graph: fx.GraphModule | None = None,
    names: Mapping[str, str] | None = None,
    seed: int = 0,
    data: Mapping[str, Array] | None = None,
    threads: int = 0,
) -> Verification:
    """An ONNX model in onnxruntime against a captured network in float64.

    `reference` is the network's, made from `seed` and `data` when None. `graph` is the graph that was lowered, and
    `names` maps its nodes to ONNX values: they serve to name the node where a mismatch begins. Raises NotEquivalent
    when the captured graph itself is not what the original computes.
    """
    reference = Reference.of(captured, seed=seed, data=data) if reference is None else reference
    find = partial(find_in_onnx, model, captured.gm if graph is None else graph, names)
    return verify_runner(reference, OnnxRunner(model, threads=threads), find)


def verify_module(reference: Reference, module: nn.Module) -> Verification:
    """A module that is called as the original is, in the original's dtypes, against the captured network in float64."""
    assert reference.graph is not None
    convention = signature(reference.graph)

    def call(*tensors: Tensor) -> tuple[Tensor, ...]:
        given = iter(tensors)
        flat = [next(given) if slot is not None else None for slot in convention.input_slots]
        args, kwargs = pytree.tree_unflatten(flat, convention.in_spec)
        return tuple(v for v in pytree.tree_leaves(module(*args, **kwargs)) if isinstance(v, Tensor))

    return verify_runner(reference, TorchRunner(call, reference.input_names, reference.names))


def find_in_onnx(
    model: Model, graph: fx.GraphModule, names: Mapping[str, str] | None, run: ReferenceRun
) -> Divergence | None:
    """Compare every value that the model can show with the graph's; None where it can show none."""
    inputs = tuple(run.sample.inputs.values())
    try:
        values = values_inside(model, inputs)
    except RunnerFailed:
        return None
    (output,) = graph.graph.find_nodes(op="output")
    outputs = dict(zip((node.name for node in output.args[0]), values, strict=False))
    return first_divergence(graph, inputs, values, outputs | dict(names or {}))


def values_inside(model: Model, inputs: Sequence[Array], only: Collection[str] | None = None) -> dict[str, Array]:
    """The outputs of a model, then every value (of `only`) that it computes on the way, by name.

    `inputs` are in the order of the model's. Raises RunnerFailed where onnxruntime can not show them.
    """
    proto = model if isinstance(model, ModelProto) else onnx.load(model)
    names = [name for node in proto.graph.node for name in node.output if name and (only is None or name in only)]
    with OnnxRunner(proto, expose=names) as runner:
        return runner.run(dict(zip((spec.name for spec in runner.inputs), inputs, strict=True)))
