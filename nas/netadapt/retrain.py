"""The phase that trains what was found, and what it is compared with, all alike."""

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save
from torch import fx, nn

from nascc.nas.baselines import parse_baselines
from nascc.nas.core import Arch
from nascc.nas.core.randomness import derive
from nascc.nas.elastic import ElasticSpace, trainable
from nascc.nas.netadapt.carry import carried
from nascc.nas.netadapt.config import BASELINES, NetAdaptConfig
from nascc.nas.netadapt.costing import RememberedCost
from nascc.nas.netadapt.profile import limits, recalled
from nascc.nas.netadapt.rivals import rivals
from nascc.nas.netadapt.search import SEARCH
from nascc.nas.netadapt.study import Study, Workbench
from nascc.nas.phases.jobs import Job, Tell
from nascc.nas.phases.networks import FOUND
from nascc.nas.phases.rehearsal import Timed
from nascc.nas.phases.retrain import RETRAIN, TEACHER, go_through, teacher_at
from nascc.nas.phases.trainings import run_trainings
from nascc.nas.run import RunDirectory
from nascc.nas.run.files import write_whole
from nascc.nas.train import Training, judge
from nascc.passes import graph as g

NETWORKS = "networks"


@dataclass(frozen=True)
class Network:
    """A network to train: its name, its goal, `found` or the kind of a baseline, its cost, and the way to it."""

    name: str
    goal: str
    kind: str
    arch: Arch
    cost: float
    way: tuple[Arch, ...] = ()


@dataclass(frozen=True)
class Retrain:
    """Every network is a job of its own, on one thread."""

    bench: Workbench = field(default_factory=Workbench, compare=False)
    name: str = RETRAIN

    def run(self, run: RunDirectory) -> None:
        """Read what was found; write the weights of every network, and how good it is."""
        study = self.bench.study(run)
        jobs = [Job(n.name, train, (study.config, run.path, n)) for n in _networks(run, study)]
        results = run_trainings(run, self.name, jobs)
        run.finish(self.name, {"networks": results})

    def rehearse(self, run: RunDirectory) -> dict[str, Timed]:
        """A step is one of the initial network, which every found one and every baseline is cheaper than."""
        study = self.bench.study(run)
        config = study.config
        training = Training(trainable(study.space.graph), study.task.split("train"), config.retrain, seed=config.seed)
        beside = sum(wanted.count for wanted in parse_baselines(config.baselines, BASELINES))
        rounds = math.ceil(len(limits(run)) * (1 + beside) / (os.cpu_count() or 1))
        return {self.name: Timed(training.step, training.total * rounds)}


def _networks(run: RunDirectory, study: Study) -> list[Network]:
    """What is trained; decided once, since some costs would be others after a stop."""
    if (state := run.load_state(RETRAIN, part=NETWORKS)) is None:
        run.phase_folder(RETRAIN)
        state = {"networks": [asdict(network) for network in networks_of(run, study)]}
        run.save_state(RETRAIN, state, part=NETWORKS)
    return [_network(**values) for values in state["networks"]]


def _network(arch: Sequence[int], way: Sequence[Sequence[int]], **rest: Any) -> Network:
    return Network(arch=tuple(arch), way=tuple(map(tuple, way)), **rest)


def networks_of(run: RunDirectory, study: Study) -> Iterator[Network]:
    """What was found for every goal, and its baselines."""
    found = run.result(SEARCH)
    trajectory = [tuple(arch) for arch in found["trajectory"]]
    cost = recalled(run, study.cost(run))
    for goal in limits(run):
        ended = found["goals"][goal.name]
        arch: Arch = tuple(ended["arch"])
        if isinstance(cost, RememberedCost):
            cost.recall([(arch, ended["cost"][cost.metric])])
        way = tuple(trajectory[: trajectory.index(arch) + 1])
        yield Network(goal.phase(FOUND), goal.name, FOUND, arch, ended["cost"][cost.metric], way)
        for kind, rival in rivals(study.config.baselines, study.space, cost, arch, study.config.seed, goal.name):
            way = (study.space.largest, rival)
            name, kind = f"{goal.name}-{kind}".strip("-"), kind.rstrip("0123456789")
            yield Network(name, goal.name, kind, rival, cost(rival), way)


def train(config: NetAdaptConfig, path: Path, network: Network, tell: Tell) -> dict[str, Any]:
    """Train one network, from the state last saved on. Returns plain data. Raises Stopped after saving."""
    study = Study(config, path)
    recipe, split = config.retrain, study.task.split("train")
    teacher = teacher_at(path / TEACHER)
    module = _start(study, network, tell)
    training = Training(module, split, recipe, seed=config.seed, phase=network.name, teacher=teacher)
    go_through(training, network.name, path / RETRAIN / f"{network.name}.state.pt", lambda: None, tell)
    training.finish()
    write_whole(weights_file(path, network.name), save({n: t.contiguous() for n, t in module.state_dict().items()}))
    return {
        "name": network.name,
        "goal": network.goal,
        "kind": network.kind,
        "arch": study.space.name_of(network.arch),
        "choice": list(network.arch),
        "cost": network.cost,
        "test": asdict(judge(module, study.task.split("test"))),
        "series": training.series,
    }


def trained(study: Study, name: str, arch: Arch) -> fx.GraphModule:
    """A network with the weights that training left."""
    module = trainable(study.space.sliced(arch))
    module.load_state_dict(load_file(weights_file(study.path, name)))
    return module.eval()


def weights_file(path: Path, name: str) -> Path:
    """Where the weights of a network lie."""
    return path / RETRAIN / f"{name}.safetensors"


def _start(study: Study, network: Network, tell: Tell) -> nn.Module:
    """The network before the last training."""
    config = study.config
    torch.manual_seed(derive(config.seed, "weights", network.name))
    if config.retraining.start == "scratch":
        return study.space.build(network.arch)
    net = study.supernet()
    if config.retraining.start == "inherit":
        return net.extract(network.arch)
    return _along(study, network, dict(g.constants(net.current())), tell)


def _along(study: Study, network: Network, numbers: dict[str, Any], tell: Tell) -> nn.Module:
    """Train a while on every point of the way, weights carried over; the last point is left to the recipe itself."""
    config, module = study.config, None
    for number, arch in enumerate(_different(network.way)):
        module = trainable(_sliced(study.space, numbers, arch))
        if arch == network.arch:
            return module
        name = f"{network.name}-{number}"
        recipe = config.retrain.model_copy(update={"epochs": config.retraining.epochs, "warmup_epochs": 0.0})
        training = Training(module, study.task.split("train"), recipe, seed=config.seed, phase=name)
        file = study.path / RETRAIN / f"{name}.state.pt"
        go_through(training, network.name, file, lambda: None, tell)
        numbers = carried(numbers, training.finish())
    assert module is not None
    return module


def _different(way: Sequence[Arch]) -> list[Arch]:
    return list(dict.fromkeys(way))


def _sliced(space: ElasticSpace, numbers: dict[str, Any], arch: Arch) -> fx.GraphModule:
    graph = g.copy_graph(space.graph)
    for name, value in numbers.items():
        g.set_constant(graph, name, value)
    return space.sliced(arch, graph)
