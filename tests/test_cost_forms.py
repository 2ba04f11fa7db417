"""Sums with corrections for neighbours: their extremes and joint limits are those that enumeration finds."""

import random
from itertools import pairwise, product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nascc.nas.core.selection import one_hot
from nascc.nas.costs.extremes import cheapest, dearest
from nascc.nas.costs.joint import least_share
from nascc.nas.costs.pairwise import Pairwise


def a_form(seed: int, negative: bool = True) -> Pairwise:
    """Six places of which four are searched; identities, corrections between all that can be neighbours."""
    r = random.Random(seed)
    slots = (None, 0, 1, 2, 3, None)
    choices = [1 if slot is None else r.randint(2, 4) for slot in slots]
    identity = [
        tuple(slot is not None and r.random() < 0.4 for _ in range(n)) for slot, n in zip(slots, choices, strict=True)
    ]
    own = [tuple(0.0 if idle else r.uniform(1, 5) for idle in row) for row in identity]
    junctions = {}
    for i in range(6):
        for j in range(i + 1, 6):
            acting = np.outer([not idle for idle in identity[i]], [not idle for idle in identity[j]])
            size = (len(own[i]), len(own[j]))
            junctions[i, j] = acting * np.random.default_rng(seed + 10 * i + j).uniform(-2, 0 if negative else 2, size)
            if not any(identity[j]):
                break
    return Pairwise(slots, tuple(own), tuple(identity), junctions, r.uniform(0, 3))


def slowly(form: Pairwise, arch: tuple[int, ...]) -> float:
    """The definition."""
    choice = form.choice(arch)
    left = [(i, k) for i, k in enumerate(choice) if not form.identity[i][k]]
    corrections = sum(form.junctions[i, j][k, m] for (i, k), (j, m) in pairwise(left) if (i, j) in form.junctions)
    return form.constant + sum(row[k] for row, k in zip(form.own, choice, strict=True)) + float(corrections)


def every(form: Pairwise) -> list[tuple[int, ...]]:
    return list(product(*(range(len(row)) for row in form.table())))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.booleans())
def test_extremes_are_exact(seed: int, negative: bool) -> None:
    form = a_form(seed, negative)
    values = {arch: slowly(form, arch) for arch in every(form)}
    for found, value in ((cheapest(form), min(values.values())), (dearest(form), max(values.values()))):
        assert found[1] == pytest.approx(value, rel=1e-12) == pytest.approx(values[found[0]], rel=1e-12)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.booleans())
def test_several_limits_are_judged_exactly(seed: int, negative: bool) -> None:
    forms = [a_form(seed, negative)]
    r = random.Random(seed)
    other = tuple(tuple(0.0 if idle else r.uniform(1, 5) for idle in row) for row in forms[0].identity)
    forms.append(Pairwise(forms[0].slots, other, forms[0].identity, {}, 1.0))
    rows = [[r.uniform(1, 5) for _ in row] for row in forms[0].table()]
    forms.append(Pairwise.additive(rows, 2.0))
    limits = [r.uniform(5, 15) for _ in forms]
    shares = [max(slowly(form, arch) / t for form, t in zip(forms, limits, strict=True)) for arch in every(forms[0])]
    _, share = least_share(forms, limits)
    assert share == pytest.approx(min(shares), rel=1e-6)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_call_and_soft_agree_with_the_definition(seed: int) -> None:
    form = a_form(seed)
    table = form.table()
    for arch in random.Random(seed).sample(every(form), 4):
        assert form(arch) == pytest.approx(slowly(form, arch), rel=1e-12)
        corner = one_hot(arch, [len(row) for row in table], torch.float64)
        assert float(form.soft(corner)) == pytest.approx(slowly(form, arch), rel=1e-12)
        single = form.soft(corner.float())
        assert single.dtype is torch.float32 and float(single) == pytest.approx(slowly(form, arch), rel=1e-5)


def test_soft_is_the_mean_over_independent_slots() -> None:
    form = a_form(3)
    sizes = [len(row) for row in form.table()]
    chances = torch.zeros(len(sizes), max(sizes), dtype=torch.float64)
    for slot, n in enumerate(sizes):
        chances[slot, :n] = torch.rand(n, generator=torch.Generator().manual_seed(slot), dtype=torch.float64)
        chances[slot] /= chances[slot].sum()
    mean = sum(
        slowly(form, arch) * float(torch.stack([chances[s, k] for s, k in enumerate(arch)]).prod())
        for arch in every(form)
    )
    assert float(form.soft(chances)) == pytest.approx(mean, rel=1e-12)


def test_scaling_and_adding() -> None:
    form = a_form(5)
    rows = [[float(k + 1) for k in range(len(row))] for row in form.table()]
    changed = form.scaled(2.0, 3.0).plus(rows)
    for arch in every(form)[:20]:
        assert changed(arch) == pytest.approx(2 * form(arch) + 3 + sum(k + 1 for k in arch), rel=1e-12)
