"""What a supernet costs beside a network alone: `python -m nascc.tools.bench.supernet`.

Prints ratios of a training step (forward, backward, optimiser) of a supernet on one architecture to one of the same
network alone, in interleaved pairs, ratio of the 10th percentiles; and of the bytes kept for the backward pass.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nascc.nas.core import Sel, one_hot
from nascc.nas.core.randomness import rng
from nascc.nas.macro import load_macro
from nascc.nas.spaces import MacroSpace
from nascc.nas.supernets import ChoiceSuperNet
from nascc.nas.train.layout import channels_last

Step = Callable[[], None]


def training_step(module: nn.Module, x: Tensor, labels: Tensor, *sel: Sel) -> Step:
    """A step of SGD as a function to be timed."""
    optimiser = torch.optim.SGD(module.parameters(), 0.01, momentum=0.9)

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        F.cross_entropy(module(x, *sel), labels).backward()  # type: ignore[no-untyped-call]
        optimiser.step()

    return step


def seconds(steps: Sequence[Step], rounds: int) -> np.ndarray:
    """Times [rounds, steps], taken in turn; the first round is dropped."""
    times = np.empty((rounds + 1, len(steps)))
    for row in times:
        for index, step in enumerate(steps):
            started = time.perf_counter()
            step()
            row[index] = time.perf_counter() - started
    return times[1:]


def saved_bytes(module: nn.Module, x: Tensor, *sel: Sel) -> int:
    """Bytes of what autograd keeps for the backward pass, every storage once; parameters do not count."""
    storages: dict[int, int] = {}
    own = {p.untyped_storage().data_ptr() for p in module.parameters()}

    def keep(tensor: Tensor) -> Tensor:
        if (pointer := tensor.untyped_storage().data_ptr()) not in own:
            storages[pointer] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = module(x, *sel).sum()
    loss.backward()
    return sum(storages.values())


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m nascc.tools.bench.supernet", description=__doc__)
    parser.add_argument("--macro", default="toy")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=60)
    chosen = parser.parse_args(arguments)
    space = MacroSpace(load_macro(chosen.macro), 10)
    arch = space.random(rng(0, "bench"))
    x = torch.randn(chosen.batch, *space.input_shape).to(memory_format=torch.channels_last)
    labels = torch.arange(chosen.batch) % 10
    print("weights    selection       time   bytes kept")
    for sharing in ("separate", "sliced"):
        net = channels_last(ChoiceSuperNet(space, sharing))
        alone = channels_last(net.extract(arch).train())
        forms: dict[str, Sel] = {"architecture": arch, "coefficients": one_hot(arch, space.choices).requires_grad_()}
        steps = [training_step(alone, x, labels), *(training_step(net, x, labels, sel) for sel in forms.values())]
        times = np.quantile(seconds(steps, chosen.rounds), 0.1, axis=0)
        kept = saved_bytes(alone, x)
        for index, (name, sel) in enumerate(forms.items(), 1):
            ratio = saved_bytes(net, x, sel) / kept
            print(f"{sharing:9}  {name:13}  {times[index] / times[0]:5.2f}x  {ratio:5.2f}x")
    return 0


if __name__ == "__main__":
    sys.exit(main())
