"""How well the latency model ranks random networks on this CPU, fitted on some of them and asked about the others.

Run it from a checkout: `python -m nascc.tools.bench.ranking`; `--write` fits all of them into runtime/targets/cpu.toml.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from onnx import ModelProto
from rich.console import Console
from rich.progress import track
from rich.table import Table

from nascc.compiler.provenance import host
from nascc.runtime.anchor import anchor_feed, anchor_model
from nascc.runtime.calibration import Measurement
from nascc.runtime.evaluation import Predictor, Score, fitted, flops_proportional, score
from nascc.runtime.kernels import Kernel
from nascc.runtime.kernels_onnx import model_kernels
from nascc.runtime.latency import setting_of
from nascc.runtime.latency_table import LatencyTable, with_latency
from nascc.runtime.measure import measure
from nascc.runtime.measure_onnx import example_feed, run_on
from nascc.runtime.profile import load_target
from nascc.runtime.refit import carried_prior, refit
from nascc.runtime.runners.onnx import OnnxRunner
from nascc.tools.bench.calibrate import TARGETS
from nascc.tools.bench.mbconv import mbconv_network

SOURCE, GOAL_TAU = "random MBConv networks", 0.88
DENSE, DENSE_SHARE = 25, 0.6
"""Networks with dense blocks that are fitted beside them for the profile, and their share of blocks."""
FEWEST_MACS, MOST_MACS = 25e6, 450e6
"""Networks of about 1 to 10 ms on one thread."""
MOST_DRIFT_PERCENT = 50.0
"""What counts is the ratio to the anchor, so that drift matters less than in a single measurement."""
CPU = load_target("cpu").model_copy(update={"latency": None})


@dataclass(frozen=True)
class Ranked:
    """Scores over random choices of the networks that are fitted: their mean, and the least tau."""

    mean: Score
    least_tau: float


def networks(number: int, start: int = 0, dense: float = 0.0) -> dict[str, ModelProto]:
    """The first networks from seed `start` on that are neither tiny nor large, by name."""
    found: dict[str, ModelProto] = {}
    seed = start
    while len(found) < number:
        model = mbconv_network(seed, dense)
        if FEWEST_MACS <= sum(kernel.macs for kernel in model_kernels(model)) <= MOST_MACS:
            found[f"{'dense' if dense else 'mbconv'}-{seed}"] = model
        seed += 1
    return found


def measured_ms(models: Mapping[str, ModelProto], rounds: int, console: Console) -> dict[str, float]:
    """Milliseconds of each, in anchors measured beside it, times the fastest anchor of all.

    So networks that were measured while the machine was slow compare with those that were not.
    """
    per_anchor, least = {}, float("inf")
    with OnnxRunner(anchor_model(), threads=1) as anchor:
        for name in track(list(models), "measuring", console=console):
            with OnnxRunner(models[name], threads=1) as runner:
                run, reference = run_on(runner, example_feed(runner.inputs, {})), run_on(anchor, anchor_feed())
                found = measure([run], reference, rounds=rounds, drift_percent=MOST_DRIFT_PERCENT)
            per_anchor[name] = found.per_anchor(0).value
            least = min(least, found.anchor.spent.p10_ms)
    return {name: share * least for name, share in per_anchor.items()}


def known_or_measured(
    models: Mapping[str, ModelProto], path: Path | None, rounds: int, console: Console
) -> dict[str, float]:
    """Milliseconds of each: those that the JSON file holds are taken from it, the others measured and added."""
    known: dict[str, float] = json.loads(path.read_text("utf-8")) if path and path.exists() else {}
    missing = {name: model for name, model in models.items() if name not in known}
    if missing:
        known |= measured_ms(missing, rounds, console)
    if path and missing:
        path.write_text(json.dumps(known, indent=1), encoding="utf-8")
    return {name: known[name] for name in models}


def measurements(latencies: Mapping[str, float], kernels: Mapping[str, tuple[Kernel, ...]]) -> list[Measurement]:
    """Kernels and latencies as what a model is fitted on."""
    setting = setting_of(CPU)
    return [Measurement(name, kernels[name], ms, setting, SOURCE) for name, ms in latencies.items()]


def ranked(measured: Sequence[Measurement], predict: Predictor, fit_on: int, splits: int = 20) -> Ranked:
    """Fit on some, ask about the rest, for random choices seeded by their number."""
    scores = []
    for seed in range(splits):
        order = np.random.default_rng(seed).permutation(len(measured))
        known, asked = [measured[i] for i in order[:fit_on]], [measured[i] for i in order[fit_on:]]
        scores.append(score(predict(known, asked), [m.latency_ms for m in asked]))
    means = np.mean([(s.mape_percent, s.worst_percent, s.tau) for s in scores], axis=0)
    return Ranked(Score(*map(float, means)), min(s.tau for s in scores))


def calibrated(latencies: Mapping[str, float], kernels: Mapping[str, tuple[Kernel, ...]]) -> LatencyTable:
    """The coefficients from all networks, with what they rest on."""
    table = refit(CPU, latencies, dict(kernels), source=SOURCE).table
    text = (
        f"rests on {table.networks} {SOURCE}, {DENSE} with dense blocks, "
        f"1 thread of {host()['cpu']}, onnxruntime {onnxruntime.__version__}; "
        f"+-{table.error_percent or 0:.0f} % on those left out there, on another CPU the ranking holds and not the ms"
    )
    return table.model_copy(update={"calibration": text})


def print_scores(console: Console, measured: Sequence[Measurement], fit_on: int) -> Ranked:
    """The model beside time proportional to operations."""
    ours = ranked(measured, fitted(carried_prior(CPU, None, "fp32")), fit_on)
    table = Table(f"fitted on {fit_on} of {len(measured)}, 20 times", "tau", "least tau", "MAPE %", "worst %")
    for label, found in (("nascc", ours), ("FLOPs", ranked(measured, flops_proportional, fit_on))):
        numbers = (f"{found.mean.tau:.3f}", f"{found.least_tau:.3f}", f"{found.mean.mape_percent:.1f}")
        table.add_row(label, *numbers, f"{found.mean.worst_percent:.0f}")
    console.print(table)
    console.print(f"tau {ours.mean.tau:.3f} (goal {GOAL_TAU})", highlight=False)
    return ours


def main() -> None:
    """Measure, fit, print, and write where it is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", type=int, default=100)
    parser.add_argument("--fit-on", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0, help="the first network's seed")
    parser.add_argument("--measured", type=Path, help="JSON of {network: ms}: what it lacks is measured and added")
    parser.add_argument("--write", action="store_true", help="write the coefficients into runtime/targets/cpu.toml")
    options = parser.parse_args()
    console, models = Console(width=120), networks(options.networks, options.seed)
    kernels = {name: model_kernels(model) for name, model in models.items()}
    latencies = known_or_measured(models, options.measured, options.rounds, console)
    low, middle, high = np.percentile(list(latencies.values()), (0, 50, 100))
    console.print(f"{len(latencies)} networks of {low:.1f} to {high:.1f} ms, median {middle:.1f} ms", highlight=False)
    print_scores(console, measurements(latencies, kernels), options.fit_on)
    if options.write:
        extra = networks(DENSE, options.seed, DENSE_SHARE)
        latencies |= known_or_measured(extra, options.measured, options.rounds, console)
        kernels |= {name: model_kernels(model) for name, model in extra.items()}
        path, table = TARGETS / "cpu.toml", calibrated(latencies, kernels)
        path.write_text(with_latency(path.read_text("utf-8"), table), encoding="utf-8")
        console.print(table.calibration, highlight=False)


if __name__ == "__main__":
    main()
