"""Draw one operator a slot from the logits of a search, with the gradient of a softmax behind exact zeros and ones."""

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from nascc.nas.core.space import Arch

NoiseOn = Literal["logp", "p"]


class _Harden(torch.autograd.Function):
    """The straight-through estimator: a one-hot of the largest entry forward, the identity backward."""

    @staticmethod
    def forward(ctx: Any, soft: Tensor) -> Tensor:
        return torch.zeros_like(soft).scatter_(-1, soft.argmax(-1, keepdim=True), 1)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        return gradients[0]


@dataclass(frozen=True)
class Draw:
    """One sampled architecture.

    `coefficients` [S, C] are exactly 0 and 1 and carry the gradient of the relaxation to the logits;
    `probabilities` [S, C] are those it was drawn with and `log_probability` that of `arch`, both with gradients.
    """

    arch: Arch
    coefficients: Tensor
    probabilities: Tensor
    log_probability: Tensor


def log_probabilities(alpha: Tensor, legal: Tensor) -> Tensor:
    """Logits [S, C] -> log P [S, C], minus infinity where `legal`, BoolTensor [S, C], says there is no operator."""
    return alpha.masked_fill(~legal, -torch.inf).log_softmax(-1)


def keys(alpha: Tensor, legal: Tensor, noise_on: NoiseOn = "logp") -> Tensor:
    """What Gumbel noise is added to, [S, C]: the largest of `keys + noise` is distributed as softmax(keys).

    On log P that is P itself. On P, as LightNAS prints it (Eq. 7), it is softmax(P), which is near uniform: a sure
    operator of seven is drawn in 31 % of the cases. That variant is for the ablation.
    """
    log_p = log_probabilities(alpha, legal)
    return log_p if noise_on == "logp" else log_p.exp().masked_fill(~legal, -torch.inf)


def gumbel(like: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Standard Gumbel noise of the shape of `like`, drawn on the CPU so that every device sees the same."""
    waiting = torch.empty(like.shape, dtype=like.dtype).exponential_(generator=generator)
    return -waiting.clamp_min(torch.finfo(like.dtype).tiny).log().to(like.device)


def sample(
    alpha: Tensor,
    legal: Tensor,
    temperature: float,
    generator: torch.Generator | None = None,
    noise_on: NoiseOn = "logp",
) -> Draw:
    """One operator a slot by the Gumbel-max trick; `temperature` only shapes the gradient (LightNAS, Eqs. 7 to 9)."""
    key = keys(alpha, legal, noise_on)
    soft = ((key + gumbel(key, generator)) / temperature).softmax(-1)
    hard: Tensor = _Harden.apply(soft)  # type: ignore[no-untyped-call]
    chosen = soft.argmax(-1)
    drawn_with = key.log_softmax(-1)
    log_probability = drawn_with.gather(-1, chosen[:, None]).sum()
    return Draw(tuple(chosen.tolist()), hard, drawn_with.exp(), log_probability)


def ranking(
    alpha: Tensor, legal: Tensor, generator: torch.Generator | None = None, noise_on: NoiseOn = "logp"
) -> Tensor:
    """Operators of each slot drawn without replacement, LongTensor [S, C], first drawn first (Gumbel top-k).

    A slot with fewer operators ends with its illegal columns.
    """
    key = keys(alpha, legal, noise_on)
    return torch.sort(key + gumbel(key, generator), dim=-1, descending=True, stable=True).indices


def sandwich(
    alpha: Tensor, legal: Tensor, generator: torch.Generator | None = None, noise_on: NoiseOn = "logp"
) -> tuple[Arch, Arch, Arch]:
    """Three architectures of one ranking: first, random and last in each slot (DW-NAS, Eq. 8).

    They differ in every slot that has three operators; in a slot of two the random one equals the last, and all agree
    in a slot of one.
    """
    order, last = ranking(alpha, legal, generator, noise_on), legal.sum(-1).cpu() - 1
    inner = (last - 1).clamp_min(1)
    place = 1 + (torch.rand(len(last), generator=generator) * inner).long().clamp_max(inner - 1)
    places = torch.stack([torch.zeros_like(last), place.minimum(last), last], dim=-1)
    most, some, least = order.cpu().gather(-1, places).T.tolist()
    return tuple(most), tuple(some), tuple(least)
