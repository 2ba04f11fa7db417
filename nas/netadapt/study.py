"""What all phases of a run work on, built from its configuration and what lies in its folder."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from safetensors.torch import load_file
from torch import fx, nn
from torch.export import ExportedProgram

from nascc.nas.elastic import ElasticNet, ElasticSpace
from nascc.nas.errors import CorruptRun, SearchError
from nascc.nas.hant.measured import whole
from nascc.nas.hant.meters import meter_of
from nascc.nas.netadapt.config import CUSTOM, NetAdaptConfig
from nascc.nas.netadapt.costing import CallableCost, ElasticCost, MeasuredCost, described, guessing
from nascc.nas.netadapt.user_metric import open_metric
from nascc.nas.phases.study import Bench
from nascc.nas.phases.study import Study as BaseStudy
from nascc.nas.regions.teacher import captured_for
from nascc.nas.run import RunDirectory
from nascc.nas.tasks import Task
from nascc.nas.zoo.registry import find_architecture
from nascc.passes.blocks import rebatched

PROGRAM = "initial.pt2"
SUPERNET = "supernet"
WEIGHTS = f"{SUPERNET}/weights.safetensors"


@dataclass(frozen=True, eq=False)
class Study(BaseStudy):
    """Everything is opened when it is asked for first; processes that share the work build one each."""

    config: NetAdaptConfig

    @cached_property
    def space(self) -> ElasticSpace:
        """Raises CompileError, SearchError where nothing can shrink."""
        return space_of(self.config, captured_for(self._initial(), self.config.image))

    def fresh(self) -> ElasticNet:
        """The supernet before it is trained."""
        return ElasticNet(self.space)

    def supernet(self) -> ElasticNet:
        """The trained supernet. Raises CorruptRun where it is gone."""
        file, net = self.path / WEIGHTS, self.fresh()
        if not file.exists():
            raise CorruptRun(f"'{file}' must hold the supernet, but it is gone; start anew")
        net.load_state_dict(load_file(file))
        return net.eval()

    def cost(self, run: RunDirectory) -> ElasticCost:
        """What the budget is about. Raises NotCalibrated, SearchError."""
        config, place = self.config, self.deployment
        if config.resource == CUSTOM:
            assert config.metric is not None
            return CallableCost(self.space, place, open_metric(config.metric), config.metric)
        if config.measures:
            return MeasuredCost(self.space, place, guessing(place), self._metering(run))
        return described(self.space, place, config.resource)

    def _metering(self, run: RunDirectory) -> Callable[[fx.GraphModule, float], float]:
        meter = meter_of(run, self)
        initial = rebatched(self.space.graph, (self.config.batch, *self.config.image))

        def measure(graph: fx.GraphModule, initial_ms: float) -> float:
            own = whole(self, graph)
            if not initial_ms:
                return meter.profile([], own)[1]
            return meter.student(own, whole(self, initial), initial_ms)

        return measure

    def _initial(self) -> nn.Module | ExportedProgram:
        if (program := self.path / PROGRAM).exists():
            return torch.export.load(program)
        if self.config.model is not None:
            raise SearchError(f"'{self.path}' must hold the network {PROGRAM}, but it is gone; start anew")
        return initial_network(self.config, self.task)


def initial_network(config: NetAdaptConfig, task: Task) -> nn.Module:
    """The network of the zoo that a configuration names, for a task.

    Raises SearchError for options that the network does not have, and for images that it can not read.
    """
    architecture, (channels, *sides) = find_architecture(config.network), config.image
    given = {"in_channels": channels, "seed": config.seed}
    if task.kind == "classification":
        given["num_classes"] = len(task.classes)
    _require_sides(config.network, architecture.sides, sides)
    own = {name: value for name, value in given.items() if architecture.takes(name)}
    network = architecture(**own | config.options).eval()
    _require_channels(config.network, network, channels)
    return network


def _require_channels(name: str, network: nn.Module, channels: int) -> None:
    """Raise SearchError unless the first convolution reads as many channels as images have."""
    first = next(part for part in network.modules() if isinstance(part, nn.Conv2d))
    if first.in_channels != channels:
        raise SearchError(
            f"images must have {first.in_channels} channels for '{name}', these have {channels}; choose other data, or "
            "a network that reads any, such as mobilenet_v1"
        )


def _require_sides(name: str, step: int, sides: Sequence[int]) -> None:
    """Raise SearchError, which tells the sizes that come next, unless both sides are multiples of `step`."""
    if all(side % step == 0 for side in sides):
        return
    below, above = (sides[0] // step * step, (sides[0] // step + 1) * step)
    near = " or ".join(str(side) for side in (below, above) if side)
    raise SearchError(
        f"the sides of images must be multiples of {step} for '{name}', got {'x'.join(map(str, sides))}; "
        f"give --resolution {near}"
    )


def space_of(config: NetAdaptConfig, graph: fx.GraphModule) -> ElasticSpace:
    """The space of a captured network."""
    own = config.elastic
    return ElasticSpace(graph, config.image, own.thresholds, own.levels, own.kernels)


class Workbench(Bench[Study]):
    """One study for all phases of a run in this process. Raises RunMismatch for a run of another method."""

    def __init__(self) -> None:
        super().__init__(lambda run: Study(run.config_as(NetAdaptConfig), run.path))
