"""from_exported: anybody's program in one form, with nothing lost and nothing assumed."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kit import ir, operators, outputs, randomised, relative_error
from nascc.passes import CanNotRead, check_graph, demote, from_exported
from nascc.passes import graph as g

pytestmark = pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")

X = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))


class Fn(nn.Module):
    """A function as a module."""

    def __init__(self, call: Callable[..., object], *layers: nn.Module) -> None:
        super().__init__()
        self.call, self.layers = call, nn.ModuleList(layers)

    def forward(self, x: Tensor) -> object:
        return self.call(*self.layers, x)


def mutate_view(x: Tensor) -> Tensor:
    y = x * 2
    y[:, 0] += 1
    return y


def mutate_behind_a_view(x: Tensor) -> tuple[Tensor, Tensor]:
    y = x * 2
    z = y.view(2, -1)
    y.add_(1)
    return y, z + 0


def mutate_through_dropout(x: Tensor) -> tuple[Tensor, Tensor]:
    y = x + 1
    return F.relu_(F.dropout(y, 0.5, False)), y * 2


def mutate_in_a_row(x: Tensor) -> Tensor:
    y = x * 2
    y.mul_(3).add_(1).relu_()
    return y - x


def no_grad_inside(x: Tensor) -> Tensor:
    with torch.no_grad():
        scale = x.abs().mean()
    return x * scale


def narrowing(x: Tensor) -> Tensor:
    y = (x * 100).to(torch.int32)
    y.add_(2)
    return y


MODELS: dict[str, Callable[..., object]] = {
    "view": mutate_view,
    "behind a view": mutate_behind_a_view,
    "through dropout": mutate_through_dropout,
    "in a row": mutate_in_a_row,
    "no grad": no_grad_inside,
    "integers": narrowing,
    "unbind": lambda x: [t * k for k, t in enumerate(x.unbind(1))],
    "chunk": lambda x: torch.cat([t * (k + 1) for k, t in enumerate(x.chunk(3, 1))], 1),
    "split negative": lambda x: x.split(3, -1)[-1],
    "movedim": lambda x: x.movedim(1, -1).swapaxes(1, 2).mT,
    "squeeze": lambda x: x.mean((2, 3), keepdim=True).squeeze(-1).squeeze().unsqueeze(-2),
    "slices": lambda x: x[..., ::2, -3:-1][:, 1],
    "flatten": lambda x: x.flatten(1).unflatten(1, (4, 64)).ravel(),
    "reductions": lambda x: x.sum() + x.mean() + x.var() + x.std(1).mean() + x.amax() + x.max(1)[0].min(),
    "scalars": lambda x: (1 - x) / 2 + x.sub(3, alpha=2) - torch.rsub(x, x) * x.square(),
    "softmax dtype": lambda x: x.half().softmax(-1, dtype=torch.float32),
    "unfold": lambda x: x.unfold(2, 4, 2).unfold(3, 3, 1) * 2,
    "pads": lambda x: F.pad(F.pad(x, (1, 2)), (1, 1, 1, 1), mode="reflect"),
    "pools": lambda x: F.max_pool2d(x, 2, return_indices=True)[0] + F.avg_pool2d(x, 2) + F.adaptive_max_pool2d(x, 1),
    "addmm": lambda x: (
        torch.addmm(x[0, 0], x[0, 1], x[0, 2], beta=0.5, alpha=2) @ x[0, 3] + torch.baddbmm(x[0], x[1], x[1])
    ),
    "unknown": lambda x: torch.hypot(x, x + 1) + torch.nan_to_num(x) + torch.lerp(x, x * 2, 0.3),
    "casts": lambda x: x.double().float().type_as(x.half()).to(x) + x.bool().long(),
}


@pytest.mark.parametrize("name", MODELS)
def test_computes_the_same(name: str) -> None:
    gm = ir(Fn(MODELS[name]), X)
    check_graph(gm)
    is_narrow = name in ("softmax dtype", "casts")
    wanted = torch.utils._pytree.tree_leaves(Fn(MODELS[name])(X if is_narrow else X.double()))
    got = outputs(gm, [X])
    assert len(got) == len(wanted)
    for a, b in zip(got, wanted, strict=True):
        tolerance = 1e-3 if is_narrow else 1e-12
        torch.testing.assert_close(a.double(), b.double(), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", MODELS)
def test_comes_back_in_its_own_dtype(name: str) -> None:
    model = Fn(MODELS[name])
    module = demote(ir(model, X))
    got, wanted = torch.utils._pytree.tree_leaves(module(X)), torch.utils._pytree.tree_leaves(model(X))
    assert [v.dtype for v in got] == [v.dtype for v in wanted]
    for a, b in zip(got, wanted, strict=True):
        torch.testing.assert_close(a, b)


def test_dropout_and_guards_are_gone_and_batch_norm_is_one_node() -> None:
    layers = nn.Sequential(nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4), nn.ReLU6(inplace=True), nn.Dropout2d(), nn.Identity())
    gm = ir(randomised(layers), X)
    assert operators(gm) == {
        "aten.convolution.default": 1,
        "aten.batch_norm.default": 1,
        "aten.hardtanh.default": 1,
    }


def test_a_core_aten_program_becomes_the_same_graph() -> None:
    model = randomised(
        nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(64, 3))
    )
    program = torch.export.export(model, (X,))
    assert operators(from_exported(program.run_decompositions())) == operators(from_exported(program))


def test_records_modules_and_dtypes() -> None:
    gm = ir(randomised(nn.Sequential(nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4))), X)
    conv = next(n for n in gm.graph.nodes if n.target is torch.ops.aten.convolution.default)
    assert g.module_path(conv) == "0"
    assert conv.meta["val"].dtype is torch.float64
    assert g.dtype(conv) is torch.float32
    assert dict(g.constants(gm))["0.weight"].dtype is torch.float64


def test_tied_weights_have_one_name() -> None:
    p, q = nn.Linear(8, 8), nn.Linear(8, 8)
    q.weight = p.weight
    gm = ir(randomised(nn.Sequential(p, nn.ReLU(), q)), X)
    assert sorted(name for name, _ in g.constants(gm)) == ["0.bias", "2.bias", "2.weight"]


class Named(nn.Module):
    """Several inputs, one of them a Python number; outputs in a dictionary."""

    def forward(self, image: Tensor, ids: Tensor, scale: float = 2.0, *, extra: Tensor) -> dict[str, object]:
        return {"logits": image * scale + extra, "pair": (ids + 1, None), "n": 3}


def test_signature_survives() -> None:
    args = (X, torch.arange(3), 0.5)
    program = torch.export.export(Named(), args, {"extra": X})
    gm = from_exported(program)
    assert g.signature(gm).input_names == ("image", "ids", "extra")
    assert g.signature(gm).output_names == ("logits", "pair_0")
    got, wanted = demote(gm)(*args, extra=X), Named()(*args, extra=X)
    assert got.keys() == wanted.keys() and got["n"] == 3 and got["pair"][1] is None
    assert torch.equal(got["logits"], wanted["logits"]) and torch.equal(got["pair"][0], wanted["pair"][0])


class Counter(nn.Module):
    """Remembers how often it ran."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("count", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.count += 1
        return x * self.count


@pytest.mark.parametrize("decomposed", [False, True])
def test_a_model_with_state_is_refused(decomposed: bool) -> None:
    program = torch.export.export(Counter(), (X,))
    with pytest.raises(CanNotRead, match="'count'"):
        from_exported(program.run_decompositions({}) if decomposed else program)


class Branching(nn.Module):
    """Computes one of two things."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cond(x.sum() > 0, torch.sin, torch.cos, (x,))


def test_control_flow_is_refused() -> None:
    program = torch.export.export(nn.Sequential(nn.ReLU(), Branching()), (X,), strict=False)
    with pytest.raises(CanNotRead, match="must be one fixed graph, found 'cond' in '1'; .* torch.where"):
        from_exported(program)


class Inverse(nn.Module):
    """Torch would take this apart into a result and a check of it."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.linalg.inv(x)


def test_checked_linear_algebra_stays_whole() -> None:
    assert operators(ir(Inverse(), torch.eye(3))) == {"aten.linalg_inv.default": 1}


def test_dynamic_sizes_stay_symbolic() -> None:
    model = randomised(nn.Sequential(nn.Conv2d(4, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)))
    gm = ir(model, X, dynamic=({0: torch.export.Dim("N")},))
    bigger = torch.cat([X, X, X])
    with torch.no_grad():
        wanted = model.double()(bigger.double())
    assert relative_error([wanted], outputs(gm, [bigger])) < 1e-14
