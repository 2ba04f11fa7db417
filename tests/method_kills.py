"""Kill a search over and over and resume it: `python method_kills.py FOLDER CONFIG METHOD STRIDE`, forking.

With a STRIDE of 0, one run is killed time and again until it is finished, living longer each time; otherwise a run
`FOLDER/N` is killed once, at its N-th write or step, and then finished, N going up by STRIDE. Prints the number of
kills.
"""

import gc
import os
import signal
import sys
from pathlib import Path

import torch

from nascc.nas.methods import find_method, run_method
from nascc.nas.run import RunDirectory
from nascc.nas.run.configuration import read_config
from run_kills import CALLS, child, die_at, ended

MOMENTS = (*CALLS, "rename", "mkdir")


class Steps:
    """Progress that counts as a moment to die at."""

    def __init__(self, left: int) -> None:
        self.left = left

    def update(self, phase: str, done: int, total: int, **shown: float | str) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def work(folder: Path, origin: Path, method: str, moment: int = 0) -> None:
    """Go on with a run, and die at the so-many-th write or the so-many-th step."""
    chosen = find_method(method)
    config = read_config(origin, chosen.config)
    if moment:
        die_at(moment, MOMENTS)
    with RunDirectory.resume(folder, config, progress=Steps(moment)) as run:
        run_method(chosen, run)


def kill_one(folder: Path, origin: Path, method: str) -> int:
    kills, moment = 0, 8
    while not ended(child(lambda: work(folder, origin, method, moment))):  # noqa: B023
        kills, moment = kills + 1, moment + 8
    return kills


def kill_each(folder: Path, origin: Path, method: str, stride: int) -> int:
    for kills, moment in enumerate(range(1, 10_000, stride)):
        path = folder / str(moment)
        if ended(child(lambda: work(path, origin, method, moment))):  # noqa: B023
            return kills
        assert ended(child(lambda: work(path, origin, method)))  # noqa: B023
    raise AssertionError("the run must end")


def main(folder: Path, origin: Path, method: str, stride: int) -> None:
    torch.set_num_threads(1)
    os.fsync = lambda descriptor: None  # it matters when the machine stops, and would make this slow
    torch.export.export(torch.nn.ReLU(), (torch.zeros(1),))  # what it imports takes seconds, in every child otherwise
    gc.freeze()
    gc.disable()
    print(kill_each(folder, origin, method, stride) if stride else kill_one(folder / "run", origin, method))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
