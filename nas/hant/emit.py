"""The last phase: the found student compiled for its target, proven equal, and put where it can be deployed."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import fx

from nascc.compiler.capture import captured_graph
from nascc.compiler.compile import Compiled, compile
from nascc.nas.core import Arch
from nascc.nas.costs.metrics import metric_of
from nascc.nas.emit import usage_of, write_bundle
from nascc.nas.errors import LimitBroken
from nascc.nas.hant.finetune import FINETUNE, finetuned
from nascc.nas.hant.goals import LATENCY, Goal
from nascc.nas.hant.measured import measured_student
from nascc.nas.hant.meters import meter_of
from nascc.nas.hant.profile import costs_of, profiled_goals
from nascc.nas.hant.search import TOLERANCE
from nascc.nas.hant.students import student_graph
from nascc.nas.hant.study import TEACH, Study, Workbench
from nascc.nas.phases.emitted import emitted
from nascc.nas.phases.goals import PROFILE
from nascc.nas.phases.networks import FOUND
from nascc.nas.regions.teacher import INPUT, OUTPUT
from nascc.nas.run import RunDirectory
from nascc.passes import graph as g

EMIT = "emit"


@dataclass(frozen=True)
class Emit:
    """One folder `deploy` a goal; the compiled graph decides whether the limits hold."""

    bench: Workbench = field(default_factory=Workbench, compare=False)
    name: str = EMIT

    def run(self, run: RunDirectory) -> None:
        """Read the weights; write the folders, and what every student costs compiled.

        Raises CompileError where the target can not run a network or it is not equal, LimitBroken.
        """
        emission = _Emission(run, self.bench.study(run))
        results = {goal.name: emission.emit(goal) for goal in emission.goals}
        run.finish(self.name, emitted(results, [emission.teacher()]))


class _Emission:
    """What all goals have in common."""

    def __init__(self, run: RunDirectory, study: Study) -> None:
        self.directory, self.study, self.config = run, study, study.config
        profile = run.result(PROFILE)
        self.goals, self.costs = profiled_goals(profile), costs_of(profile)
        self.trained: list[dict[str, Any]] = run.result(FINETUNE)["networks"]

    def teacher(self) -> dict[str, Any]:
        """The teacher, as what students are compared with."""
        test = self.directory.result(TEACH)["test"]
        cost = {metric: costs.teacher for metric, costs in self.costs.items()}
        return {"name": "teacher", "kind": "teacher", "arch": "teacher", "cost": cost, "accuracy": test["accuracy"]}

    def emit(self, goal: Goal) -> dict[str, Any]:
        """Compile, check and write the student of a goal; returns what the report tells of it."""
        mine = [network for network in self.trained if network["goal"] == goal.name]
        found = next(network for network in mine if network["kind"] == FOUND)
        arch: Arch = tuple(found["choice"])
        graph = self._graph(found)
        compiled = self._compiled(graph)
        cost = self._cost(graph, compiled, self._known_ms(goal))
        _require(goal, cost)
        usage = usage_of(INPUT, OUTPUT, self._shape(), self.study.task.preprocessing, self.study.task.classes)
        files = write_bundle(self.directory.path / goal.phase("deploy"), compiled, usage)
        latency, names = compiled.report.latency, self.study.space.name_of(arch).split()
        return {
            "best": ({"goal": goal.name} if goal.name else {})
            | {"arch": found["arch"], "cost": cost, "score": self._score(found, cost), "blocks": self._blocks(arch)},
            "limits": dict(goal.limits),
            "operators": dict(Counter(names).most_common()),
            "latency": None if latency is None else latency.model_dump(mode="json", exclude_none=True),
            "verified": [entry.model_dump(mode="json", exclude_none=True) for entry in compiled.report.verify],
            "files": [str(path.relative_to(self.directory.path)) for path in files],
            "weights": f"{FINETUNE}/{found['name']}.safetensors",
            "baselines": [self._baseline(network) for network in mine if network["kind"] != FOUND],
        }

    def _score(self, found: Mapping[str, Any], cost: Mapping[str, float]) -> dict[str, Any]:
        teacher = self.directory.result(TEACH)["test"]["accuracy"]
        ratios = {f"{m}_ratio": cost[m] / self.costs[m].teacher for m in cost if self.costs[m].teacher}
        goal = next(goal for goal in self.goals if goal.name == found["goal"])
        tau = self.directory.result(goal.phase("search"))["taus"]["random"]
        told = {"accuracy": found["test"]["accuracy"], "teacher_accuracy": teacher} | ratios
        return told | ({} if tau is None else {"proxy_tau": tau})

    def _baseline(self, network: Mapping[str, Any]) -> dict[str, Any]:
        graph = self._graph(network)
        cost = self._cost(graph)
        kept = {key: network[key] for key in ("name", "kind", "arch")}
        return kept | {"cost": cost, "accuracy": network["test"]["accuracy"]}

    def _graph(self, network: Mapping[str, Any]) -> fx.GraphModule:
        arch: Arch = tuple(network["choice"])
        return student_graph(self.study, arch, finetuned(self.study, network["name"], arch))

    def _known_ms(self, goal: Goal) -> float | None:
        """What the device said when the student of a goal was picked; what is deployed is measured there next."""
        if self.config.device is None:
            return None
        picked: dict[str, float] = self.directory.result(goal.phase("search"))["cost"]
        return picked.get(LATENCY)

    def _cost(
        self, graph: fx.GraphModule, compiled: Compiled | None = None, known_ms: float | None = None
    ) -> dict[str, float]:
        """What a student costs; its latency measured where the run measures, unless it is known."""
        place = self.study.deployment
        if compiled is None:
            compiled = compile(
                captured_graph(graph), target=place.target, power_mode=place.power_mode, verify=False, lower=False
            )
        kernels, params = place.kernels(compiled.graph), g.parameter_count(compiled.graph)
        measured = self.config.measures
        names = [m for m in self.costs if not (m == LATENCY and measured)]
        found = {name: metric_of(name, place).whole(kernels, params) for name in names}
        if measured and LATENCY in self.costs:
            meter, teacher_ms = meter_of(self.directory, self.study), self.costs[LATENCY].teacher
            found[LATENCY] = known_ms or measured_student(self.study, meter, graph, teacher_ms)
        return found

    def _compiled(self, graph: fx.GraphModule) -> Compiled:
        """For the target, verified on real images too."""
        test = self.study.task.split("test")
        images, _ = test.batch(torch.arange(self.config.batch) % len(test))
        return compile(
            captured_graph(graph, self.config.seed),
            target=self.study.target,
            power_mode=self.config.power_mode,
            data={INPUT: images.numpy()},
            seed=self.config.seed,
        )

    def _blocks(self, arch: Arch) -> list[dict[str, Any]]:
        """The blocks in order, as the architecture chart shows them."""
        space = self.study.space
        return [
            {
                "name": slot.name,
                "operator": slot.names[index],
                "c_in": ctx.c_in,
                "c_out": ctx.c_out,
                "height": ctx.shape[1],
                "width": ctx.shape[2],
                "stride": ctx.stride,
                "searched": index != 0,
            }
            for slot, ctx, index in zip(space.slots, space.contexts, arch, strict=True)
        ]

    def _shape(self) -> tuple[int, int, int, int]:
        return self.config.batch, *self.config.image


def _require(goal: Goal, cost: Mapping[str, float]) -> None:
    """Raise LimitBroken unless the compiled student keeps every limit."""
    broken = {m: cost[m] for m, at_most in goal.limits.items() if cost[m] > at_most * TOLERANCE}
    if broken:
        told = ", ".join(f"{metric} {value:.6g} of {goal.limits[metric]:.6g}" for metric, value in broken.items())
        raise LimitBroken(f"the compiled network must keep its budgets within {TOLERANCE}, found {told}")
