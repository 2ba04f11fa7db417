"""Supernets of macro spaces: the contracts, and what each form of weights adds."""

import random

import pytest
import torch
from torch import nn

from nas.conformance import SuperNetConformance, randomise
from nascc.nas.core import SuperNet
from nascc.nas.macro import load_macro
from nascc.nas.spaces import MacroSpace
from nascc.nas.supernets import ChoiceSuperNet, recalibrate
from nascc.tools.bench.supernet import saved_bytes

TOY = MacroSpace(load_macro("toy"), classes=10)
RAGGED = MacroSpace(
    load_macro("toy").model_copy(update={"skip": "identity"}),
    classes=10,
    operators=["k3e1", "k3e1g2", "k5e3", "k3e6", "k3e3se", "skip"],
)


class TestSeparate(SuperNetConformance):
    def space(self) -> MacroSpace:
        return TOY

    def supernet(self) -> SuperNet:
        return ChoiceSuperNet(self.space(), "separate")

    def of_operator(self, name: str, slot: int, index: int) -> bool:
        return name.startswith(f"parts.{self.space().slots[slot].name}.operators.{index}.")


class TestSliced(TestSeparate):
    def supernet(self) -> SuperNet:
        return ChoiceSuperNet(self.space(), "sliced")

    def of_operator(self, name: str, slot: int, index: int) -> bool:
        """Operators that are no slices; the others share everything."""
        return name.startswith(f"parts.{self.space().slots[slot].name}.separate.operators.{index - 6}.")


class TestRagged(TestSeparate):
    """Grouped convolutions, operators without expansion, skips that need equal shapes."""

    def space(self) -> MacroSpace:
        return RAGGED

    def supernet(self) -> SuperNet:
        return ChoiceSuperNet(self.space(), "sliced")

    def of_operator(self, name: str, slot: int, index: int) -> bool:
        block, apart = f"parts.{self.space().slots[slot].name}", {0: 0, 1: 1, 4: 2, 5: 3}
        return name.startswith(f"{block}.separate.operators.{apart.get(index, 99)}.")


def test_exactly_one_operator_of_a_slot_runs() -> None:
    space = MacroSpace(load_macro("toy"), 10)
    net = ChoiceSuperNet(space, "separate").eval()
    ran: list[str] = []
    for name, part in net.named_modules():
        if name.count(".") == 3 and ".operators." in name:
            part.register_forward_hook(lambda *_, name=name: ran.append(name))
    arch = space.random(random.Random(0))
    net(torch.zeros(1, *space.input_shape), arch)
    assert ran == [f"parts.{slot.name}.operators.{k}" for slot, k in zip(space.slots, arch, strict=True)]


@pytest.mark.parametrize("weights", ["separate", "sliced"])
def test_a_step_keeps_hardly_more_than_a_network_alone(weights: str) -> None:
    space = MacroSpace(load_macro("toy"), 10)
    net = ChoiceSuperNet(space, weights)  # type: ignore[arg-type]
    x, arch = torch.randn(8, *space.input_shape), space.random(random.Random(3))
    alone = saved_bytes(net.extract(arch), x)
    coefficients = torch.zeros(len(space.slots), 7)
    coefficients[torch.arange(len(arch)), torch.tensor(arch)] = 1
    assert saved_bytes(net, x, arch) <= 1.05 * alone
    assert saved_bytes(net, x, coefficients.requires_grad_()) <= 1.3 * alone


def test_without_affine_norms_have_nothing_to_train() -> None:
    space = MacroSpace(load_macro("toy"), 10)
    net = ChoiceSuperNet(space, "separate", affine=False)
    norms = [part for part in net.modules() if isinstance(part, nn.BatchNorm2d)]
    assert not [n for n in norms if n.weight.requires_grad or n.bias.requires_grad]
    own = net.extract(space.random(random.Random(0)))
    assert all(p.requires_grad for p in own.parameters())


def test_recalibration_averages_the_batches_and_nothing_else() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Dropout(0.5)).train()
    randomise(module)
    weights = {name: p.clone() for name, p in module.named_parameters()}
    module[2].eval()
    batches = [torch.randn(8, 3, 5, 5) for _ in range(3)]
    recalibrate(module, batches)
    inner = torch.stack([module[0](batch) for batch in batches])
    norm = module[1]
    torch.testing.assert_close(norm.running_mean, inner.mean((1, 3, 4)).mean(0))
    torch.testing.assert_close(norm.running_var, inner.transpose(1, 2).flatten(2).var(2).mean(0))
    assert norm.momentum == 0.1 and module[1].training and not module[2].training
    assert all(torch.equal(p, weights[name]) for name, p in module.named_parameters())
