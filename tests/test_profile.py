"""Target profiles: those that come with nascc, a user's own, and what is wrong with one."""

import subprocess
import sys
from pathlib import Path

import pytest

from nascc.runtime.errors import RuntimeTargetError, UnknownTarget
from nascc.runtime.profile import OPSETS, ir_version_of, load_target, target_names

GOOD = """
name = "board"
title = "a board"

[software]
runtime = "tensorrt"
tensorrt = "8.6.1"
opset = 17
ir_version = 8
precisions = ["fp32", "fp16"]
lacks = ["GridSample"]
"""

SILICON = """
[silicon]
architecture = "Volta"
compute_capability = "7.2"
sm_count = 6
cuda_cores = 384
memory_gb = 8
bandwidth_gb_per_s = 59.7
fp32_gflops = 845.0
fp16_gflops = 6758.0
default_mode = "15W"

[silicon.clock_mhz]
15W = 1100.0
"""


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    return tmp_path / "board.toml"


@pytest.mark.parametrize("name", target_names())
def test_profiles_load_under_their_own_name(name: str) -> None:
    target = load_target(name)
    assert target.name == name and target.title
    assert target.ir_version == ir_version_of(target.opset)
    assert (target.tensorrt is None) == (target.silicon is None)


@pytest.mark.parametrize(
    ("name", "tensorrt", "opset", "ir_version", "precisions"),
    [
        ("cpu", None, 20, 9, {"fp32"}),
        ("cuda", None, 20, 9, {"fp32", "fp16"}),
        ("nano", "8.2.1", 13, 7, {"fp32", "fp16"}),
        ("tx2", "8.2.1", 13, 7, {"fp32", "fp16"}),
        ("xavier", "8.5.2", 17, 8, {"fp32", "fp16", "int8"}),
        ("xavier-nx", "8.5.2", 17, 8, {"fp32", "fp16", "int8"}),
        ("orin-nano", "10.3", 20, 9, {"fp32", "fp16", "int8"}),
        ("orin-nx", "10.3", 20, 9, {"fp32", "fp16", "int8"}),
        ("orin", "10.3", 20, 9, {"fp32", "fp16", "int8"}),
    ],
)
def test_software_of_each_target(
    name: str, tensorrt: str | None, opset: int, ir_version: int, precisions: set[str]
) -> None:
    target = load_target(name)
    assert (target.tensorrt, target.opset, target.ir_version) == (tensorrt, opset, ir_version)
    assert set(target.precisions) == precisions


def test_a_user_brings_a_profile(profile: Path) -> None:
    profile.write_text(GOOD + SILICON)
    target = load_target(profile)
    assert target == load_target(str(profile))
    assert "GridSample" in target.lacks and target.silicon is not None and target.silicon.sm_count == 6


def test_a_version_between_the_tables_takes_the_one_below(profile: Path) -> None:
    profile.write_text(GOOD.replace("8.6.1", "9.0.1"))
    target = load_target(profile)
    assert target.operators is not None and target.operators.version == "8.6"
    assert target.table_words == "operators as TensorRT 8.6 imports them, the newest table below 9.0.1"
    assert load_target("nano").table_words is None and load_target("cpu").table_words is None


def test_what_a_profile_lacks_adds_to_its_table(profile: Path) -> None:
    profile.write_text(GOOD)
    with_it = set(load_target(profile).lacks)
    profile.write_text(GOOD.replace('lacks = ["GridSample"]', ""))
    assert with_it - set(load_target(profile).lacks) == {"GridSample"}


@pytest.mark.parametrize(
    ("wrong", "hint"), [("nanoo", "'nano'"), ("Xavier", "'xavier'"), ("orin_nano", "'orin-nano'"), ("qq", "known are")]
)
def test_an_unknown_name_lists_the_near_ones(wrong: str, hint: str) -> None:
    with pytest.raises(UnknownTarget, match=hint) as caught:
        load_target(wrong)
    assert caught.value.exit_code == 2 and wrong in str(caught.value)


def test_every_violation_is_reported_at_once(profile: Path) -> None:
    profile.write_text(
        'name = "A board"\nextra = 1\n[software]\nruntime = "tensorrt"\nopset = 21\nir_version = "7"\n'
        'precisions = ["fp33"]\n[silicon]\nsm_count = 0\n'
    )
    with pytest.raises(UnknownTarget) as caught:
        load_target(profile)
    places = (
        "name title extra software.opset software.ir_version software.precisions.0 silicon.sm_count silicon.clock_mhz"
    )
    assert all(f"{place}: " in str(caught.value) for place in places.split())
    assert "software.precisions: " not in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("ir_version = 8", "ir_version = 9", "ir_version of opset 17 must be 8"),
        ('tensorrt = "8.6.1"', "", "tensorrt must be given exactly when"),
        ('runtime = "tensorrt"', 'runtime = "onnxruntime"', "tensorrt must be given exactly when"),
        ('"8.6.1"', '"eight"', "software.tensorrt"),
        ('["fp32", "fp16"]', "[]", "software.precisions"),
        ('default_mode = "15W"', 'default_mode = "30W"', "default_mode must be one of"),
        ("opset = 17", "opset = 10", "software.opset"),
        ('"8.6.1"', '"8.2.1"', "opset must be at most 13, the newest that tensorrt 8.2.1 imports"),
        ('"8.6.1"', '"5.1.6"', "tensorrt must be at least 7.0"),
    ],
)
def test_contradictions_are_refused(profile: Path, old: str, new: str, reason: str) -> None:
    text = GOOD + SILICON
    assert old in text
    profile.write_text(text.replace(old, new))
    with pytest.raises(UnknownTarget) as caught:
        load_target(profile)
    assert reason in str(caught.value)


@pytest.mark.parametrize("content", [b"name = ", b"\xff\xfe\x00"])
def test_what_is_no_toml_is_refused(profile: Path, content: bytes) -> None:
    profile.write_bytes(content)
    with pytest.raises(UnknownTarget, match="board.toml"):
        load_target(profile)


def test_a_missing_file_is_refused(profile: Path) -> None:
    with pytest.raises(UnknownTarget, match="must be a readable UTF-8 file"):
        load_target(profile)


@pytest.mark.parametrize(("opset", "ir_version"), [(11, 6), (12, 7), (13, 7), (15, 8), (17, 8), (18, 8), (20, 9)])
def test_ir_versions(opset: int, ir_version: int) -> None:
    assert ir_version_of(opset) == ir_version


@pytest.mark.parametrize("opset", [min(OPSETS) - 1, max(OPSETS) + 1])
def test_opsets_without_an_ir_version(opset: int) -> None:
    with pytest.raises(RuntimeTargetError, match="opset must be from 11 to 20"):
        ir_version_of(opset)


def test_profiles_load_without_torch() -> None:
    code = (
        "import sys; from nascc.runtime.profile import load_target; load_target('nano'); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, timeout=60, capture_output=True, text=True)
    assert done.stdout.strip() == "False"
