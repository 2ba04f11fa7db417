"""Measured networks: architectures of a space and what each was found to cost."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nascc.nas.core.space import Arch, Space
from nascc.nas.costs.metrics import UNITS
from nascc.nas.costs.records import complain, number, read_records
from nascc.nas.costs.units import scale_of
from nascc.nas.errors import BadMeasurements, SearchError

Vector = np.ndarray[tuple[int], np.dtype[np.float64]]
FEWEST = 3


@dataclass(frozen=True, eq=False)
class Networks:
    """Architectures, and the value of each in the unit of the metric's cost."""

    space: Space
    metric: str
    archs: tuple[Arch, ...]
    values: Vector

    def __post_init__(self) -> None:
        if len(self.archs) != len(self.values):
            raise SearchError(f"{len(self.archs)} architectures must have as many values, got {len(self.values)}")
        if len(self.archs) < FEWEST:
            raise BadMeasurements(f"at least {FEWEST} networks must be measured to fit a cost, found {len(self.archs)}")
        if not (np.isfinite(self.values).all() and (self.values > 0).all()):
            raise BadMeasurements("measured costs must be finite and above 0")

    def __len__(self) -> int:
        return len(self.archs)

    def take(self, which: Sequence[int]) -> "Networks":
        """Some of them."""
        return Networks(self.space, self.metric, tuple(self.archs[i] for i in which), self.values[list(which)])


def read_networks(path: Path, space: Space, metric: str = "latency") -> Networks:
    """The networks of a CSV file or a JSON list with `arch`, `value`, and maybe `unit`.

    `arch` names the operators ("k3e6 skip k5e3") or gives their numbers ("1 6 2", or a JSON list).
    Raises BadMeasurements, which names all that is wrong.
    """
    archs, values, problems = list[Arch](), list[float](), list[str]()
    for line, row in enumerate(read_records(path, ("arch", "value")), 1):
        try:
            arch = _arch(space, row["arch"])
            scale = scale_of(metric, str(row.get("unit") or UNITS[metric]))
        except SearchError as error:
            problems.append(f"in row {line} {error}")
            continue
        value = number(row["value"])
        if not value:
            problems.append(f"in row {line} the value is '{row['value']}', no number above 0")
            continue
        archs.append(arch)
        values.append(value * scale)
    complain(path, problems)
    return Networks(space, metric, tuple(archs), np.array(values))


def _arch(space: Space, found: object) -> Arch:
    if isinstance(found, list):
        return space.check([int(index) if isinstance(index, int) else -1 for index in found])
    words = str(found).replace(",", " ").split()
    if words and all(word.isdecimal() for word in words):
        return space.check([int(word) for word in words])
    return space.parse(" ".join(words))
