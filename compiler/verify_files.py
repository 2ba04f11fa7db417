"""Compare any two networks: captured ones and ONNX models, in any combination."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TypeAlias

import onnx
import torch
from onnx import ModelProto

from nascc.compiler.capture import Captured
from nascc.compiler.divergence import Divergence, relative_error
from nascc.compiler.domain import InputDomain, domain_of
from nascc.compiler.equivalence import verify_runner
from nascc.compiler.errors import UsageError
from nascc.compiler.examples import example_of
from nascc.compiler.reference import Reference, ReferenceRun, record
from nascc.compiler.shapes import InputSpec
from nascc.compiler.tolerance import FACTOR, floor_of
from nascc.compiler.verification import Verification
from nascc.compiler.verify import find_in_onnx, values_inside
from nascc.passes.graph import signature
from nascc.runtime.errors import RunnerFailed
from nascc.runtime.runners.base import Array, Runner
from nascc.runtime.runners.onnx import OnnxRunner
from nascc.runtime.runners.renamed import RenamedRunner
from nascc.runtime.runners.torch import TorchRunner, to_array

Network: TypeAlias = Captured | ModelProto | Path
"""A captured network, or an ONNX model: itself or its file."""


def verify_files(
    a: Network, b: Network, *, seed: int = 0, data: Mapping[str, Array] | None = None, threads: int = 0
) -> Verification:
    """Network `b` against network `a`, on the same inputs.

    A captured network is the reference, in float64 (that of `a` where both are captured). Two ONNX models are compared
    with each other; the tolerance then is ten times what onnxruntime's own optimisations change in `a`.
    Inputs and outputs are matched by name where the names agree, else by position.
    """
    if isinstance(a, Captured):
        reference, other = Reference.of(a, seed=seed, data=data), b
    elif isinstance(b, Captured):
        reference, other = Reference.of(b, seed=seed, data=data), a
    else:
        return _verify_two_onnx(a, b, seed=seed, data=data, threads=threads)
    assert reference.graph is not None
    runner = RenamedRunner(_runner(other, threads), reference.input_names, reference.names)
    if isinstance(other, Captured):
        return verify_runner(reference, runner)
    return verify_runner(reference, runner, partial(find_in_onnx, other, reference.graph, None))


def _runner(network: Network, threads: int) -> Runner:
    if not isinstance(network, Captured):
        return OnnxRunner(network, threads=threads)
    convention = signature(network.gm)
    return TorchRunner(network.module_call, convention.input_names, convention.output_names)


def _verify_two_onnx(
    a: ModelProto | Path, b: ModelProto | Path, *, seed: int, data: Mapping[str, Array] | None, threads: int
) -> Verification:
    domains = tuple(_domain(spec, k, seed) for k, spec in enumerate(onnx_inputs(a)))
    plain = OnnxRunner(a, threads=threads, optimize=False)
    runs, skipped = record(OnnxRunner(a, threads=threads), plain, domains, seed=seed, data=data)
    names = tuple(output.name for output in _proto(a).graph.output)
    reference = Reference(
        graph=None,
        input_names=tuple(domain.name for domain in domains),
        names=names,
        dtypes=tuple(value.dtype for value in runs[0].exact),
        runs=runs,
        skipped=skipped,
    )
    runner = RenamedRunner(OnnxRunner(b, threads=threads), reference.input_names, names)
    return verify_runner(reference, runner, partial(_first_common_divergence, a, b), side="the first model")


def onnx_inputs(model: ModelProto | Path) -> tuple[InputSpec, ...]:
    """The inputs of an ONNX model that are no initializers; a size without number or name gets a name of its own.

    Raises UsageError for inputs that are no tensors, or of a type that torch lacks.
    """
    graph = _proto(model).graph
    initialized = {tensor.name for tensor in graph.initializer}
    return tuple(_input_spec(value) for value in graph.input if value.name not in initialized)


def _input_spec(value: onnx.ValueInfoProto) -> InputSpec:
    tensor = value.type.tensor_type
    if not value.type.HasField("tensor_type") or not tensor.HasField("shape"):
        raise UsageError(f"input '{value.name}' must be a tensor with a known rank, found none")
    dims = tuple(
        d.dim_value if d.HasField("dim_value") else d.dim_param or f"{value.name}_{i}"
        for i, d in enumerate(tensor.shape.dim)
    )
    name = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).name
    dtype = getattr(torch, name, None)
    if not isinstance(dtype, torch.dtype):
        raise UsageError(f"input '{value.name}' must hold numbers, found {name}")
    return InputSpec(value.name, dims, dtype)


def _domain(spec: InputSpec, position: int, seed: int) -> InputDomain:
    return domain_of(spec.name, spec.dims, to_array(example_of(spec, seed=seed, position=position)))


def _proto(model: ModelProto | Path) -> ModelProto:
    return model if isinstance(model, ModelProto) else onnx.load(model, load_external_data=False)


def _first_common_divergence(a: ModelProto | Path, b: ModelProto | Path, run: ReferenceRun) -> Divergence | None:
    """The first value of `a`, among those of the same name in both, that differs."""
    inputs = tuple(run.sample.inputs.values())
    try:
        left = values_inside(a, inputs)
        right = values_inside(b, inputs, only=left)
    except RunnerFailed:
        return None
    before = 0.0
    for name in (output for node in _proto(a).graph.node for output in node.output if output in right):
        error = relative_error(left[name], right[name])
        if error > FACTOR * floor_of(left[name].dtype):
            return Divergence(name, name.rpartition("/")[0], name, before, error)
        before = max(before, error)
    return None
