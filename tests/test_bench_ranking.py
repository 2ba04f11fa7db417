"""The ranking benchmark's networks and arithmetic; what it measures is for quiet machines."""

from pathlib import Path

import onnx
import pytest
from rich.console import Console

from nascc.runtime.evaluation import fitted, flops_proportional
from nascc.runtime.kernels_onnx import model_kernels
from nascc.runtime.latency import estimate
from nascc.runtime.latency_table import with_latency
from nascc.runtime.profile import load_target, profile_text
from nascc.runtime.refit import carried_prior
from nascc.tools.bench.mbconv import mbconv_network
from nascc.tools.bench.ranking import (
    CPU,
    FEWEST_MACS,
    MOST_MACS,
    calibrated,
    known_or_measured,
    measurements,
    networks,
    ranked,
)

MODELS = networks(24)
KERNELS = {name: model_kernels(model) for name, model in MODELS.items()}
LATENCIES = {name: estimate(kernels, load_target("cpu")).ms for name, kernels in KERNELS.items()}


def test_networks_are_valid_and_the_same_every_time() -> None:
    for seed in range(4):
        onnx.checker.check_model(mbconv_network(seed, dense=0.5 * (seed % 2)), full_check=True)
    assert mbconv_network(3).SerializeToString() == mbconv_network(3).SerializeToString()
    assert all(FEWEST_MACS <= sum(k.macs for k in kernels) <= MOST_MACS for kernels in KERNELS.values())


def test_dense_blocks_have_dense_convolutions() -> None:
    dense = sum(k.kind == "conv" for k in model_kernels(mbconv_network(0, dense=1.0)))
    assert dense > 1 == sum(k.kind == "conv" for k in model_kernels(mbconv_network(0)))


def test_a_model_that_made_the_latencies_ranks_them() -> None:
    measured = measurements(LATENCIES, KERNELS)
    ours = ranked(measured, fitted(carried_prior(CPU, None, "fp32")), 12, splits=3)
    flops = ranked(measured, flops_proportional, 12, splits=3)
    assert ours.mean.tau > 0.95 > flops.mean.tau and ours.mean.mape_percent < 5 and ours.least_tau <= ours.mean.tau


def test_coefficients_go_into_a_profile(tmp_path: Path) -> None:
    table, path = calibrated(LATENCIES, KERNELS), tmp_path / "cpu.toml"
    path.write_text(with_latency(profile_text("cpu"), table))
    assert load_target(path).latency is not None and "24 random MBConv networks" in table.calibration


def test_what_is_known_is_not_measured_again(tmp_path: Path) -> None:
    path = tmp_path / "known.json"
    path.write_text('{"mbconv-x": 3.0}')
    (model,) = list(MODELS.values())[:1]
    assert known_or_measured({"mbconv-x": model}, path, 1, Console(quiet=True)) == {"mbconv-x": 3.0}


@pytest.mark.parametrize("kind", ["depthwise", "pointwise"])
def test_networks_are_of_inverted_bottlenecks(kind: str) -> None:
    assert all(any(k.kind == kind for k in kernels) for kernels in KERNELS.values())
