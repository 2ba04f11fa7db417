"""Trains small FastDepths on the embedded scenes: how far from guessing they get, and what half the width costs.

python -m nascc.tools.bench.depth --seeds 3 --widths 1,0.5
"""

import argparse
import statistics
import time

import torch
from torch import Tensor

from nascc.nas.tasks import DEPTH_SCENES, Task, TaskConfig, open_task
from nascc.nas.train import DepthEvaluation, judge, load_recipe, train
from nascc.nas.zoo import ARCHITECTURES


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--widths", default="1,0.5")
    given = parser.parse_args()
    torch.set_num_threads(1)
    started = time.process_time()
    task = open_task(TaskConfig(data=DEPTH_SCENES))
    print(f"{len(task.split('train'))} scenes to learn from, {time.process_time() - started:.1f} s", flush=True)
    print(f"{'mean depth everywhere':24} {words(guessed(task, by_pixel=False))}")
    print(f"{'mean depth of a pixel':24} {words(guessed(task, by_pixel=True))}", flush=True)
    for width in map(float, given.widths.split(",")):
        found = [trained(task, width, seed) for seed in range(given.seeds)]
        errors = [one.rmse for one in found]
        print(
            f"{f'width {width:g}':24} mean RMSE {statistics.mean(errors):.3f} m, {min(errors):.3f} to {max(errors):.3f}"
        )


def guessed(task: Task, by_pixel: bool) -> DepthEvaluation:
    """What one depth for all, or one for each pixel, is worth: the mean of those that are trained on."""
    split = task.split("train")
    depths = split.batch(torch.arange(len(split)))[1]
    over = (0,) if by_pixel else (0, 1, 2, 3)
    mean = depths.sum(over, keepdim=True) / (depths > 0).sum(over, keepdim=True)

    def guess(images: Tensor) -> Tensor:
        return mean.expand(len(images), 1, *images.shape[2:])

    return _depths(judge(guess, task.split("test")))


def trained(task: Task, width: float, seed: int) -> DepthEvaluation:
    """A network of this width after the recipe `toy_depth`."""
    network = ARCHITECTURES["fastdepth_toy"](width=width, seed=seed)
    started = time.process_time()
    train(network, task.split("train"), load_recipe("toy_depth"), seed=seed)
    seconds = time.process_time() - started
    found = _depths(judge(network, task.split("test")))
    print(f"{f'width {width:g}, seed {seed}':24} {words(found)}, {seconds:.0f} s", flush=True)
    return found


def words(found: DepthEvaluation) -> str:
    return f"RMSE {found.rmse:.3f} m, delta-1 {100 * found.delta1:.1f} %"


def _depths(found: object) -> DepthEvaluation:
    assert isinstance(found, DepthEvaluation)
    return found


if __name__ == "__main__":
    main()
