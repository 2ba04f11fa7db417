"""Several layers at once against one, at equal evaluations, on synthetic objectives (as Tables 4 and 11)."""

import numpy as np
from torch import nn

from nascc.nas.core import Arch, Ctx, Form, Op, Slot, Space
from nascc.nas.netadapt.descent import Adaptation, Descent

LAYERS, LEVELS = 20, 9
INTERACTIONS = {"none": 0.0, "medium": 0.5, "strong": 2.0}
WAYS = {
    "at most 4 layers, J = 60, r0 = 3 %": Descent(samples=60, layers=4, step=0.03),
    "exactly 4 layers, as published": Descent(samples=60, layers=4, step=0.03, exactly=True),
    "one layer, r0 = 1 %": Descent(samples=1, layers=1, step=0.01, single=True),
}


class Levels(Space):
    """Ordered slots of nine widths each; there is nothing to build."""

    input_shape = (1, 1, 1)

    def __init__(self) -> None:
        ops = tuple(Op(f"w{level}", _nothing) for level in range(LEVELS - 1, -1, -1))
        self.slots = tuple(Slot(f"layer{k}", ops, ordered=True) for k in range(LAYERS))

    def build(self, arch: Arch, form: Form = "train") -> nn.Module:
        raise NotImplementedError

    def shrink(self, arch: Arch, slot: int) -> Arch | None:
        return (*arch[:slot], arch[slot] + 1, *arch[slot + 1 :]) if arch[slot] + 1 < LEVELS else None


def _nothing(ctx: Ctx) -> nn.Module:
    raise NotImplementedError


class Cost:
    """A sum over layers, each in proportion to its width."""

    trusted = True

    def __init__(self, seed: int) -> None:
        self.rates = np.random.default_rng(seed).uniform(0.5, 1.5, LAYERS).tolist()

    def __call__(self, arch: Arch) -> float:
        return float(sum(r * (LEVELS - 1 - k) for r, k in zip(self.rates, arch, strict=True)) / (LEVELS - 1))

    def guess(self, arch: Arch) -> float:
        return self(arch)


class Objective:
    """What a network loses: separable powers of what each layer has lost, and products of two of them."""

    def __init__(self, seed: int, strength: float) -> None:
        draw = np.random.default_rng(seed + 1000)
        self.weights, self.powers = draw.lognormal(0, 1, LAYERS), draw.uniform(0.3, 3, LAYERS)
        self.pairs = draw.normal(0, 1, (LAYERS, LAYERS)) * strength / np.sqrt(LAYERS)
        self.calls = 0

    def __call__(self, arch: Arch) -> float:
        self.calls += 1
        lost = np.array(arch) / (LEVELS - 1)
        return float(-(self.weights * lost**self.powers).sum() - lost @ self.pairs @ lost)


def report_descents(seeds: int) -> None:
    """Print mean scores at half the cost, evaluations, and wins of the first way over the last."""
    for name, strength in INTERACTIONS.items():
        print(f"interactions: {name}, {seeds} seeds")
        ends = {way: [_end(seed, strength, settings) for seed in range(seeds)] for way, settings in WAYS.items()}
        for way, found in ends.items():
            print(
                f"  {way:36} score {np.mean([s for s, _ in found]):7.3f}, {np.mean([c for _, c in found]):.0f} samples"
            )
        first, *_, last = ends.values()
        print(f"  wins of the first over the last: {sum(a > b for (a, _), (b, _) in zip(first, last, strict=True))}")


def _end(seed: int, strength: float, settings: Descent) -> tuple[float, int]:
    cost, objective, start = Cost(seed), Objective(seed, strength), (0,) * LAYERS
    run = Adaptation(
        Levels(), [(k,) for k in range(LAYERS)], cost, objective, settings, seed, start, objective(start),
        cost(start) / 2,
    )  # fmt: skip
    end = run.run()[-1]
    assert end.cost <= run.target
    return end.score, objective.calls
