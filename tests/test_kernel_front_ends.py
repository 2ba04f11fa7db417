"""The two front ends see the same kernels in a graph and in the ONNX model it becomes."""

from pathlib import Path

import onnx
import pytest
import torch
from onnx import TensorProto, helper
from torch import nn

from nascc.compiler.capture import capture
from nascc.compiler.deploy import deploy
from nascc.compiler.kernels_fx import graph_kernels
from nascc.nas.zoo import ARCHITECTURES
from nascc.passes import FoldBatchNorm, run_pass
from nascc.runtime.errors import CorruptFile, UnreadableFile
from nascc.runtime.kernels import Kernel
from nascc.runtime.kernels_onnx import file_kernels, model_kernels
from nascc.runtime.latency import estimate
from nascc.runtime.profile import load_target
from zoo_names import NAMES, usual_sizes


class Gated(nn.Module):
    """Squeeze and excitation, split, concat, shuffle, asymmetric padding, two activations."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(3, 16, 3, 2), nn.BatchNorm2d(16), nn.Hardswish()
        )
        self.deep = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.BatchNorm2d(8), nn.SiLU())
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(16, 4, 1), nn.ReLU(), nn.Conv2d(4, 16, 1), nn.Sigmoid()
        )
        self.head = nn.Sequential(nn.MaxPool2d(2), nn.Flatten(), nn.Linear(256, 10), nn.GELU())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a, b = self.stem(x).chunk(2, 1)
        y = nn.functional.channel_shuffle(torch.cat([self.deep(a), b], 1), 2)
        return self.head(y * self.gate(y) + y)


class Attention(nn.Module):
    """Two heads, a layer norm and a residual."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.qkv, self.out = nn.LayerNorm(16), nn.Linear(16, 48), nn.Linear(16, 16)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = self.qkv(self.norm(x)).reshape(1, 9, 3, 2, 8).permute(2, 0, 3, 1, 4).unbind(0)
        y = nn.functional.scaled_dot_product_attention(q, k, v)
        return x + self.out(y.transpose(1, 2).reshape(1, 9, 16))


def both(module: nn.Module, x: torch.Tensor, opset: int) -> tuple[tuple[Kernel, ...], tuple[Kernel, ...]]:
    torch.manual_seed(0)
    captured = capture(module.eval(), x)
    run_pass(FoldBatchNorm(), captured.gm)
    deployed = deploy(captured.gm, load_target("nano"), opset, captured.input_specs)
    return graph_kernels(deployed.graph), model_kernels(deployed.model)


def numbers(kernels: tuple[Kernel, ...]) -> list[tuple[object, ...]]:
    return [(k.kind, k.macs, k.read, k.written, k.reduction) for k in kernels]


@pytest.mark.parametrize("opset", [11, 13])
@pytest.mark.parametrize(("module", "shape"), [(Gated(), (1, 3, 16, 16)), (Attention(), (1, 9, 16))])
def test_graph_and_file_have_the_same_kernels(module: nn.Module, shape: tuple[int, ...], opset: int) -> None:
    graph, file = both(module, torch.randn(shape), opset)
    assert numbers(graph) == numbers(file)
    assert sum(k.weights for k in graph) == pytest.approx(sum(k.weights for k in file), rel=0.05)


@pytest.mark.parametrize("name", NAMES)
def test_estimates_agree_on_the_zoo(name: str) -> None:
    graph, file = both(ARCHITECTURES[name](), torch.zeros(usual_sizes(name)), 13)
    for target in ("nano", "xavier", "orin", "cpu"):
        board = load_target(target)
        assert estimate(graph, board).ms == pytest.approx(estimate(file, board).ms, rel=0.01)


def test_kernels_of_a_network() -> None:
    graph, _ = both(Gated(), torch.randn(1, 3, 16, 16), 13)
    assert [k.kind for k in graph] == [
        "conv", "slice", "slice", "depthwise", "concat", "move", "pool", "pointwise", "pointwise", "elementwise",
        "pool", "gemm",
    ]  # fmt: skip


def one_node(**node: object) -> onnx.ModelProto:
    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, ["N", 4]) for n in "xy")
    made = helper.make_node(node.pop("op", "Relu"), ["x"], ["y"], **node)  # type: ignore[arg-type]
    return helper.make_model(
        helper.make_graph([made], "g", [x], [y]), opset_imports=[helper.make_opsetid(d, 13) for d in ("", "my.company")]
    )


def test_open_sizes_are_given_or_one() -> None:
    assert model_kernels(one_node())[0].written == 4
    assert model_kernels(one_node(), {"N": 8})[0].written == 32


def test_what_nobody_knows_moves_numbers() -> None:
    assert model_kernels(one_node(op="Magic", domain="my.company"))[0].kind == "move"


def test_an_empty_graph_is_refused() -> None:
    model = one_node()
    del model.graph.node[:]
    with pytest.raises(CorruptFile, match="at least one node"):
        model_kernels(model)


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="readable ONNX file"):
        file_kernels(tmp_path / "missing.onnx")
    (tmp_path / "bad.onnx").write_bytes(b"\xff" * 40)
    with pytest.raises(CorruptFile, match="can not be parsed"):
        file_kernels(tmp_path / "bad.onnx")


def test_weights_may_lie_elsewhere(tmp_path: Path) -> None:
    captured = capture(nn.Conv2d(3, 64, 5).eval(), torch.zeros(1, 3, 8, 8))
    model = deploy(captured.gm, load_target("nano"), 13, captured.input_specs).model
    expected = model_kernels(model)
    onnx.save(model, str(tmp_path / "m.onnx"), save_as_external_data=True, location="w.bin", size_threshold=0)
    (tmp_path / "w.bin").unlink()
    assert file_kernels(tmp_path / "m.onnx") == expected


class Shifted(nn.Module):
    """A roll along two axes and a group norm."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.conv = nn.GroupNorm(2, 4), nn.Conv2d(4, 4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(self.norm(torch.roll(self.conv(x), (2, -3), (2, 3))))


def test_operators_that_onnx_takes_apart() -> None:
    graph, file = both(Shifted(), torch.randn(1, 4, 8, 8), 13)
    assert numbers(graph) == numbers(file)
