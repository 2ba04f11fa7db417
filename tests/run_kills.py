"""Kill a run over and over and resume it: `python run_kills.py FOLDER STRIDE`, forking with torch loaded.

`FOLDER/whole` is an undisturbed run; `FOLDER/random` is killed at random moments until it is finished; `FOLDER/N` is
killed at its N-th write, in the middle of it, and then finished; STRIDE is the distance between the N. Prints the
number of kills of both kinds.
"""

import gc
import json
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from nascc.nas.run import RunDirectory, run_phases
from run_kit import METHOD, Toy, Trainer, contents

CALLS = ("write", "replace", "ftruncate")


def work(folder: Path, config: Toy) -> None:
    with RunDirectory.resume(folder, config) as run:
        run_phases(METHOD, run)


def child(task: Callable[[], None]) -> int:
    """Start `task` in a process of its own and return its id."""
    if (process := os.fork()) == 0:
        try:
            task()
        except BaseException as error:
            print(repr(error), file=sys.stderr)
            os._exit(1)
        os._exit(0)
    return process


def ended(process: int) -> bool:
    """Whether it came to its end, rather than being killed."""
    _, status = os.waitpid(process, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return False
    assert os.waitstatus_to_exitcode(status) == 0
    return True


def die_at(call: int, calls: Sequence[str] = CALLS) -> None:
    """Make the `call`-th of `calls` kill the process: a write after half its bytes, others before they do anything."""
    left = [call]

    def wrapped(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **options: Any) -> Any:
            left[0] -= 1
            if left[0] == 0:
                if name == "write":
                    original(arguments[0], bytes(arguments[1])[: len(arguments[1]) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*arguments, **options)

        return counted

    for name in calls:
        setattr(os, name, wrapped(name, getattr(os, name)))


def kill_at_random(folder: Path, config: Toy, seconds: float) -> int:
    kills, chance = 0, random.Random(0)
    while True:
        process = child(lambda: work(folder, config))
        time.sleep(chance.uniform(0.0, 1.0) * seconds)
        os.kill(process, signal.SIGKILL)
        if ended(process):
            return kills
        kills, seconds = kills + 1, seconds * 1.02  # on a busy machine too, it ends


def kill_at_writes(folder: Path, config: Toy, expected: dict[str, bytes], stride: int) -> int:
    for kills, call in enumerate(range(1, 10_000, stride)):
        path = folder / str(call)

        def dying(path: Path = path, call: int = call) -> None:
            die_at(call)
            work(path, config)

        if ended(child(dying)):
            return kills
        assert ended(child(lambda path=path: work(path, config)))
        found = contents(path)
        assert found == expected, f"{path}: {[name for name in expected if found.get(name) != expected[name]]}"
        shutil.rmtree(path)
    raise AssertionError("the run must end")


def main(folder: Path, stride: int) -> None:
    torch.set_num_threads(1)
    os.fsync = lambda descriptor: None  # it matters when the machine stops, and would make this slow
    Trainer(Toy(), "warm-up").step(0)  # torch imports parts of itself on first use; children need not
    gc.freeze()
    gc.disable()  # a collection in a child would copy the memory of the parent
    started = time.monotonic()
    long = Toy(steps=40)
    assert ended(child(lambda: work(folder / "whole", long)))
    kills = kill_at_random(folder / "random", long, (time.monotonic() - started) / 4)
    short = Toy(steps=3, every=2)
    assert ended(child(lambda: work(folder / "short", short)))
    writes = kill_at_writes(folder, short, contents(folder / "short"), stride)
    print(json.dumps({"random": kills, "writes": writes}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
