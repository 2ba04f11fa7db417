"""The contracts that every search method keeps; a method's tests are a subclass that says what it searches."""

import itertools
import os
import random
import subprocess
import sys
from abc import ABC, abstractmethod
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from nascc.compiler import compile
from nascc.nas.checkpoint import load_checkpoint
from nascc.nas.core import Arch, Space, SuperNet, one_hot
from nascc.nas.costs import note_architecture
from nascc.nas.errors import IllegalArchitecture, Stopped
from nascc.nas.methods import SearchMethod, run_method
from nascc.nas.phases.config import RunConfig
from nascc.nas.phases.goals import goals_of, limits_of
from nascc.nas.phases.problem import Problem
from nascc.nas.run import RunDirectory
from run_kit import contents

TESTS = Path(__file__).parents[1]


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


class Impatient:
    """Progress that asks its run to stop after so many steps."""

    def __init__(self, patience: int) -> None:
        self.patience = patience
        self.run: RunDirectory | None = None

    def update(self, phase: str, done: int, total: int, **shown: float | str) -> None:
        self.patience -= 1
        if self.patience == 0 and self.run is not None:
            self.run.stopping.request()


class MethodConformance(ABC):
    """What must hold of a run of a method, from nothing to the folder that is deployed.

    That the same seed gives the same files follows from the tests of runs that are stopped and killed: they end with
    the files of `done`.
    """

    @classmethod
    @abstractmethod
    def method(cls) -> SearchMethod:
        """The method."""

    @classmethod
    @abstractmethod
    def config(cls) -> RunConfig:
        """A run that takes seconds, with one budget for latency."""

    @pytest.fixture(scope="class")
    @classmethod
    def done(cls, tmp_path_factory: pytest.TempPathFactory) -> Path:
        """A run that nothing disturbed."""
        path = tmp_path_factory.mktemp("undisturbed") / "run"
        with RunDirectory.create(path, cls.config()) as run:
            run_method(cls.method(), run)
        return path

    def test_limits_hold_on_the_compiled_graph(self, done: Path) -> None:
        config, problem = self.config(), Problem(self.config())
        (goal,) = goals_of(config)
        with RunDirectory.resume(done, config) as run:
            (limit,) = limits_of(run, problem, goal)
            arch: Arch = tuple(run.result(goal.phase("search"))["arch"])
            told = run.result("emit")["results"][goal.name]
        module, meta = load_checkpoint(done / told["checkpoint"])
        assert meta.config["arch"] == problem.space.name_of(arch)
        shape = "x".join(map(str, (config.batch, *config.image)))
        graph = compile(module, target=problem.target, shapes=[f"x:{shape}"], verify=False).graph
        note_architecture(graph, arch)
        compiled = limit.cost.of_graph(graph)
        assert 0.5 * limit.at_most < compiled <= limit.at_most
        assert compiled == pytest.approx(limit.cost(arch), rel=1e-9)
        assert told["best"]["cost"]["latency"] == compiled

    def test_finished_phases_are_skipped(self, done: Path) -> None:
        before = {path: path.stat().st_mtime_ns for path in done.rglob("*") if path.name != ".lock"}
        with RunDirectory.resume(done, self.config()) as run:
            run_method(self.method(), run)
        assert {path: path.stat().st_mtime_ns for path in done.rglob("*") if path.name != ".lock"} == before

    def test_a_run_that_is_stopped_ends_as_if_it_was_not(self, done: Path, tmp_path: Path) -> None:
        stops = 0
        while True:
            progress = Impatient(6 + 7 * stops)
            with RunDirectory.resume(tmp_path / "run", self.config(), progress=progress) as run:
                progress.run = run
                try:
                    run_method(self.method(), run)
                    break
                except Stopped:
                    stops += 1
        assert stops > 3
        assert contents(tmp_path / "run") == contents(done)

    def test_a_run_that_is_killed_ends_as_if_it_was_not(self, done: Path, tmp_path: Path) -> None:
        assert self._killed(done, tmp_path, 0) > 3
        assert contents(tmp_path / "run") == contents(done)

    @pytest.mark.slow
    def test_a_run_may_be_killed_at_any_moment(self, done: Path, tmp_path: Path) -> None:
        expected = contents(done)
        assert self._killed(done, tmp_path, 9) > 10
        for path in tmp_path.iterdir():
            assert contents(path) == expected, path

    def _killed(self, done: Path, folder: Path, stride: int) -> int:
        command = [sys.executable, TESTS / "method_kills.py", folder, done, self.method().name, str(stride)]
        env = os.environ | {"PYTHONPATH": str(TESTS)}
        ended = subprocess.run(command, env=env, capture_output=True, text=True)
        assert ended.returncode == 0, ended.stderr
        return int(ended.stdout)
