"""Small functions for every operator that the writer knows, by family."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from lowering_kit import Case, values
from lowering_layer_cases import X4, V, fn

A, B = values(3, 4), values(3, 4, seed=5)
POSITIVE = A.abs() + 0.1
UNIT = A.clamp(-0.9, 0.9)
INTS = torch.tensor([[7, -7, 3], [0, -2, 5]])
DIVISORS = torch.tensor([[2, 2, -2], [3, 3, -4]])
SMALL = torch.tensor([[7, 250, 3], [0, 2, 5]], dtype=torch.uint8)
PLACES = torch.tensor([[0, 1], [2, 3], [1, 1]])
ROWS, COLUMNS = torch.tensor([2, 0]), torch.tensor([-1, 1])


def changed(x: Tensor, change: Any) -> Tensor:
    x = x.clone()
    change(x)
    return x


def every(names: str, *inputs: Tensor) -> Case:
    """All torch functions of these names on the same inputs."""
    functions = [getattr(torch, name) for name in names.split()]
    return fn(lambda *xs: tuple(f(*xs) for f in functions), *inputs)


ELEMENTWISE = {
    "functions": every("abs neg exp erf sin cos tan atan sinh cosh asinh tanh sigmoid square exp2 expm1", A),
    "rounding": every("floor ceil round trunc frac sign", A),
    "functions of positive numbers": every("log log2 log10 log1p sqrt rsqrt reciprocal erfc", POSITIVE),
    "functions of small numbers": every("asin acos atanh", UNIT),
    "arithmetic": every("add sub mul div maximum minimum atan2 hypot rsub", A, B),
    "remainders": every("fmod remainder floor_divide", A, B),
    "acosh": fn(lambda a: torch.acosh(a + 1), POSITIVE),
    "add alpha": fn(lambda a, b: torch.add(a, b, alpha=0.5), A, B),
    "scalars": fn(lambda a: 2 - (a * 3 + 1) / 4, A),
    "negated": fn(lambda a: 0 - a, A),
    "inverse": fn(lambda a: 1 / a, POSITIVE),
    "broadcast": fn(lambda a, b: a[:, None] + b[None], A, B),
    "divide trunc": fn(lambda a, b: torch.div(a, b, rounding_mode="trunc"), A, B),
    "divide integers": fn(lambda a, b: a / b, INTS, DIVISORS),
    "divide integers floor": fn(lambda a, b: a // b, INTS, DIVISORS),
    "divide integers trunc": fn(lambda a, b: torch.div(a, b, rounding_mode="trunc"), INTS, DIVISORS),
    "remainder integers": fn(lambda a, b: a % b, INTS, DIVISORS),
    "fmod integers": fn(torch.fmod, INTS, DIVISORS),
    "remainder number": fn(lambda a: a % 3, INTS),
    "absolute integers": fn(torch.abs, INTS),
    "root of integers": fn(lambda i: i.abs().sqrt(), INTS),
    "powers": fn(lambda a: (a**2, a**3, a**0.5, a**-1, a**-0.5, a**-2, a**1), POSITIVE),
    "power of two": fn(lambda a: 2**a, A),
    "power of tensors": fn(torch.pow, POSITIVE, B),
    "square of integers": fn(lambda i: i**2, INTS),
    "cube of integers": fn(lambda i: i**3, INTS, since=12),
    "clamp": fn(lambda a: (a.clamp(-0.5, 0.5), a.clamp(min=0.1), a.clamp(max=0.2)), A),
    "clamp integers": fn(lambda i: i.clamp(-1, 4), INTS),
    "clamp tensors": fn(lambda a, b: a.clamp(min=b, max=b + 1), A, B),
    "lerp": fn(lambda a, b: torch.lerp(a, b, 0.3), A, B),
    "addcmul": fn(lambda a, b: torch.addcmul(a, a, b, value=0.5), A, B),
    "addcdiv": fn(lambda a, b: torch.addcdiv(a, a, b + 10, value=0.5), A, B),
    "logit": fn(lambda a: torch.logit(a, 1e-3), POSITIVE),
    "round decimals": fn(lambda a: a.round(decimals=1), A),
    "nan to num": fn(lambda a: torch.nan_to_num(a / a.relu()), A),
}
COMPARE = {
    "comparisons": fn(lambda a, b: (a == b, a != b, a < b, a <= b, a > b, a >= b), INTS, DIVISORS),
    "comparisons with numbers": fn(lambda a: (a == 3, a != 3, a < 3, a <= 3, a > 3, a >= 3), INTS),
    "comparisons of bytes": fn(lambda a: (a == 3, a < 3, a >= 5), SMALL),
    "comparisons of mixed types": fn(lambda a, i: (a < i[:1], a >= i[:1]), A[:, :3], INTS),
    "logic": fn(lambda a, b: (torch.logical_and(a > 0, b > 0), torch.logical_or(a > 0, b > 0), ~(a > 0)), A, B),
    "xor": fn(lambda a, b: torch.logical_xor(a > 0, b > 0), A, B),
    "logic of numbers": fn(lambda a, b: (torch.logical_and(a, b), torch.logical_not(a)), INTS, DIVISORS),
    "bits of masks": fn(lambda a, b: ((a > 0) & (b > 0), (a > 0) | (b > 0), (a > 0) ^ (b > 0)), A, B),
    "bits": fn(lambda a, b: (a & b, a | 3, a ^ b), INTS, DIVISORS, since=18),
    "not": fn(lambda a: ~a, INTS),
    "shifts": fn(lambda a: (a << 2, a >> 1), INTS),
    "sum of masks": fn(lambda a, b: (a > 0) + (b > 0), A, B),
    "mask times numbers": fn(lambda a: a * (a > 0), A),
    "is nan": fn(lambda a: torch.isnan(a / a.relu()), A),
    "is inf": fn(lambda a: torch.isinf(1 / a.relu()), A),
    "is finite": fn(lambda a: torch.isfinite(1 / a.relu()), A),
    "where": fn(lambda a, b: torch.where(a > 0, a, b), A, B),
    "where numbers": fn(lambda a: (torch.where(a > 0, a, 0.5), torch.where(a > 0, 1.0, 2.0)), A),
    "masked fill": fn(lambda a: a.masked_fill(a > 0, -torch.inf), A),
    "masked fill tensor": fn(lambda a: a.masked_fill(a > 0, torch.tensor(3.0)), A),
    "heaviside": fn(lambda a: torch.heaviside(a, torch.tensor(0.5)), A),
}
REDUCE = {
    "sums": fn(lambda x: (x.sum(), x.sum(1), x.sum((0, 2), keepdim=True))),
    "means": fn(lambda x: (x.mean(), x.mean(-1), x.mean((2, 3), keepdim=True), x.mean((1, 3)))),
    "extremes": fn(lambda x: (x.amax(1), x.amin((2, 3), keepdim=True), x.max(), x.min())),
    "extremes and places": fn(lambda x: (x.max(1), x.min(2, keepdim=True))),
    "products": fn(lambda a: (a.prod(1), a.prod()), A),
    "places": fn(lambda x: (x.argmax(), x.argmax(1), x.argmin(2, keepdim=True))),
    "masks": fn(lambda a: ((a > 0).any(), (a > 0).all(1, keepdim=True), (a > 0).any(0)), A),
    "sum of masks": fn(lambda a: (a > 0).sum(1), A),
    "sum of integers": fn(lambda i: (i.sum(1), i.amax(0), i.float().mean()), INTS),
    "variances": fn(lambda x: (x.var(1), x.var((2, 3), correction=0, keepdim=True), x.std(1), x.var())),
    "with means": fn(lambda x: (torch.var_mean(x, 1), torch.std_mean(x, 1, keepdim=True))),
    "norms": fn(lambda a: tuple(torch.linalg.vector_norm(a, n, 1) for n in (1, 2, 3, 0, torch.inf, -torch.inf)), A),
    "norm": fn(lambda a: (a.norm(), a.norm(p=1, dim=1, keepdim=True)), A),
    "logsumexp": fn(lambda a: a.logsumexp(1), A),
    "nan sums": fn(lambda a: (a / a.relu() * a.relu()).nansum(1), A),
    "distances": fn(lambda a, b: (torch.cdist(a, b), torch.dist(a, b), F.pairwise_distance(a, b)), A, B),
    "cosine": fn(lambda a, b: F.cosine_similarity(a, b), A, B),
    "aminmax": fn(lambda a: torch.aminmax(a, dim=1), A),
    "losses": fn(lambda a, b: (F.mse_loss(a, b), F.smooth_l1_loss(a, b)), A, B),
}
SHAPE = {
    "reshape": fn(lambda x: (x.reshape(2, -1), x.flatten(1, 2), x.unflatten(1, (2, 3)), x.view(-1))),
    "squeeze": fn(lambda a: (a[:, None].squeeze(1), a[None, :, None].squeeze(), a.unsqueeze(-1)), A),
    "permute": fn(lambda x: (x.permute(0, 2, 3, 1), x.transpose(1, 3), x.movedim(1, -1), x.mT)),
    "expand": fn(lambda a: (a[None].expand(2, -1, -1), a[:, :1].expand_as(a).abs()), A),
    "cat": fn(lambda x: (torch.cat([x, x[:, :2]], 1), torch.cat([x], 0), torch.cat([x, torch.zeros(2, 6, 9, 1)], 3))),
    "cat mixed": fn(lambda a, i: torch.cat([a[:2, :3], i], 1), A, INTS),
    "stack": fn(lambda a, b: (torch.stack([a, b]), torch.stack([a, b], -1)), A, B),
    "stacks": fn(lambda a, b: (torch.hstack((a, b)), torch.vstack((a, b)), torch.dstack((a, b))), A, B),
    "stacks of vectors": fn(lambda a: (torch.hstack((a[0], a[1])), torch.column_stack((a[0], a[1]))), A),
    "chunks": fn(lambda x: (*x.chunk(4, 1), *x.split([1, 5], 1), *x.tensor_split(2, 3))),
    "unbind": fn(lambda a: a.unbind(0), A),
    "select": fn(lambda x: (x[0], x[:, -1], x.select(2, 3), x[..., 0], x[:, None, 2])),
    "slices": fn(lambda x: (x[:, 1:3], x[:, :, 2:-1, ::2], x[1:], x.narrow(3, 2, 4), x[:, :99])),
    "slice writes": fn(lambda a: changed(a, lambda v: v[:, 1:3].mul_(2)), A),
    "strided writes": fn(lambda a: changed(a, lambda v: v[:, ::2].zero_()), A),
    "row writes": fn(lambda a: changed(a, lambda v: v[1].copy_(v[0])), A),
    "repeat": fn(lambda a: (a.repeat(2, 1, 3), a.tile(2, 2), a.repeat_interleave(3, 1)), A),
    "repeat each": fn(lambda a: a.repeat_interleave(2), A),
    "roll": fn(lambda x: (x.roll(2, 1), x.roll((1, -3), (2, 3)), x[0, 0].roll(4))),
    "flip": fn(lambda x: (x.flip(1), x.flip((2, -1)), torch.rot90(x, 1, (2, 3)))),
    "triangles": fn(lambda a: (a.tril(), a.triu(1), a.tril(-1)), A),
    "diagonal": fn(lambda a: (a.diagonal(), a.diagonal(1), torch.diag_embed(a)), A),
    "meshgrid": fn(lambda a, b: torch.meshgrid(a[0], b[:, 0], indexing="ij"), A, B),
    "meshgrid xy": fn(lambda a, b: torch.meshgrid(a[0], b[:, 0], indexing="xy"), A, B),
}
INDEX = {
    "one axis": fn(lambda x: (x[torch.tensor([-1, 0])], x[:, :, torch.tensor([[0, 2], [1, 1]])])),
    "two axes": fn(lambda x: x[:, torch.tensor([0, 2])[:, None], torch.tensor([1, -3])]),
    "axes apart": fn(lambda x: x[torch.tensor([0, 1]), :, torch.tensor([1, 3])]),
    "computed": fn(lambda x, i, j: (x[i], x[i, j]), A, ROWS, COLUMNS),
    "computed inside": fn(lambda x, i, j: x[:, i[:, None], j], X4, ROWS, COLUMNS),
    "constant mask": fn(lambda a: a[:, torch.tensor([True, False, True, True])], A),
    "gather": fn(lambda a, i: a.gather(1, i), A, PLACES),
    "along axis": fn(lambda a, i: a.take_along_dim(i[:, :1], 1), A, PLACES),
    "index select": fn(lambda x, i: x.index_select(1, i), X4, ROWS),
    "embedding": fn(lambda i, a: F.embedding(i, a), PLACES.clamp(max=2), A),
    "one hot": fn(lambda i: F.one_hot(i, 5), PLACES),
    "scatter": fn(lambda a, b, i: (a.scatter(1, i, b[:, :2]), a.scatter(1, i[:, :1], 7.0)), A, B, PLACES),
    "scatter add": fn(lambda a, b, i: a.scatter_add(1, i, b[:, :2]), A, B, PLACES, since=16),
    "scatter largest": fn(lambda a, b, i: a.scatter_reduce(1, i, b[:, :2], "amax"), A, B, PLACES, since=18),
    "index add": fn(lambda a, b: a.index_add(0, torch.tensor([0, 2, 0]), b), A, B, since=16),
    "mask writes": fn(lambda a: changed(a, lambda v: v.__setitem__(v > 0, 0)), A),
    "index writes": fn(lambda a: changed(a, lambda v: v.__setitem__(torch.tensor([0, 2]), 1.0)), A),
    "cross": fn(lambda a, b: torch.linalg.cross(a[:, :3], b[:, :3]), A, B),
    "unpool": fn(lambda x: F.max_unpool2d(*F.max_pool2d(x, 2, return_indices=True), 2), values(1, 2, 4, 4)),
    "pool places": fn(lambda x: F.max_pool2d(x, 3, 2, 1, return_indices=True)),
}
SORT = {
    "topk": fn(lambda x: (x.topk(3), x.topk(2, 1, largest=False))),
    "sort": fn(lambda a: (a.sort(), a.sort(0, descending=True)), A),
    "argsort": fn(lambda a: a.argsort(0), A),
    "median": fn(lambda a: (a.median(1), a.kthvalue(2, 0)), A),
    "cumsum": fn(lambda a: a.cumsum(1), A),
    "cumsum of integers": fn(lambda i: i.cumsum(0), INTS),
}
FACTORY = {
    "arange": fn(lambda a: a * torch.arange(4) + torch.linspace(0, 1, 4), A),
    "filled": fn(lambda a: (torch.full_like(a, 2) * a, a + torch.zeros(3, 1), a.new_ones(2, 2)), A),
    "eye": fn(lambda a: a @ torch.eye(4), A),
    "number": fn(lambda a: a * torch.tensor(2.5), A),
    "mask": fn(lambda a: a.masked_fill(torch.ones(3, 4).triu(1).bool(), 0), A),
}
CAST = {
    f"to {str(dtype).removeprefix('torch.')}": fn(lambda a, d=dtype: a.abs().to(d), A)
    for dtype in (torch.float16, torch.float64, torch.int64, torch.int32, torch.uint8, torch.int8, torch.bool)
}
Q = values(2, 2, 5, 8)
TREE = torch.ones(5, 5).tril() > 0
ATTENTION = {
    "plain": fn(lambda q: F.scaled_dot_product_attention(q, q * 2, q + 1), Q),
    "causal": fn(lambda q: F.scaled_dot_product_attention(q, q, q, is_causal=True), Q),
    "mask": fn(lambda q, m: F.scaled_dot_product_attention(q, q, q, attn_mask=m), Q, TREE),
    "constant mask": fn(lambda q: F.scaled_dot_product_attention(q, q, q, attn_mask=TREE), Q),
    "bias": fn(lambda q, m: F.scaled_dot_product_attention(q, q, q, attn_mask=m), Q, values(5, 5)),
    "scale": fn(lambda q: F.scaled_dot_product_attention(q, q, q, scale=1.0), Q),
    "shared heads": fn(
        lambda q, k: F.scaled_dot_product_attention(q, k, k, enable_gqa=True), values(2, 4, 5, 8), values(2, 2, 5, 8)
    ),
    "multi-head": Case(torch.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), (V,)),
}
FAMILIES = {
    "elementwise": ELEMENTWISE,
    "compare": COMPARE,
    "reduce": REDUCE,
    "shape": SHAPE,
    "index": INDEX,
    "sort": SORT,
    "factory": FACTORY,
    "cast": CAST,
    "attention": ATTENTION,
}
