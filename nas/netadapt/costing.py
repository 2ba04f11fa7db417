"""What sub-networks of an elastic network cost: fast guesses for every step, and the compiled graph, which decides."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property

from torch import fx, nn

from nascc.compiler.capture import captured_graph
from nascc.compiler.compile import compile
from nascc.compiler.estimates import deployed_graph
from nascc.compiler.kernels_fx import graph_kernels
from nascc.nas.core import Arch, Cost
from nascc.nas.costs import Deployment
from nascc.nas.costs.metrics import Metric, metric_of
from nascc.nas.elastic import ElasticSpace, Layout, Sliced, trainable
from nascc.nas.errors import SearchError
from nascc.passes import graph as g
from nascc.passes.blocks import rebatched
from nascc.runtime.kernels import condense

Metering = Callable[[fx.GraphModule, float], float]
"""Takes a whole network in the IR, and what the initial one took, and measures it."""
UserMetric = Callable[[nn.Module, tuple[int, ...]], float]


class ElasticCost(Cost):
    """A metric of the compiled sub-network, of `metric_of`; numbers are remembered.

    `guess` slices the initial network after the compiler has rewritten it, instead of rewriting each sub-network; it is
    off by what the compiler does with slices and concatenations.
    """

    trusted = True

    def __init__(self, space: ElasticSpace, place: Deployment, metric: Metric) -> None:
        self.space, self.place, self.counted = space, place, metric
        self.metric, self.unit = metric.name, metric.unit
        self._known: dict[Arch, float] = {}
        self._guessed: dict[Arch, float] = {}

    def __call__(self, arch: Arch) -> float:
        if arch not in self._known:
            self._known[arch] = self.of_network(self.deployed(arch))
        return self._known[arch]

    def guess(self, arch: Arch) -> float:
        """Fast, and off by a factor that changes little from one network to the next."""
        if arch not in self._guessed:
            large, layout = self._rewritten
            small = Sliced(large, layout, self.space.chosen(arch), empty=True).graph()
            self._guessed[arch] = self._count(small)
        return self._guessed[arch]

    def of_network(self, graph: fx.GraphModule) -> float:
        """Of a sub-network in the IR, compiled."""
        return self.of_graph(self._compiled(graph))

    def of_graph(self, graph: fx.GraphModule) -> float:
        return self.counted.whole(self.place.kernels(graph), g.parameter_count(graph))

    def deployed(self, arch: Arch) -> fx.GraphModule:
        """The sub-network in the IR for the deployed batch."""
        return rebatched(self.space.sliced(arch), (self.place.batch, *self.space.input_shape))

    def _count(self, graph: fx.GraphModule) -> float:
        params = sum(math.prod(node.meta["val"].shape) for node in graph.graph.find_nodes(op="get_attr"))
        return self.counted.whole(condense(graph_kernels(graph)), params)

    def _compiled(self, graph: fx.GraphModule, collapse: str | None = None) -> fx.GraphModule:
        place = self.place
        return compile(
            captured_graph(graph),
            target=place.target,
            power_mode=place.power_mode,
            collapse=collapse or place.collapse,
            verify=False,
            lower=False,
        ).graph

    @cached_property
    def _rewritten(self) -> tuple[fx.GraphModule, Layout]:
        """The initial network compiled, and its layers; as it was where the compiler leaves other layers."""
        own, shape = self.space.layout, (self.place.batch, *self.space.input_shape)
        before = rebatched(self.space.graph, shape)
        after = self._compiled(before, collapse="never")
        deployed = deployed_graph(after, self.place.target, self.place.opset)
        for graph in (deployed, after, before):
            layout = Layout.of(graph)
            if [layer.name for layer in layout.layers] == [layer.name for layer in own.layers]:
                return graph, _like(layout, own)
        raise SearchError("a network for another batch must have the same layers")


def _like(layout: Layout, own: Layout) -> Layout:
    """The layout of another form of a network, shrinking as the first one does."""
    layers = tuple(
        replace(layer, threshold=first.threshold, fixed=first.fixed, kernels=first.kernels)
        for layer, first in zip(layout.layers, own.layers, strict=True)
    )
    return replace(layout, layers=layers)


class RememberedCost(ElasticCost):
    """A cost whose numbers would be others another time, so that a run saves them; guesses only point the way."""

    trusted = False

    @property
    def known(self) -> list[tuple[list[int], float]]:
        """Every number there is, to be saved."""
        return [(list(arch), value) for arch, value in self._known.items()]

    def recall(self, known: Sequence[tuple[Sequence[int], float]]) -> None:
        """Go on with what was known before."""
        self._known |= {tuple(arch): value for arch, value in known}


class MeasuredCost(RememberedCost):
    """Latency that is measured; guesses are the model's, or MACs where the target has none."""

    def __init__(self, space: ElasticSpace, place: Deployment, guess: Metric, metering: Metering) -> None:
        super().__init__(space, place, guess)
        self.metric, self.unit, self.metering = "latency", "ms", metering

    def __call__(self, arch: Arch) -> float:
        if arch != self.space.largest:
            self(self.space.largest)  # the others are measured beside it
        return super().__call__(arch)

    def of_network(self, graph: fx.GraphModule) -> float:
        return self.metering(graph, self._known.get(self.space.largest, 0.0))


class CallableCost(RememberedCost):
    """A user's metric of the small module; guesses count MACs. It need not be smooth, nor fall with every step."""

    def __init__(self, space: ElasticSpace, place: Deployment, metric: UserMetric, name: str) -> None:
        super().__init__(space, place, metric_of("macs", place))
        self.metric, self.unit, self.function, self.name = "custom", "", metric, name

    def of_network(self, graph: fx.GraphModule) -> float:
        """Raises SearchError where the callable raises, or gives no finite number above 0."""
        shape = (self.place.batch, *self.space.input_shape)
        wanted = f"the metric '{self.name}' must give a finite number above 0"
        try:
            found = self.function(trainable(graph).eval(), shape)
        except (Exception, SystemExit) as error:
            raise SearchError(
                f"{wanted} for a module and the shape {list(shape)}, but it raised {type(error).__name__}: {error}"
            ) from error
        value = _number(found)
        if value is None:
            raise SearchError(f"{wanted}, got {found!r:.60} ({type(found).__name__})")
        return value


def _number(found: object) -> float | None:
    """A finite number above 0, also one of numpy or in a tensor of one element."""
    if isinstance(found, (bool, str, bytes)):
        return None
    try:
        value = float(found)  # type: ignore[arg-type]
    except (TypeError, ValueError, RuntimeError, OverflowError):
        return None
    return value if math.isfinite(value) and value > 0 else None


def described(space: ElasticSpace, place: Deployment, metric: str) -> ElasticCost:
    """The cost of a metric from the target's model. Raises NotCalibrated."""
    return ElasticCost(space, place, metric_of(metric, place))


def guessing(place: Deployment) -> Metric:
    """What guesses of measured latencies rest on."""
    return metric_of("latency" if place.target.latency is not None else "macs", place)
