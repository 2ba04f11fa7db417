"""Measure modules in torch on a CUDA device."""

import time
from collections.abc import Callable, Sequence
from typing import Any

from nascc.runtime.errors import RunnerFailed
from nascc.runtime.measure import ROUNDS, Run, Timings, measure


def measure_modules(modules: Sequence[Callable[..., Any]], inputs: Sequence[Any], *, rounds: int = ROUNDS) -> Timings:
    """Measure modules on the same tensors, by the wall clock until the device is done; other callables stay.

    Raises RunnerFailed where torch finds no CUDA device, and UnstableMachine.
    """
    import torch

    if not torch.cuda.is_available():
        raise RunnerFailed("a CUDA device must be there to measure on 'cuda', torch finds none")
    tensors = [tensor.cuda() for tensor in inputs]
    moved = [m.cuda().eval() if isinstance(m, torch.nn.Module) else m for m in modules]
    anchor = torch.nn.Sequential(*(torch.nn.Conv2d(64, 64, 3, padding=1) for _ in range(4))).cuda().eval()
    runs = [_synchronised(torch, module, tensors) for module in moved]
    reference = _synchronised(torch, anchor, [torch.ones(1, 64, 56, 56, device="cuda")])
    return measure(runs, reference, rounds=rounds, threads=0, clock=time.perf_counter)


def _synchronised(torch: Any, module: Callable[..., Any], tensors: Sequence[Any]) -> Run:
    def run() -> None:
        with torch.no_grad():
            module(*tensors)
        torch.cuda.synchronize()

    return run
