"""The reference networks: structure, seeds, and values that stay in range."""

from types import ModuleType

import pytest
import torch
from torch import nn

from nascc.nas.errors import SearchError
from nascc.nas.zoo import ARCHITECTURES
from nascc.nas.zoo.mobilenet_v2 import multiple_of_8
from nascc.nas.zoo.repvgg import RepVGG

PARAMETERS = {
    "mobilenet_v2": 3_504_872,
    "repvgg_a0": 9_108_968,
    "searched": 7_383_808,
    "ssdlite": 4_210_996,
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "efficientnet_b0": 5_288_548,
    "efficientnet_b1": 7_794_184,
    "efficientnet_b2": 9_109_994,
    "efficientnet_b3": 12_233_232,
    "efficientnet_b4": 19_341_616,
    "efficientnet_b5": 30_389_784,
    "efficientnet_b6": 43_040_704,
}
LARGER = {name for name in ARCHITECTURES if name[:-1] in ("efficientnet_b", "resnet3", "resnet5")} - {"efficientnet_b0"}
"""Networks that differ from a smaller one in numbers alone."""
NAMES = [pytest.param(name, marks=[pytest.mark.slow] * (name in LARGER)) for name in ARCHITECTURES]
ERRORS = {"searched": 5e-5, "ssdlite": 1e-3}  # 63 convolutions deep; maps of one pixel
OUTPUTS = {"ssdlite": [(1, 1602, 91), (1, 1602, 4)]}


def first(outputs: torch.Tensor | tuple[torch.Tensor, ...]) -> torch.Tensor:
    return outputs if isinstance(outputs, torch.Tensor) else outputs[0]


@pytest.mark.parametrize("name", NAMES)
def test_registered_networks_run_on_their_inputs(name: str) -> None:
    network = ARCHITECTURES[name]()
    (shape,) = ARCHITECTURES[name].inputs
    sizes = [int(size) for size in shape.partition(":")[2].split("x")]
    with torch.inference_mode():
        given = network(torch.ones(sizes))
    outputs = [given] if isinstance(given, torch.Tensor) else given
    assert [tuple(output.shape) for output in outputs] == OUTPUTS.get(name, [(1, 1000)])
    assert not network.training
    assert sum(parameter.numel() for parameter in network.parameters()) == PARAMETERS[name]
    assert all(parameter.requires_grad for parameter in network.parameters())


@pytest.mark.parametrize("name", NAMES)
def test_a_seed_decides_everything_and_touches_nothing(name: str) -> None:
    before = torch.get_rng_state()
    one, same, other = (ARCHITECTURES[name](seed=seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(one[key], same[key]) for key in one)
    differ = [key for key in one if not torch.equal(one[key], other[key])]
    assert len(differ) == len([key for key in one if "num_batches_tracked" not in key])


@pytest.mark.parametrize("name", NAMES)
def test_batch_norms_are_worth_folding(name: str) -> None:
    for norm in (part for part in ARCHITECTURES[name]().modules() if isinstance(part, nn.BatchNorm2d)):
        assert norm.running_mean is not None and norm.running_var is not None
        assert norm.running_mean.abs().max() > 0.001 and norm.bias.abs().max() > 0.01
        assert norm.running_var.min() > 1e-3 and norm.running_var.std() > 1e-4 and norm.weight.std() > 0.01


@pytest.mark.parametrize("name", NAMES)
def test_single_precision_is_well_conditioned(name: str) -> None:
    network = ARCHITECTURES[name]()
    sizes: list[float] = []
    for part in network.modules():
        if isinstance(part, (nn.BatchNorm2d, nn.Linear)):
            part.register_forward_hook(lambda _, __, y: sizes.append(y.abs().max().item()))
    images = torch.randn(2, 3, 160, 160, generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        single = first(network(images))
        exact = first(network.double()(images.double()))
    assert min(sizes) > 0.5 and max(sizes) < 200
    assert (single - exact).abs().max() < ERRORS.get(name, 1e-5) * exact.abs().max()
    assert (exact[0] - exact[1]).abs().max() > 0.05 * exact.abs().max()  # it tells images apart


@pytest.mark.parametrize("width", [0.5, 1.0, 1.4])
def test_mobilenet_v2_is_that_of_torchvision(width: float, vision: tuple[ModuleType, ModuleType]) -> None:
    theirs = vision[1].models.mobilenet_v2(width_mult=width).eval()
    ours = ARCHITECTURES["mobilenet_v2"](width=width)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    theirs.load_state_dict(ours.state_dict())
    images = torch.linspace(-1, 1, 3 * 64 * 64).reshape(1, 3, 64, 64)
    assert torch.equal(ours(images), theirs(images))


def test_repvgg_a0_has_the_branches_it_is_trained_with() -> None:
    network = ARCHITECTURES["repvgg_a0"]()
    assert isinstance(network, RepVGG)
    kinds = [type(part) for part in network.modules()]
    assert (kinds.count(nn.Conv2d), kinds.count(nn.BatchNorm2d), kinds.count(nn.ReLU)) == (44, 61, 22)
    assert [len(stage) for stage in network.stages] == [1, 2, 4, 14, 1]  # type: ignore[arg-type]
    assert network(torch.ones(1, 3, 64, 64)).shape == (1, 1000)


@pytest.mark.parametrize(("channels", "rounded"), [(3, 8), (12, 16), (16, 16), (19.2, 24), (33.6, 32), (44.8, 48)])
def test_channel_counts_are_multiples_of_8(channels: float, rounded: int) -> None:
    assert multiple_of_8(channels) == rounded


def test_configurations_are_checked() -> None:
    with pytest.raises(SearchError, match="width: .*; num_classes: .*; foo: Unexpected keyword"):
        ARCHITECTURES["mobilenet_v2"](width="wide", num_classes=0, foo=1)
    assert isinstance(ARCHITECTURES["mobilenet_v2"](width=1, num_classes=2), nn.Module)
