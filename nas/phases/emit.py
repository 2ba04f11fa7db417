"""The last phase: compile what was trained for its target, prove it equal, and put it where it can be deployed."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx, nn

from nascc.compiler import compile
from nascc.compiler.compile import Compiled
from nascc.nas.blocks.operators import LinearOp, operator
from nascc.nas.checkpoint import load_checkpoint
from nascc.nas.core import Arch, Limit
from nascc.nas.core.randomness import generator
from nascc.nas.costs import note_architecture
from nascc.nas.emit import usage_of, write_bundle
from nascc.nas.emit.blocks import tell_blocks
from nascc.nas.errors import LimitBroken, SearchError
from nascc.nas.phases.config import RunConfig
from nascc.nas.phases.emitted import emitted
from nascc.nas.phases.goals import Goal, costs_of, described_space, found_arch, goals_of, limits_of
from nascc.nas.phases.networks import FOUND
from nascc.nas.phases.problem import Problem
from nascc.nas.phases.retrain import RETRAIN
from nascc.nas.run import RunDirectory
from nascc.nas.train.evaluation import told_measures

EMIT = "emit"
INPUT, OUTPUT = "images", "scores"
ROUNDING = 1e-9


@dataclass(frozen=True)
class Emit:
    """One folder `deploy` a goal; the compiled graph decides whether the limits hold."""

    name: str = EMIT

    def run(self, run: RunDirectory) -> None:
        """Read the checkpoints; write the folders, and what every network costs compiled.

        Raises CompileError where the target can not run a network or it is not equal, LimitBroken.
        """
        emission = _Emission(run)
        goals = goals_of(emission.config)
        results = {goal.name: emission.emit(goal) for goal in goals}
        run.finish(self.name, emitted(results))


class _Emission:
    """What all goals have in common."""

    def __init__(self, run: RunDirectory) -> None:
        self.directory, self.config = run, run.config_as(RunConfig)
        self.problem = Problem(self.config)
        self.described = described_space(run, self.problem)
        self.costs = costs_of(self.config, self.described)
        self.trained: list[dict[str, Any]] = run.result(RETRAIN)["networks"]

    def emit(self, goal: Goal) -> dict[str, Any]:
        """Compile, check and write the network of a goal; returns what the report tells of it."""
        limits = limits_of(self.directory, self.problem, goal)
        mine = [network for network in self.trained if network["goal"] == goal.name]
        found = next(network for network in mine if network["kind"] == FOUND)
        module = self._module(found["name"])
        compiled = self._compiled(module)
        arch = found_arch(self.directory, goal)
        note_architecture(compiled.graph, arch)
        cost = {metric: c.of_graph(compiled.graph) for metric, c in self.costs.items()}
        _require(limits, cost)
        folder = self.directory.path / goal.phase("deploy")
        usage = usage_of(INPUT, OUTPUT, self._shape(), self.problem.task.preprocessing, self.problem.task.classes)
        files, latency = write_bundle(folder, compiled, usage, self.problem.task.kind), compiled.report.latency
        return {
            "best": ({"goal": goal.name} if goal.name else {})
            | {
                "arch": found["arch"],
                "cost": cost,
                "score": told_measures(found["test"]),
                "blocks": self._blocks(arch, module, compiled.graph),
            },
            "predicted": {metric: c(arch) for metric, c in self.costs.items()},
            "limits": {limit.cost.metric: limit.at_most for limit in limits},
            "latency": None if latency is None else latency.model_dump(mode="json", exclude_none=True),
            "verified": [entry.model_dump(mode="json", exclude_none=True) for entry in compiled.report.verify],
            "files": [str(path.relative_to(self.directory.path)) for path in files],
            "checkpoint": f"{RETRAIN}/{found['name']}.safetensors",
            "baselines": [self._baseline(network) for network in mine if network["kind"] != FOUND],
        }

    def _baseline(self, network: Mapping[str, Any]) -> dict[str, Any]:
        """What a rival costs, compiled the same way, and how good it is."""
        image = self._image(network["resolution"])
        graph = self.described.deployment.compiled(self._module(network["name"]), image)
        kept = {key: network[key] for key in ("name", "kind", "arch", "resolution")}
        return kept | {"cost": self._costs_of(graph)} | told_measures(network["test"])

    def _blocks(self, arch: Arch, module: nn.Module, graph: fx.GraphModule) -> list[dict[str, Any]]:
        """The network in order, as the architecture chart shows it; what became of blocks if some might collapse."""
        told: dict[str, Any] = {}
        if any(isinstance(operator(name).make, LinearOp) for name in self.config.operators):
            assert isinstance(module, nn.Sequential)
            random = generator(self.config.seed, EMIT)
            images = self._images()
            seen = images if tuple(images.shape) == self._shape() else torch.randn(self._shape(), generator=random)
            told = tell_blocks(module, graph, self.problem.deployment, seen)
        return [
            told.get(part.name, {})
            | {
                "name": part.name,
                "operator": part.op.name,
                "c_in": part.ctx.c_in,
                "c_out": part.ctx.c_out,
                "height": part.ctx.shape[1],
                "width": part.ctx.shape[2],
                "stride": part.ctx.stride,
                "searched": part.slot is not None,
            }
            for part in self.problem.deployed.parts(arch)
        ]

    def _costs_of(self, graph: fx.GraphModule) -> dict[str, float]:
        """Of a network that need not be one of the space: measured costs know nothing of those."""
        found = {}
        for metric, cost in self.costs.items():
            try:
                found[metric] = cost.of_graph(graph)
            except SearchError:
                continue
        return found

    def _module(self, name: str) -> nn.Module:
        module, _ = load_checkpoint(self.directory.path / RETRAIN / f"{name}.safetensors")
        return module

    def _compiled(self, module: nn.Module) -> Compiled:
        """For the target, verified on real images too."""
        images = self._images()
        data = {INPUT: images.numpy()} if tuple(images.shape) == self._shape() else None
        return compile(
            module,
            target=self.problem.target,
            power_mode=self.config.power_mode,
            collapse=self.config.collapse,
            shapes=[f"{INPUT}:{'x'.join(map(str, self._shape()))}"],
            input_names=[INPUT],
            output_names=[OUTPUT],
            data=data,
            seed=self.config.seed,
        )

    def _images(self) -> Tensor:
        """A batch of test images, at the size that is trained on."""
        test = self.problem.task.split("test")
        return test.batch(torch.arange(self.config.batch) % len(test))[0]

    def _shape(self) -> tuple[int, int, int, int]:
        return self.config.batch, *self.config.image

    def _image(self, resolution: float) -> tuple[int, int, int]:
        channels, height, width = self.config.image
        return channels, max(1, round(height * resolution)), max(1, round(width * resolution))


def _require(limits: tuple[Limit, ...], cost: Mapping[str, float]) -> None:
    """Raise LimitBroken unless the compiled network keeps every limit."""
    broken = [limit for limit in limits if cost[limit.cost.metric] > limit.at_most * (1 + ROUNDING)]
    if broken:
        told = ", ".join(f"{b.cost.metric} {cost[b.cost.metric]:.6g} of {b.at_most:.6g} {b.cost.unit}" for b in broken)
        raise LimitBroken(f"the compiled network must keep its limits, found {told}; this is an error of nascc")


def found_checkpoint(run: Path, goal: Goal) -> Path:
    """Where the trained network of a goal lies."""
    return run / RETRAIN / f"{goal.phase(FOUND)}.safetensors"
