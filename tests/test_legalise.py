"""Moving a model to an older opset: the same results, or the operator that can not be moved."""

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import ModelProto, parser

from nascc.compiler.errors import UnsupportedByTarget
from nascc.compiler.legalise import legalise
from nascc.compiler.lint import check_model
from nascc.runtime.profile import ir_version_of

OPSETS = (11, 12, 13, 14, 15, 16, 17)
X = np.random.default_rng(0).standard_normal((2, 3, 4, 6)).astype(np.float32)


def model(body: str, constants: str = "", output: str = "float[a,b,c,d] y") -> ModelProto:
    """A model of opset 18 with the input x [N, 3, 4, 6]."""
    return parser.parse_model(
        f'<ir_version: 8, opset_import: ["" : 18]> net (float[N,3,4,6] x) => ({output}) <{constants}> {{ {body} }}'
    )


LEGAL = {
    "reduction": model("y = ReduceMean<keepdims=1>(x, axes)", "int64[2] axes = {2, -1}"),
    "reduction of all": model("y = ReduceMax<keepdims=1>(x)"),
    "sum": model("y = ReduceSum<keepdims=1>(x, axes)", "int64[1] axes = {1}"),
    "squeeze": model("a = Unsqueeze(x, axes) y = Squeeze(a, axes)", "int64[1] axes = {0}"),
    "axes of a Constant": model("axes = Constant<value = int64[1] {0}>() a = Unsqueeze(x, axes) y = Squeeze(a, axes)"),
    "reshape": model("y = Reshape<allowzero=1>(x, sizes)", "int64[4] sizes = {-1, 4, 3, 6}"),
    "split in equal parts": model("a, b, c = Split<axis=1, num_outputs=3>(x) y = Concat<axis=1>(c, a, b)"),
    "split": model("a, b = Split<axis=3>(x, sizes) y = Concat<axis=3>(b, a)", "int64[2] sizes = {2, 4}"),
    "size": model("s = Shape<end=1>(x) t = Concat<axis=0>(s, rest) y = Reshape(x, t)", "int64[3] rest = {3, 6, 4}"),
    "whole shape": model("s = Shape(x) y = Reshape(x, s)"),
    "sizes from the end": model("s = Shape<start=-2>(x) t = Concat<axis=0>(front, s) y = Reshape(x, t)",
                                "int64[2] front = {3, -1}"),
    "softmax over the last": model("y = Softmax<axis=3>(x)"),
    "log softmax over the last": model("y = LogSoftmax(x)"),
    "resize": model('y = Resize<mode="linear", keep_aspect_ratio_policy="stretch", antialias=0>(x, , f)',
                    "float[4] f = {1, 1, 2, 1.5}"),
    "resize to sizes": model("y = Resize(x, , , s)", "int64[4] s = {2, 3, 8, 7}"),
    "pooling": model("y = LpPool<kernel_shape=[2,2], dilations=[1,1], ceil_mode=0>(x)"),
    "batch norm": model("y = BatchNormalization<training_mode=0>(x, c, c, c, c)", "float[3] c = {1, 2, 3}"),
    "cast": model("a = Cast<to=11>(x) y = Cast<to=1>(a)"),
    "pad": model("y = Pad(x, p)", "int64[8] p = {0, 0, 1, 0, 0, 0, 0, 2}"),
    "branch": model(
        "n = Shape<start=0, end=1>(x) b = Greater(n, n) c = Squeeze(b) "
        "y = If(c)<then_branch = t () => (float[N,3,4,6] u) { u = Identity(x) }, "
        "else_branch = e () => (float[N,3,1,6] v) { v = ReduceMean(x, axes) }>",
        "int64[1] axes = {2}",
    ),
}  # fmt: skip


def run(found: ModelProto) -> np.ndarray:
    options = ort.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 3, 1
    session = ort.InferenceSession(found.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"x": X})[0])


@pytest.mark.parametrize("case", LEGAL)
def test_computes_the_same(case: str) -> None:
    expected = run(LEGAL[case])
    before = LEGAL[case].SerializeToString(deterministic=True)
    for opset in OPSETS:
        found = legalise(LEGAL[case], opset)
        assert not check_model(found, opset=opset, ir_version=ir_version_of(opset))
        onnx.checker.check_model(found)
        assert np.array_equal(run(found), expected)
    assert LEGAL[case].SerializeToString(deterministic=True) == before


ILLEGAL = {
    "reduces along no axis": (model("y = ReduceL2<noop_with_empty_axes=1>(x, a)", "int64[0] a = {}"), 13, "ReduceL2"),
    "does not exist": (model("y = Mish(x)"), 17, "Mish"),
    "has no attribute reduction": (
        model('y = ScatterElements<reduction="max">(x, i, x)', "int64[1,1,1,1] i = {0}"), 13, "ScatterElements"),
    "has no input 4": (model("y = Pad(x, p, , axes)", "int64[2] p = {1, 1}, int64[1] axes = {3}"), 13, "Pad"),
    "has no attribute axes": (model("y = Resize<axes=[2,3]>(x, , f)", "float[2] f = {2, 2}"), 13, "Resize"),
    "has no attribute antialias": (
        model('y = Resize<antialias=1, mode="linear">(x, , f)', "float[4] f = {1, 1, 1, 0.5}"), 17, "Resize"),
    "must be constant": (model("s = Shape(x) y = ReduceSum(x, s)"), 12, "ReduceSum"),
    "makes an empty tensor": (model("y = Reshape<allowzero=1>(x, s)", "int64[4] s = {0, 0, 0, 0}"), 13, "Reshape"),
    "along axis 1": (model("y = Softmax<axis=1>(x)"), 12, "Softmax"),
    "parts that are not equal": (
        model("a, b = Split<axis=1, num_outputs=2>(x) y = Concat<axis=1>(b, a)"), 17, "Split"),
    "half a pixel": (
        model("y = RoiAlign(x, r, b)", "float[1,4] r = {0, 0, 1, 1}, int64[1] b = {0}"), 13, "RoiAlign"),
    "has no attribute dilations": (
        model("y = LpPool<kernel_shape=[2,2], dilations=[2,2]>(x)"), 13, "LpPool"),
}  # fmt: skip


@pytest.mark.parametrize("reason", ILLEGAL)
def test_names_what_can_not_be_moved(reason: str) -> None:
    found, opset, kind = ILLEGAL[reason]
    found.graph.node[-1 if len(found.graph.node) < 2 or reason == "must be constant" else 0].name = "here"
    with pytest.raises(UnsupportedByTarget, match=reason) as caught:
        legalise(found, opset)
    assert f"{kind} 'here'" in str(caught.value)
    assert f"opset {opset}" in str(caught.value)


def test_lists_every_operator_that_can_not_be_moved() -> None:
    with pytest.raises(UnsupportedByTarget, match=r"Mish.*HardSwish"):
        legalise(model("a = Mish(x) y = HardSwish(a)"), 13)


def test_constants_that_became_attributes_are_dropped() -> None:
    assert [t.name for t in legalise(LEGAL["reduction"], 13).graph.initializer] == []
    assert [t.name for t in legalise(LEGAL["sum"], 13).graph.initializer] == ["axes"]
