"""Networks that are trained as jobs of a phase: what is shown meanwhile, how it stops, what the journal gets."""

import os
from collections.abc import Sequence
from typing import Any

from nascc.nas.phases.jobs import Job, run_jobs
from nascc.nas.run import RunDirectory


def run_trainings(
    run: RunDirectory, phase: str, jobs: Sequence[Job], workers: int | None = None
) -> list[dict[str, Any]]:
    """The results of trainings, in their order; each tells its `name` and its `series`, one row an epoch.

    They take as many `workers` as there are processors unless told otherwise. Raises what a job raises, Stopped.
    """
    done: dict[str, tuple[int, int]] = {}

    def tell(name: str, steps: int, total: int, shown: dict[str, Any]) -> bool:
        done[name] = (steps, total)
        run.progress.update(phase, sum(d for d, _ in done.values()), len(jobs) * total, network=name, **shown)
        return run.stopping.reason is not None

    run.stopping.announce = lambda: None  # jobs look for requests to stop
    results = run_jobs(jobs, workers or os.cpu_count() or 1, tell)
    for result in results:
        for epoch, values in enumerate(zip(*result["series"].values(), strict=True), 1):
            run.journal.write(phase, epoch, network=result["name"], **dict(zip(result["series"], values, strict=True)))
    return results
