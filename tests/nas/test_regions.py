"""Teachers as chains of parts, their space and supernet, and pretraining that touches one candidate alone."""

import copy

import pytest
import torch
from torch import Tensor, nn

from nas.conformance import SuperNetConformance
from nas.hant_kit import IMAGE, network, space
from nas.hant_kit import teacher as captured
from nascc.nas.core import SuperNet
from nascc.nas.errors import SearchError
from nascc.nas.hant.config import Pretraining
from nascc.nas.hant.judging import judge
from nascc.nas.hant.pretraining import Round
from nascc.nas.regions import Chain, RegionSpace, RegionSuperNet, Teacher
from nascc.nas.regions.norms import constants_of
from nascc.nas.tasks import Split, TaskConfig, open_task
from nascc.passes import graph as g

X = torch.randn(5, *IMAGE, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def teacher() -> Teacher:
    return captured()


@pytest.fixture(scope="module")
def original() -> nn.Module:
    return network()


@pytest.fixture(scope="module")
def split() -> Split:
    return open_task(
        TaskConfig(resolution=(12, 12), sizes={"weights": 96, "alpha": 10, "valid": 10, "test": 10})
    ).split("weights")


class TestRegionSuperNet(SuperNetConformance):
    def space(self) -> RegionSpace:
        return space()

    def supernet(self) -> SuperNet:
        return RegionSuperNet(space())

    def of_operator(self, name: str, slot: int, index: int) -> bool:
        return name.startswith(f"slots.{slot}.{index}.")

    def test_the_teacher_is_operator_0(self) -> None:
        net = RegionSuperNet(space()).eval()
        with torch.no_grad():
            assert torch.equal(net(X, net.space.teacher_arch), network()(X))  # type: ignore[attr-defined]


def test_the_chain_is_the_network_bit_for_bit(teacher: Teacher) -> None:
    with torch.no_grad():
        assert torch.equal(teacher.chain()(X), network()(X))
        assert torch.equal(teacher.chain()(X[:1]), network()(X[:1]))


def test_the_teacher_among_candidates_costs_nothing(teacher: Teacher) -> None:
    built = space()
    assert built.build(built.teacher_arch)(X).shape == (5, 10)
    with torch.no_grad():
        assert torch.equal(built.build(built.teacher_arch)(X), network()(X))


def test_norms_are_modules_that_train_and_go_back_by_name(teacher: Teacher) -> None:
    chain = teacher.chain().train()
    before = {name: value.clone() for part in chain.parts for name, value in constants_of(part).items()}
    chain(X)
    after = {name: value for part in chain.parts for name, value in constants_of(part).items()}
    names = {name for name, _ in g.constants(teacher.graph)}
    assert set(after) == names
    moved = {name for name, value in after.items() if not torch.equal(value, before[name])}
    assert moved and all("running" in name for name in moved)
    changed = teacher.with_constants(after)
    with torch.no_grad():
        torch.testing.assert_close(changed.chain()(X), chain.eval()(X), rtol=1e-6, atol=1e-6)
    assert changed.digest != teacher.digest and Teacher.of(network(), IMAGE).digest == teacher.digest


class Mixing(nn.Module):
    """Every image depends on the others of its batch."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = network()

    def forward(self, x: Tensor) -> Tensor:
        y = self.inner(x)
        return y - y.mean(0, keepdim=True)


class Two(nn.Module):
    """Two outputs."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x.mean((2, 3)), x


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        (Mixing(), "treat every image by itself to be trained, but this one mixes the images of a batch"),
        (Two(), "this one takes x and gives output_0, output_1"),
        (network().half(), "must be in float32 to be trained, but '.*weight' is float16"),
    ],
)
def test_networks_that_can_not_be_taught_are_refused(module: nn.Module, reason: str) -> None:
    with pytest.raises(SearchError, match=reason):
        Teacher.of(module.eval(), IMAGE)


def test_networks_without_blocks_say_so() -> None:
    linear = Teacher.of(nn.Sequential(nn.Flatten(), nn.Linear(144, 10)), IMAGE)
    with pytest.raises(SearchError, match="must have a block to replace"):
        linear.require_blocks()
    with pytest.raises(SearchError, match="names no module"):
        Teacher.of(network(), IMAGE, ["nothing.*"])


def test_an_archive_of_one_image_is_taken_for_any_number() -> None:
    program = torch.export.export(network(), (torch.zeros(1, *IMAGE),))
    open_sizes = torch.export.export(network(), (X,), dynamic_shapes=({0: torch.export.Dim("N", min=1)},))
    for one in (program, open_sizes):
        taught = Teacher.of(one, IMAGE)
        assert [place.name for place in taught.places] == ["block0", "block1", "block2"]
        with torch.no_grad():
            torch.testing.assert_close(taught.chain()(X), network()(X), rtol=1e-6, atol=1e-6)


def test_images_must_be_those_that_the_network_reads() -> None:
    program = torch.export.export(network(), (torch.zeros(1, *IMAGE),))
    with pytest.raises(SearchError, match="must read images of 1x16x16, this one reads 1x12x12"):
        Teacher.of(program, (1, 16, 16))


def one_round(teacher: Chain, split: Split, built: RegionSpace, picks: dict[int, int], **settings: object) -> Round:
    values = Pretraining.model_validate({"batch_size": 32, "epochs": 1} | settings)
    return Round(teacher, split, {slot: built.candidate(slot, k) for slot, k in picks.items()}, values, 0)


def trained(one: Round) -> Round:
    for step in range(one.total):
        one.step(step)
    return one


def test_training_a_candidate_touches_nothing_else(split: Split) -> None:
    built = space()
    before = copy.deepcopy(built.chain.state_dict())
    alone = trained(one_round(built.chain, split, built, {1: 2}))
    assert all(torch.equal(value, before[name]) for name, value in built.chain.state_dict().items())
    assert all(p.grad is None for p in built.chain.parameters())
    fresh = built.candidate(1, 2).state_dict()
    assert any(not torch.equal(value, fresh[name]) for name, value in alone.candidates[1].state_dict().items())


def test_a_candidate_ends_the_same_in_any_company(split: Split) -> None:
    built = space()
    alone = trained(one_round(built.chain, split, built, {1: 2}))
    among = trained(one_round(built.chain, split, built, {0: 1, 1: 2, 2: 3}))
    for name, value in alone.candidates[1].state_dict().items():
        assert torch.equal(value, among.candidates[1].state_dict()[name]), name
    assert alone.losses[1] == among.losses[1]


def test_gradients_stop_at_the_block(split: Split) -> None:
    built = space()
    one = one_round(built.chain, split, built, {0: 1, 1: 2})
    one.step(0)
    features = list(built.chain.slot_io(split.batch(torch.arange(4))[0]))
    one.candidates[1](features[1][0].detach()).square().mean().backward()
    grads = [p.grad for p in one.candidates[0].parameters() if p.grad is not None]
    assert not any(bool(grad.abs().sum()) for grad in grads)
    assert all(p.grad is None for p in built.chain.parameters())


def test_candidates_learn(split: Split) -> None:
    built = space()
    one = trained(one_round(built.chain, split, built, {0: 2, 1: 2}, epochs=8, lr=0.05))
    for slot, losses in one.losses.items():
        assert sum(losses[-3:]) < 0.8 * sum(losses[:3]), slot


def test_a_round_goes_on_where_it_was_saved(split: Split) -> None:
    built = space()
    whole = trained(one_round(built.chain, split, built, {0: 1, 1: 1}, epochs=2))
    first = one_round(built.chain, split, built, {0: 1, 1: 1}, epochs=2)
    for step in range(2):
        first.step(step)
    state = copy.deepcopy(first.state())
    again = one_round(built.chain, split, built, {0: 1, 1: 1}, epochs=2)
    again.load(state)
    for step in range(again.done, again.total):
        again.step(step)
    assert again.losses == whole.losses


def test_a_candidate_that_diverges_is_dropped_and_the_others_go_on(split: Split) -> None:
    built = space()
    one = one_round(built.chain, split, built, {0: 2, 1: 2}, loss="paper")
    with torch.no_grad():
        next(one.candidates[1].parameters()).fill_(float("inf"))
    trained(one)
    assert one.diverged == {1}
    assert len(one.losses[1]) == 1 and len(one.losses[0]) == one.total
    one_again = one_round(built.chain, split, built, {0: 2, 1: 2}, loss="paper")
    one_again.load(one.state())
    assert one_again.diverged == {1}


@pytest.mark.parametrize("norms", ["batch", "eval", "recal"])
def test_judging_leaves_modes_and_momenta_as_they_were(norms: str, split: Split, teacher: Teacher) -> None:
    chain = teacher.chain().eval()
    before = copy.deepcopy(chain.state_dict())
    images, labels = split.batch(torch.arange(48))
    judged = judge(chain, [(images, labels)], norms)  # type: ignore[arg-type]
    assert 0 <= judged.accuracy <= 1 and judged.loss > 0
    assert not any(part.training for part in chain.modules())
    if norms != "recal":
        assert all(torch.equal(value, before[name]) for name, value in chain.state_dict().items())
