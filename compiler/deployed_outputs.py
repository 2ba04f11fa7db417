"""Outputs of a deployed ONNX model against float64."""

from collections.abc import Mapping, Sequence

from onnx import ModelProto

from nascc.compiler.exact_onnx import exact_values
from nascc.compiler.tolerance import FLOORS
from nascc.compiler.verification import worst
from nascc.runtime.compare import OutputComparison, compare
from nascc.runtime.runners.base import Array
from nascc.runtime.table import Precision

TOLERANCES: dict[Precision, float] = {"fp32": 1e-4, "fp16": 2 * FLOORS["float16"], "int8": 0.3}
"""What outputs may differ by, relative to the largest: TensorRT writes six digits, int8 is judged by accuracy."""


def against_exact(
    model: ModelProto,
    feeds: Sequence[Mapping[str, Array]],
    outputs: Sequence[Mapping[str, Array]],
    precision: Precision,
) -> tuple[OutputComparison, ...]:
    """The worst sample of each output. Raises UsageError where float64 can not be computed."""
    names = [output.name for output in model.graph.output]
    found = []
    for feed, given in zip(feeds, outputs, strict=True):
        exact, values = exact_values(model, feed), [given[name] for name in names]
        tolerances = [TOLERANCES[precision]] * len(names)
        wanted = [exact[name] for name in names]
        found.append(compare(wanted, values, names, tolerances, dtypes=[v.dtype for v in values]))
    return worst(found)
