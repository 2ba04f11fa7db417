"""What a round of pretraining costs beside the teacher's own training step over the same images."""

import time
from statistics import mean

import torch
from torch.nn import functional as F

from nascc.nas.hant.pretraining import Round
from nascc.nas.pool import choose
from nascc.nas.regions import RegionSpace, Teacher
from nascc.nas.tasks import TaskConfig, open_task
from nascc.nas.train.layout import channels_last
from nascc.nas.zoo.searched import searched
from nascc.tools.bench.hant_embedded import configured

STEPS = 8
ARCH = "k5e6 k5e6 k5e6 k5e6 k5e6 k5e6"


def report_round() -> None:
    """Processor time of a step: of every round over the toy pool, and of the teacher forward and backward, in turn."""
    split = open_task(TaskConfig()).split("weights")
    network = channels_last(searched(ARCH, "toy", 10)).train()
    teacher = Teacher.of(network.eval(), (1, 24, 24))
    space = RegionSpace(teacher, (1, 24, 24), choose(["toy"]), 0)
    channels_last(space.chain)
    settings = configured((), 0).pretraining
    deepest = max(space.choices)
    rounds = [
        Round(space.chain, split, {s: space.candidate(s, k) for s, n in enumerate(space.choices) if k < n}, settings, 0)
        for k in range(1, deepest)
    ]
    images, labels = split.batch(torch.arange(settings.batch_size))
    images = images.to(memory_format=torch.channels_last)
    network.train()

    def teacher_step() -> None:
        torch.autograd.backward(F.cross_entropy(network(images), labels))
        network.zero_grad()

    own, taken = float("inf"), [float("inf")] * len(rounds)
    for step in range(STEPS):
        for k, one in enumerate(rounds):
            own = min(own, _timed(teacher_step))
            taken[k] = min(taken[k], _timed(lambda one=one, step=step: one.step(step)))
    shares = [t / own for t in taken]
    print(f"teacher forward and backward {1e3 * own:.1f} ms; {len(rounds)} rounds take {mean(shares):.2f} of it")
    print("  each:", " ".join(f"{share:.2f}" for share in shares))


def _timed(work: object) -> float:
    started = time.thread_time()
    work()  # type: ignore[operator]
    return time.thread_time() - started
