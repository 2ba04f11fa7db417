"""What a collapse costs in float32: judged against float64, beside the original's own error."""

import pytest
import torch
from torch import Tensor, nn

from collapsible import COLLAPSE, MERGE, built
from kit import relative_error
from nascc.compiler import compile
from nascc.passes import demote

ALLOWED = 5e-6


def errors(model: nn.Module, x: Tensor) -> tuple[float, float]:
    """Largest relative errors of the original and of what collapsed, both in float32, against float64."""
    with torch.no_grad():
        exact = [model.double()(x.double())]
        own = relative_error(exact, [model.float()(x).double()])
        rewritten = demote(compile(model.float(), x, verify=False, lower=False, collapse="always").graph)
        return own, relative_error(exact, [rewritten(x).double()])


@pytest.mark.parametrize("name", [*MERGE, *COLLAPSE])
def test_float32_stays_as_precise(name: str) -> None:
    make, shape, _ = (MERGE | COLLAPSE)[name]
    own, collapsed = errors(built(make), torch.randn(shape, generator=torch.Generator().manual_seed(3)))
    assert collapsed <= max(ALLOWED, 10 * own)


def test_a_deep_chain_stays_as_precise() -> None:
    def block(c: int, e: int) -> list[nn.Module]:
        wide = [nn.Conv2d(c, e * c, 1, bias=False), nn.BatchNorm2d(e * c)]
        depthwise = [nn.Conv2d(e * c, e * c, 3, 1, 1, groups=e * c, bias=False), nn.BatchNorm2d(e * c)]
        return [*wide, *depthwise, nn.Conv2d(e * c, c, 1, bias=False), nn.BatchNorm2d(c), nn.ReLU6()]

    model = built(lambda: nn.Sequential(*(layer for _ in range(6) for layer in block(8, 6))))
    own, collapsed = errors(model, torch.randn(2, 8, 12, 12, generator=torch.Generator().manual_seed(3)))
    assert collapsed <= max(ALLOWED, 10 * own)
