"""Give a network weights and batch norm statistics that depend on a seed alone."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

CALIBRATION_SHAPE = (4, 3, 96, 96)
_Norm = nn.BatchNorm1d | nn.BatchNorm2d


def seeded(
    build: Callable[[], nn.Module], seed: int, shape: tuple[int, int, int, int] = CALIBRATION_SHAPE
) -> nn.Module:
    """Build a module and fill it, in eval mode, without touching torch's global random numbers.

    Statistics and affine parameters of batch norms are random as well, so that folding them is a real test; they stay
    near what seeded noise of `shape` [N, C, H, W] gives: activations keep order one and still tell images apart.
    """
    with torch.device("meta"):  # allocates nothing and draws nothing
        module = build()
    module.to_empty(device="cpu").eval()
    random = torch.Generator().manual_seed(seed)
    norms = [part for part in module.modules() if isinstance(part, _Norm)]
    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, (nn.Conv2d, nn.Linear)):
                _fill_linear(part, random)
        hooks = [norm.register_forward_pre_hook(_filler(random)) for norm in norms]
        module.double()(torch.randn(shape, generator=random).double())
        for hook in hooks:
            hook.remove()
    return module.float()


def _fill_linear(layer: nn.Conv2d | nn.Linear, random: torch.Generator) -> None:
    """Gain sqrt(2): the input mostly went through a ReLU."""
    layer.weight.normal_(0, math.sqrt(2 / layer.weight[0].numel()), generator=random)
    if layer.bias is not None:
        layer.bias.normal_(0, 0.1, generator=random)


def _filler(random: torch.Generator) -> Callable[[nn.Module, tuple[Tensor]], None]:
    """A hook that fills a batch norm from the input it meets, [N, C] or [N, C, H, W]."""

    def fill(norm: nn.Module, inputs: tuple[Tensor]) -> None:
        assert isinstance(norm, _Norm)
        x = inputs[0]
        var, mean = torch.var_mean(x, dim=[d for d in range(x.ndim) if d != 1], correction=0)
        norm.weight.copy_(_uniform(norm, 0.5, 0.9, random))
        norm.bias.copy_(_uniform(norm, -0.3, 0.3, random))
        _set(norm, "running_mean", mean + var.sqrt() * _uniform(norm, -0.2, 0.2, random))
        _set(norm, "running_var", (var + 0.01) * _uniform(norm, 0.8, 1.25, random))
        _set(norm, "num_batches_tracked", torch.zeros(()))

    return fill


def _uniform(norm: _Norm, low: float, high: float, random: torch.Generator) -> Tensor:
    return torch.empty(norm.num_features).uniform_(low, high, generator=random)


def _set(norm: _Norm, name: str, value: Tensor) -> None:
    """Through bfloat16: eight bits come out the same on every machine, whatever order it sums in."""
    norm.get_buffer(name).copy_(value.bfloat16())
