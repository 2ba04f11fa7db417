"""What a written model looks like: names, shared constants, metadata, dynamic sizes, refusals."""

import json
from itertools import pairwise

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn
from torch.export import Dim
from torch.nn import functional as F

from lowering_kit import Fn, agree, capture, checked, execute, kinds, values, write
from nascc.compiler.errors import UnsupportedByTarget
from nascc.compiler.lowering import CanNotLower, can_lower, lower, needs_substitution
from nascc.compiler.lowering.model import SOURCES
from nascc.passes import FoldBatchNorm, run_pass
from nascc.passes import graph as g
from nascc.runtime.errors import RuntimeTargetError

IMAGE = values(2, 3, 8, 8)
aten = torch.ops.aten


class Block(nn.Module):
    """conv, bn, relu, twice; and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 1), nn.ReLU()
        )
        self.head = nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x).mean((2, 3)))


def test_nodes_and_values_are_named_by_module() -> None:
    model = write(capture(Block(), [IMAGE]))
    assert [node.name for node in model.graph.node] == [
        "body.0/conv",
        "body.1/batch_normalization",
        "body.2/relu",
        "body.3/conv",
        "body.4/relu",
        "reduce_mean",
        "head/gemm",
    ]
    assert [node.output[0] for node in model.graph.node] == [node.name for node in model.graph.node[:-1]] + ["output"]
    assert model.graph.node[0].input[1:] == ["body.0.weight", "body.0.bias"]


def test_repeated_operators_of_a_module_are_numbered() -> None:
    model = write(capture(Fn(lambda x: (x * 2) * (x * 3) * 4), [IMAGE]))
    assert [node.name for node in model.graph.node] == ["mul", "mul_1", "mul_2", "mul_3"]


def test_names_never_collide() -> None:
    class Awkward(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mul = nn.Parameter(torch.ones(3, 1, 1) * 2)

        def forward(self, mul: Tensor) -> dict[str, Tensor]:
            return {"add": mul * self.mul + mul, "sub": mul * 2 - self.mul}

    module = Awkward()
    model = checked(write(capture(module, [IMAGE])))
    written = [name for node in model.graph.node for name in node.output]
    every = written + [v.name for v in model.graph.input] + [t.name for t in model.graph.initializer]
    assert len(every) == len(set(every))
    assert [v.name for v in model.graph.output] == ["add", "sub"]
    agree(module, model, [IMAGE])


def test_the_same_graph_gives_the_same_bytes() -> None:
    graph = capture(Block(), [IMAGE])
    first, second = (write(graph, 17).SerializeToString(deterministic=True) for _ in range(2))
    assert first == second


def test_lowering_leaves_the_graph_alone() -> None:
    graph = capture(Block(), [IMAGE])
    before = graph.graph.python_code("self").src
    write(graph)
    assert graph.graph.python_code("self").src == before


def test_sources_of_folded_nodes_stand_in_the_metadata() -> None:
    graph = capture(Block(), [IMAGE])
    run_pass(FoldBatchNorm(), graph)
    model = write(graph)
    found = {entry.key: json.loads(entry.value) for entry in model.metadata_props}
    assert found == {SOURCES: {"body.0/conv": ["body.0", "body.1"]}}
    assert (model.producer_name, bool(model.producer_version)) == ("nascc", True)


@pytest.mark.parametrize(("opset", "ir_version"), [(11, 6), (13, 7), (17, 8), (20, 9)])
def test_header(opset: int, ir_version: int) -> None:
    model = write(capture(Block(), [IMAGE]), opset)
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", opset)]
    assert model.ir_version == ir_version
    assert not model.functions


@pytest.mark.parametrize("opset", [10, 21])
def test_other_opsets_are_refused(opset: int) -> None:
    with pytest.raises(RuntimeTargetError, match="from 11 to 20"):
        lower(capture(nn.ReLU(), [IMAGE]), opset=opset)


def test_tied_weights_are_stored_once() -> None:
    shared = nn.Linear(6, 6, bias=False)
    copied = nn.Linear(6, 6, bias=False)
    copied.weight.data = shared.weight.data.clone()
    module = Fn(lambda a, b, x: a(a(x).relu()) + b(x), shared, copied)
    x = values(2, 3, 6)
    model = write(capture(module, [x]))
    assert len(model.graph.initializer) == 1
    assert kinds(model)["MatMul"] == 3
    agree(module, model, [x])


def test_a_number_used_often_is_stored_once() -> None:
    model = write(capture(Fn(lambda x: (x + 0.5) * 0.5 - 0.5), [IMAGE]))
    assert [t.name for t in model.graph.initializer] == ["literal/f32_0.5"]


def test_an_output_may_be_an_input_a_constant_or_given_twice() -> None:
    module = Fn(lambda x: (x, x.relu(), x.relu(), torch.ones(2)))
    graph = capture(module, [IMAGE])
    model = checked(write(graph))
    agree(module, model, [IMAGE])
    assert kinds(model)["Identity"] >= 2


def test_an_unused_input_stays_an_input() -> None:
    module = Fn(lambda x, y: x + 1)
    model = write(capture(module, [IMAGE, values(3)]))
    assert len(model.graph.input) == 2


# dynamic sizes


BATCH = {0: Dim("N", min=1, max=64)}


def sizes(value: onnx.ValueInfoProto) -> list[int | str]:
    return [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]


@pytest.mark.parametrize("opset", [11, 13, 17, 20])
def test_dynamic_batch(opset: int) -> None:
    module = Block()
    graph = capture(module, [IMAGE], BATCH)
    (name,) = g.signature(graph).input_names
    model = checked(write(graph, opset, input_dims={name: ("N", 3, 8, 8)}))
    assert sizes(model.graph.input[0]) == ["N", 3, 8, 8]
    assert sizes(model.graph.output[0]) == ["N", 5]
    for batch in (1, 2, 5):
        agree(module, model, [values(batch, 3, 8, 8)])


DYNAMIC_BATCH = {
    "flatten": (lambda x: x.flatten(1), {"Reshape": 1}),
    "flatten all": (lambda x: x.flatten(), {"Reshape": 1}),
    "tokens": (lambda x: x.flatten(2).transpose(1, 2), {"Reshape": 1, "Transpose": 1}),
    "windows": (
        lambda x: x.view(-1, 3, 2, 4, 2, 4).permute(0, 2, 4, 1, 3, 5).reshape(-1, 3, 16),
        {"Reshape": 2, "Transpose": 1},
    ),
    "class token": (
        lambda x: torch.cat([torch.ones(1, 1, 64).expand(x.shape[0], -1, -1), x.flatten(2)], 1),
        {"Shape": 1, "Concat": 2, "Expand": 1, "Reshape": 1},
    ),
    "zeros": (lambda x: x + torch.zeros(x.shape[0], 1, 1, 8) + x.new_ones(x.shape), None),
    "positions": (lambda x: x + torch.arange(x.shape[0])[:, None, None, None], None),
    "size as number": (lambda x: x * x.shape[0], None),
    "repeat": (lambda x: x[:1].repeat(x.shape[0], 1, 1, 1), None),
    "sort": (lambda x: x.sort(0)[0], None),
}


@pytest.mark.parametrize("name", DYNAMIC_BATCH)
@pytest.mark.parametrize("opset", [11, 13, 20])
def test_shapes_with_dynamic_batch(name: str, opset: int) -> None:
    call, expected = DYNAMIC_BATCH[name]
    module = Fn(call)
    model = checked(write(capture(module, [values(4, 3, 8, 8)], BATCH), opset))
    if expected is not None and opset >= 15:
        assert kinds(model) == expected
    for batch in (2, 5):
        agree(module, model, [values(batch, 3, 8, 8)])


DYNAMIC_IMAGE = {
    "pools": lambda x: F.adaptive_avg_pool2d(F.max_pool2d(F.avg_pool2d(x, 3, 2, 1), 3, 2, ceil_mode=True), 1),
    "doubled": lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"),
    "skip": lambda x: x + F.interpolate(F.avg_pool2d(x, 2), size=x.shape[-2:], mode="bilinear", align_corners=False),
    "nearest skip": lambda x: torch.cat([x, F.interpolate(F.avg_pool2d(x, 4), size=x.shape[2:])], 1),
    "tokens and back": lambda x: x.flatten(2).transpose(1, 2).relu().transpose(1, 2).reshape(x.shape),
    "groups": lambda x: F.group_norm(x, 1),
    "shuffle": lambda x: F.pixel_unshuffle(F.pixel_shuffle(torch.cat([x] * 4, 1), 2), 2),
    "attention": lambda x: F.scaled_dot_product_attention(x, x * 2, x),
    "crop": lambda x: x[:, :, 1:-1, : x.shape[3] // 2],
    "padded": lambda x: F.pad(x, (1, 2, 3, 0)),
    "variance": lambda x: x.var((2, 3), correction=0),
}


@pytest.mark.parametrize("name", DYNAMIC_IMAGE)
@pytest.mark.parametrize("opset", [11, 20])
def test_shapes_with_dynamic_height_and_width(name: str, opset: int) -> None:
    module = Fn(DYNAMIC_IMAGE[name])
    size = {0: Dim.DYNAMIC, 2: 4 * Dim("h", min=1, max=16), 3: 4 * Dim("w", min=1, max=16)}
    model = checked(write(capture(module, [values(2, 3, 16, 24)], size), opset))
    for shape in ((1, 3, 16, 16), (3, 3, 8, 20)):
        agree(module, model, [values(*shape)], rtol=1e-4)


# what can not be written


def test_every_node_that_can_not_be_lowered_is_named() -> None:
    class Hard(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = Fn(lambda x: torch.lgamma(x))

        def forward(self, x: Tensor) -> Tensor:
            return F.layer_norm(self.inner(x).relu(), (8,)) + torch.nextafter(x, x + 1)

    graph = capture(Hard(), [IMAGE])
    with pytest.raises(CanNotLower, match="must have an ONNX form at opset 13, 3 have none") as caught:
        lower(graph, opset=13)
    assert isinstance(caught.value, UnsupportedByTarget)
    assert [(n.target, n.module) for n in caught.value.nodes] == [
        ("aten.lgamma.default", "inner"),
        ("aten.layer_norm.default", ""),
        ("aten.nextafter.default", ""),
    ]
    assert "in 'inner'" in str(caught.value.nodes[0])
    assert [n.target for n in can_lower(graph, 20)] == ["aten.lgamma.default", "aten.nextafter.default"]


REFUSED = {
    "mask": (lambda x: x.masked_fill(x > 0, 0)[:, torch.ones(3, dtype=torch.bool)].cumprod(1), "no ONNX form"),
    "training": (lambda x: F.batch_norm(x, None, None, training=True), "eval mode"),
    "random": (lambda x: x + torch.randn_like(x), "no ONNX form"),
    "complex": (lambda x: torch.fft.rfft(x).abs(), "which ONNX does not have"),
    "unbiased scatter": (
        lambda x: x.scatter_reduce(3, torch.zeros(2, 3, 8, 8, dtype=torch.int64), x, "amax", include_self=False),
        "without the values that are there",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refuses_with_a_reason(name: str) -> None:
    call, reason = REFUSED[name]
    found = can_lower(capture(Fn(call), [IMAGE]), 20)
    assert found and reason in found[0].reason


def test_adaptive_pools_of_dynamic_size_are_refused() -> None:
    size = {2: Dim("h", min=4, max=64)}
    found = can_lower(capture(nn.AdaptiveAvgPool2d(3), [IMAGE], size), 20)
    assert [n.target for n in found] == ["aten.adaptive_avg_pool2d.default"]
    assert "dynamic size" in found[0].reason


def test_substitutions_shrink_as_opsets_grow() -> None:
    needed = [needs_substitution(opset) for opset in range(11, 21)]
    assert all(later <= earlier for earlier, later in pairwise(needed))
    assert aten.layer_norm.default in needs_substitution(16)
    assert aten.layer_norm.default not in needs_substitution(17)


# number types


def test_bytes_are_converted_in_the_graph() -> None:
    module = Fn(lambda x: (x.float() / 255 - 0.5).mean((2, 3)))
    x = torch.randint(0, 256, (2, 3, 8, 8), dtype=torch.uint8)
    model = checked(write(capture(module, [x])))
    assert model.graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8
    agree(module, model, [x])


@pytest.mark.parametrize("opset", [13, 20])
def test_half_precision(opset: int) -> None:
    module, x = Block().half(), IMAGE.half()
    model = checked(write(capture(module, [x]), opset))
    assert {t.data_type for t in model.graph.initializer if "literal" not in t.name} == {onnx.TensorProto.FLOAT16}
    agree(module, model, [x], rtol=5e-3)


@pytest.mark.parametrize("opset", [13, 20])
def test_bfloat16(opset: int) -> None:
    module = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2)).bfloat16()
    model = checked(write(capture(module, [values(3, 8).bfloat16()]), opset))
    assert {t.data_type for t in model.graph.initializer} == {onnx.TensorProto.BFLOAT16}


def test_double_precision() -> None:
    module, x = nn.Sequential(nn.Linear(8, 4), nn.Tanh(), nn.Linear(4, 2)).double(), values(3, 8).double()
    agree(module, checked(write(capture(module, [x]))), [x], rtol=1e-12)


def test_mixed_precision_follows_the_recorded_types() -> None:
    module = Fn(lambda layer, x: layer(x.half()).float() + x[:, :4], nn.Linear(8, 4).half())
    model = checked(write(capture(module, [values(3, 8)])))
    assert kinds(model) == {"Cast": 2, "Gemm": 1, "Slice": 1, "Add": 1}
    agree(module, model, [values(3, 8)], rtol=5e-3)


def test_mixed_operands_are_promoted() -> None:
    module = Fn(lambda a, i, b: (a * i, i + 0.5, a.double() + a, i * b, b + 1, a + torch.tensor(2, dtype=torch.int64)))
    inputs = [values(2, 3), torch.tensor([[1, 2, 3]]), torch.tensor([[True], [False]])]
    agree(module, checked(write(capture(module, inputs))), inputs)


def test_constants_are_rounded_once() -> None:
    third = torch.tensor(1 / 3, dtype=torch.float64)
    model = write(capture(Fn(lambda x: x * third.float()), [IMAGE]))
    (constant,) = model.graph.initializer
    assert onnx.numpy_helper.to_array(constant).item() == np.float32(1 / 3)


def test_outputs_in_order_and_by_name() -> None:
    module = Fn(lambda x: {"b": x + 1, "a": (x * 2, x.sum())})
    model = write(capture(module, [IMAGE]))
    assert [v.name for v in model.graph.output] == list(g.signature(capture(module, [IMAGE])).output_names)
    assert execute(model, [IMAGE])[2].shape == ()
