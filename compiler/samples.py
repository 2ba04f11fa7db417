"""The inputs on which a deployed network is compared with the original."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from nascc.compiler.domain import InputDomain, batch_names, dynamic_sizes
from nascc.compiler.errors import UsageError
from nascc.runtime.compare import is_float
from nascc.runtime.runners.base import Array

Kind = Literal["example", "random", "zero", "large", "data"]
Sizes = dict[str, int]
LARGE = {"float16": 4.0}
LARGE_FACTOR = 32.0


@dataclass(frozen=True, eq=False)
class Sample:
    """Named inputs, and where they come from."""

    label: str
    kind: Kind
    inputs: Mapping[str, Array]

    @property
    def is_usual(self) -> bool:
        """Is it like what the network is made for, neither zeros nor large values?"""
        return self.kind not in ("zero", "large")


@dataclass(frozen=True)
class Plan:
    """A sample to be: its kind and seed, and choices of dynamic sizes, the first that the network accepts."""

    kind: Kind
    seed: int
    choices: tuple[Sizes, ...]


def plan(domains: Sequence[InputDomain], seed: int, *, randoms: int = 2) -> tuple[Plan, ...]:
    """What to try: the example, random values, zeros and large values, over batches 1, 2, 3 and other dynamic sizes.

    The first random sample differs from the example in every dynamic size.
    """
    given = dynamic_sizes(domains)
    batches = batch_names(domains)
    one = given | dict.fromkeys(batches, 1)
    first = Plan("example", seed, (given,))
    if not all(d.is_informative for d in domains):
        first = Plan("random", seed - 1, (given,))
    count = max(randoms, _needed(given, batches))
    others = (Plan("random", seed + k, _choices(given, batches, k)) for k in range(count))
    return (first, *others, Plan("zero", seed, (one,)), Plan("large", seed, (one,)))


def _needed(given: Sizes, batches: set[str]) -> int:
    """How many random samples cover batches 1, 2 and 3 beside the example, or two other sizes."""
    sizes = {given[name] for name in batches}
    return len({1, 2, 3} - sizes) if batches else 2 if given else 0


def _choices(given: Sizes, batches: set[str], k: int) -> tuple[Sizes, ...]:
    """Dynamic sizes of the `k`-th random sample, the boldest first."""
    taken = {given[name] for name in batches}
    wanted = [n for n in (1, 3, 2) if n not in taken] or [1]
    batch = dict.fromkeys(batches, wanted[k % len(wanted)])
    others = [name for name in given if name not in batches]
    plain = given | batch
    if not others:
        return (plain,)
    odd = {name: max(2, given[name] // 2 + 3 + 2 * i) for i, name in enumerate(others)}
    even = {name: _multiple(given[name], i, larger=i == k % len(others)) for i, name in enumerate(others)}
    return (plain | even, plain) if k == 0 else (plain | odd, plain | even, plain)


def _multiple(size: int, i: int, *, larger: bool) -> int:
    """A larger size than `size`, or about half of it: a multiple of 32 where `size` is."""
    step = 32 if size >= 64 else max(1, size // 4)
    return size + step if larger else max(step, (size // 2 // step - i // 2) * step)


def draw(domains: Sequence[InputDomain], plan: Plan, sizes: Sizes) -> Sample:
    """The inputs of a plan under one choice of dynamic sizes."""
    rng = np.random.default_rng([plan.seed % 2**32, 0 if plan.kind == "random" else 1])
    shown = ", ".join(f"{name}={n}" for name, n in sizes.items())
    inputs = {d.name: _values(d, plan.kind, d.shape(sizes), rng) for d in domains}
    label = f"{plan.kind} {plan.seed}" if plan.kind in ("random", "large") else plan.kind
    return Sample(f"{label} ({shown})" if shown else label, plan.kind, inputs)


def _values(domain: InputDomain, kind: Kind, shape: Sequence[int], rng: np.random.Generator) -> Array:
    if kind == "example":
        return domain.example
    if kind == "zero":
        return domain.zero(shape)
    values = domain.draw(shape, rng)
    if kind == "large":
        return _enlarged(domain, values)
    return values


def _enlarged(domain: InputDomain, values: Array) -> Array:
    """Floats times 32 (float16: times 4, whose range is small); integers at the upper end of their domain."""
    if is_float(domain.dtype):
        factor = LARGE.get(domain.dtype.name, LARGE_FACTOR)
        return (values.astype(np.float64) * factor).astype(domain.dtype)
    return np.full(values.shape, int(domain.high)).astype(domain.dtype)


def data_samples(domains: Sequence[InputDomain], data: Mapping[str, Array], *, batch: int = 8) -> tuple[Sample, ...]:
    """The user's inputs, cut into samples along the batch.

    An array fits an input when their shapes agree but for the first dimension, and that is a multiple of a static
    batch; a dynamic batch takes `batch` rows at a time. Raises UsageError with everything that does not fit.
    """
    problems = [f"'{name}' is no input" for name in data if name not in {d.name for d in domains}]
    problems += [f"input '{d.name}' is missing" for d in domains if d.name not in data]
    problems += [p for d in domains if d.name in data for p in _misfits(d, np.asarray(data[d.name]))]
    if problems:
        wanted = ", ".join(f"{d.name}: {d.dtype.name} {list(d.dims)}" for d in domains)
        raise UsageError(f"data must hold the inputs ({wanted}), but: " + "; ".join(problems))
    parts = {d.name: list(_parts(d, np.asarray(data[d.name]), batch)) for d in domains}
    counts = {name: len(found) for name, found in parts.items() if len(found) != 1}
    if len(set(counts.values())) > 1:
        raise UsageError(f"data must hold as many samples for every input, found {counts}")
    n = max((len(found) for found in parts.values()), default=0)
    return tuple(
        Sample(f"data {i}", "data", {name: found[i % len(found)] for name, found in parts.items()}) for i in range(n)
    )


def _misfits(domain: InputDomain, array: Array) -> Iterator[str]:
    if len(array.shape) != len(domain.dims) or any(
        isinstance(want, int) and want != got for want, got in zip(domain.dims[1:], array.shape[1:], strict=False)
    ):
        yield f"shape of '{domain.name}' must be {list(domain.dims)} but for the first size, got {list(array.shape)}"
    elif domain.dims and isinstance(domain.dims[0], int) and (array.shape[0] % domain.dims[0] or not array.shape[0]):
        yield f"'{domain.name}' must hold a multiple of {domain.dims[0]} rows, got {array.shape[0]}"
    elif array.size == 0:
        yield f"'{domain.name}' must hold at least one row, got {list(array.shape)}"
    if not _converts(array, domain.dtype):
        yield f"dtype of '{domain.name}' must be {domain.dtype.name}, got {array.dtype.name}"


def _converts(array: Array, dtype: np.dtype[np.generic]) -> bool:
    """May the array be read as `dtype`: floats as floats, integers as integers that hold every value?"""
    if is_float(array.dtype) or is_float(dtype):
        return is_float(array.dtype) and is_float(dtype)
    return bool(np.array_equal(array.astype(dtype), array))


def _parts(domain: InputDomain, array: Array, batch: int) -> Iterator[Array]:
    rows = domain.dims[0] if domain.dims else None
    values = array.astype(domain.dtype)
    if rows is None:
        yield values
        return
    step = rows if isinstance(rows, int) else min(batch, len(values))
    for start in range(0, len(values), step):
        yield values[start : start + step]
