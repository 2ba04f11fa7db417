"""What the last phase of every method tells: the network of each goal, the first as the best, and all baselines."""

from collections.abc import Mapping, Sequence
from typing import Any


def emitted(results: Mapping[str, Mapping[str, Any]], beside: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """The result of a phase from those of its goals, each with `best` and `baselines`; `beside` are more baselines."""
    best = [result["best"] for result in results.values()]
    baselines = [*beside, *(rival for result in results.values() for rival in result["baselines"])]
    several = {"results": best} if len(best) > 1 else {}
    return {"search": {"best": best[0], "baseline": baselines} | several, "results": dict(results)}
