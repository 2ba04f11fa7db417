"""ExtractSuperkernel: what goes, what must stay, and that nothing else changes."""

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, fx, nn
from torch.nn import functional as F

from kit import check_pass, ir, operators, outputs, randomised, relative_error
from nascc.compiler import compile
from nascc.compiler.macs import count_macs
from nascc.passes import (
    PASSES,
    EvaluateConstants,
    ExtractSuperkernel,
    check_graph,
    default_pipeline,
    run_pass,
    run_pipeline,
)
from nascc.passes import graph as g
from random_modules import Call
from structured_zeros import Beside, Gate, Residual, drawn
from vision_schemas import import_vision

RELAXED = settings(deadline=None, suppress_health_check=list(HealthCheck))
X = torch.randn(2, 4, 9, 9, generator=torch.Generator().manual_seed(0))


def check(seed: int, dynamic_batch: bool) -> None:
    """Equal outputs, a sound graph, and nothing left to do."""
    model, x = drawn(seed)
    gm = ir(model, x, dynamic=({0: torch.export.Dim("N")},) if dynamic_batch else None)
    before = g.copy_graph(gm)
    run_pass(ExtractSuperkernel(), gm)
    check_graph(gm)
    for batch in (x, torch.cat([x, -3 * x, x])) if dynamic_batch else (x, -3 * x):
        assert relative_error(outputs(before, [batch]), outputs(gm, [batch])) <= 1e-10, model
    assert g.parameter_count(gm) <= g.parameter_count(before)
    assert not run_pass(ExtractSuperkernel(), gm).rewrites, model


@settings(RELAXED, max_examples=10)
@given(st.integers(0, 10**6), st.booleans())
def test_random_networks(seed: int, dynamic_batch: bool) -> None:
    check(seed, dynamic_batch)


@pytest.mark.slow
@settings(RELAXED, max_examples=3000)
@given(st.integers(0, 10**9), st.booleans())
def test_many_random_networks(seed: int, dynamic_batch: bool) -> None:
    check(seed, dynamic_batch)


def filled(model: nn.Module) -> nn.Module:
    return randomised(model)


def kill(layer: nn.Module, rows: list[int], *, bias: bool = True) -> None:
    with torch.no_grad():
        layer.weight[rows] = 0
        if bias and layer.bias is not None:
            layer.bias[rows] = 0


def weights(model: nn.Module, *, dynamic: object = None, x: Tensor = X) -> tuple[fx.GraphModule, list[tuple[int, ...]]]:
    """The graph after the pass, checked, and the shapes of its weights in order."""
    check_pass(ExtractSuperkernel(), model, x, dynamic=dynamic)
    gm = ir(model, x, dynamic=dynamic)
    run_pass(ExtractSuperkernel(), gm)
    layers = [
        n for n in gm.graph.nodes if g.is_call(n, torch.ops.aten.convolution.default, torch.ops.aten.linear.default)
    ]
    return gm, [tuple(g.shape(n.args[1])) for n in layers]


def test_dead_filters_go_with_their_norms_and_columns() -> None:
    model = filled(nn.Sequential(nn.Conv2d(4, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 5, 3)))
    kill(model[0], [1, 2, 6])
    gm, shapes = weights(model)
    assert shapes == [(5, 4, 3, 3), (5, 5, 3, 3)]
    assert all(len(v) == 5 for name, v in g.constants(gm) if name.startswith("1."))


def test_filters_that_nothing_reads_go_too() -> None:
    model = filled(nn.Sequential(nn.Conv2d(4, 8, 3), nn.BatchNorm2d(8), nn.SiLU(), nn.Conv2d(8, 5, 3, padding=1)))
    with torch.no_grad():
        model[3].weight[:, [0, 3]] = 0
    assert weights(model)[1] == [(6, 4, 3, 3), (5, 6, 3, 3)]


@pytest.mark.parametrize(("padding", "kept"), [(0, 5), (1, 6)])
def test_a_dead_channel_that_still_emits_something(padding: int, kept: int) -> None:
    """Without padding it is a number in the next bias; with padding one such channel stays for all of them."""
    model = filled(nn.Sequential(nn.Conv2d(4, 8, 1), nn.BatchNorm2d(8), nn.Hardtanh(), nn.Conv2d(8, 5, 3, 1, padding)))
    kill(model[0], [1, 2, 6], bias=False)
    assert weights(model)[1] == [(kept, 4, 1, 1), (5, kept, 3, 3)]


def test_a_depthwise_convolution_that_pads_is_refused_with_the_reason() -> None:
    model = filled(
        nn.Sequential(nn.Conv2d(4, 8, 1), nn.Hardtanh(), nn.Conv2d(8, 8, 3, 1, 1, groups=8), nn.Conv2d(8, 3, 1))
    )
    kill(model[0], [1, 2], bias=False)
    reason = "pads, so 2 constant channels that it reads would show at the border"
    check_pass(ExtractSuperkernel(), model, X, rejects=[reason], rewrites=0)


@pytest.mark.parametrize(("groups", "expected"), [(1, (6, 5)), (2, (8, 3)), (8, (5, 1))])
def test_grouped_convolutions(groups: int, expected: tuple[int, int]) -> None:
    """Whole groups go, and otherwise equally many channels of each: a group that has more keeps some of zeros."""
    model = filled(nn.Sequential(nn.Conv2d(4, 8, 1), nn.ReLU(), nn.Conv2d(8, 8, 3, groups=groups), nn.Conv2d(8, 3, 1)))
    kill(model[0], [0, 1, 6])
    with torch.no_grad():
        model[3].weight[:, [0, 1]] = 0
    shapes = weights(model)[1]
    assert shapes[1][:2] == expected


def test_a_group_goes_as_a_whole() -> None:
    model = filled(nn.Sequential(nn.Conv2d(4, 8, 1), nn.ReLU(), nn.Conv2d(8, 6, 3, groups=2), nn.Conv2d(6, 3, 1)))
    kill(model[0], [4, 5, 6, 7])
    gm, shapes = weights(model)
    assert shapes == [(4, 4, 1, 1), (3, 4, 3, 3), (3, 3, 1, 1)]
    assert [n.args[8] for n in gm.graph.nodes if g.is_call(n, torch.ops.aten.convolution.default)] == [1, 1, 1]


def test_a_channel_dead_on_one_side_of_a_sum_stays() -> None:
    branch = nn.Sequential(nn.Conv2d(6, 6, 3, 1, 1, bias=False), nn.BatchNorm2d(6))
    model = filled(nn.Sequential(nn.Conv2d(4, 6, 1), Residual(branch), nn.Conv2d(6, 3, 1)))
    kill(branch[0], [0, 1])
    with torch.no_grad():
        branch[1].bias[[0, 1]], branch[1].running_mean[[0, 1]] = 0, 0
    assert weights(model)[1] == [(6, 4, 1, 1), (6, 6, 3, 3), (3, 6, 1, 1)]
    kill(model[0], [0, 2])
    assert weights(model)[1] == [(5, 4, 1, 1), (5, 5, 3, 3), (3, 5, 1, 1)]


@pytest.mark.parametrize("emits", [False, True])
def test_a_branch_that_is_constant_becomes_numbers(emits: bool) -> None:
    branch = nn.Sequential(nn.Conv2d(6, 6, 3, 1, 1, bias=False), nn.BatchNorm2d(6))
    model = filled(nn.Sequential(nn.Conv2d(4, 6, 1), Residual(branch), nn.Conv2d(6, 3, 1)))
    kill(branch[0], list(range(6)))
    if not emits:
        with torch.no_grad():
            branch[1].bias.zero_(), branch[1].running_mean.zero_()
    gm, shapes = weights(model)
    assert shapes == [(6, 4, 1, 1), (3, 6, 1, 1)]
    assert operators(gm)["aten.add.Tensor"] == int(emits)
    run_pipeline(default_pipeline(PASSES), gm)
    assert set(operators(gm)) == {"aten.convolution.default"}


def test_all_channels_dead_keeps_the_shape_of_the_output() -> None:
    model = filled(nn.Sequential(nn.Conv2d(4, 6, 3, 2, 1), nn.ReLU(), nn.Conv2d(6, 5, 3, padding=1), nn.BatchNorm2d(5)))
    kill(model[0], list(range(6)), bias=False)
    assert weights(model, dynamic=({0: torch.export.Dim("N")},))[1] == [(1, 4, 1, 1), (5, 1, 3, 3)]
    kill(model[2], list(range(5)), bias=False)
    assert weights(model)[1][-1] == (5, 1, 1, 1)


def test_an_output_of_the_graph_keeps_its_channels() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Conv2d(4, 6, 3), nn.Conv2d(6, 3, 3)

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            y = F.relu(self.first(x))
            return y, self.second(y)

    model = filled(Two())
    kill(model.first, [0, 1])
    check_pass(ExtractSuperkernel(), model, X, rewrites=0)


@pytest.mark.parametrize("kind", ["dense", "gate", "split", "flatten", "tokens", "shortcut"])
def test_channels_are_followed(kind: str) -> None:
    first = nn.Conv2d(4, 8, 3, bias=False)
    below: dict[str, tuple[nn.Module, int]] = {
        "dense": (Beside(nn.Identity(), nn.Sequential(nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 4, 1))), 12),
        "gate": (Gate(8), 8),
        "split": (Call(lambda x: torch.cat(x.chunk(2, 1)[::-1], 1), "swap"), 8),
        "flatten": (nn.Flatten(), 8 * 49),
        "tokens": (Call(lambda x: x.flatten(2).transpose(1, 2), "tokens"), 8),
        "shortcut": (Call(lambda x: F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 2, 2)), "shortcut"), 12),
    }
    module, width = below[kind]
    last = nn.Linear(width, 3) if kind in ("flatten", "tokens") else nn.Conv2d(width, 3, 1)
    model = filled(nn.Sequential(first, module, last))
    kill(first, [0, 5, 6])
    assert weights(model)[1][0] == (5, 4, 3, 3)
    assert weights(model)[1][-1][1] == {"dense": 9, "flatten": 5 * 49}.get(kind, 5)


def shell(layer: nn.Conv2d, *ends: int) -> nn.Conv2d:
    top, bottom, left, right = ends
    k1, k2 = layer.kernel_size
    keep = torch.zeros(k1, k2)
    keep[top : k1 - bottom, left : k2 - right] = 1
    with torch.no_grad():
        layer.weight *= keep
    return layer


CROPS = {
    "5 to 3": (nn.Conv2d(4, 4, 5, 1, 2), (1, 1, 1, 1), (3, 3)),
    "7 to 3": (nn.Conv2d(4, 4, 7, 1, 3, groups=4), (2, 2, 2, 2), (3, 3)),
    "5 to 1": (nn.Conv2d(4, 4, 5, 1, 2), (2, 2, 2, 2), (1, 1)),
    "strided": (nn.Conv2d(4, 4, 5, 2, 2, groups=4), (1, 1, 1, 1), (3, 3)),
    "dilated": (nn.Conv2d(4, 4, 5, 1, 4, dilation=2), (1, 1, 1, 1), (3, 3)),
    "even": (nn.Conv2d(4, 4, 4, 1, 1), (1, 1, 1, 1), (2, 2)),
    "one side, strided": (nn.Conv2d(4, 4, 4, 2, 1), (0, 1, 0, 1), (3, 3)),
    "one side": (nn.Conv2d(4, 4, 5, 1, 2, groups=4), (1, 0, 0, 1), (5, 5)),
    "sides that differ": (nn.Conv2d(4, 4, 7, 1, 3, groups=4), (2, 1, 1, 3), (5, 5)),
    "no padding, few taps left": (nn.Conv2d(4, 4, 5), (1, 1, 1, 1), (3, 3)),
    "no padding, depthwise": (nn.Conv2d(4, 4, 5, groups=4), (1, 1, 1, 1), (5, 5)),
    "all zero": (nn.Conv2d(4, 4, 5, 1, 2), (2, 2, 3, 2), (1, 1)),
    "transposed": (nn.ConvTranspose2d(4, 4, 6, 2, 2), (2, 1, 1, 1), (4, 4)),
}


@pytest.mark.parametrize("size", [8, 9])
@pytest.mark.parametrize("name", CROPS)
def test_zero_shells_are_cropped(name: str, size: int) -> None:
    layer, ends, kernel = CROPS[name]
    shell(filled(layer), *ends)
    gm, shapes = weights(layer, x=torch.randn(2, 4, size, size))
    if name == "one side, strided" and size == 9:
        kernel = (4, 4)  # one more pixel of padding would be one more output
    assert shapes[0][2:] == kernel
    assert operators(gm)["aten.slice.Tensor"] == (2 if name == "no padding, few taps left" else 0)


def test_open_sizes_crop_evenly_or_not_at_all() -> None:
    sides = ({2: torch.export.Dim("H", min=8), 3: torch.export.Dim("W", min=8)},)
    assert weights(shell(filled(nn.Conv2d(4, 4, 5, 2, 2)), 1, 1, 1, 1), dynamic=sides)[1] == [(4, 4, 3, 3)]
    assert weights(shell(filled(nn.Conv2d(4, 4, 4, 2, 1)), 0, 1, 0, 1), dynamic=sides)[1] == [(4, 4, 4, 4)]
    assert weights(shell(filled(nn.Conv2d(4, 4, 5)), 1, 1, 1, 1), dynamic=sides)[1] == [(4, 4, 5, 5)]


def test_weights_that_are_expressions_are_evaluated() -> None:
    class Superkernel(nn.Module):
        """A stranger's superkernel: norms of its parts decide, by comparison with thresholds."""

        def __init__(self, threshold: float) -> None:
            super().__init__()
            self.first, self.weight = nn.Conv2d(4, 8, 1), nn.Parameter(torch.randn(8, 1, 5, 5))
            self.last = nn.Conv2d(8, 3, 1)
            self.threshold = nn.Parameter(torch.tensor(threshold))
            core = torch.zeros(5, 5)
            core[1:4, 1:4] = 1
            self.register_buffer("core", core)

        def forward(self, x: Tensor) -> Tensor:
            shell = self.weight * (1 - self.core)
            large = (shell.norm() - self.threshold >= 0).float()
            kernel = self.weight * self.core + large * shell
            half = (kernel[4:].norm() - self.threshold >= 0).float()
            kernel = torch.cat([kernel[:4], half * kernel[4:]])
            return self.last(F.relu(F.conv2d(self.first(x), kernel, None, 2, 2, groups=8)))

    torch.manual_seed(0)
    assert weights(Superkernel(0.0))[1] == [(8, 4, 1, 1), (8, 1, 5, 5), (3, 8, 1, 1)]
    for threshold in (99.0, float("nan")):
        assert weights(Superkernel(threshold))[1] == [(4, 4, 1, 1), (4, 1, 3, 3), (3, 4, 1, 1)]


def test_a_weight_that_layers_share_stays_shared() -> None:
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.last = nn.Conv2d(4, 6, 3, padding=1), nn.Conv2d(6, 3, 1)

        def forward(self, x: Tensor) -> Tensor:
            y = self.last(F.relu(self.conv(x))), self.last(F.relu(self.conv(F.avg_pool2d(x, 3))))
            return y[0].mean((2, 3)) + y[1].mean((2, 3))

    model = filled(Shared())
    kill(model.conv, [0, 4])
    gm, shapes = weights(model)
    assert shapes == [(4, 4, 3, 3), (3, 4, 1, 1)] * 2 or shapes == [
        (4, 4, 3, 3),
        (4, 4, 3, 3),
        (3, 4, 1, 1),
        (3, 4, 1, 1),
    ]
    assert g.parameter_count(gm) == 4 * 4 * 9 + 4 + 3 * 4 + 3


def test_a_network_without_zeros_stays_as_it_is() -> None:
    result = check_pass(
        ExtractSuperkernel(), filled(nn.Sequential(nn.Conv2d(4, 6, 5), nn.ReLU(), nn.Conv2d(6, 3, 1))), X
    )
    assert not result.decisions


def test_numbers_that_are_not_finite_stay_where_they_are() -> None:
    model = filled(nn.Sequential(nn.Conv2d(4, 6, 1), nn.Conv2d(6, 3, 1)))
    kill(model[0], [0, 1])
    with torch.no_grad():
        model[0].bias[0] = float("nan")
    gm = ir(model, X)
    run_pass(ExtractSuperkernel(), gm)
    (y,) = outputs(gm, [X])
    assert bool(y.isnan().all())


def pruned_resnet(share: float) -> nn.Module:
    """torchvision's ResNet-18 with a share of its filters zeroed, and the shells of every third kernel."""
    _, torchvision = import_vision()
    model = filled(torchvision.models.resnet18(weights=None))
    draw = torch.Generator().manual_seed(0)
    convs = [m for m in model.modules() if isinstance(m, nn.Conv2d) and m.kernel_size != (1, 1)]
    with torch.no_grad():
        for parameter in model.parameters():
            parameter *= 0.3
        for number, conv in enumerate(convs):
            conv.weight[torch.rand(conv.out_channels, generator=draw) < share] = 0
            if number % 3 == 0:
                shell(conv, 1, 1, 1, 1)
    return model


def test_a_pruned_resnet_comes_out_equal_and_smaller() -> None:
    x = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    gm = ir(pruned_resnet(0.3), x)
    run_pass(EvaluateConstants(), gm)
    before = g.copy_graph(gm)
    result = run_pass(ExtractSuperkernel(), gm)
    assert relative_error(outputs(before, [x]), outputs(gm, [x])) <= 1e-10
    assert g.parameter_count(gm) < 0.62 * g.parameter_count(before)
    assert count_macs(gm) < 0.6 * count_macs(before)
    assert any("512x512x3x3" in d.text for d in result.decisions)


def test_what_is_left_runs_in_onnxruntime() -> None:
    model = filled(
        nn.Sequential(nn.Conv2d(4, 8, 5, 2, 2), nn.BatchNorm2d(8), nn.ReLU6(), Gate(8), nn.Conv2d(8, 5, 3, 1, 1))
    )
    kill(shell(model[0], 1, 1, 1, 1), [0, 3, 7], bias=False)
    compiled = compile(model, X)
    assert compiled.report.verification == "done" and all(v.ok for pair in compiled.report.verify for v in pair.outputs)
