"""Measure many networks of a space, keep each as soon as it is known, and go on after any end."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nascc.nas.core import Arch
from nascc.nas.core.randomness import rng
from nascc.nas.costs import PREDICTORS, Networks, Quality, fit_predictor
from nascc.nas.costs.networks import FEWEST
from nascc.nas.costs.pairwise_cost import PairwiseCost
from nascc.nas.errors import RunMismatch
from nascc.nas.measured.journal import Measurements, Pool, Told
from nascc.nas.measured.stitch import Stitcher
from nascc.nas.run.files import write_whole
from nascc.nas.spaces import MacroSpace
from nascc.runtime.remote.fleet import Job, Measured

TABLE, HEAD = "networks.csv", "campaign.json"
REPEATED = 25
"""Every so many networks one is measured a second time, later: what that differs by is the noise."""


@dataclass(frozen=True)
class Sample:
    """One measurement: of which network, and whether it was the second one of it."""

    number: int
    arch: Arch
    again: bool


@dataclass(frozen=True)
class Campaign:
    """What is measured: `samples` random networks of a space, and repeats; `identity` tells space and place."""

    folder: Path
    space: MacroSpace
    samples: int
    seed: int
    identity: str

    def plan(self) -> list[Sample]:
        """All measurements in order; the same seed gives the same, and more samples begin with the same."""
        draw, seen, plan = rng(self.seed, "campaign"), dict[Arch, None](), list[Sample]()
        while len(seen) < min(self.samples, self.space.size()):
            seen.setdefault(self.space.random(draw))
        for index, arch in enumerate(seen):
            plan.append(Sample(len(plan), arch, False))
            if index % REPEATED == REPEATED - 1:
                plan.append(Sample(len(plan), list(seen)[index - REPEATED // 2], True))
        return plan

    def run(self, stitcher: Stitcher, pool: Pool, told: Told | None = None) -> None:
        """Measure what the journal lacks.

        Raises RunMismatch where the folder is another campaign's, and what measuring raises; what was measured until
        then is kept.
        """
        self._begin()
        jobs = [Job(s.number, lambda s=s: stitcher.emit(s.arch)) for s in self.plan()]  # type: ignore[misc]
        self._measurements.complete(jobs, pool, told)
        self.write_table()

    def measured(self) -> dict[int, Measured]:
        """What is known by now."""
        return self._measurements.known()

    def values(self) -> tuple[list[Arch], list[float], list[tuple[float, float]]]:
        """Architectures with milliseconds, and pairs of milliseconds of those that were measured twice.

        A board counts by its anchor: latencies are those on a board whose anchor takes what the first one's took.
        """
        known = self.measured()
        reference = self._measurements.anchor_ms or 1.0
        first: dict[Arch, float] = {}
        pairs: list[tuple[float, float]] = []
        for sample in self.plan():
            if sample.number in known:
                value = known[sample.number].ratio * reference
                if sample.again and sample.arch in first:
                    pairs.append((first[sample.arch], value))
                elif not sample.again:
                    first[sample.arch] = value
        return list(first), list(first.values()), pairs

    def write_table(self) -> Path:
        """`networks.csv`, as `nascc search --measured latency=FILE` reads it."""
        archs, values, _ = self.values()
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["arch", "value", "unit"])
        writer.writerows(
            [" ".join(map(str, arch)), f"{value:.6g}", "ms"] for arch, value in zip(archs, values, strict=True)
        )
        write_whole(path := self.folder / TABLE, text.getvalue().encode())
        return path

    @property
    def _measurements(self) -> Measurements:
        return Measurements(self.folder)

    def _begin(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        head, own = self.folder / HEAD, {"identity": self.identity, "seed": self.seed}
        if head.exists() and (found := json.loads(head.read_text("utf-8"))) != own:
            raise RunMismatch(
                f"'{self.folder}' must be the folder of the same measurements, but it holds those of "
                f"{found.get('identity')}, seed {found.get('seed')}; name another folder"
            )
        write_whole(head, (json.dumps(own, indent=2) + "\n").encode())


def noise_of(pairs: Sequence[tuple[float, float]]) -> float | None:
    """The relative standard deviation of one measurement, from pairs of the same network; None without pairs."""
    if not pairs:
        return None
    logs = np.log(np.asarray(pairs))
    return float(np.sqrt(np.mean((logs[:, 0] - logs[:, 1]) ** 2) / 2))


def qualities(campaign: Campaign, base: PairwiseCost) -> list[Quality]:
    """What each predictor of the core is worth on the measured networks, held out by fifths; none with too few."""
    archs, values, _ = campaign.values()
    if len(archs) < 2 * FEWEST:
        return []
    networks = Networks(campaign.space, "latency", tuple(archs), np.array(values))
    return [q for name in PREDICTORS if (q := fit_predictor(networks, base, name).quality) is not None]
