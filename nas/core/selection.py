"""What a supernet's forward is told: which operators run, and with which coefficients."""

from collections.abc import Sequence

import torch
from torch import Tensor

from nascc.nas.core.space import Arch, Space
from nascc.nas.errors import IllegalArchitecture

Sel = Arch | Tensor | None
"""One architecture; one per image, LongTensor [N, S]; coefficients, FloatTensor [S, C]; or what the weights decide."""


def one_hot(arch: Arch, choices: Sequence[int], dtype: torch.dtype = torch.float32) -> Tensor:
    """Coefficients [S, C] of one architecture; C is the largest number of choices, columns beyond a slot's are zero."""
    coefficients = torch.zeros(len(choices), max(choices), dtype=dtype)
    coefficients[torch.arange(len(choices)), torch.tensor(arch)] = 1
    return coefficients


def legal_columns(choices: Sequence[int]) -> Tensor:
    """BoolTensor [S, C]: which columns of a coefficient matrix stand for an operator."""
    return torch.arange(max(choices))[None] < torch.tensor(tuple(choices))[:, None]


def check_selection(sel: Sel, space: Space, batch: int) -> None:
    """Raise IllegalArchitecture when `sel` is none of its forms for this space and batch size."""
    if sel is None:
        return
    if not isinstance(sel, Tensor):
        space.check(sel)
        return
    slots, columns = len(space.slots), max(space.choices)
    wanted = (slots, columns) if sel.is_floating_point() else (batch, slots)
    if tuple(sel.shape) != wanted:
        form = "coefficients [slots, operators]" if sel.is_floating_point() else "indices [images, slots]"
        raise IllegalArchitecture(f"{form} must have shape {list(wanted)}, got {list(sel.shape)}")
    if not sel.is_floating_point():
        legal = (sel >= 0) & (sel < torch.tensor(space.choices, device=sel.device))
        if not bool(legal.all()):
            raise IllegalArchitecture("every index must name an operator of its slot; see Space.choices")
