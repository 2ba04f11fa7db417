"""The contracts that every search method keeps; a method's tests are a subclass that says what it searches."""

import itertools
import random
from abc import ABC, abstractmethod

import pytest
import torch
from torch import Tensor, nn

from nascc.nas.core import Arch, Space, SuperNet, one_hot
from nascc.nas.errors import IllegalArchitecture


def randomise(module: nn.Module, seed: int = 0) -> None:
    """Weights, statistics and affine parameters that nothing cancels out."""
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in module.state_dict().items():
            if value.is_floating_point():
                noise = torch.randn(value.shape, generator=draw, dtype=value.dtype)
                value.copy_(noise.abs() + 0.5 if name.endswith("running_var") else 0.3 * noise)


class SpaceConformance(ABC):
    """What must hold of a space, whatever it chooses from."""

    @abstractmethod
    def space(self) -> Space:
        """A space of the method, small enough to build networks of it in no time."""

    def archs(self, count: int = 5) -> list[Arch]:
        rng, space = random.Random(0), self.space()
        return [space.random(rng) for _ in range(count)]

    def test_random_architectures_are_legal_and_follow_the_seed(self) -> None:
        space, archs = self.space(), self.archs(20)
        assert all(space.legal(arch) for arch in archs)
        assert archs == self.archs(20)
        assert len(set(archs)) > 1

    def test_names_read_back(self) -> None:
        space = self.space()
        assert [space.parse(space.name_of(arch)) for arch in self.archs()] == self.archs()

    def test_the_size_is_the_count_of_legal_architectures(self) -> None:
        space = self.space()
        if space.size() > 500_000:
            pytest.skip("too many to count")
        assert space.size() == sum(map(space.legal, itertools.product(*map(range, space.choices))))

    def test_other_architectures_are_refused(self) -> None:
        space = self.space()
        first = self.archs(1)[0]
        for wrong in (first[:-1], (*first, 0), (-1, *first[1:]), (space.choices[0], *first[1:])):
            with pytest.raises(IllegalArchitecture, match="one index per slot"):
                space.build(wrong)

    def test_shrinking_goes_down_ordered_slots_only(self) -> None:
        space, arch = self.space(), self.archs(1)[0]
        for index, slot in enumerate(space.slots):
            smaller = space.shrink(arch, index)
            assert slot.ordered or smaller is None
            assert smaller is None or (space.legal(smaller) and smaller[index] == arch[index] + 1)


class SuperNetConformance(SpaceConformance):
    """What must hold of a supernet, for every form of selection it takes."""

    @abstractmethod
    def supernet(self) -> SuperNet:
        """A supernet of `space()`, with random weights."""

    @abstractmethod
    def of_operator(self, name: str, slot: int, index: int) -> bool:
        """Whether a parameter or buffer belongs to operator `index` of a slot and to nothing else."""

    def exact(self) -> SuperNet:
        net = self.supernet().double()
        randomise(net)
        return net.eval()

    def images(self, count: int = 3) -> Tensor:
        shape = (count, *self.space().input_shape)
        return torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)

    def test_extract_equals_the_supernet(self) -> None:
        net, x = self.exact(), self.images()
        with torch.inference_mode():
            for arch in self.archs():
                torch.testing.assert_close(net.extract(arch).eval()(x), net(x, arch), rtol=1e-10, atol=1e-12)

    def test_extracted_weights_are_copies(self) -> None:
        net, x, arch = self.exact(), self.images(), self.archs(1)[0]
        with torch.inference_mode():
            before = net(x, arch)
            randomise(net.extract(arch), seed=7)
            torch.testing.assert_close(net(x, arch), before, rtol=0, atol=0)

    def test_one_hot_coefficients_are_the_architecture(self) -> None:
        net, x, choices = self.exact(), self.images(), self.space().choices
        with torch.inference_mode():
            for arch in self.archs():
                mixed = net(x, one_hot(arch, choices, torch.float64))
                torch.testing.assert_close(mixed, net(x, arch), rtol=0, atol=0)

    def test_every_image_takes_its_own_way(self) -> None:
        net, archs = self.exact(), self.archs(4)
        x = self.images(4)
        with torch.inference_mode():
            together = net(x, torch.tensor(archs))
            alone = torch.cat([net(x[i : i + 1], arch) for i, arch in enumerate(archs)])
        torch.testing.assert_close(together, alone, rtol=1e-10, atol=1e-12)

    def test_coefficients_scale_and_sum_with_gradients(self) -> None:
        net, x, choices = self.exact(), self.images(), self.space().choices
        first, second = self.archs(2)
        a, b = (one_hot(arch, choices, torch.float64) for arch in (first, second))
        mixture = (0.25 * a + 0.75 * b).requires_grad_()
        net(x, mixture).square().sum().backward()
        assert mixture.grad is not None
        ran = (mixture != 0).nonzero()
        assert all(mixture.grad[s, c] != 0 for s, c in ran.tolist() if choices[s] > 1)

    def test_an_operator_that_did_not_run_is_untouched(self) -> None:
        net = self.supernet()
        randomise(net)
        optimiser = torch.optim.SGD(net.parameters(), 0.1, momentum=0.9, weight_decay=0.01)
        net.train()
        arch = self.archs(1)[0]
        for step in range(3):
            optimiser.zero_grad()
            net(self.images(4).float() + step, arch).square().mean().backward()
            optimiser.step()
            if step == 0:
                before = {name: value.clone() for name, value in net.state_dict().items()}
        changed = {name for name, value in net.state_dict().items() if not torch.equal(value, before[name])}
        slots = [(s, c) for s, n in enumerate(self.space().choices) for c in range(n) if arch[s] != c]
        assert changed
        assert not [name for name in changed for s, c in slots if self.of_operator(name, s, c)]
        held = {id(p) for p in optimiser.state}
        idle = [p for n, p in net.named_parameters() if any(self.of_operator(n, s, c) for s, c in slots)]
        assert idle and not [p for p in idle if id(p) in held]

    def test_selections_of_a_wrong_shape_are_refused(self) -> None:
        net, x, slots = self.exact(), self.images(), len(self.space().slots)
        for wrong in (torch.zeros(slots, 99), torch.zeros(len(x) + 1, slots, dtype=torch.long)):
            with pytest.raises(IllegalArchitecture, match="must have shape"):
                net(x, wrong)
        with pytest.raises(IllegalArchitecture, match="must name an operator"):
            net(x, torch.full((len(x), slots), 10_000))
