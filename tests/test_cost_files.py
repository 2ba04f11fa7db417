"""Files of measured costs: what is read, and every complaint in one sentence."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import fx

from nascc.nas.costs import Networks, note_architecture, noted_architecture, read_networks, read_table
from nascc.nas.errors import BadMeasurements, SearchError
from nascc.nas.macro import load_macro
from nascc.nas.spaces import MacroSpace

SPACE = MacroSpace(load_macro("toy"), 10, operators=("k3e3", "k5e6", "skip"))
ROWS = [{"slot": slot.name, "operator": name, "value": 10 * s + k + 1}
        for s, slot in enumerate(SPACE.slots) for k, name in enumerate(slot.names)]  # fmt: skip


def table(path: Path, rows: list[dict[str, object]], header: str = "slot,operator,value,unit") -> Path:
    lines = [",".join(str(row.get(column, "")) for column in header.split(",")) for row in rows]
    path.write_text("\n".join(["# measured at 10 W", header, *lines]) + "\n")
    return path


def test_reads_tables(tmp_path: Path) -> None:
    rows = [*ROWS, {"slot": "constant", "value": 5}]
    as_csv = read_table(table(tmp_path / "t.csv", rows), SPACE)
    (tmp_path / "t.json").write_text(json.dumps(rows))
    as_json = read_table(tmp_path / "t.json", SPACE)
    for cost in (as_csv, as_json):
        assert cost((0, 1, 2, 0, 1, 2)) == 5 + 1 + 12 + 23 + 31 + 42 + 53
        assert (cost.constant, cost.table()[1], cost.unit) == (5, [11, 12, 13], "ms")


def test_slots_go_by_number_too_and_values_have_units(tmp_path: Path) -> None:
    rows = [row | {"slot": k // 3, "unit": "J"} for k, row in enumerate(ROWS)]
    cost = read_table(table(tmp_path / "t.csv", rows), SPACE, "energy")
    assert (cost.table()[0], cost.unit, cost.constant) == ([1000, 2000, 3000], "mJ", 0)


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        (ROWS[1:], "block0 k3e3 is missing"),
        ([*ROWS, ROWS[0]], "block0 k3e3 stands there twice"),
        ([*ROWS[1:], ROWS[0] | {"value": "fast"}], "the value of block0 k3e3 is 'fast'"),
        ([*ROWS[1:], ROWS[0] | {"value": "-1"}], "is '-1', no number of at least 0"),
        ([*ROWS[1:], ROWS[0] | {"value": "inf"}], "is 'inf'"),
        ([*ROWS[1:], ROWS[0] | {"operator": "k9e9"}], r"'k9e9' is no operator of block0 \(k3e3, k5e6, skip\)"),
        ([*ROWS[1:], ROWS[0] | {"slot": "block9"}], r"'block9' is no slot \(block0 to block5, 0 to 5, or constant\)"),
        ([*ROWS[1:], ROWS[0] | {"unit": "MB"}], "the unit of latency must be one of"),
        ([], "must hold measurements, found none"),
        ([{"operator": "k3e3"}], "some have no slot, value"),
    ],
)
def test_refuses_tables(tmp_path: Path, rows: list[dict[str, object]], reason: str) -> None:
    with pytest.raises(BadMeasurements, match=reason):
        read_table(table(tmp_path / "t.csv", rows), SPACE)


def test_names_eight_faults_and_counts_the_rest(tmp_path: Path) -> None:
    with pytest.raises(BadMeasurements, match="is missing and 9 more$"):
        read_table(table(tmp_path / "t.csv", ROWS[:1]), SPACE)


def test_reads_networks(tmp_path: Path) -> None:
    names = "k3e3 skip k5e6 skip k3e3 k3e3"
    rows = [
        {"arch": names, "value": 1.5},
        {"arch": "0 2 1 2 0 0", "value": 1500, "unit": "us"},
        {"arch": [0, 2, 1, 2, 0, 0], "value": 0.0015, "unit": "s"},
    ]
    (tmp_path / "n.json").write_text(json.dumps(rows))
    found = read_networks(tmp_path / "n.json", SPACE)
    assert set(found.archs) == {(0, 2, 1, 2, 0, 0)} and np.allclose(found.values, 1.5)
    as_csv = read_networks(table(tmp_path / "n.csv", [*rows[:2], rows[0]], "arch,value,unit"), SPACE)
    assert as_csv.archs == found.archs


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"arch": "k3e3 skip", "value": 1}, "in row 4 an architecture must name 6 operators, got 2"),
        ({"arch": "0 0 0 0 0 9", "value": 1}, "in row 4 an architecture must have one index per slot"),
        ({"arch": [0, 0, 0, 0, 0, True], "value": 0}, "the value is '0', no number above 0"),
        ({"arch": "k3e3 k3e3 k3e3 k3e3 k3e3 k3e4", "value": 1}, "try k3e3"),
        ({"arch": "0 0 0 0 0 0", "value": "x"}, "the value is 'x'"),
    ],
)
def test_refuses_networks(tmp_path: Path, row: dict[str, object], reason: str) -> None:
    (tmp_path / "n.json").write_text(json.dumps([{"arch": "0 0 0 0 0 0", "value": 1}] * 3 + [row]))
    with pytest.raises(BadMeasurements, match=reason):
        read_networks(tmp_path / "n.json", SPACE)


@pytest.mark.parametrize(("text", "reason"), [("{", "must be JSON"), ('{"a": 1}', "a list of objects")])
def test_refuses_other_documents(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "n.json").write_text(text)
    with pytest.raises(BadMeasurements, match=reason):
        read_networks(tmp_path / "n.json", SPACE)
    with pytest.raises(BadMeasurements, match="must be a readable file"):
        read_networks(tmp_path / "nowhere.csv", SPACE)


def test_refuses_too_few_networks() -> None:
    with pytest.raises(BadMeasurements, match="at least 3 networks must be measured to fit a cost, found 2"):
        Networks(SPACE, "latency", ((0,) * 6,) * 2, np.ones(2))


def test_a_measured_cost_asks_a_graph_where_it_came_from(tmp_path: Path) -> None:
    cost = read_table(table(tmp_path / "t.csv", ROWS), SPACE)
    graph = fx.GraphModule(torch.nn.Module(), fx.Graph())
    with pytest.raises(SearchError, match="this graph does not say"):
        cost.of_graph(graph)
    note_architecture(graph, (0, 1, 2, 0, 1, 2))
    assert noted_architecture(graph) == (0, 1, 2, 0, 1, 2)
    assert cost.of_graph(graph) == cost((0, 1, 2, 0, 1, 2))
