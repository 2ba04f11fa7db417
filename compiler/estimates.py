"""Estimated latencies of graphs for the report: before and after the passes, on their target."""

from torch import fx

from nascc.compiler.kernels_fx import graph_kernels
from nascc.compiler.report import Latency
from nascc.compiler.substitutions import rules_for
from nascc.passes import SubstituteOperators, run_pass
from nascc.passes import graph as g
from nascc.runtime.kernels import Kernel
from nascc.runtime.latency import estimate
from nascc.runtime.profile import Target


def estimated_latency(
    before: fx.GraphModule,
    after: fx.GraphModule,
    target: Target,
    power_mode: str | None = None,
    opset: int | None = None,
) -> Latency | None:
    """The `latency` part of a report: kind, calibration, and milliseconds; `ratio` is before / after.

    Both graphs are taken as they would run on the target, at an opset, by default its own. None where the target has
    no latency model.
    """
    if target.latency is None:
        return None
    was, now = (estimate(deployed_kernels(gm, target, opset), target, power_mode) for gm in (before, after))
    return Latency(
        kind="estimated",
        calibration=f"{target.name}, {now.precision}, {now.power_mode or 'no power modes'}: {now.calibration}",
        median_ms=round(now.ms, 4),
        before_ms=round(was.ms, 4),
        ratio=round(was.ms / now.ms, 4),
    )


def deployed_kernels(gm: fx.GraphModule, target: Target, opset: int | None = None) -> tuple[Kernel, ...]:
    """The kernels of a graph once what the target lacks is substituted; the graph itself stays as it is."""
    return graph_kernels(deployed_graph(gm, target, opset))


def deployed_graph(gm: fx.GraphModule, target: Target, opset: int | None = None) -> fx.GraphModule:
    """A copy of a graph in which what the target lacks is substituted."""
    own = g.copy_graph(gm)
    rules = rules_for(opset or target.opset, target.lacks, target.tensorrt)
    run_pass(SubstituteOperators(rules), own)
    return own
