"""The phase that judges every candidate alone: in the teacher, from its own block on, on stored features."""

import copy
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from nascc.nas.errors import Stopped
from nascc.nas.hant.config import HantConfig
from nascc.nas.hant.judging import Judged, chosen_images, features_at, judge
from nascc.nas.hant.pretrain import wanted_of
from nascc.nas.hant.profile import costs_of
from nascc.nas.hant.study import Study, Workbench
from nascc.nas.phases.goals import PROFILE
from nascc.nas.phases.jobs import Job, Tell, run_jobs
from nascc.nas.run import RunDirectory
from nascc.nas.run.files import read_json, to_json, write_whole

SCORE = "score"
SPLIT = "alpha"


@dataclass(frozen=True)
class Score:
    """The blocks are dealt to processes; what was judged before a kill is not judged again."""

    bench: Workbench = field(default_factory=Workbench, compare=False)
    name: str = SCORE

    def run(self, run: RunDirectory) -> None:
        """Write how much loss and accuracy every candidate costs the teacher, by block."""
        study, profile = self.bench.study(run), run.result(PROFILE)
        wanted = wanted_of(profile)
        workers = min(os.cpu_count() or 1, len(wanted))
        parts = [list(range(k, len(wanted), workers)) for k in range(workers)]
        shared = study if workers == 1 else None
        jobs = [
            Job(f"{SCORE}{k}", score_slots, (study.config, run.path, part, wanted, shared))
            for k, part in enumerate(parts)
        ]
        done: dict[str, int] = {}

        def tell(name: str, steps: int, total: int, shown: dict[str, Any]) -> bool:
            done[name] = steps
            run.progress.update(self.name, sum(done.values()), len(wanted), **shown)
            return run.stopping.reason is not None

        run.stopping.announce = lambda: None
        run_jobs(jobs, workers, tell)
        rows = [_read(run.path, slot) for slot in range(len(wanted))]
        _journal(run, self.name, study, rows, profile)
        run.finish(self.name, {"rows": rows})


def score_slots(
    config: HantConfig,
    path: Path,
    slots: list[int],
    wanted: list[list[int]],
    study: Study | None,
    tell: Tell,
) -> int:
    """Judge the candidates of some blocks; each block's scores are a file that appears whole."""
    study = study or Study(config, path)
    settings = config.scoring
    images = chosen_images(study.task.split(SPLIT), settings.images, settings.batch_size)
    for number, slot in enumerate(slots):
        file = _file(path, slot)
        if not file.exists():
            row = score_slot(study, slot, wanted[slot], features_at(study.chain, slot, images))
            write_whole(file, to_json(row).encode())
        if tell(f"{SCORE}{slots[0]}", number + 1, len(slots), {}) and number + 1 < len(slots):
            raise Stopped(f"stopped while judging candidates; go on with nascc search --resume {path}")
    return len(slots)


def score_slot(study: Study, slot: int, candidates: list[int], features: list[Any]) -> dict[str, Any]:
    """{'teacher': [loss, accuracy], '3': [...]}: the network from a block on, with each candidate in its place."""
    behind = study.chain.after(slot)
    norms = study.config.scoring.norms

    def judged(block: nn.Module) -> Judged:
        # statistics that are averaged anew must not stay in the teacher
        network = nn.Sequential(block, behind)
        return judge(copy.deepcopy(network) if norms == "recal" else network, features, norms)

    found = {"teacher": judged(study.chain.block(slot))}
    for index in candidates:
        if (module := _trained(study, slot, index)) is not None:
            found[str(index)] = judged(module)
    return {name: [one.loss, one.accuracy] for name, one in found.items()}


def _trained(study: Study, slot: int, index: int) -> nn.Module | None:
    """A candidate, None for one that diverged."""
    module = study.space.candidate(slot, index)
    row = study.space.slots[slot]
    found = study.store.load(row.name, row.names[index], module)
    return None if found is None or found.diverged else module.eval()


def scores_of(rows: Sequence[Mapping[str, Any]]) -> list[dict[int, Judged]]:
    """By slot and operator: how much loss goes up, and how much accuracy is lost; 0 for the teacher's own."""
    found = []
    for row in rows:
        loss, accuracy = row["teacher"]
        others = {int(k): Judged(v[0] - loss, accuracy - v[1]) for k, v in row.items() if k != "teacher"}
        found.append({0: Judged(0.0, 0.0)} | others)
    return found


def _file(path: Path, slot: int) -> Path:
    return path / SCORE / f"{slot}.json"


def _read(path: Path, slot: int) -> dict[str, Any]:
    found: dict[str, Any] = read_json(_file(path, slot))
    return found


def _journal(
    run: RunDirectory, name: str, study: Study, rows: list[dict[str, Any]], profile: Mapping[str, Any]
) -> None:
    """A line a block: speed-ups over the teacher's block, and drops of accuracy, for the plot (Fig. 3)."""
    costs = next(iter(costs_of(profile).values()))
    for slot, row in enumerate(scores_of(rows)):
        own = costs.table[slot]
        chosen = [k for k in row if k]
        speed_ups = [own[0] / max(own[k], 1e-3 * own[0]) for k in chosen]
        run.journal.write(
            name,
            slot + 1,
            speedups=speed_ups,
            drops=[row[k].accuracy for k in chosen],
            risen=[row[k].loss for k in chosen],
        )
