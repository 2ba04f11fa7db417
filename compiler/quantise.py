"""int8 with QDQ nodes: static quantisation by onnxruntime, calibrated on samples, and what it costs a layer."""

import contextlib
import io
import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
from onnx import ModelProto

from nascc.compiler.errors import UsageError
from nascc.compiler.exact_onnx import exact_values
from nascc.compiler.islands import Samples
from nascc.compiler.layer_error import LayerError, layer_error
from nascc.runtime.compare import top1_agreement
from nascc.runtime.runners.base import Array
from nascc.runtime.runners.onnx import OnnxRunner

LEAST_OPSET = 13
"""From here on scales may differ by channel."""
OPERATORS = ("Conv", "ConvTranspose", "Gemm", "MatMul", "Add", "AveragePool", "GlobalAveragePool", "MaxPool", "Concat")
"""What is quantised; residual additions among them, so that nothing has to leave int8 between convolutions."""
_READ = "_DequantizeLinear_Output"


@dataclass(frozen=True)
class Quantised:
    """An int8 model, the error of every layer against float64, and how outputs compare on the samples.

    `snr_db` is that of the worst output, `agreement` the share of rows whose largest value stands where it should
    (None where there are no classes).
    """

    model: ModelProto
    layers: tuple[LayerError, ...]
    snr_db: float
    agreement: float | None


def quantise(model: ModelProto, samples: Samples, *, symmetric: bool = False, keep: Sequence[str] = ()) -> Quantised:
    """Quantise weights (int8, a scale a channel) and values (uint8, or int8 around zero where `symmetric`).

    TensorRT wants it symmetric, with biases in fp32. `keep` names nodes that stay in fp32. Raises UsageError.
    """
    opset = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 0)
    if opset < LEAST_OPSET:
        raise UsageError(f"the opset must be at least {LEAST_OPSET} for int8 with a scale a channel, got {opset}")
    if not samples:
        raise UsageError("int8 must be calibrated on samples, got none; give --data")
    made = _quantised(model, samples, symmetric, keep)
    exact = [exact_values(model, sample) for sample in samples]
    layers = _layer_errors(model, made, samples, exact)
    outputs = [output.name for output in model.graph.output]
    with OnnxRunner(made) as runner:
        runs = [runner.run(sample) for sample in samples]
    snrs = [layer_error(n, "", [(e[n], r[n]) for e, r in zip(exact, runs, strict=True)], False).snr_db for n in outputs]
    shares = [top1_agreement(e[outputs[0]], r[outputs[0]]) for e, r in zip(exact, runs, strict=True)]
    known = [share for share in shares if share is not None]
    return Quantised(made, layers, min(snrs), sum(known) / len(known) if known else None)


def _quantised(model: ModelProto, samples: Samples, symmetric: bool, keep: Sequence[str]) -> ModelProto:
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    kind = QuantType.QInt8 if symmetric else QuantType.QUInt8
    extra = {"ActivationSymmetric": symmetric, "WeightSymmetric": True, "QuantizeBias": not symmetric}
    with tempfile.TemporaryDirectory(prefix="nascc-") as folder, _quietly():
        source, target = Path(folder) / "fp32.onnx", Path(folder) / "int8.onnx"
        onnx.save(model, source)
        quantize_static(
            source,
            target,
            _Reader(samples),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(OPERATORS),
            per_channel=True,
            activation_type=kind,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=list(keep),
            extra_options=extra,
        )
        made = onnx.load(target)
    made.ir_version = model.ir_version
    return made


class _Reader:
    """Hands samples to the calibration, one by one."""

    def __init__(self, samples: Samples) -> None:
        self._left = iter(samples)

    def get_next(self) -> dict[str, Any] | None:
        return next((dict(sample) for sample in self._left), None)


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """The library prints and logs advice that was followed before."""
    root, level = logging.getLogger(), logging.getLogger().level
    root.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        root.setLevel(level)


def _layer_errors(
    model: ModelProto, made: ModelProto, samples: Samples, exact: Sequence[Mapping[str, Array]]
) -> tuple[LayerError, ...]:
    """Each layer's value as the next one reads it, against float64."""
    there = {name for node in made.graph.node for name in node.output}
    shown = {}
    for node in model.graph.node:
        value = node.output[0]
        found = next((name for name in (value + _READ, value) if name in there), None)
        if found is not None:
            shown[value] = found
    quantised = {name for name in shown.values() if name.endswith(_READ)}
    with OnnxRunner(made, expose=sorted(set(shown.values())), optimize=False) as runner:
        runs = [runner.run(sample) for sample in samples]
    errors = []
    for node in model.graph.node:
        if (name := shown.get(node.output[0])) is not None and runs[0][name].dtype.kind == "f":
            pairs = [(e[node.output[0]], r[name]) for e, r in zip(exact, runs, strict=True)]
            errors.append(layer_error(node.name or node.output[0], node.op_type, pairs, name not in quantised))
    return tuple(errors)
