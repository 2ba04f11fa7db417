"""Division of images into splits: by class, in stated shares, equal images always on the same side."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from nascc.nas.core.randomness import rng
from nascc.nas.errors import BadData

SHOWN = 5


def divide(
    labels: Sequence[int], groups: Sequence[int], shares: Mapping[str, float], seed: int, names: Sequence[str]
) -> dict[str, Tensor]:
    """Indices of each split, LongTensor in rising order; images of one group (equal images) stay together.

    `labels` [n] index `names`; `shares` need not add up to one. Every class gets into every split with a share above
    zero. Raises BadData, naming the classes, where there are too few different images for that.
    """
    shares = {name: share for name, share in shares.items() if share > 0}
    members, strata = _strata(labels, groups)
    lacking = [c for c in range(len(names)) if len(strata[c]) < len(shares)]
    if lacking:
        shown = ", ".join(f"'{names[c]}' with {len(strata[c])}" for c in lacking[:SHOWN])
        more = f" and {len(lacking) - SHOWN} more" if len(lacking) > SHOWN else ""
        raise BadData(
            f"every class must have {len(shares)} different images or more, one for each of {', '.join(shares)}; "
            f"found {shown}{more}; add images or leave these classes out with --classes"
        )
    found: dict[str, list[int]] = {name: [] for name in shares}
    for label in range(len(names)):
        order = strata[label]
        rng(seed, "split", label).shuffle(order)
        start = 0
        for name, count in zip(shares, _counts(len(order), list(shares.values())), strict=True):
            found[name] += [index for group in order[start : start + count] for index in members[group]]
            start += count
    return {name: torch.tensor(sorted(indices)) for name, indices in found.items()}


def _strata(labels: Sequence[int], groups: Sequence[int]) -> tuple[dict[int, list[int]], dict[int, list[int]]]:
    """Images of each group, and groups of each class; a group counts for the class of its first image."""
    members: dict[int, list[int]] = defaultdict(list)
    strata: dict[int, list[int]] = defaultdict(list)
    for index, group in enumerate(groups):
        if group not in members:
            strata[labels[index]].append(group)
        members[group].append(index)
    return members, strata


def _counts(total: int, shares: Sequence[float]) -> list[int]:
    """`total` >= the number of shares, divided by largest remainders, at least one for each."""
    spare = total - len(shares)
    exact = [max(0.0, total * share / sum(shares) - 1) for share in shares]
    exact = [spare * part / (sum(exact) or 1) for part in exact]
    counts = [int(part) for part in exact]
    by_remainder = sorted(range(len(shares)), key=lambda i: exact[i] - counts[i], reverse=True)
    for i in range(spare - sum(counts)):
        counts[by_remainder[i % len(shares)]] += 1
    return [count + 1 for count in counts]
