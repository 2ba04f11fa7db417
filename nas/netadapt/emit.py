"""The last phase: the small network compiled for its target, proven equal, and put where it can be deployed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import fx

from nascc.compiler.compile import Compiled, compile
from nascc.nas.elastic import Sliced
from nascc.nas.emit import usage_of, write_bundle
from nascc.nas.errors import LimitBroken
from nascc.nas.netadapt.costing import MeasuredCost, RememberedCost
from nascc.nas.netadapt.goals import Goal, told
from nascc.nas.netadapt.profile import limits, recalled
from nascc.nas.netadapt.retrain import trained
from nascc.nas.netadapt.search import SEARCH
from nascc.nas.netadapt.study import Study, Workbench
from nascc.nas.phases.emitted import emitted
from nascc.nas.phases.networks import FOUND
from nascc.nas.phases.retrain import RETRAIN
from nascc.nas.regions.teacher import INPUT, OUTPUT
from nascc.nas.run import RunDirectory

EMIT = "emit"
TOLERANCE, MEASURED = 1 + 1e-9, 1.05
"""What a deployed network may cost of its limit: as it was counted, and where it was measured."""


@dataclass(frozen=True)
class Emit:
    """One folder `deploy` a goal; the compiled graph decides whether the limit holds."""

    bench: Workbench = field(default_factory=Workbench, compare=False)
    name: str = EMIT

    def run(self, run: RunDirectory) -> None:
        """Read the weights; write the folders, and what every network costs compiled.

        Raises CompileError where the target can not run a network or it is not equal, LimitBroken.
        """
        emission = _Emission(run, self.bench.study(run))
        results = {goal.name: emission.emit(goal) for goal in emission.goals}
        run.finish(self.name, emitted(results))


class _Emission:
    """What all goals have in common."""

    def __init__(self, run: RunDirectory, study: Study) -> None:
        self.directory, self.study, self.config = run, study, study.config
        self.goals, self.cost = limits(run), recalled(run, study.cost(run))
        self.trained: list[dict[str, Any]] = run.result(RETRAIN)["networks"]

    def emit(self, goal: Goal) -> dict[str, Any]:
        """Compile, check and write the network of a goal; returns what the report tells of it."""
        mine = [network for network in self.trained if network["goal"] == goal.name]
        found = next(network for network in mine if network["kind"] == FOUND)
        arch, metric = tuple(found["choice"]), self.cost.metric
        module = trained(self.study, found["name"], arch)
        compiled = self._compiled(module)
        value = self._value(compiled, arch)
        self._require(goal, value)
        task = self.study.task
        usage = usage_of(INPUT, OUTPUT, self._shape(), task.preprocessing, task.classes)
        files = write_bundle(self.directory.path / goal.phase("deploy"), compiled, usage, task.kind)
        latency = compiled.report.latency
        return {
            "best": ({"goal": goal.name} if goal.name else {})
            | {
                "arch": found["arch"],
                "cost": {metric: value},
                "score": _score(found["test"]),
                "blocks": self._blocks(arch),
            },
            "limits": {metric: goal.at_most},
            "latency": None if latency is None else latency.model_dump(mode="json", exclude_none=True),
            "verified": [entry.model_dump(mode="json", exclude_none=True) for entry in compiled.report.verify],
            "files": [str(path.relative_to(self.directory.path)) for path in files],
            "weights": f"{RETRAIN}/{found['name']}.safetensors",
            "baselines": [self._baseline(network) for network in mine if network["kind"] != FOUND],
        }

    def _baseline(self, network: Mapping[str, Any]) -> dict[str, Any]:
        kept = {key: network[key] for key in ("name", "kind", "arch")}
        return kept | {"cost": {self.cost.metric: network["cost"]}} | _score(network["test"])

    def _value(self, compiled: Compiled, arch: tuple[int, ...]) -> float:
        """What the deployed network costs."""
        if isinstance(self.cost, RememberedCost):
            known: dict[str, float] = next(
                found["cost"]
                for found in self.directory.result(SEARCH)["goals"].values()
                if tuple(found["arch"]) == arch
            )
            return known[self.cost.metric]
        return self.cost.of_graph(compiled.graph)

    def _require(self, goal: Goal, value: float) -> None:
        tolerance = MEASURED if isinstance(self.cost, MeasuredCost) else TOLERANCE
        if value > goal.at_most * tolerance:
            amounts = [told(amount, self.cost.metric) for amount in (goal.at_most, value)]
            raise LimitBroken(f"the deployed network must cost at most {amounts[0]}, but costs {amounts[1]}")

    def _compiled(self, module: fx.GraphModule) -> Compiled:
        """For the target, verified on real images too."""
        test = self.study.task.split("test")
        images = test.batch(torch.arange(self.config.batch) % len(test))[0]
        place = self.study.deployment
        return compile(
            module,
            target=place.target,
            power_mode=place.power_mode,
            collapse=place.collapse,
            shapes=[f"{INPUT}:{'x'.join(map(str, self._shape()))}"],
            input_names=[INPUT],
            output_names=[OUTPUT],
            data={INPUT: images.numpy()},
            seed=self.config.seed,
        )

    def _blocks(self, arch: tuple[int, ...]) -> list[dict[str, Any]]:
        """The layers in order, as the architecture chart shows them; what is gone is left out.

        `c_in` and `c_out` count what is really there, bypassed channels among them.
        """
        space = self.study.space
        chosen, blocks = space.chosen(arch), []
        small = Sliced(space.graph, space.layout, chosen, empty=True)
        small.graph()
        for index, layer in enumerate(space.layout.layers):
            if layer.gate or not (filters := small.filters(index)):
                continue
            height, width = layer.place if len(layer.place) == 2 else (1, 1)
            kind, kernel = "dw" if layer.depthwise else "conv", chosen.kernels[index] or 1
            blocks.append(
                {
                    "name": layer.name,
                    "operator": f"{kind} k{kernel} {filters}/{layer.filters}",
                    "c_in": small.channels[small.named[layer.source]],
                    "c_out": small.channels[small.named[layer.end]],
                    "height": height,
                    "width": width,
                    "stride": layer.stride[0] if layer.stride else 1,
                    "searched": not layer.fixed,
                }
            )
        return blocks

    def _shape(self) -> tuple[int, int, int, int]:
        return self.config.batch, *self.config.image


def _score(test: Mapping[str, Any]) -> dict[str, Any]:
    """What the test images say, without how many they were."""
    return {name: value for name, value in test.items() if name in ("accuracy", "rmse", "delta1")}
