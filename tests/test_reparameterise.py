"""timm's own reparameterisation as the yardstick: as few ONNX nodes, or fewer, without knowing its classes."""

from types import ModuleType

import pytest
import torch
from torch import nn

from kit import randomised
from nascc.compiler import compile
from nascc.passes import CollapseLinear, MergeBranches

QUICK = {"repvgg_a0": 32, "mobileone_s0": 32, "repghostnet_050": 32}
FAMILIES = {
    "efficientvim_m1": 224,
    "efficientvit_m0": 224,
    "fastvit_mci0": 64,
    "fastvit_sa12": 64,
    "fastvit_t8": 64,
    "ghostnetv3_050": 64,
    "iformer_t": 64,
    "lcnetv2_base": 64,
    "lcnetv2_small": 64,
    "levit_128s": 224,
    "mobileone_s1": 64,
    "mobileone_s4": 64,
    "nextvit_small": 64,
    "repvgg_b0": 64,
    "repvit_m0_9": 64,
    "repvit_m1": 64,
    "shvit_s1": 128,
    "tiny_vit_5m_224": 224,
}
"""Every family of timm with layers that it merges itself, and the size of an image it takes."""


def nodes(model: nn.Module, size: int, skip: tuple[str, ...] = ()) -> int:
    """ONNX nodes of a model as nascc writes it."""
    deployed = compile(model, torch.zeros(1, 3, size, size), verify=False, skip=skip).deployed
    assert deployed is not None
    return len(deployed.model.graph.node)


def check(timm: ModuleType, name: str, size: int) -> None:
    if name not in timm.list_models():
        pytest.skip(f"this timm has no {name}")
    model = randomised(timm.create_model(name, pretrained=False))
    theirs = timm.utils.model.reparameterize_model(model)
    assert nodes(model, size) <= nodes(theirs, size, (MergeBranches.__name__, CollapseLinear.__name__))


@pytest.mark.parametrize("name", QUICK)
def test_as_few_nodes_as_timm(name: str, vision: tuple[ModuleType, ModuleType]) -> None:
    check(vision[0], name, QUICK[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_as_few_nodes_as_timm_in_every_family(name: str, vision: tuple[ModuleType, ModuleType]) -> None:
    check(vision[0], name, FAMILIES[name])


def test_repvgg_has_the_nodes_it_should(vision: tuple[ModuleType, ModuleType]) -> None:
    assert nodes(randomised(vision[0].create_model("repvgg_a0", pretrained=False)), 32) <= 47
