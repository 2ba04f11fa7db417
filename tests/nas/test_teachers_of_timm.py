"""Teachers of many families: blocks are found, parts are the network bit for bit, and every block can be replaced."""

from types import ModuleType

import pytest
import torch
from torch import nn

from nascc.nas.errors import SearchError
from nascc.nas.hant.students import captured_block
from nascc.nas.pool import choose
from nascc.nas.regions import RegionSpace, Teacher
from nascc.passes import Region, ReplaceRegions, demote, run_pass

SMALL, BATCH = 64, 2
FAMILIES = (
    "resnet18 resnet50 resnetv2_50 resnest14d res2net50_14w_8s skresnet18 seresnext26d_32x4d nf_resnet26 ecaresnet50t "
    "mobilenetv2_100 mobilenetv3_small_100 mobilenetv4_conv_small mnasnet_100 fbnetc_100 spnasnet_100 hardcorenas_a "
    "tinynet_a lcnet_050 efficientnet_lite0 tf_efficientnet_b0 efficientnetv2_rw_t mixnet_s ghostnet_100 rexnet_100 "
    "regnetx_002 regnety_002 repvgg_a0 gernet_s densenet121 dla34 hrnet_w18_small selecsls42 cspresnet50 darknet53 "
    "ese_vovnet19b_dw hgnetv2_b0 convnext_atto edgenext_xx_small starnet_s1 nfnet_f0 vgg11_bn"
).split()
OTHER_SIZES = ("levit_128s", "efficientformer_l1", "mobilevit_xxs", "repvit_m0_9", "tiny_vit_5m_224", "visformer_tiny")
"""These read images of one size only."""
BLOCKLESS = ("vit_tiny_patch16_224", "swin_tiny_patch4_window7_224", "mixer_s32_224")
"""They compute with positions in a row, and have no maps behind their first layer."""


def image_of(name: str, module: nn.Module) -> tuple[int, int, int]:
    side = module.default_cfg["input_size"][-1] if name in (*OTHER_SIZES, *BLOCKLESS) else SMALL  # type: ignore[index, operator]
    return 3, side, side


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The tensor attribute")  # of torch, about caches that some networks keep
@pytest.mark.parametrize("captured", ["module", "archive"])
@pytest.mark.parametrize("name", [*FAMILIES, *OTHER_SIZES])
def test_teachers(name: str, captured: str, vision: tuple[ModuleType, ModuleType]) -> None:
    """As modules, and as archives that were exported for one image."""
    torch.manual_seed(0)
    module = vision[0].create_model(name, num_classes=10).eval()
    image = image_of(name, module)
    x = torch.randn(BATCH, *image)
    given = module if captured == "module" else torch.export.export(module, (x[:1],))
    teacher = Teacher.of(given, image)
    teacher.require_blocks()
    with torch.no_grad():
        assert torch.equal(teacher.chain()(x), module(x))
        assert torch.equal(demote(teacher.at_batch(BATCH))(x), module(x))
    replaced(teacher, image, x)


def replaced(teacher: Teacher, image: tuple[int, int, int], x: torch.Tensor) -> None:
    """A student of which every block is another one computes what its parts do."""
    space = RegionSpace(teacher, image, choose(["cb_res_k1"]), 0)
    arch = tuple(slot.names.index("cb_res_k1") for slot in space.slots)
    chain, graph = space.build(arch).eval(), teacher.at_batch(BATCH)
    regions = tuple(
        Region(f"{place.name}.new", place.begin, place.end, captured_block(chain.block(slot), ctx, BATCH))
        for slot, (place, ctx) in enumerate(zip(teacher.places, teacher.contexts, strict=True))
    )
    assert not run_pass(ReplaceRegions(regions), graph).rejects
    with torch.no_grad():
        wanted = chain(x)
        torch.testing.assert_close(demote(graph)(x), wanted, rtol=1e-4, atol=1e-4 * float(wanted.abs().max()))


@pytest.mark.slow
@pytest.mark.parametrize("name", BLOCKLESS)
def test_networks_without_maps_are_refused(name: str, vision: tuple[ModuleType, ModuleType]) -> None:
    module = vision[0].create_model(name, num_classes=10).eval()
    with pytest.raises(SearchError, match="must have a block to replace"):
        Teacher.of(module, image_of(name, module)).require_blocks()
