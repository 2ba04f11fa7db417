"""The embedded task: found students against random ones of the same budget, before and after fine-tuning."""

import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, median
from typing import Any

from nascc.nas.core import Arch
from nascc.nas.hant.config import HantConfig
from nascc.nas.hant.finetune import Student, finetune
from nascc.nas.hant.study import TEACH, Study
from nascc.nas.methods import find_method, phases_of
from nascc.nas.methods.configure import configure
from nascc.nas.run import RunDirectory, run_phases
from nascc.nas.tasks import TaskConfig
from nascc.tools.overrides import parse_overrides
from nascc.tools.progress_bar import ProgressBar

RATIOS = "0.5,0.7,0.3"


def configured(settings: Sequence[str], seed: int, pool: Path | None = None, **asked: Any) -> HantConfig:
    """A toy run on this machine's processor, latencies measured."""
    from nascc.nas.methods.configure import merged

    own = {"seed": seed, "measured": True} | asked | ({} if pool is None else {"pool": str(pool.absolute())})
    values = merged(own, parse_overrides(settings))
    task = TaskConfig(**values.pop("task", {}))
    config = configure(find_method("hant"), "toy", "cpu", task, values)
    assert isinstance(config, HantConfig)
    return config


def run_all(path: Path, config: HantConfig, until: str | None = None) -> RunDirectory:
    """A finished run at `path`, closed; what is there is gone on with."""
    with ProgressBar(sys.stderr.isatty()) as bar, RunDirectory.resume(path, config, progress=bar) as run:
        run_phases(phases_of(find_method("hant"), config), run, until=until)
    return run


def report_embedded(folder: Path, seeds: Sequence[int], randoms: int, settings: Sequence[str]) -> None:
    """Print every seed, and whether the figures that are wanted are reached."""
    rows = [_seed(folder, seed, randoms, settings) for seed in seeds]
    drop = mean(row["teacher"] - row["found"] for row in rows)
    gain = mean(row["found"] - row["median"] for row in rows)
    print(
        f"mean over {len(rows)} seeds: {100 * drop:+.2f} points below the teacher, {100 * gain:+.2f} above the median"
    )


def _seed(folder: Path, seed: int, randoms: int, settings: Sequence[str]) -> dict[str, float]:
    config = configured(settings, seed, folder / f"pool{seed}", ratio=RATIOS)
    run = run_all(folder / f"seed{seed}", config)
    search, emitted = run.result("search-0.5"), run.result("emit")["results"]
    teacher = run.result(TEACH)["test"]["accuracy"]
    before = [one["loss"] for one in search["random"]]
    print(f"seed {seed}: teacher {teacher:.4f}; before fine-tuning loss {search['judged']['loss']:.3f}, best of")
    print(f"  {len(before)} random {min(before):.3f}; tau over them {search['taus']['random']:+.2f}", flush=True)
    for goal, result in emitted.items():
        best = result["best"]
        score = best["score"]
        print(
            f"  ratio {goal}: measured {score['latency_ratio']:.3f}, accuracy {score['accuracy']:.4f}, {best['arch']}"
        )
    after = _random_students(folder / f"seed{seed}", config, search["random"], randoms)
    found = emitted["0.5"]["best"]["score"]["accuracy"]
    print(
        f"  after: found {found:.4f}, random {' '.join(f'{a:.4f}' for a in after)} (the first: best by score)",
        flush=True,
    )
    return {"teacher": teacher, "found": found, "median": median(after)}


def _random_students(path: Path, config: HantConfig, drawn: list[dict[str, Any]], count: int) -> list[float]:
    """Accuracies of random students, fine-tuned as the found one was; the best by score is the first."""
    best = min(range(len(drawn)), key=lambda k: drawn[k]["objective"])
    order = [best, *(k for k in range(len(drawn)) if k != best)][:count]
    study, found = Study(config, path), []
    for number, k in enumerate(order, 1):
        arch: Arch = tuple(drawn[k]["arch"])
        result = finetune(config, path, Student(f"bench-random{number}", "0.5", "random", arch), study, _quiet)
        found.append(float(result["test"]["accuracy"]))
    return found


def _quiet(name: str, steps: int, total: int, shown: dict[str, Any]) -> bool:
    return False
