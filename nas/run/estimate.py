"""How long a run will take, from a few steps timed here."""

from collections.abc import Mapping, Sequence
from statistics import median

from nascc.nas.errors import SearchError


def hours_per_phase(seconds: Mapping[str, Sequence[float]], steps: Mapping[str, int]) -> dict[str, float]:
    """Hours of each phase: the median of its timed steps (s) times its number of steps.

    The first half of the times is left out where there are several: the first steps allocate and compile.
    Raises SearchError when a phase was not timed.
    """
    if missing := [phase for phase in steps if not seconds.get(phase)]:
        raise SearchError(f"every phase must be timed, got no times for {', '.join(missing)}")
    return {phase: median(seconds[phase][len(seconds[phase]) // 2 :]) * n / 3600 for phase, n in steps.items()}
