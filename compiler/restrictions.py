"""What TensorRT leaves out of operators that it imports, as the maker documents it."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from onnx import NodeProto, helper

from nascc.compiler.known import Known
from nascc.compiler.lint import Finding
from nascc.compiler.substitutions import FIRST_CUBIC

Version = tuple[int, ...]
Check = Callable[[NodeProto, Known, Version], Iterator[str]]

COORDINATES = ("half_pixel", "pytorch_half_pixel", "tf_half_pixel_for_nn", "asymmetric", "align_corners")
NEAREST = ("floor", "ceil", "round_prefer_floor", "round_prefer_ceil")
CONSTANT_INPUTS: dict[str, tuple[tuple[int, Version, Version], ...]] = {
    "CumSum": ((1, (7, 0), (99,)),),
    "InstanceNormalization": ((1, (7, 0), (9, 0)), (2, (7, 0), (9, 0))),
    "NonMaxSuppression": ((2, (8, 0), (8, 5)), (3, (8, 0), (8, 5)), (4, (8, 0), (8, 5))),
    "OneHot": ((1, (8, 5), (99,)),),
    "Slice": ((3, (7, 0), (10, 3)),),
    "Squeeze": ((1, (7, 0), (99,)),),
    "TopK": ((1, (7, 0), (8, 6)),),
    "Unsqueeze": ((1, (7, 0), (99,)),),
}
"""Inputs that must be known when the engine is built: which, from which version, before which."""


def restriction_judge(version: str) -> Callable[[NodeProto, Known], Iterator[Finding]]:
    """What a version of TensorRT refuses in operators that it imports."""
    numbers = tuple(int(part) for part in version.split("."))

    def judge(node: NodeProto, known: Known) -> Iterator[Finding]:
        if node.domain in ("", "ai.onnx"):
            for check in (_constant_inputs, *CHECKS.get(node.op_type, ())):
                for problem in check(node, known, numbers):
                    rule = _rule(node, numbers)
                    help = f"`nascc fuse` of the PyTorch model replaces it by the rule '{rule}'" if rule else ""
                    yield Finding.of(node, f"TensorRT {problem}", help, rule)

    return judge


def _rule(node: NodeProto, version: Version) -> str:
    """The substitution that avoids what is left out, where there is one."""
    if node.op_type != "Resize":
        return ""
    if attribute(node, "antialias", 0):
        return "antialiased_resize"
    return "cubic_resize" if attribute(node, "mode") == "cubic" and version < (FIRST_CUBIC,) else ""


def attribute(node: NodeProto, name: str, default: Any = None) -> Any:
    """The value of an attribute, strings as text."""
    value = next((helper.get_attribute_value(a) for a in node.attribute if a.name == name), default)
    return value.decode() if isinstance(value, bytes) else value


def _constant_inputs(node: NodeProto, known: Known, version: Version) -> Iterator[str]:
    for place, since, before in CONSTANT_INPUTS.get(node.op_type, ()):
        if since <= version < before and len(node.input) > place and node.input[place] not in known.static:
            yield f"needs input {place} as a constant, found '{node.input[place]}', which is computed"


def _used(node: NodeProto, first: int) -> bool:
    return any(node.output[first:])


def _max_pool(node: NodeProto, known: Known, version: Version) -> Iterator[str]:
    if _used(node, 1):
        yield "has no indices of a max pooling"


def _dilated_pool(node: NodeProto, known: Known, version: Version) -> Iterator[str]:
    if any(step != 1 for step in attribute(node, "dilations", ())):
        yield f"has no pooling with dilations, found {list(attribute(node, 'dilations'))}"


def _resize(node: NodeProto, known: Known, version: Version) -> Iterator[str]:
    mode, coordinates = (
        attribute(node, "mode", "nearest"),
        attribute(node, "coordinate_transformation_mode", "half_pixel"),
    )
    modes = ("nearest", "linear", "cubic") if version >= (FIRST_CUBIC,) else ("nearest", "linear")
    if mode not in modes:
        yield f"resizes {' or '.join(modes)}, found {mode}"
    if coordinates not in COORDINATES:
        yield f"has no coordinate transformation {coordinates}"
    if mode == "nearest" and attribute(node, "nearest_mode", NEAREST[2]) not in NEAREST:
        yield f"has no nearest mode {attribute(node, 'nearest_mode')}"
    if attribute(node, "antialias", 0):
        yield "has no antialiasing"
    if attribute(node, "keep_aspect_ratio_policy", "stretch") != "stretch":
        yield "has no aspect ratio policy but stretch"


def _einsum(node: NodeProto, known: Known, version: Version) -> Iterator[str]:
    equation = attribute(node, "equation", "").replace(" ", "")
    if version >= (9, 0):
        return
    if "..." in equation:
        yield f"takes no ellipsis in an equation, found '{equation}'"
    if any(len(set(term)) < len(term) for term in re.split(r"->|,", equation.replace("...", ""))):
        yield f"takes no diagonal in an equation, found '{equation}'"


def _recurrent(node: NodeProto, known: Known, version: Version) -> Iterator[str]:
    functions = attribute(node, "activations", ())
    names = [f.decode().lower() if isinstance(f, bytes) else str(f).lower() for f in functions]
    half = len(names) // 2
    if attribute(node, "direction", "forward") == "bidirectional" and names[:half] != names[half:]:
        yield f"needs the same activations in both directions, found {names}"
    if attribute(node, "layout", 0):
        yield "takes layout 0 only"
    if attribute(node, "input_forget", 0):
        yield "takes input_forget 0 only"


def _scatter(node: NodeProto, known: Known, version: Version) -> Iterator[str]:
    reduction = attribute(node, "reduction", "none")
    if reduction != "none" and (node.op_type == "ScatterND" or version < (10, 0)):
        yield f"has no reduction in {node.op_type}, found {reduction}"


def _training(node: NodeProto, known: Known, version: Version) -> Iterator[str]:
    mode = known.numbers(node.input[2]) if node.op_type == "Dropout" and len(node.input) > 2 else None
    if attribute(node, "training_mode", 0) or (mode is not None and bool(np.any(mode))):
        yield "has no training mode"


def _zero_point(node: NodeProto, known: Known, version: Version) -> Iterator[str]:
    point = known.numbers(node.input[2]) if len(node.input) > 2 and node.input[2] else None
    if point is not None and bool(np.any(point)):
        yield "needs zero points of 0"


def _layer_norm(node: NodeProto, known: Known, version: Version) -> Iterator[str]:
    if _used(node, 1):
        yield "has the first output of a layer norm only"


CHECKS: dict[str, tuple[Check, ...]] = {
    "AveragePool": (_dilated_pool,),
    "BatchNormalization": (_training,),
    "DequantizeLinear": (_zero_point,),
    "Dropout": (_training,),
    "Einsum": (_einsum,),
    "GRU": (_recurrent,),
    "LSTM": (_recurrent,),
    "LayerNormalization": (_layer_norm,),
    "LpPool": (_dilated_pool,),
    "MaxPool": (_max_pool, _dilated_pool),
    "QuantizeLinear": (_zero_point,),
    "RNN": (_recurrent,),
    "Resize": (_resize,),
    "ScatterElements": (_scatter,),
    "ScatterND": (_scatter,),
}
