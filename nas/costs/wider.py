"""A batch size at which the networks of a space differ enough in latency to choose between them."""

from dataclasses import replace

from nascc.nas.costs.deployment import Deployment
from nascc.nas.costs.described import DescribedSpace
from nascc.nas.costs.extremes import cheapest, dearest
from nascc.nas.costs.limits import NARROWEST
from nascc.nas.costs.metrics import Metric, metric_of
from nascc.nas.costs.random_weights import randomise
from nascc.passes import graph as g
from nascc.runtime.kernels import Kernel

FACTORS = (2, 4, 8, 16, 32, 64, 128, 256)


def wider_shape(described: DescribedSpace, metric: str = "latency") -> str | None:
    """What to tell of the least batch size that opens the range, `pass --shapes 64x3x224x224 (3.1 times)`, if any.

    Descriptions are scaled to find the batch size; the cheapest and the dearest network, compiled there, decide.
    Raises CompileError, NotCalibrated.
    """
    place = described.deployment
    for factor in FACTORS:
        larger = replace(place, batch=place.batch * factor)
        measure = metric_of(metric, larger)
        form = described.cost(metric).form_of(_scaled(measure, factor))
        (fast, least), (slow, most) = cheapest(form), dearest(form)
        if most < NARROWEST * least:
            continue
        ratio = _compiled(described, larger, measure, slow) / _compiled(described, larger, measure, fast)
        if ratio >= NARROWEST:
            return f"at --shapes {larger.shape(described.space.input_shape)} it is {ratio:.2f} times"
    return None


def _scaled(metric: Metric, factor: int) -> Metric:
    """The metric of pieces that were described at a batch size `factor` times smaller."""
    return replace(metric, of=lambda kernels, params: metric.of((_larger(k, factor) for k in kernels), params))


def _larger(kernel: Kernel, factor: int) -> Kernel:
    return replace(kernel, macs=kernel.macs * factor, read=kernel.read * factor, written=kernel.written * factor)


def _compiled(described: DescribedSpace, place: Deployment, metric: Metric, arch: tuple[int, ...]) -> float:
    space = described.space
    graph = place.compiled(randomise(space.build(arch)), space.input_shape)
    return metric.whole(place.kernels(graph), g.parameter_count(graph))
