"""The reference networks: structure, seeds, and values that stay in range."""

from types import ModuleType

import pytest
import torch
from torch import nn

from nascc.compiler.capture import capture
from nascc.compiler.macs import count_macs
from nascc.nas.errors import SearchError
from nascc.nas.zoo import ARCHITECTURES
from nascc.nas.zoo.fastdepth import FastDepth
from nascc.nas.zoo.mobilenet_v2 import multiple_of_8
from nascc.nas.zoo.mobilenet_v3 import InvertedResidual
from nascc.nas.zoo.repvgg import RepVGG
from zoo_names import NAMES, usual_sizes

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
    "mobilenet_v1": 4_231_976,
    "mobilenet_v3_large": 5_483_032,
    "mobilenet_v3_pow2": 10_158_456,
    "mobilenet_v3_x125": 16_842_896,
    "netadapt_toy": 48_202,
    "fastdepth": 3_960_929,
    "fastdepth_toy": 15_961,
}
ERRORS = {
    "searched": 5e-5,
    "ssdlite": 1e-3,
    "fastdepth": 1e-4,
}  # 63 deep; one pixel; 38 deep
OUTPUTS = {
    "ssdlite": [(1, 1602, 91), (1, 1602, 4)],
    "netadapt_toy": [(1, 10)],
    "fastdepth": [(1, 1, 224, 224)],
    "fastdepth_toy": [(1, 1, 48, 48)],
}


def first(outputs: torch.Tensor | tuple[torch.Tensor, ...]) -> torch.Tensor:
    return outputs if isinstance(outputs, torch.Tensor) else outputs[0]


@pytest.mark.parametrize("name", NAMES)
def test_registered_networks_run_on_their_inputs(name: str) -> None:
    network = ARCHITECTURES[name]()
    with torch.inference_mode():
        given = network(torch.ones(usual_sizes(name)))
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
    images = torch.randn(2, usual_sizes(name)[1], 160, 160, generator=torch.Generator().manual_seed(3))
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


def test_mobilenet_v3_large_is_that_of_torchvision(vision: tuple[ModuleType, ModuleType]) -> None:
    theirs = vision[1].models.mobilenet_v3_large().eval()
    ours = ARCHITECTURES["mobilenet_v3_large"]()
    assert list(ours.state_dict()) == list(theirs.state_dict())
    theirs.load_state_dict(ours.state_dict())
    images = torch.linspace(-1, 1, 3 * 64 * 64).reshape(1, 3, 64, 64)
    assert torch.equal(ours(images), theirs(images))


# NetAdaptV2, Table 8, before the search: kernel, expansion, output, squeezed channels, hard-swish, stride
TABLE_8 = """
5   16  16   -  RE 1
5   64  32  16  RE 2
5  128  32   -  RE 1
7  128  64  32  RE 2
7  128  64  32  RE 1
7  128  64  32  RE 1
7  128  64  32  RE 1
5  256 128  64  HS 2
5  256 128   -  HS 1
5  256 128  64  HS 1
5  256 128  64  HS 1
5  512 128 256  HS 1
5 1024 128 256  HS 1
5 1024 128 256  HS 1
7 1024 256 256  HS 2
7 1024 256 256  HS 1
7 1024 256 256  HS 1
"""


def row_of(block: nn.Module) -> str:
    """What stands in Table 8 of a block, read off its layers."""
    convs = [part for part in block.modules() if isinstance(part, nn.Conv2d)]
    expand, depthwise, *gate, project = convs
    assert expand.kernel_size == project.kernel_size == (1, 1) and depthwise.groups == expand.out_channels
    assert expand.out_channels == depthwise.out_channels == project.in_channels
    act = "HS" if any(isinstance(part, nn.Hardswish) for part in block.modules()) else "RE"
    squeezed = gate[0].out_channels if gate else "-"
    (kernel, _), (stride, _) = depthwise.kernel_size, depthwise.stride
    return f"{kernel} {expand.out_channels} {project.out_channels} {squeezed} {act} {stride}"


def blocks_of(network: nn.Module) -> list[nn.Module]:
    return [part for part in network.modules() if isinstance(part, InvertedResidual)]


def test_the_initial_network_is_that_of_table_8() -> None:
    network = ARCHITECTURES["mobilenet_v3_pow2"]()
    assert [row_of(block) for block in blocks_of(network)] == [" ".join(r.split()) for r in TABLE_8.strip().split("\n")]
    ends = [(c.out_channels, c.kernel_size, c.bias is None) for c in network.modules() if isinstance(c, nn.Conv2d)]
    assert [ends[0], *ends[-2:]] == [(16, (3, 3), True), (1024, (1, 1), True), (2048, (1, 1), False)]


def test_expansions_that_no_network_tells_are_an_option() -> None:
    network = ARCHITECTURES["mobilenet_v3_pow2"](expansions=[512, 512, 1024], num_classes=3)
    assert [row_of(block).split()[1] for block in blocks_of(network)[11:14]] == ["512", "512", "1024"]
    with pytest.raises(SearchError, match="expansions"):
        ARCHITECTURES["mobilenet_v3_pow2"](expansions=[512, 512])


def test_the_wider_initial_network_has_another_block() -> None:
    blocks = [row_of(block).split() for block in blocks_of(ARCHITECTURES["mobilenet_v3_x125"](num_classes=3))]
    assert len(blocks) == 18 and blocks[-1] == blocks[-2] == ["7", "1280", "320", "320", "HS", "1"]
    assert [int(width) for block in blocks for width in block[1:3]] == [
        24, 24, 80, 40, 160, 40, *[160, 80] * 4, *[320, 160] * 4, 640, 160, *[1280, 160] * 2, *[1280, 320] * 4,
    ]  # fmt: skip


@pytest.mark.parametrize(("name", "macs"), [("mobilenet_v1", 568_740_352), ("mobilenet_v3_large", 216_589_760)])
def test_macs_are_the_published_ones(name: str, macs: int) -> None:
    captured = capture(ARCHITECTURES[name](), (torch.zeros(usual_sizes(name)),))
    assert count_macs(captured.gm) == macs


def test_fastdepth_adds_maps_of_the_encoder() -> None:
    network = ARCHITECTURES["fastdepth"]()
    assert isinstance(network, FastDepth) and network.taken == {2: 5, 3: 3, 4: 1}
    shapes: list[tuple[int, ...]] = []
    for part in [*(network.encoder[i] for i in network.taken.values()), network.upsample]:
        part.register_forward_hook(lambda _, __, y: shapes.append(tuple(y.shape[1:])))
    network(torch.ones(1, 3, 224, 224))
    assert shapes == [
        (64, 112, 112), (128, 56, 56), (256, 28, 28),
        (512, 14, 14), (256, 28, 28), (128, 56, 56), (64, 112, 112), (32, 224, 224),
    ]  # fmt: skip


def test_toys_take_other_images_and_classes() -> None:
    digits, depths = (ARCHITECTURES[name] for name in ("netadapt_toy", "fastdepth_toy"))
    assert digits(in_channels=3, num_classes=4)(torch.ones(2, 3, 32, 32)).shape == (2, 4)
    assert depths(in_channels=1, num_classes=2)(torch.ones(2, 1, 64, 40)).shape == (2, 2, 64, 40)
    half = depths(width=0.5)
    assert isinstance(half, FastDepth) and [part[1][0].out_channels for part in half.decoder] == [16, 8, 4]  # type: ignore[index, union-attr]


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
