"""What TensorRT imports: the shipped tables are what the script derives, and profiles read them by version."""

import json
from pathlib import Path

import pytest

from nascc.runtime.errors import UnknownTarget
from nascc.runtime.operator_table import operator_table, operator_tables, schema_operators
from nascc.runtime.profile import load_target
from nascc.tools.bench import operator_tables as script

GAINS = {
    "8.4": {"HardSwish", "RandomNormal", "RandomNormalLike", "Reciprocal", "Shrink", "Xor"},
    "8.5": {"GridSample", "MeanVarianceNormalization", "Mod", "NonZero", "OneHot", "RoiAlign", "Trilu"},
    "8.6": {"GroupNormalization", "IsInf", "LayerNormalization"},
    "9.3": {"CastLike", "Hardmax"},
    "10.0": {"Gelu", "Mish"},
    "10.1": {"DeformConv"},
}


def test_the_shipped_tables_are_what_the_script_derives() -> None:
    assert script.RESULT.read_text("utf-8") == script.tables_json(script.derive())


def test_a_changed_source_gives_other_tables(tmp_path: Path) -> None:
    source = tmp_path / "operators.csv"
    text = script.SOURCE.read_text("utf-8")
    assert "\nRelu,Y" in text
    source.write_text(text.replace("\nRelu,Y,Y,Y,Y,Y,Y,Y", "\nRelu,Y,Y,Y,Y,Y,Y,"))
    changed = script.derive(source)
    assert "Relu" not in json.loads(script.tables_json(changed))["8.2"]["operators"]
    assert "-Relu" in "\n".join(script.differences(changed))


@pytest.mark.parametrize("version", GAINS)
def test_what_each_version_gains(version: str) -> None:
    tables = list(operator_tables())
    at = [table.version for table in tables].index(version)
    assert set(tables[at].operators) - set(tables[at - 1].operators) == GAINS[version]


@pytest.mark.parametrize(
    ("version", "table", "exact"),
    [
        ("8.2.1", "8.2", True),
        ("8.3", "8.2", False),
        ("8.4.1", "8.4", True),
        ("8.6.2", "8.6", True),
        ("9.2", "8.6", False),
        ("10.3", "10.1", False),
        ("11.0", "10.1", False),
    ],
)
def test_a_version_takes_the_newest_table_at_or_below(version: str, table: str, exact: bool) -> None:
    found = operator_table(version)
    assert (found.version, found.is_exact_for(version)) == (table, exact)


def test_versions_before_all_tables_are_refused() -> None:
    with pytest.raises(UnknownTarget, match="at least 7.0"):
        operator_table("5.1.6")


@pytest.mark.parametrize(
    ("target", "lacks", "has"),
    [
        ("nano", "Mod OneHot Xor Reciprocal IsInf Det", "Relu Einsum Round If Loop Resize"),
        ("xavier", "LayerNormalization IsInf Det CastLike", "Mod OneHot Xor Reciprocal GridSample HardSwish"),
        ("orin", "BitwiseNot Col2Im Det DFT STFT HannWindow", "Gelu Mish LayerNormalization DeformConv CastLike IsInf"),
        ("cpu", "ImageDecoder", "Gelu Mish STFT Det Unique SequenceMap"),
    ],
)
def test_what_targets_lack(target: str, lacks: str, has: str) -> None:
    found = load_target(target).lacks
    assert set(lacks.split()) <= set(found)
    assert not set(has.split()) & set(found)
    assert list(found) == sorted(found)


def test_a_workstation_gpu_is_checked_by_schema_alone() -> None:
    target = load_target("cuda")
    assert target.lacks == () and target.operators is None


def test_only_operators_of_the_opset_count() -> None:
    assert "GridSample" not in load_target("nano").lacks
    assert {"Relu", "Squeeze"} <= schema_operators(13)
    assert not {"Upsample", "Scatter", "HardSwish", "Gelu"} & schema_operators(13)
    assert "HardSwish" in schema_operators(14)
