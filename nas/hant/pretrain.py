"""The phase that trains candidates: those that some target wants and that no earlier run has left in the pool."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nascc.nas.errors import Stopped
from nascc.nas.hant.config import HantConfig
from nascc.nas.hant.pretraining import NAME, Round
from nascc.nas.hant.study import Study, Workbench
from nascc.nas.phases.goals import PROFILE
from nascc.nas.phases.jobs import Job, Tell, run_jobs
from nascc.nas.phases.rehearsal import Timed
from nascc.nas.regions import Candidate
from nascc.nas.run import RunDirectory
from nascc.nas.run.state import Saved, read_state, write_state

SAVED_EVERY, TOLD_EVERY, SHOWN = 250, 1, 5
Picks = dict[int, int]
"""The candidate of each slot that a round trains, by its index."""


@dataclass(frozen=True)
class Pretrain:
    """Rounds are jobs on one thread each: what comes out does not depend on how many processes there are."""

    bench: Workbench = field(default_factory=Workbench, compare=False)
    name: str = NAME

    def run(self, run: RunDirectory) -> None:
        """Read which candidates are wanted; leave each in the pool, and tell its loss. Those there are left alone."""
        study = self.bench.study(run)
        wanted = wanted_of(run.result(PROFILE))
        rounds = list(rounds_of(study, wanted))
        workers = min(os.cpu_count() or 1, max(1, len(rounds)))
        shared = study if workers == 1 else None
        jobs = [
            Job(f"{self.name}{k}", train_rounds, (study.config, run.path, part, shared))
            for k, part in enumerate(_dealt(rounds, workers))
        ]
        done: dict[str, tuple[int, int]] = {}

        def tell(name: str, steps: int, total: int, shown: dict[str, Any]) -> bool:
            done[name] = (steps, total)
            sums = (sum(d for d, _ in done.values()), sum(t for _, t in done.values()))
            run.progress.update(self.name, *sums, **shown)
            return run.stopping.reason is not None

        run.stopping.announce = lambda: None  # jobs look for requests to stop
        run_jobs(jobs, workers, tell)
        self._tell(run, study, wanted, sum(map(len, rounds)))

    def rehearse(self, run: RunDirectory) -> dict[str, Timed]:
        """A step is one batch through the teacher and into one candidate of every block."""
        study = self.bench.study(run)
        rounds = list(rounds_of(study, wanted_of(run.result(PROFILE))))
        if not rounds:
            return {}
        first = _round(study, rounds[0])
        return {self.name: Timed(first.step, first.total * len(rounds) // max(1, os.cpu_count() or 1))}

    def _tell(self, run: RunDirectory, study: Study, wanted: list[list[int]], trained: int) -> None:
        """Write the outcome of every candidate, in order, wherever it was trained."""
        dropped, count = [], 0
        for slot, row in enumerate(wanted):
            for index in row:
                module = study.space.candidate(slot, index)
                region, operator = study.space.slots[slot].name, study.space.slots[slot].names[index]
                found = study.store.load(region, operator, module)
                assert found is not None, "it was trained just now"
                count += 1
                if found.diverged:
                    dropped.append(f"{region} {operator}")
                    continue
                run.journal.write(self.name, count, region=region, operator=operator, distillation_loss=found.loss)
        told = f"{len(dropped)} candidates diverged and are left out: {', '.join(dropped[:SHOWN])}"
        run.finish(self.name, {"candidates": count, "diverged": dropped, "warnings": [told] if dropped else []})


def wanted_of(profile: Mapping[str, Any]) -> list[list[int]]:
    """Indices of the candidates to train, by slot."""
    return [list(row) for row in profile["wanted"]]


def rounds_of(study: Study, wanted: list[list[int]]) -> Iterator[Picks]:
    """What is left to train: in round k every slot has its k-th candidate that is not in the pool."""
    left = [[index for index in row if not _is_there(study, slot, index)] for slot, row in enumerate(wanted)]
    for k in range(max(map(len, left), default=0)):
        yield {slot: row[k] for slot, row in enumerate(left) if k < len(row)}


def train_rounds(config: HantConfig, path: Path, rounds: list[Picks], study: Study | None, tell: Tell) -> int:
    """Train rounds, each from the state last saved on; candidates go to the pool as a round ends.

    `study` is the run's own where the work is done in its process.
    """
    study = study or Study(config, path)
    folder = path / NAME
    for number, picks in enumerate(rounds):
        one = _round(study, picks)
        names = "+".join(f"{slot}.{index}" for slot, index in picks.items())
        _go_through(one, f"{NAME}{rounds[0]}", folder / f"round-{_short(names)}.state.pt", tell, (number, len(rounds)))
        for slot, module in one.candidates.items():
            _keep(study, one, slot, picks[slot], module)
        (folder / f"round-{_short(names)}.state.pt").unlink(missing_ok=True)
    return len(rounds)


def _go_through(one: Round, name: str, file: Path, tell: Tell, place: tuple[int, int]) -> None:
    """All steps that are left."""
    if (saved := read_state(file)) is not None:
        one.load(saved.state)
    number, rounds = place
    while one.done < one.total:
        one.step(one.done)
        due = one.done % SAVED_EVERY == 0
        stop = one.done % TOLD_EVERY == 0 and tell(name, number * one.total + one.done, rounds * one.total, {})
        if (due or stop) and one.done < one.total:
            write_state(file, Saved(one.state(), one.done, 0))
        if stop and one.done < one.total:
            raise Stopped(
                "stopped in the training of candidates; everything is saved, "
                f"go on with nascc search --resume {file.parents[1]}"
            )


def _round(study: Study, picks: Picks) -> Round:
    candidates = {slot: study.space.candidate(slot, index) for slot, index in picks.items()}
    split = study.task.split("weights")
    return Round(study.chain, split, candidates, study.config.pretraining, study.config.seed)


def _keep(study: Study, one: Round, slot: int, index: int, module: Any) -> None:
    region, operator = study.space.slots[slot].name, study.space.slots[slot].names[index]
    if slot in one.diverged:
        study.store.put(Candidate(region, operator, None, diverged=True), module)
        return
    thinned = one.losses[slot][:: max(1, len(one.losses[slot]) // 20)]
    study.store.put(Candidate(region, operator, one.final_loss(slot), tuple(thinned)), module)


def _is_there(study: Study, slot: int, index: int) -> bool:
    names = study.space.slots[slot]
    return study.store.has(names.name, names.names[index], study.space.candidate(slot, index))


def _dealt(rounds: list[Picks], workers: int) -> list[list[Picks]]:
    """The rounds dealt to workers."""
    return [part for part in (rounds[k::workers] for k in range(workers)) if part]


def _short(text: str) -> str:
    import hashlib

    return hashlib.sha256(text.encode()).hexdigest()[:16]
