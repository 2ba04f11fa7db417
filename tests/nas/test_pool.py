"""The pool: as data, large enough, and every operator keeps the interface of a block."""

from pathlib import Path

import pytest
import torch
from torch import nn

from nascc.compiler import compile
from nascc.nas.blocks.residual import Residual, conv_norm
from nascc.nas.core import Ctx
from nascc.nas.errors import CorruptRun, SearchError
from nascc.nas.pool import IDENTITY, POOL, TOY, choose, operators_of
from nascc.nas.pool.family import family
from nascc.nas.regions import Candidate, CandidateStore

KEEPING, CHANGING = Ctx((16, 6, 6), 16, 1, "relu"), Ctx((12, 7, 5), 20, 2, "relu")
ONE_OF_EACH = [
    *("efn_k3_e3_se0.25", "efnv2_k3_e1_se0.04", "cb_stack_k3_w0.25", "cb_bottle_k5_w0.5", "cb_res_k3", "repvgg_k5"),
    *("conv_cs_k3_w1", "vit_d1_w32_h4", "bot_e0.5", "lambda_bottle_e1"),
]


def test_there_are_enough_and_names_are_their_own() -> None:
    names = [operator.name for operator in POOL]
    assert len(names) >= 150 and len(set(names)) == len(names)
    assert set(TOY) <= set(names) and 10 <= len(TOY) <= 14


@pytest.mark.parametrize("ctx", [KEEPING, CHANGING], ids=["keeping", "changing"])
def test_every_operator_has_the_shape_of_its_place_and_learns(ctx: Ctx) -> None:
    x = torch.randn(2, *ctx.shape)
    for operator in operators_of(ctx, [o for o in POOL if "w1024" not in o.name and "w512" not in o.name]):
        module = operator.build(ctx)
        y = module(x)
        assert tuple(y.shape[1:]) == ctx.out_shape, operator.name
        y.square().mean().backward()
        assert all(p.grad is not None for p in module.parameters()), operator.name


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_one_of_each_family_compiles(name: str) -> None:
    (operator,) = (o for o in POOL if o.name == name)
    compile(operator.build(KEEPING).eval(), shapes=["x:2x16x6x6"])


def test_shortcuts_stand_where_the_shape_is_kept() -> None:
    (operator,) = (o for o in POOL if o.name == "cb_res_k3")
    assert operator.build(KEEPING).shortcut and not operator.build(CHANGING).shortcut
    module = operator.build(KEEPING).eval()
    for parameter in module.parameters():
        nn.init.zeros_(parameter)
    x = torch.randn(2, *KEEPING.shape)
    assert torch.equal(module(x), x)


def test_the_identity_is_offered_only_where_the_shape_is_kept() -> None:
    chosen = choose(["toy"])
    assert IDENTITY in [o.name for o in operators_of(KEEPING, chosen)]
    for ctx in (CHANGING, Ctx((16, 6, 6), 16, 2), Ctx((16, 6, 6), 24, 1)):
        assert IDENTITY not in [o.name for o in operators_of(ctx, chosen)]


def test_attention_needs_few_positions() -> None:
    large = Ctx((8, 64, 64), 8, 1, "relu")
    names = [o.name for o in operators_of(large, choose(["all"]))]
    assert not [n for n in names if n.startswith(("vit", "bot", "lambda"))]


def test_operators_are_named_by_patterns_and_sets() -> None:
    assert len(choose(["all"])) == len(POOL) + 1
    assert [o.name for o in choose(["cb_res_k?"])] == [IDENTITY, "cb_res_k1", "cb_res_k3", "cb_res_k5", "cb_res_k7"]
    assert choose(["toy", "cb_res_k1"]) == choose(["toy"])
    with pytest.raises(SearchError, match="got 'efn_k3': try efn_k"):
        choose(["efn_k3"])


def test_a_new_operator_is_one_function() -> None:
    @family(k=(3, 5), w=(1, 2))
    def doubled(ctx: Ctx, k: int, w: int) -> nn.Module:
        return Residual(ctx, conv_norm(ctx.c_in, ctx.c_out * w, k, ctx.stride), conv_norm(ctx.c_out * w, ctx.c_out))

    own = list(doubled.operators())
    assert [o.name for o in own] == ["doubled_k3_w1", "doubled_k3_w2", "doubled_k5_w1", "doubled_k5_w2"]
    assert [o.name for o in choose(["doubled_*"], (*POOL, *own))] == [IDENTITY, *(o.name for o in own)]
    assert own[1].build(CHANGING)(torch.randn(2, *CHANGING.shape)).shape == (2, *CHANGING.out_shape)


def module(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2))


def test_candidates_are_kept_under_all_that_decides_them(tmp_path: Path) -> None:
    store = CandidateStore(tmp_path, {"teacher": "abc", "seed": 0})
    trained = module(1)
    store.put(Candidate("layer1.0", "cb_res_k1", 0.5, (1.0, 0.5)), trained)
    fresh = module(2)
    found = store.load("layer1.0", "cb_res_k1", fresh)
    assert found == Candidate("layer1.0", "cb_res_k1", 0.5, (1.0, 0.5))
    assert all(
        torch.equal(a, b) for a, b in zip(fresh.state_dict().values(), trained.state_dict().values(), strict=True)
    )
    assert not store.has("layer1.1", "cb_res_k1", fresh) and not store.has("layer1.0", "cb_res_k3", fresh)
    assert not store.has("layer1.0", "cb_res_k1", nn.Conv2d(2, 2, 3))
    assert not CandidateStore(tmp_path, {"teacher": "abc", "seed": 1}).has("layer1.0", "cb_res_k1", fresh)


def test_a_damaged_candidate_is_named(tmp_path: Path) -> None:
    store = CandidateStore(tmp_path, {})
    store.put(Candidate("a", "b", 0.5), module())
    path = store.path("a", "b", module())
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(CorruptRun, match=r"remove it, and it is trained again"):
        store.load("a", "b", module())
