"""capture: what users bring becomes a graph, or one clear sentence."""

import pytest
import torch
from torch import Tensor, nn
from torch.export import Dim

from kit import outputs, randomised
from nascc.compiler import capture
from nascc.compiler.errors import CaptureFailed, UsageError
from nascc.compiler.shapes import parse_shapes

X = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def net() -> nn.Module:
    return randomised(
        nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
        )
    )


def test_a_module_comes_back_as_it_was() -> None:
    model = net().train()
    model[1].eval()
    modes = [m.training for m in model.modules()]
    captured = capture(model, X)
    captured.module_call(X)
    assert [m.training for m in model.modules()] == modes


def test_the_reference_is_the_original() -> None:
    model = net()
    captured = capture(model, X)
    with torch.no_grad():
        assert torch.equal(captured.module_call(*captured.example)[0], model(X))
    assert captured.params == sum(p.numel() for p in model.parameters()) + 16
    assert captured.macs == 2 * 16 * 16 * 3 * 8 * 9


def test_open_sizes_stay_open_under_their_letters() -> None:
    captured = capture(net(), shapes=parse_shapes(["x:Nx3xHxW"]))
    assert captured.input_specs[0].dims == ("N", 3, "H", "W")
    bigger = torch.randn(5, 3, 40, 24)
    assert outputs(captured.gm, [bigger])[0].shape == (5, 8)


def test_names_can_be_chosen() -> None:
    captured = capture(net(), X, input_names=["image"], output_names=["features"])
    assert captured.input_specs[0].name == "image"
    assert captured.gm.meta["signature"].output_names == ("features",)
    with pytest.raises(UsageError, match=r"1 output\(s\)"):
        capture(net(), X, output_names=["a", "b"])
    with pytest.raises(UsageError, match="used for both"):
        capture(net(), X, input_names=["a"], output_names=["a"])


class TwoInputs(nn.Module):
    """A float and an integer input, the second by keyword."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(10, 4)

    def forward(self, x: Tensor, *, ids: Tensor) -> dict[str, Tensor]:
        return {"sum": self.table(ids).sum(1) + x, "ids": ids * 2}


def test_several_inputs_by_name() -> None:
    captured = capture(TwoInputs(), shapes=parse_shapes(["ids:Nx5:int64", "x:Nx4"]))
    assert [str(s) for s in captured.input_specs] == ["x:Nx4", "ids:Nx5:int64"]
    got = outputs(captured.gm, captured.example)
    wanted = captured.module_call(*captured.example)
    assert torch.allclose(got[0], wanted[0].double()) and torch.equal(got[1], wanted[1])


@pytest.mark.parametrize("dtype", [torch.float32, torch.uint8])
def test_normalisation_becomes_part_of_the_graph(dtype: torch.dtype) -> None:
    model = net()
    spec = parse_shapes([f"x:2x3x16x16:{str(dtype).removeprefix('torch.')}"])
    mean, std = (120.0, 110.0, 100.0), (60.0, 55.0, 50.0)
    captured = capture(model, X, shapes=spec, mean=mean, std=std)
    assert captured.example[0].dtype is dtype
    raw = captured.example[0]
    with torch.no_grad():
        shape = (1, 3, 1, 1)
        wanted = model((raw.float() - torch.tensor(mean).reshape(shape)) / torch.tensor(std).reshape(shape))
    assert torch.allclose(outputs(captured.gm, [raw])[0].float(), wanted, rtol=1e-5, atol=1e-5)
    assert torch.allclose(captured.module_call(raw)[0], wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("mean", "std", "message"),
    [((1.0, 2.0), None, "1 or 3"), (None, (0.0,), "zero"), (None, (1.0, 2.0, 3.0, 4.0), "std")],
)
def test_normalisation_must_fit(mean: tuple[float, ...], std: tuple[float, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        capture(net(), X, mean=mean, std=std)


def test_a_static_archive_asked_for_another_shape_names_the_line_that_exports_again() -> None:
    program = torch.export.export(net(), (X,))
    with pytest.raises(
        UsageError, match=r"torch.export.save\(torch.export.export\(model, \(torch.zeros\(4, 3, 16, 16\)"
    ):
        capture(program, shapes=parse_shapes(["x:4x3x16x16"]))
    with pytest.raises(UsageError, match=r"dynamic_shapes=.*Dim\(\"N\"\)"):
        capture(program, shapes=parse_shapes(["x:Nx3x16x16"]))


def test_a_dynamic_archive_can_be_made_static() -> None:
    program = torch.export.export(net(), (X,), dynamic_shapes=({0: Dim("batch")},))
    assert capture(program).input_specs[0].dims == ("N", 3, 16, 16)
    assert capture(program, shapes=parse_shapes(["input:5x3x16x16"])).input_specs[0].dims == (5, 3, 16, 16)


class DataDependent(nn.Module):
    """Branches on a value."""

    def forward(self, x: Tensor) -> Tensor:
        if x.sum() > 0:
            return x
        return -x


def test_control_flow_on_values_is_told_with_its_line() -> None:
    with pytest.raises(
        CaptureFailed, match=r"must not depend on the values.*test_capture.py:\d+ \(`if x.sum\(\) > 0:`\)"
    ):
        capture(DataDependent(), X)


def test_a_shape_that_does_not_fit_is_told_with_its_line() -> None:
    with pytest.raises(UsageError, match="must run on inputs of shape"):
        capture(net(), shapes=parse_shapes(["x:1x5x16x16"]))


def test_a_size_that_can_not_stay_open_is_told() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 2))
    with pytest.raises(UsageError, match="every size that --shapes leaves open"):
        capture(model, shapes=parse_shapes(["x:1x3xHx16"]))


def test_what_is_missing_is_told() -> None:
    with pytest.raises(UsageError, match="--shapes x:1x3x224x224"):
        capture(net())
    with pytest.raises(UsageError, match="repeat --shapes"):
        capture(TwoInputs(), shapes=parse_shapes(["x:1x4"]))
    with pytest.raises(UsageError, match=r"torch.nn.Module"):
        capture("model")  # type: ignore[arg-type]


class AnyNumber(nn.Module):
    """Takes any number of inputs."""

    def forward(self, first: Tensor, *rest: Tensor) -> Tensor:
        return first + sum(rest)


def test_open_sizes_of_any_number_of_inputs() -> None:
    captured = capture(AnyNumber(), shapes=parse_shapes(["a:Nx3", "b:Nx3", "c:1x3"]))
    assert [str(s) for s in captured.input_specs] == ["first:Nx3", "rest_0:Nx3", "rest_1:1x3"]


def test_a_network_with_strides_leaves_its_sizes_open() -> None:
    model = randomised(nn.Sequential(*[nn.Conv2d(3, 3, 3, 2, 1) for _ in range(4)], nn.AdaptiveAvgPool2d(1)))
    captured = capture(model, shapes=parse_shapes(["x:Nx3xHxW"]))
    assert captured.input_specs[0].dims == ("N", 3, "H", "W")
    for shape in [(1, 3, 64, 96), (3, 3, 33, 47)]:
        x = torch.randn(shape)
        with torch.no_grad():
            assert torch.allclose(outputs(captured.gm, [x])[0].float(), model(x), atol=1e-5)
