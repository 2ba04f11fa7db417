"""Networks people use, written for each generation of TensorRT: the check of the file finds nothing to complain of."""

from types import ModuleType

import pytest
from torch import fx

from nascc.compiler.capture import Captured, capture
from nascc.compiler.deploy import deploy
from nascc.compiler.shapes import parse_shapes
from nascc.compiler.target_lint import blocking, check_target
from nascc.passes import PASSES, default_pipeline, run_pipeline
from nascc.passes import graph as g
from nascc.runtime.profile import load_target

TARGETS = ("nano", "xavier", "orin")
"""TensorRT 8.2, 8.5 and 10."""

FEW = """
convnext_zepto_rms efficientnet_b0_gn lcnetv2_small mobilenetv3_small_050 mobilenetv4_conv_small_035 resnet10t
resnetv2_18 starnet_s050 test_byobnet test_nfnet
"""
MANY = """
cpubone_nano:224 crossvit_tiny_240:240 cs3darknet_focus_s davit_tiny:224 densenetblur121d dla46_c ecaresnet26t
edgenext_xx_small efficientformerv2_s0:224 efficientnet_b0_g16_evos efficientnet_cc_b0_4e efficientvit_b0
efficientvit_m0:224 ese_vovnet19b_slim_dw fasternet_t0 fastvit_t8 ghostnet_050 halonet26t:256 hgnetv2_b0
hrnet_w18_small iformer_t lambda_resnet26t:256 legacy_xception levit_128s:224 mixnet_s mnasnet_small mobilenetv2_035
mobileone_s0 mobilevit_xxs mobilevitv2_050 poolformer_s12 pvt_v2_b0:224 regnetx_002 regnetz_b16 repghostnet_050
repvgg_a0 repvit_m0_9 res2net50_14w_8s resnest14d resnetblur18 resnetv2_50d_evos resnetv2_50d_frn rexnet_100
sequencer2d_s:224 shvit_s1 skresnet18 swiftformer_xs:224 swin_tiny_patch4_window7_224:224 swinv2_tiny_window8_256:256
test_coatnet:160 test_convnext test_mambaout test_maxvit:160 test_vit:160 test_vit_relpos:160 tiny_vit_5m_224:224
tinynet_e tresnet_m visformer_tiny:224 xception41
"""
"""The smallest members of timm's families, and the side of their images where 64 is too small."""


def rewritten(name: str, timm: ModuleType) -> tuple[Captured, fx.GraphModule]:
    """A network and its graph after all passes."""
    name, _, side = name.partition(":")
    captured = capture(timm.create_model(name), shapes=parse_shapes([f"x:1x3x{side or 64}x{side or 64}"]))
    graph = g.copy_graph(captured.gm)
    run_pipeline(default_pipeline(PASSES), graph)
    return captured, graph


def check_network(name: str, timm: ModuleType) -> None:
    """Assert that nothing keeps a target from running what is written for it."""
    captured, graph = rewritten(name, timm)
    for target in map(load_target, TARGETS):
        deployed = deploy(graph, target, target.opset, captured.input_specs)
        assert deployed.warnings == ()
        assert [str(finding) for finding in blocking(check_target(deployed.model, target))] == []


@pytest.mark.parametrize("name", FEW.split())
def test_a_network_is_clean_on_every_target(name: str, vision: tuple[ModuleType, ModuleType]) -> None:
    check_network(name, vision[0])


@pytest.mark.slow
@pytest.mark.parametrize("name", MANY.split())
def test_every_family_is_clean_on_every_target(name: str, vision: tuple[ModuleType, ModuleType]) -> None:
    check_network(name, vision[0])


def test_without_rules_it_would_not_be_clean(vision: tuple[ModuleType, ModuleType]) -> None:
    captured, graph = rewritten("convnext_zepto_rms", vision[0])
    modern = deploy(graph, load_target("cpu"), 20, captured.input_specs).model
    found = {finding.op for finding in blocking(check_target(modern, load_target("nano")))}
    assert {"Gelu", "Reciprocal"} <= found
