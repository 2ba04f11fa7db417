"""The inputs networks are compared on: what is legal, what is covered, and what users bring."""

import numpy as np
import pytest
import torch
from torch import nn

from nascc.compiler.capture import capture
from nascc.compiler.domain import InputDomain, domain_of, domains_of, dynamic_sizes
from nascc.compiler.errors import UsageError
from nascc.compiler.samples import Sample, data_samples, draw, plan

RNG = np.random.default_rng(0)
IMAGE = RNG.standard_normal((2, 3, 64, 64)).astype(np.float32)
BATCHED = domain_of("x", ("N", 3, 64, 64), IMAGE)
OPEN = domain_of("x", ("N", 3, "H", "W"), IMAGE)
STATIC = domain_of("x", (2, 3, 64, 64), IMAGE)


def drawn(*domains: InputDomain, seed: int = 0) -> list[Sample]:
    return [draw(domains, p, p.choices[0]) for p in plan(domains, seed)]


def test_every_kind_is_planned() -> None:
    assert [p.kind for p in plan([STATIC], 0)] == ["example", "random", "random", "zero", "large"]


def test_an_example_without_information_is_replaced() -> None:
    dull = domain_of("x", (1, 8), np.ones((1, 8), np.float32))
    assert [p.kind for p in plan([dull], 0)] == ["random", "random", "random", "zero", "large"]
    values = drawn(dull)[0].inputs["x"]
    assert values.std() > 0.3 and values.min() < 0


@pytest.mark.parametrize("batch", [2, 4])
def test_batches_1_2_and_3_are_covered(batch: int) -> None:
    domain = domain_of("x", ("N", 8), np.zeros((batch, 8), np.float32) + np.arange(8, dtype=np.float32))
    assert {1, 2, 3} <= {len(sample.inputs["x"]) for sample in drawn(domain)}


def test_the_first_random_sample_differs_in_every_open_size() -> None:
    first = next(s for s in drawn(OPEN) if s.kind == "random").inputs["x"].shape
    assert first[1] == 3 and all(first[i] != IMAGE.shape[i] for i in (0, 2, 3)) and first[2] != first[3]
    assert all(size % 32 == 0 for size in first[2:])


def test_open_sizes_fall_back_to_those_of_the_example() -> None:
    given = dynamic_sizes([OPEN])
    for p in plan([OPEN], 0):
        last = p.choices[-1]
        assert (last["H"], last["W"]) == (given["H"], given["W"]) == (64, 64)
    odd = next(p for p in plan([OPEN], 0) if len(p.choices) == 3).choices[0]
    assert odd["H"] % 2 == 1 and odd["W"] % 2 == 1


def test_inputs_share_their_open_sizes() -> None:
    other = domain_of("m", ("N", 5), np.eye(2, 5, dtype=np.float32))
    assert all(len(s.inputs["x"]) == len(s.inputs["m"]) for s in drawn(BATCHED, other))


def test_samples_depend_on_the_seed_alone() -> None:
    first, second, other = drawn(STATIC), drawn(STATIC), drawn(STATIC, seed=5)
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a.inputs["x"], b.inputs["x"])
    assert not np.array_equal(first[1].inputs["x"], other[1].inputs["x"])
    assert not np.array_equal(first[1].inputs["x"], first[2].inputs["x"])


def test_negative_seeds_work() -> None:
    assert drawn(STATIC, seed=-3)


@pytest.mark.parametrize(("dtype", "factor"), [(np.float32, 32), (np.float16, 4)])
def test_large_floats(dtype: type, factor: int) -> None:
    domain = domain_of("x", (64, 64), RNG.standard_normal((64, 64)).astype(dtype))
    large = drawn(domain)[-1]
    assert large.kind == "large" and large.inputs["x"].dtype == dtype
    assert float(large.inputs["x"].astype(np.float64).std()) == pytest.approx(factor, rel=0.1)
    assert np.isfinite(large.inputs["x"]).all()


def test_floats_keep_to_the_range_of_the_example() -> None:
    positive = domain_of("x", (4, 256), RNG.uniform(0, 255, (4, 256)).astype(np.float32))
    values = drawn(positive)[1].inputs["x"]
    assert values.min() >= 0 and 200 < values.max() <= 255
    signed = domain_of("x", (4, 256), (RNG.standard_normal((4, 256)) * 7 + 2).astype(np.float32))
    assert drawn(signed)[1].inputs["x"].std() == pytest.approx(7, rel=0.15)


def test_infinities_in_the_example_do_not_spread() -> None:
    example = np.array([[-np.inf, 0.0, 1.0, np.nan]], np.float32)
    assert np.isfinite(drawn(domain_of("mask", (1, 4), example))[1].inputs["mask"]).all()


def test_bytes_of_an_image_take_every_value() -> None:
    domain = domain_of("x", (1, 3, 32, 32), np.zeros((1, 3, 32, 32), np.uint8))
    samples = {s.kind: s.inputs["x"] for s in drawn(domain)}
    assert samples["random"].max() > 250 and samples["large"].min() == 255 and samples["zero"].max() == 0
    assert all(values.dtype == np.uint8 for values in samples.values())


def test_integers_keep_to_the_range_of_the_example() -> None:
    domain = domain_of("n", (4, 50), RNG.integers(3, 9, (4, 50)))
    for sample in drawn(domain):
        assert sample.inputs["n"].dtype == np.int64
        assert sample.inputs["n"].min() >= 3 and sample.inputs["n"].max() <= 8
    assert drawn(domain)[3].inputs["n"].max() == 3


def test_booleans_are_drawn() -> None:
    values = drawn(domain_of("m", (4, 50), np.ones((4, 50), np.bool_)))[1].inputs["m"]
    assert values.dtype == np.bool_ and 0.2 < values.mean() < 0.8


class Tokens(nn.Module):
    """Picks rows by number, in a way given by name."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.table, self.how = nn.Embedding(40, 8), how

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        if self.how == "embedding":
            return self.table(ids)  # type: ignore[no-any-return]
        if self.how == "reshaped":
            return self.table(ids.reshape(-1)[1:])  # type: ignore[no-any-return]
        if self.how == "index":
            return self.table.weight[ids]
        return torch.index_select(self.table.weight, 0, ids.flatten())


@pytest.mark.parametrize("how", ["embedding", "reshaped", "index", "index_select"])
def test_indices_stay_below_the_rows_they_pick(how: str) -> None:
    (domain,) = domains_of(capture(Tokens(how), torch.zeros(2, 30, dtype=torch.int64)))
    assert (domain.low, domain.high) == (0, 39)
    values = drawn(domain)[1].inputs["ids"]
    assert values.min() >= 0 and 30 < values.max() < 40


def test_scalars_have_domains_too() -> None:
    assert drawn(domain_of("t", (), np.array(0.5, np.float32)))[1].inputs["t"].shape == ()


def test_data_is_cut_along_a_static_batch() -> None:
    data = RNG.standard_normal((6, 3, 64, 64)).astype(np.float32)
    samples = data_samples([STATIC], {"x": data})
    assert [s.label for s in samples] == ["data 0", "data 1", "data 2"] and all(s.is_usual for s in samples)
    np.testing.assert_array_equal(np.concatenate([s.inputs["x"] for s in samples]), data)


def test_data_is_cut_along_a_dynamic_batch() -> None:
    samples = data_samples([BATCHED], {"x": RNG.standard_normal((11, 3, 64, 64)).astype(np.float32)}, batch=4)
    assert [len(s.inputs["x"]) for s in samples] == [4, 4, 3]


def test_data_may_hold_one_value_for_all_samples() -> None:
    weight = domain_of("w", (5,), np.arange(5, dtype=np.float32))
    samples = data_samples([STATIC, weight], {"x": np.zeros((4, 3, 64, 64), np.float32), "w": np.ones(5, np.float32)})
    assert len(samples) == 2 and all(s.inputs["w"].sum() == 5 for s in samples)


@pytest.mark.parametrize(
    ("given", "wanted", "ok"),
    [
        (np.float64, np.float32, True),
        (np.float32, np.float16, True),
        (np.int32, np.int64, True),
        (np.int64, np.uint8, True),
        (np.uint8, np.float32, False),
        (np.float32, np.int64, False),
    ],
)
def test_data_is_converted_within_its_kind(given: type, wanted: type, ok: bool) -> None:
    domain = domain_of("x", (2, 4), np.arange(8).reshape(2, 4).astype(wanted))
    data = {"x": np.arange(8).reshape(2, 4).astype(given)}
    if ok:
        assert data_samples([domain], data)[0].inputs["x"].dtype == wanted
    else:
        with pytest.raises(UsageError, match=f"dtype of 'x' must be {np.dtype(wanted).name}"):
            data_samples([domain], data)


def test_integers_that_do_not_fit_are_refused() -> None:
    domain = domain_of("x", (1, 1, 1), np.zeros((1, 1, 1), np.uint8))
    with pytest.raises(UsageError, match="dtype of 'x' must be uint8"):
        data_samples([domain], {"x": np.full((1, 1, 1), 300)})


@pytest.mark.parametrize(
    ("data", "reasons"),
    [
        ({}, ["input 'x' is missing"]),
        ({"y": IMAGE}, ["'y' is no input", "input 'x' is missing"]),
        ({"x": IMAGE[:, :2]}, ["shape of 'x' must be [2, 3, 64, 64]"]),
        ({"x": IMAGE[0]}, ["shape of 'x' must be"]),
        ({"x": IMAGE[:1]}, ["must hold a multiple of 2 rows, got 1"]),
        ({"x": IMAGE[:0]}, ["must hold a multiple of 2 rows, got 0"]),
    ],
)
def test_data_that_does_not_fit_is_refused_with_every_reason(data: dict[str, np.ndarray], reasons: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        data_samples([STATIC], data)
    assert all(reason in str(caught.value) for reason in reasons)
    assert "x: float32 [2, 3, 64, 64]" in str(caught.value)


def test_data_needs_rows() -> None:
    with pytest.raises(UsageError, match="at least one row"):
        data_samples([BATCHED], {"x": IMAGE[:0]})


def test_data_needs_as_many_samples_for_every_input() -> None:
    other = domain_of("m", (1, 2), np.ones((1, 2), np.float32))
    with pytest.raises(UsageError, match="as many samples for every input"):
        data_samples([STATIC, other], {"x": np.zeros((4, 3, 64, 64), np.float32), "m": np.zeros((3, 2), np.float32)})
