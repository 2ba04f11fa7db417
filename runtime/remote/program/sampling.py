"""The loop that takes samples of what networks take: in rounds, in an order that alternates, a few runs at a stretch.

It is used here and copied to devices, so it needs Python 3.6 and nothing else.
"""

import time
from typing import Callable, List, Sequence, Tuple

Run = Callable[[], object]
Sample = Tuple[float, float]
"""(counted, wall) milliseconds of one run."""
VISIT_S, FEWEST, MOST = 0.05, 11, 25
"""How long a network is run at a stretch, and the least and largest number of runs in it that count."""


def sample(runs: Sequence[Run], rounds: int, clock: Callable[[], float]) -> List[List[List[Sample]]]:
    """[network][round][run]: the first of `runs` is the anchor; networks that are compared run equally often.

    A network is run a few times at a stretch; the first run, for which caches are cold, does not count.
    """
    # the fastest of more runs is faster
    least = [_repeats(run, clock) for run in runs]
    repeats = [least[0]] + [min(least[1:] or least)] * (len(runs) - 1)
    samples: List[List[List[Sample]]] = [[] for _ in runs]
    order = list(range(len(runs)))
    for _ in range(rounds):
        for index in order:
            samples[index].append(_visit(runs[index], repeats[index], clock))
        order.reverse()
    return samples


def _repeats(run: Run, clock: Callable[[], float]) -> int:
    """How often to run at a stretch; also the warm-up."""
    seconds = []
    for _ in range(3):
        started = clock()
        run()
        seconds.append(clock() - started)
    return min(max(int(VISIT_S / max(min(seconds), 1e-9)), FEWEST), MOST)


def _visit(run: Run, repeats: int, clock: Callable[[], float]) -> List[Sample]:
    run()
    found = []
    for _ in range(repeats):
        wall, counted = time.perf_counter(), clock()
        run()
        spent = clock() - counted
        found.append((max(spent, 1e-9) * 1e3, (time.perf_counter() - wall) * 1e3))
    return found
