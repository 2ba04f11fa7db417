"""The embedded tasks: what is found at half the latency against other networks of equal cost, trained alike."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from typing import Any

from nascc.nas.methods import find_method, phases_of
from nascc.nas.methods.configure import configure, merged
from nascc.nas.netadapt.config import NetAdaptConfig
from nascc.nas.run import RunDirectory, run_phases
from nascc.nas.run.directory import TIMING
from nascc.nas.run.threads import threads
from nascc.nas.run.timing import seconds_per_phase
from nascc.nas.tasks import TaskConfig
from nascc.tools.overrides import parse_overrides
from nascc.tools.progress_bar import ProgressBar

DATA = {"classification": "cluttered_digits", "depth": "depth_scenes"}


@dataclass(frozen=True)
class Runs:
    """Toy runs of one task for one target; `settings` as `nascc search --set` takes them."""

    folder: Path
    task: str
    target: str
    settings: tuple[str, ...] = ()

    def config(self, seed: int, **asked: Any) -> NetAdaptConfig:
        """A run at half the latency."""
        values = merged(merged({"seed": seed, "ratio": "0.5"}, asked), parse_overrides(self.settings))
        task = TaskConfig(data=DATA[self.task], **values.pop("task", {}))
        config = configure(find_method("netadaptv2"), "toy", self.target, task, values)
        assert isinstance(config, NetAdaptConfig)
        return config

    def run(self, name: str, config: NetAdaptConfig, until: str | None = None) -> RunDirectory:
        """A finished run, closed; what is there is gone on with."""
        method = find_method("netadaptv2")
        with (
            ProgressBar(sys.stderr.isatty()) as bar,
            RunDirectory.resume(self.folder / name, config, progress=bar) as run,
            threads(config.threads),
        ):
            run_phases(phases_of(method, config), run, until=until)
        return run


def report_embedded(runs: Runs, seeds: Sequence[int], randoms: int) -> None:
    """Print every seed, and by how much the found networks are better on average."""
    rows = [_seed(runs, seed, randoms) for seed in seeds]
    print(f"mean over {len(rows)} seeds, {_unit(runs.task)}: " + ", ".join(
        f"{mean(row['found'] - row[kind] for row in rows):+.3f} against {kind}"
        for kind in ("random", "width", "depth") if all(kind in row for row in rows)
    ))  # fmt: skip


def _seed(runs: Runs, seed: int, randoms: int) -> dict[str, float]:
    run = runs.run(f"{runs.task}{seed}", runs.config(seed, baselines=f"random:{randoms},width,depth"))
    result = run.result("emit")["results"][""]
    found, limit = result["best"], result["limits"]["latency"]
    print(f"seed {seed}: {found['cost']['latency']:.3f} of {limit:.3f} ms; {_told(found['score'])}; {found['arch']}")
    for rival in result["baselines"]:
        print(f"  {rival['name']:8} {rival['cost']['latency']:.3f} ms, {_told(rival)}; {rival['arch']}")
    taken = seconds_per_phase(run.path / TIMING)
    print("  seconds: " + ", ".join(f"{phase} {seconds:.0f}" for phase, seconds in taken.items()), flush=True)
    scores = {kind: [score_of(r) for r in result["baselines"] if r["kind"] == kind] for kind in ("width", "depth")}
    others = median(score_of(rival) for rival in result["baselines"] if rival["kind"] == "random")
    one = {kind: values[0] for kind, values in scores.items() if values}
    return {"found": score_of(found["score"]), "random": others} | one


def score_of(measures: Mapping[str, Any]) -> float:
    """Higher is better: points of accuracy, or centimetres of RMSE below zero."""
    return 100 * float(measures["accuracy"]) if "accuracy" in measures else -100 * float(measures["rmse"])


def _told(measures: Mapping[str, Any]) -> str:
    if "accuracy" in measures:
        return f"accuracy {100 * measures['accuracy']:.2f} %"
    return f"RMSE {measures['rmse']:.4f} m, delta-1 {100 * measures['delta1']:.2f} %"


def _unit(task: str) -> str:
    return "points of accuracy" if task == "classification" else "centimetres of RMSE, less being better"
