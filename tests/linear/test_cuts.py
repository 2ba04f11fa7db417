"""The two searches of a plan against trying everything."""

from itertools import combinations, pairwise, product

from hypothesis import given
from hypothesis import strategies as st

from nascc.passes.linear.cuts import cheapest_cuts, cheapest_groups

tables = st.integers(1, 5).flatmap(
    lambda n: st.tuples(st.just(n), st.lists(st.integers(0, 20), min_size=2**n, max_size=2**n))
)


@given(tables)
def test_cuts_and_groups_are_the_cheapest_of_all(found: tuple[int, list[int]]) -> None:
    n, table = found

    def cut_score(i: int, j: int) -> tuple[float, float] | None:
        value = table[(i * 7 + j) % len(table)]
        return None if value == 0 and j > i + 1 else (float(value), 1.0)

    every = [[0, *c, n] for k in range(n) for c in combinations(range(1, n), k)]
    scores = [[cut_score(i, j) for i, j in pairwise(c)] for c in every]
    best = min(tuple(map(sum, zip(*s, strict=True))) for s in scores if None not in s)  # type: ignore[arg-type]
    chosen = [cut_score(i, j) for i, j in cheapest_cuts(n, cut_score)]
    assert tuple(map(sum, zip(*chosen, strict=True))) == best  # type: ignore[arg-type]

    def group_score(members: tuple[int, ...]) -> tuple[float, float] | None:
        value = table[sum(1 << k for k in members) % len(table)]
        return None if value == 0 and len(members) > 1 else (float(value), 1.0)

    labels = product(range(n), repeat=n)
    parts = [[tuple(k for k in range(n) if row[k] == g) for g in sorted(set(row))] for row in labels]
    totals = [[group_score(g) for g in p] for p in parts]
    best = min(tuple(map(sum, zip(*s, strict=True))) for s in totals if None not in s)  # type: ignore[arg-type]
    groups = cheapest_groups(n, group_score)
    assert sorted(k for g in groups for k in g) == list(range(n))
    assert tuple(map(sum, zip(*map(group_score, groups), strict=True))) == best  # type: ignore[arg-type]
