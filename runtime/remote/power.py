"""The energy of an inference from the power rails of a board, what it takes when idle subtracted."""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import mean
from threading import Thread

from pydantic import JsonValue

from nascc.runtime.errors import DeviceFailed
from nascc.runtime.measure_onnx import Shapes
from nascc.runtime.remote.board import Board
from nascc.runtime.remote.link import Link

IDLE_S, BUSY_S, STEP_S, SETTLE_S = 3, 6, 0.1, 1.0
"""How long idle and busy power are watched, how often, and what is left out after work begins and before it ends."""
_TOTAL = re.compile(r"(?:^|_)(?:VDD_IN|POM_5V_IN|5V_IN|VDD_SYS_IN)$|^package", re.IGNORECASE)
_LIST = """
for f in {root}/sys/bus/i2c/drivers/ina3221x/*/iio:device*/in_power*_input; do
  [ -r "$f" ] && echo "milliwatt $(cat "$(echo "$f" | sed 's/in_power\\([0-9]*\\)_input/rail_name_\\1/')") $f"
done
for f in {root}/sys/bus/i2c/drivers/ina3221/*/hwmon/hwmon*/curr*_input; do
  v=$(echo "$f" | sed 's/curr\\([0-9]*\\)_input/in\\1/')
  [ -r "$f" ] && [ -r "$v"_label ] && echo "product $(tr ' ' _ <"$v"_label) $f ${{v}}_input"
done
f={root}/sys/class/powercap/intel-rapl:0/energy_uj
[ -r $f ] && echo "counter package $f"
exit 0
"""


@dataclass(frozen=True)
class Rail:
    """A power rail: `kind` says how its files are read (milliwatts, mA times mV, or microjoules that add up)."""

    kind: str
    name: str
    files: tuple[str, ...]

    @property
    def command(self) -> str:
        """Prints a number; milliwatts, or microjoules for a counter."""
        files = [shlex.quote(f) for f in self.files]
        if self.kind == "product":
            return f"$(( $(cat {files[0]}) * $(cat {files[1]}) / 1000 ))"
        return f"$(cat {files[0]})"


@dataclass(frozen=True)
class Energy:
    """Millijoules of an inference: (busy - idle) * seconds; powers in watts."""

    energy_mj: float
    busy_w: float
    idle_w: float
    rail: str

    def entry(self) -> dict[str, JsonValue]:
        """The same as plain data."""
        return {"energy_mj": self.energy_mj, "busy_w": self.busy_w, "idle_w": self.idle_w, "rail": self.rail}


def rails_of(link: Link, root: str = "") -> tuple[Rail, ...]:
    """The rails to add up: the one that feeds all others where there is one. Raises DeviceFailed without any."""
    lines = link.script(_LIST.format(root=shlex.quote(root) if root else "")).stdout.splitlines()
    found = [Rail(words[0], words[1], tuple(words[2:])) for line in lines if len(words := line.split()) > 2]
    if not found:
        raise DeviceFailed(f"{link.address} must have power rails that can be read to tell energy, found none")
    total = [rail for rail in found if _TOTAL.search(rail.name)]
    return tuple(total[:1] or found)


def energy_of(board: Board, path: Path, shapes: Shapes, latency_ms: float, *, root: str = "") -> Energy:
    """The energy of an inference of a file. Raises DeviceFailed where the board has no rails."""
    link = board.link
    rails = rails_of(link, root)
    idle = watch(link, rails, IDLE_S)
    samples: list[tuple[float, float]] = []
    watcher = Thread(target=lambda: samples.extend(watch(link, rails, BUSY_S + 30, until="busy-done")), daemon=True)
    watcher.start()
    began, ended = board.busy(path, shapes, BUSY_S)
    link.script(": >busy-done")
    watcher.join(60)
    busy = [w for t, w in samples if began + SETTLE_S <= t <= ended - SETTLE_S]
    if not busy:
        raise DeviceFailed(f"the power of {link.address} must be seen while it works, but no sample was taken")
    watts, rest = mean(busy), mean(w for _, w in idle)
    return Energy((watts - rest) * latency_ms, watts, rest, "+".join(rail.name for rail in rails))


def watch(link: Link, rails: Sequence[Rail], seconds: float, until: str | None = None) -> list[tuple[float, float]]:
    """(time by the device's clock, watts) again and again, for some seconds or until a file appears.

    Raises DeviceFailed where nothing could be read.
    """
    numbers = " ".join(rail.command for rail in rails)
    stop = f"[ -e {until} ] && break; " if until else ""
    count = int(seconds / STEP_S)
    loop = f'i=0; while [ $i -lt {count} ]; do {stop}echo "$(date +%s.%N) {numbers}"; sleep {STEP_S}; i=$((i+1)); done'
    lines = [line.split() for line in link.script(loop, timeout_s=seconds + 120).stdout.splitlines()]
    rows = [[float(word) for word in words] for words in lines if len(words) == len(rails) + 1]
    found = _watts(rows, [rail.kind == "counter" for rail in rails])
    if not found:
        raise DeviceFailed(f"the power rails of {link.address} must be readable, but they say nothing")
    return found


def _watts(rows: Sequence[Sequence[float]], counters: Sequence[bool]) -> list[tuple[float, float]]:
    """Sums over rails; a counter is told by what it grew by, and left out where it began anew."""
    found = []
    for before, (time, *values) in pairwise(rows):
        watts = 0.0
        for old, value, counts in zip(before[1:], values, counters, strict=True):
            watts += (value - old) * 1e-6 / (time - before[0]) if counts else value * 1e-3
        if watts >= 0:
            found.append((time, watts))
    return found
