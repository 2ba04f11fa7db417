"""Macro-architectures: published sizes and multiply-accumulates, and files of users."""

import json
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from nascc.nas.core import Ctx
from nascc.nas.errors import SearchError
from nascc.nas.macro import load_macro, macro_names
from nascc.nas.spaces import MacroSpace

SIZES = {
    "lightnas": 7**21,
    "proxylessnas": 6**6 * 7**15,
    "fbnet": 9**22,
    "mobilenetv2": 6**6 * 7**10,
    "singlepath": 4**5 * 5**15,
    "singlepath_toy": 4**3 * 5**3,
    "toy": 7**6,
}
PUBLISHED = {
    "skip k3e3 k3e6 k7e3 k3e3 k5e3 k7e3 k3e6 k3e3 k7e6 k5e3 k7e6 k7e3 k5e3 k7e3 skip k5e3 k7e3 k7e3 k3e6 k7e6": 344.9,
    "k3e3 k7e6 k3e3 k5e6 k5e6 k7e3 k3e6 skip k7e6 k3e6 k3e3 k7e3 k5e3 k7e3 skip skip k7e3 k7e3 k5e3 k5e6 k3e6": 371.9,
    "k5e3 k7e6 k3e3 k7e6 k5e6 k5e6 k5e3 k5e3 k3e6 k7e3 k3e3 k7e6 k3e3 k7e6 k7e3 skip k5e6 k5e6 k7e6 k5e6 k7e6": 448.2,
}
"""The three published LightNets and their millions of MACs in convolutions and linear layers."""
BARE = {"name": "mine", "input": [3, 32, 32], "operators": ["k3e3"], "stem": {"channels": 8}, "head": {"channels": 8}}


def space(name: str) -> MacroSpace:
    return MacroSpace(load_macro(name), classes=1000)


def macs(module: torch.nn.Module, shape: tuple[int, ...]) -> int:
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        module.eval()(torch.zeros(1, *shape))
    return counter.get_total_flops() // 2


def test_every_macro_has_its_size_here() -> None:
    assert set(macro_names()) == set(SIZES)


@pytest.mark.parametrize("name", SIZES)
def test_sizes_are_exact(name: str) -> None:
    assert space(name).size() == SIZES[name]


@pytest.mark.parametrize(("arch", "millions"), PUBLISHED.items())
def test_published_networks_have_their_macs(arch: str, millions: float) -> None:
    lightnas = space("lightnas")
    network = lightnas.build(lightnas.parse(arch))
    assert macs(network, lightnas.input_shape) / 1e6 == pytest.approx(millions, rel=1e-3)


def test_a_width_multiplies_and_rounds() -> None:
    half = load_macro("lightnas").scaled(width=0.5, resolution=0.5)
    assert [stage.channels for stage in half.stages] == [8, 16, 24, 40, 64, 80, 88, 192]
    assert (half.input, half.stem.channels, half.head.channels) == ((3, 112, 112), 8, 992)


def test_squeeze_excite_stands_in_the_last_slots() -> None:
    lightnas = MacroSpace(load_macro("lightnas"), 1000, se_last=9)
    gated = [any(name.endswith("se") for name in slot.names) for slot in lightnas.slots]
    assert gated == [False] * 12 + [True] * 9
    assert all("skip" in slot.names for slot in lightnas.slots)


def test_an_expansion_of_one_has_no_expansion() -> None:
    first = space("lightnas").places[1]
    assert first.ops[0].name == "k3e1"
    assert macs(first.ops[0].make(Ctx((16, 8, 8), 16)), (16, 8, 8)) == 64 * 16 * (9 + 16)


def test_a_file_of_a_user(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    lines = (f"{key} = {json.dumps(BARE[key])}" for key in ("name", "input", "operators"))
    tables = "stem = { channels = 8 }\nhead = { channels = 8 }\nstages = [{ channels = 8, blocks = 2 }]"
    path.write_text("\n".join([*lines, tables]))
    assert MacroSpace(load_macro(path), 10).size() == 1


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("lightnass", "lightnas"),
        ("missing.toml", "must be a readable UTF-8 file"),
    ],
)
def test_unknown_macros(name: str, reason: str) -> None:
    with pytest.raises(SearchError, match=reason):
        load_macro(name)


def test_all_violations_are_named_at_once(tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text('name = "bad"\ninput = [3, 32]\noperators = []\nstem = { channels = 0 }\nhead = { channels = 8 }')
    with pytest.raises(SearchError, match="must follow the schema") as caught:
        load_macro(path)
    assert all(word in str(caught.value) for word in ("input", "operators", "stem.channels", "stages"))


@pytest.mark.parametrize("name", ["k4e3", "k3", "e3", "k3e0", "K3E3", "k3e3g0", "identity"])
def test_names_that_are_no_operators(name: str) -> None:
    with pytest.raises(SearchError, match="an operator must be"):
        MacroSpace(load_macro("toy"), 10, operators=[name])
