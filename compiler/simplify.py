"""Run onnxsim where it can do no harm: in a process of its own, with limits, its result checked."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx import ModelProto, TensorProto, ValueInfoProto

from nascc.compiler.lowering import write_onnx

WORKER = Path(__file__).with_name("simplify_worker.py")
GROWTH = 1.25
SLACK_BYTES = 2**20

Signature = tuple[str, int, list[int | str] | None]
"""Name, element type and sizes of an input or output; None where even the rank is unknown."""


class _Unusable(Exception):
    """There is no simplified model that could be used, for the reason given."""


def simplify(model: ModelProto, *, seconds: float = 120, mib: int = 8192) -> tuple[ModelProto, str | None]:
    """The model as onnxsim simplifies it and None; or the model itself and the reason why it stays as it is.

    Onnxsim gets `seconds` of time and `mib` of address space. Its result must be a valid model of the same opset and
    IR version, with the same inputs and outputs, not much larger. Names, metadata and shapes are those of `model`.
    """
    try:
        found = _run(model, seconds, mib)
        _check_interface(model, found)
        result = _restored(model, found)
        _check_valid(model, result)
    except _Unusable as reason:
        return model, str(reason)
    return result, None


def _run(model: ModelProto, seconds: float, mib: int) -> ModelProto:
    with tempfile.TemporaryDirectory(prefix="nascc-") as folder:
        source, result = Path(folder, "source.onnx"), Path(folder, "result.onnx")
        if len(write_onnx(model, source)) > 1:
            raise _Unusable("the model is larger than the 2 GiB that onnxsim can read")
        _wait(_command(source, result, mib), seconds)
        try:
            return onnx.load(result)
        except (OSError, DecodeError) as error:
            raise _Unusable(f"onnxsim left no readable model: {error}") from error


def _command(source: Path, result: Path, mib: int) -> list[str]:
    return [sys.executable, str(WORKER), str(source), str(result), str(mib)]


def _wait(command: list[str], seconds: float) -> None:
    """Run the worker to its end, or end it."""
    environment = os.environ | {"PYTHONSAFEPATH": "1"}
    try:
        done = subprocess.run(
            command, timeout=seconds, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise _Unusable(f"onnxsim took longer than {seconds:g} s") from error
    if done.returncode < 0:
        raise _Unusable(f"onnxsim was ended by signal {-done.returncode}")
    if done.returncode > 0:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise _Unusable(said[-1] if said else f"onnxsim exited with {done.returncode}")


def _check_interface(before: ModelProto, after: ModelProto) -> None:
    """Raise _Unusable unless both have the same opset, inputs and outputs."""
    if (wanted := _opsets(before)) != (found := _opsets(after)):
        raise _Unusable(f"onnxsim changed the opset from {wanted} to {found}")
    for kind in ("input", "output"):
        mine, theirs = ([_signature(v) for v in getattr(model.graph, kind)] for model in (before, after))
        if len(mine) != len(theirs) or not all(map(_agree, mine, theirs)):
            raise _Unusable(f"onnxsim changed the {kind}s from {_shown(mine)} to {_shown(theirs)}")


def _restored(before: ModelProto, after: ModelProto) -> ModelProto:
    """`after` with the interface and metadata of `before`; nodes that onnxsim made are named by their result."""
    result = ModelProto()
    result.CopyFrom(after)
    for field in ("ir_version", "producer_name", "producer_version", "doc_string", "domain", "model_version"):
        setattr(result, field, getattr(before, field))
    result.graph.name = before.graph.name
    for mine, theirs in (
        (before.metadata_props, result.metadata_props),
        (before.graph.input, result.graph.input),
        (before.graph.output, result.graph.output),
    ):
        del theirs[:]
        theirs.extend(mine)
    for node in result.graph.node:
        node.name = node.name or node.output[0]
    return result


def _check_valid(before: ModelProto, after: ModelProto) -> None:
    """Raise _Unusable unless `after` is a valid model, and not much larger than `before`."""
    size, limit = after.ByteSize(), int(before.ByteSize() * GROWTH) + SLACK_BYTES
    if size > limit:
        raise _Unusable(f"onnxsim's result takes {size} bytes, must take at most {limit}")
    try:
        onnx.checker.check_model(after)
    except (onnx.checker.ValidationError, ValueError) as error:
        raise _Unusable(f"onnxsim's result is not valid: {' '.join(str(error).split())[:200]}") from error


def _signature(value: ValueInfoProto) -> Signature:
    tensor = value.type.tensor_type
    dims = [d.dim_value if d.HasField("dim_value") else d.dim_param for d in tensor.shape.dim]
    return value.name, tensor.elem_type, dims if tensor.HasField("shape") else None


def _agree(before: Signature, after: Signature) -> bool:
    """Same name, type and sizes; a size that had no name may have become known."""
    if before[:2] != after[:2] or before[2] is None or after[2] is None:
        return before[:2] == after[:2] and before[2] is None
    return len(before[2]) == len(after[2]) and all(b in ("", a) for b, a in zip(before[2], after[2], strict=True))


def _shown(values: list[Signature]) -> list[str]:
    return [f"{name}: {TensorProto.DataType.Name(kind).lower()} {dims}" for name, kind, dims in values]


def _opsets(model: ModelProto) -> dict[str, int]:
    """Version by domain, of the domains that nodes use."""
    used = {"ai.onnx" if not node.domain else node.domain for node in model.graph.node} | {"ai.onnx"}
    return {o.domain or "ai.onnx": o.version for o in model.opset_import if (o.domain or "ai.onnx") in used}
