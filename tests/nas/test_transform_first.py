"""Networks that are collapsed before they are trained, which those that are collapsed afterwards are compared with."""

from pathlib import Path

import pytest
import torch

from nas.search_kit import tiny_macro
from nascc.nas.checkpoint import load_checkpoint, save_checkpoint
from nascc.nas.errors import SearchError
from nascc.nas.phases.networks import FOUND, TRANSFORM_FIRST, Network
from nascc.nas.phases.rivals import transformed
from nascc.nas.spaces import MacroSpace
from nascc.tools.bench.dwnas_ablation import SHARES, VARIANTS, Trial, architecture, network, recipe

OPERATORS = ("k3e3", "k3e3l", "k5e3l", "k3e3l-open")
IMAGE = (1, 12, 12)


def found(arch: str) -> Network:
    macro = tiny_macro().model_copy(update={"operators": OPERATORS})
    return Network("found-5ms", "5ms", FOUND, MacroSpace(macro, 10).parse(arch), macro, 10)


def test_it_begins_as_what_the_untrained_network_collapses_to() -> None:
    linear = found("k3e3l k3e3 k5e3l")
    x = torch.randn(4, *IMAGE)
    torch.manual_seed(3)
    wanted = linear.build(IMAGE).eval()
    for own in transformed(linear):
        torch.manual_seed(3)
        module = own.build(IMAGE).eval()
        torch.testing.assert_close(module(x), wanted(x), rtol=1e-4, atol=1e-6)


def test_one_has_biases_and_one_batch_norms() -> None:
    first, second = transformed(found("k3e3l k3e3 k5e3l"))
    assert (first.name, second.name) == ("5ms-transform-first", "5ms-transform-first-norm")
    assert {first.kind, second.kind} == {TRANSFORM_FIRST}
    assert (first.config["arch"], second.config["arch"]) == ("k3c k3e3 k5c", "k3cbn k3e3 k5cbn")
    block = first.build(IMAGE).get_submodule("block0")
    assert block[0].bias is not None and not [p for p in block if isinstance(p, torch.nn.BatchNorm2d)]  # type: ignore[index, attr-defined]


def test_a_network_without_linear_blocks_has_none() -> None:
    assert list(transformed(found("k3e3 k3e3 k3e3"))) == []


def test_an_open_end_can_not_be_collapsed_before_training() -> None:
    with pytest.raises(SearchError, match="must end with its activation"):
        list(transformed(found("k3e3l-open k3e3 k3e3")))


def test_its_checkpoint_reads_back(tmp_path: Path) -> None:
    own, _ = transformed(found("k3e3l k3e3 k5e3l"))
    module = own.build(IMAGE).eval()
    save_checkpoint(path := tmp_path / "one.safetensors", "searched", own.config, module, ["x:1x1x12x12"])
    x = torch.randn(2, *IMAGE)
    torch.testing.assert_close(load_checkpoint(path)[0](x), module(x))


@pytest.mark.parametrize("kind", SHARES)
def test_trials_of_a_seed_differ_in_one_thing(kind: str) -> None:
    trials = {variant: Trial(kind, variant, 1, 6, 0.1, "toy") for variant in VARIANTS}
    names = {variant: architecture(trial, 6) for variant, trial in trials.items()}
    bare = {variant: [name.removesuffix("-open").removesuffix("l") for name in row] for variant, row in names.items()}
    assert all(row == bare["plain"] for row in bare.values())
    linear = sum(name.endswith("l") for name in names["plain"])
    assert linear == round(6 * SHARES[kind])
    assert sum(name.endswith("-open") for name in names["plain, no last ReLU6"]) == linear
    assert not [name for name in names["non-linear"] if name.endswith("l")]
    assert network(trials["transform-first, norm"], 10).config["arch"].count("cbn") == linear  # type: ignore[attr-defined]
    fades = {variant: recipe(trial).linear for variant, trial in trials.items()}
    assert {v: f.epochs for v, f in fades.items() if f.training == "hybrid"} == {
        "hybrid 1/6": 1, "hybrid 1/3": 2, "hybrid 1/2": 3,
    }  # fmt: skip
