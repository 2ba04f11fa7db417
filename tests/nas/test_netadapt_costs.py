"""What sub-networks cost NetAdaptV2: guesses, what is compiled, metrics of the user's own, networks of equal cost."""

import sys
from random import Random
from typing import Any

import pytest
import torch
from torch import nn

from nas.elastic_kit import IMAGE, Mobile, extremes, space_of
from nascc.nas.core import Arch
from nascc.nas.costs import Deployment
from nascc.nas.elastic import ElasticSpace, trainable
from nascc.nas.errors import SearchError
from nascc.nas.netadapt.costing import CallableCost, described
from nascc.nas.netadapt.profile import range_of
from nascc.nas.netadapt.rivals import dearest, equal_networks, shortened, uniform
from nascc.runtime.profile import load_target


@pytest.mark.parametrize("metric", ["latency", "params"])
def test_guesses_are_near_what_is_compiled(metric: str) -> None:
    space = space_of(Mobile(), levels=5)
    place = Deployment(load_target("nano"), 4, collapse="never")
    cost = described(space, place, metric)
    assert cost.guess(space.largest) == pytest.approx(cost(space.largest), rel=1e-6)
    for arch in extremes(space, 3):
        assert cost.guess(arch) == pytest.approx(cost(arch), rel=0.35)
    smaller = [cost(arch) for arch in (space.largest, extremes(space, 2)[1], space.smallest)]
    assert smaller == sorted(smaller, reverse=True)


def test_what_is_compiled_counts() -> None:
    """The cost of an architecture is that of its extracted module, exported and compiled anew."""
    space = space_of(Mobile(), levels=5)
    place = Deployment(load_target("nano"), 4)
    cost, arch = described(space, place, "latency"), extremes(space, 4)[3]
    graph = place.compiled(trainable(space.sliced(arch)), IMAGE)
    assert cost.of_graph(graph) == pytest.approx(cost(arch), rel=1e-9)


def raising(module: nn.Module, shape: tuple[int, ...]) -> float:
    raise RuntimeError("no board today")


@pytest.mark.parametrize(("metric", "problem"), [
    (raising, "raised RuntimeError: no board today"),
    (lambda module, shape: float("nan"), "finite number above 0, got nan"),
    (lambda module, shape: -1.0, "finite number above 0, got -1"),
    (lambda module, shape: sys.exit(3), "raised SystemExit: 3"),
    (lambda module, shape: "fast", r"got 'fast' \(str\)"),
    (lambda module, shape: "7", r"got '7' \(str\)"),
    (lambda module, shape: True, r"got True \(bool\)"),
    (lambda module, shape: None, r"got None \(NoneType\)"),
    (lambda module, shape: torch.ones(2), r"\(Tensor\)"),
])  # fmt: skip
def test_a_metric_that_gives_no_number_is_refused(metric: Any, problem: str) -> None:
    space = space_of(Mobile(), levels=3)
    cost = CallableCost(space, Deployment(load_target("cpu"), 1), metric, "mine.py:metric")
    with pytest.raises(SearchError, match=problem):
        cost(space.smallest)


def test_the_smallest_network_need_not_be_the_cheapest() -> None:
    """A device may fall off its fast path where a network is too small."""
    space = space_of(Mobile(), levels=3)

    def falls_back(module: nn.Module, shape: tuple[int, ...]) -> torch.Tensor:
        convolutions = [p for p in module.parameters() if p.ndim == 4]
        return torch.tensor([float(sum(map(torch.numel, convolutions))) + 1e5 * (len(convolutions) < 6)])

    cost = CallableCost(space, Deployment(load_target("cpu"), 1), falls_back, "mine.py:metric")
    known = range_of(space, cost, 0)
    assert cost(space.smallest) > cost(space.largest) == known.most
    assert known.least < 0.3 * known.most


def test_baselines_are_no_dearer() -> None:
    space = space_of(Mobile(), levels=5)
    cost = described(space, Deployment(load_target("nano"), 4, collapse="never"), "macs")
    at_most = 0.6 * cost(space.largest)
    for ways in (uniform, shortened):
        series = list(ways(space))
        assert series[0] == space.largest and all(map(space.legal, series))
        found = dearest(series, cost, at_most)
        assert found is not None and cost(found) <= at_most


class Misguessed:
    """A cost whose guesses are off by up to a half, the more the narrower the network is."""

    trusted = True

    def __init__(self, space: ElasticSpace) -> None:
        self.space = space

    def guess(self, arch: Arch) -> float:
        return sum(n - at for n, at in zip(self.space.choices, arch, strict=True)) / sum(self.space.choices)

    def __call__(self, arch: Arch) -> float:
        return self.guess(arch) * (0.5 + 0.5 * arch.count(0) / len(arch))


def test_random_networks_cost_the_same() -> None:
    space = space_of(Mobile(), levels=9)
    cost, found = Misguessed(space), space.random(Random(1))
    archs = equal_networks(space, cost, found, 5, Random(0))
    assert len({found, *archs}) == 6
    assert all(0.98 * cost(found) <= cost(arch) <= cost(found) for arch in archs)
