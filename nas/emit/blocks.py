"""What became of every searched block of a network on its target, as the report tells it."""

from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, fx, nn

from nascc.compiler import Compiled, compile
from nascc.nas.blocks.linear_mbconv import LinearMBConv
from nascc.nas.costs.deployment import Deployment
from nascc.nas.costs.metrics import metric_of
from nascc.nas.costs.units import written
from nascc.passes import graph as g
from nascc.passes.views import Conv


@dataclass(frozen=True)
class Stages:
    """Costs of one block alone: as it is, as the compiler leaves it, and as few operators as possible."""

    before: float
    after: float
    fewest: float


def tell_blocks(module: nn.Sequential, graph: fx.GraphModule, place: Deployment, images: Tensor) -> dict[str, Any]:
    """By the name of a block with linear operators or without: linear, collapsed, reason, before, after, error.

    `graph` is what the compiler made of the whole `module`. Costs are of the block alone, at the deployment: in
    milliseconds, or MACs an image where the target has no latency model; `error` is relative, of the compiled block in
    float32 against the trained one in float64, for what `images` [N, C, H, W] make it see.
    """
    seen = _inputs(module, images)
    return {name: _told(name, part, graph, place, seen[name]) for name, part in module.named_children() if name in seen}


def _inputs(module: nn.Sequential, images: Tensor) -> dict[str, Tensor]:
    """What each block reads."""
    seen, x = {}, images
    with torch.no_grad():
        for name, part in module.named_children():
            if name.startswith("block"):
                seen[name] = x.clone()  # activations work in place
            x = part(x)
    return seen


def _told(name: str, part: nn.Module, graph: fx.GraphModule, place: Deployment, x: Tensor) -> dict[str, Any]:
    metric = "macs" if place.target.latency is None else "latency"
    compiled = {mode: _compiled(part, replace(place, collapse=mode), x) for mode in ("never", place.collapse, "always")}
    costs = {mode: _cost(found, place, metric) for mode, found in compiled.items()}
    stages = Stages(costs["never"], costs[place.collapse], costs["always"])
    linear, collapsed = isinstance(part, LinearMBConv), _is_one(name, part, graph)
    return {
        "linear": linear,
        "collapsed": collapsed,
        "reason": _reason(linear, collapsed, stages, metric, place.collapse),
        "before": stages.before,
        "after": stages.after,
        "unit": metric_of(metric, place).unit or "MACs",
        "error": _error(part, compiled[place.collapse], x),
    }


def _compiled(part: nn.Module, place: Deployment, x: Tensor) -> Compiled:
    return compile(
        part,
        shapes=[f"x:{'x'.join(map(str, x.shape))}"],
        target=place.target,
        power_mode=place.power_mode,
        collapse=place.collapse,
        verify=False,
        lower=False,
    )


def _cost(found: Compiled, place: Deployment, metric: str) -> float:
    return metric_of(metric, place).of(place.kernels(found.graph), g.parameter_count(found.graph))


def _is_one(name: str, part: nn.Module, graph: fx.GraphModule) -> bool:
    """Does one convolution of the graph stand for all convolutions of the block?"""
    own = {f"{name}.{path}" for path, inner in part.named_modules() if isinstance(inner, nn.Conv2d)}
    convs = [node for node in graph.graph.nodes if Conv.of(node) is not None and own & set(g.sources(node))]
    return len(own) > 1 and len(convs) == 1 and own <= set(g.sources(convs[0]))


def _reason(linear: bool, collapsed: bool, stages: Stages, metric: str, mode: str) -> str:
    before, after, fewest = (written(value, metric) for value in (stages.before, stages.after, stages.fewest))
    if not linear:
        return "has activations inside"
    if collapsed:
        return f"one convolution takes {after}, three {before}"
    if mode == "never":
        return "nothing was to be collapsed"
    return f"one convolution would take {fewest}, and takes {after} apart"


def _error(part: nn.Module, compiled: Compiled, x: Tensor) -> float:
    with torch.no_grad():
        exact = deepcopy(part).double()(x.double())
        difference = compiled.module(x.clone()).double() - exact
    return float(difference.abs().max() / exact.abs().max().clamp_min(torch.finfo(torch.float64).tiny))
