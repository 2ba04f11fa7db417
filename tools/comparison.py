"""Compare any two of model file and ONNX file on the same inputs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from nascc.compiler import capture
from nascc.compiler.capture import Captured
from nascc.compiler.reference import Reference
from nascc.compiler.shapes import InputSpec, parse_shapes
from nascc.compiler.verification import Verification
from nascc.compiler.verify import verify_onnx, verify_runner
from nascc.runtime.runners.base import Array, TensorSpec
from nascc.runtime.runners.onnx import OnnxRunner
from nascc.runtime.runners.torch import TorchRunner
from nascc.runtime.sniff import FileKind, sniff
from nascc.tools.open_model import Opened
from nascc.tools.progress import Say
from nascc.tools.source import Source


@dataclass(frozen=True)
class Question:
    """What both sides are compared on."""

    shapes: tuple[InputSpec, ...] | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    data: Mapping[str, Array] | None = None
    seed: int = 0


def is_onnx(source: Source) -> bool:
    """Does the source hold an ONNX file? Raises what `sniff` raises."""
    return source.path is not None and sniff(source.path) is FileKind.ONNX


def captured(opened: Opened, question: Question, like: Sequence[TensorSpec] = (), names: Sequence[str] | None = None) -> Captured:
    """An opened model as a graph with the inputs of `like`, where given, and outputs called `names`."""
    shapes = question.shapes or specs_of(like) or parse_shapes(opened.default_shapes) or None
    return capture(
        opened.module,
        shapes=shapes,
        input_names=[spec.name for spec in like] or None,
        output_names=names,
        mean=question.mean,
        std=question.std,
        seed=question.seed,
    )


def specs_of(inputs: Sequence[TensorSpec]) -> tuple[InputSpec, ...]:
    """The inputs of an ONNX file as capture wants them; sizes without a usable name get one."""
    return tuple(
        InputSpec(spec.name, tuple(size(dim, k) for k, dim in enumerate(spec.dims or ())), dtype_of(spec))
        for spec in inputs
    )


def size(dim: int | str, position: int) -> int | str:
    return dim if isinstance(dim, int) or dim.isidentifier() else f"d{position}"


def dtype_of(spec: TensorSpec) -> torch.dtype:
    name = "float32" if spec.dtype is None else spec.dtype.name
    return torch.bool if name == "bool" else getattr(torch, name)


def model_with_onnx(opened: Opened, path: Path, question: Question) -> Verification:
    """An ONNX file against a model in float64."""
    with OnnxRunner(path) as runner:
        inputs, outputs = runner.inputs, [spec.name for spec in runner.outputs]
    found = captured(opened, question, inputs, outputs)
    return verify_onnx(found, path, seed=question.seed, data=question.data)


def model_with_model(a: Opened, b: Opened, question: Question) -> Verification:
    """Model `b` in its own dtypes against model `a` in float64."""
    left = captured(a, question)
    signature = left.gm.meta["signature"]
    like = tuple(TensorSpec(spec.name, spec.dims) for spec in left.input_specs)
    right = captured(b, Question(left.input_specs, question.mean, question.std), like, signature.output_names)
    runner = TorchRunner(right.module_call, signature.input_names, signature.output_names)
    return verify_runner(Reference.of(left, seed=question.seed, data=question.data), runner)
