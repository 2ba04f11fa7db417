"""Published tables: what they count, every kind of row, and files that are none."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from nascc.compiler.macs import count_macs
from nascc.nas.elastic.published import Published, other_macs, published_graph, read_published, table8
from nascc.nas.errors import SearchError
from nascc.passes.blocks import rebatched
from nascc.tools.bench.netadapt import main

Row = dict[str, Any]
HEAD: list[Row] = [{"type": "gap"}, {"type": "fc", "exp": 1000}]
V1 = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1)]
V2 = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]
# kernel, expanded, out, squeezed, activation, stride (Howard et al. 2019, Table 1; torchvision's squeezed channels)
V3 = [
    (3, 16, 16, 0, "RE", 1), (3, 64, 24, 0, "RE", 2), (3, 72, 24, 0, "RE", 1), (5, 72, 40, 24, "RE", 2),
    (5, 120, 40, 32, "RE", 1), (5, 120, 40, 32, "RE", 1), (3, 240, 80, 0, "HS", 2), (3, 200, 80, 0, "HS", 1),
    (3, 184, 80, 0, "HS", 1), (3, 184, 80, 0, "HS", 1), (3, 480, 112, 120, "HS", 1), (3, 672, 112, 168, "HS", 1),
    (5, 672, 160, 168, "HS", 2), (5, 960, 160, 240, "HS", 1), (5, 960, 160, 240, "HS", 1),
]  # fmt: skip
DECODER = (512, 256, 128, 64, 32)


def counted(rows: Sequence[Row], image: Sequence[int] = (3, 224, 224)) -> tuple[int, int]:
    """MACs of an image: of convolutions and linear layers, and of the rest."""
    graph = rebatched(published_graph(Published.model_validate({"layers": rows}), image), (1, *image))
    return count_macs(graph), other_macs(graph)


def stem(filters: int, act: str = "RE", limit: int = 0) -> Row:
    return {"type": "conv", "kernel": 3, "stride": 2, "exp": filters, "bn": 1, "act": act, "T": limit}


def separable(width: int, kernel: int = 3, stride: int = 1, before: int = 0) -> list[Row]:
    """A depthwise and a pointwise layer; `before` many channels are filtered."""
    depthwise = {"type": "dw", "kernel": kernel, "stride": stride, "exp": before, "bn": 1, "act": "RE"}
    return [depthwise, {"type": "pw", "exp": width, "bn": 1, "act": "RE", "T": 0}]


def mobilenet_v1() -> Iterator[Row]:
    yield stem(32)
    for before, (width, stride) in zip([32, *(width for width, _ in V1)], V1, strict=False):
        yield from separable(width, 3, stride, before)


def inverted(kernel: int, expanded: int | None, dw: int, out: int, stride: int, **more: Any) -> Row:
    return {"type": "mnv3", "kernel": kernel, "stride": stride, "exp": expanded, "dw": dw, "pw": out, "T": 0} | more


def mobilenet_v2() -> Iterator[Row]:
    yield stem(32, "RE6")
    c_in = 32
    for ratio, width, blocks, first in V2:
        for block in range(blocks):
            stride, wide = (1 if block else first), c_in * ratio
            adds = stride == 1 and c_in == width
            yield inverted(3, wide if ratio > 1 else None, wide, width, stride, residual=adds, act="RE6", bn=1)
            c_in = width
    yield {"type": "pw", "exp": 1280, "bn": 1, "act": "RE6", "T": 0}


def mobilenet_v3() -> Iterator[Row]:
    yield stem(16, "HS")
    c_in = 16
    for kernel, wide, out, squeezed, act, stride in V3:
        adds = stride == 1 and c_in == out
        expanded = wide if wide != c_in else None
        yield inverted(kernel, expanded, wide, out, stride, residual=adds, act=act, bn=1, se=squeezed)
        c_in = out
    yield {"type": "pw", "exp": 960, "bn": 1, "act": "HS", "T": 0}
    yield {"type": "gap"}
    yield {"type": "fc", "exp": 1280, "act": "HS", "T": 0}


def fastdepth() -> list[Row]:
    """Skips from the last maps of 112, 56 and 28 pixels to the decoder's stages 4, 3 and 2."""
    rows = list(mobilenet_v1())
    skips, before = {4: 3, 3: 7, 2: 11}, 1024
    for stage, width in enumerate(DECODER, 1):
        rows += [*separable(width, 5, before=before), {"type": "up"}]
        rows += [{"type": "add", "row": skips[stage]}] if stage in skips else []
        before = width
    return [*rows, {"type": "pw", "exp": 1, "bn": 0, "T": 0}]


def macs_of_v1(side: int = 224) -> int:
    """Howard et al. 2017, Eq. 5, layer by layer."""
    side //= 2
    total, c_in = 9 * 3 * 32 * side**2, 32
    for width, stride in V1:
        side //= stride
        total, c_in = total + (9 + width) * c_in * side**2, width
    return total


def macs_of_v2() -> int:
    side, total, c_in = 112, 27 * 32 * 112**2, 32
    for ratio, width, blocks, first in V2:
        for block in range(blocks):
            wide = ratio * c_in
            total += (ratio > 1) * c_in * wide * side**2
            side //= 1 if block else first
            total, c_in = total + (9 + width) * wide * side**2, width
    return total + 320 * 1280 * side**2 + 1280 * 1000


def macs_of_v3() -> int:
    side, total, c_in = 112, 27 * 16 * 112**2, 16
    for kernel, wide, out, squeezed, _, stride in V3:
        total += (wide != c_in) * c_in * wide * side**2
        side //= stride
        total, c_in = total + wide * (kernel**2 + out) * side**2 + 2 * wide * squeezed, out
    return total + c_in * 960 * side**2 + 960 * 1280 + 1280 * 1000


def macs_of_decoder() -> int:
    side, total, c_in = 7, 0, 1024
    for width in DECODER:
        total, c_in, side = total + (25 + width) * c_in * side**2, width, 2 * side
    return total + c_in * side**2


def test_mobilenet_v1_costs_what_is_published() -> None:
    rows = [*mobilenet_v1(), *HEAD]
    assert sum(row["type"] in ("conv", "dw", "pw") for row in rows) == 27
    own, _ = counted(rows)
    assert own == macs_of_v1() + 1024 * 1000 and own / 1e6 == pytest.approx(568.7, abs=0.05)


@pytest.mark.slow
def test_mobilenet_v2_costs_what_is_published() -> None:
    own, _ = counted([*mobilenet_v2(), *HEAD])
    assert own == macs_of_v2() and own / 1e6 == pytest.approx(300.8, abs=0.05)


def test_mobilenet_v3_costs_what_is_published() -> None:
    own, _ = counted([*mobilenet_v3(), HEAD[1]])
    assert own == macs_of_v3() and own / 1e6 == pytest.approx(216.6, abs=0.05)


@pytest.mark.slow
def test_a_decoder_with_skips_is_counted() -> None:
    own, others = counted(fastdepth())
    assert own == macs_of_v1() + macs_of_decoder()
    assert others == 256 * 28**2 + 128 * 56**2 + 64 * 112**2


def test_the_published_network_costs_what_the_sheet_says() -> None:
    graph = rebatched(published_graph(table8()), (1, 3, 224, 224))
    assert count_macs(graph) / 1e6 == pytest.approx(223.1, abs=0.05)
    assert (count_macs(graph) + other_macs(graph)) / 1e6 == pytest.approx(225.3, abs=0.05)


def test_a_pruned_chain_of_separable_layers_is_bypassed() -> None:
    """By hand, on 32x32: 8 of the image's filters; a depthwise layer that has lost 2 of 8 lets them by; pointwise
    layers leave max(min(C, T), M).
    """
    rows = [
        {"type": "conv", "kernel": 3, "stride": 2, "exp": 8, "bn": 1, "act": "RE", "T": 2},
        {"type": "dw", "kernel": 3, "exp": 6, "bn": 1, "act": "RE"},
        {"type": "pw", "exp": 3, "bn": 1, "act": "RE", "T": 5},
        {"type": "dw", "kernel": 5, "stride": 2, "exp": 4, "bn": 1},
        {"type": "pw", "exp": 0, "bn": 1, "act": "RE", "T": None},
        {"type": "pw", "exp": 6, "T": 4},
        {"type": "gap"},
        {"type": "fc", "exp": 10},
    ]
    by_hand = 27 * 8 * 256 + 9 * 6 * 256 + 8 * 3 * 256 + 25 * 4 * 64 + 0 + 5 * 6 * 64 + 6 * 10
    assert counted(rows, (3, 32, 32)) == (by_hand, 6 * 64)


def test_no_limit_lets_by_whatever_comes() -> None:
    rows: list[Row] = [{"type": "conv", "kernel": 1, "exp": width, "bn": 1, "act": "RE"} for width in (16, 4, 16, 8)]
    rows += [{"type": "gap"}, {"type": "fc", "exp": 10}]
    assert counted(rows, (3, 8, 8))[0] == (3 * 16 + 16 * 4 + 16 * 16 + 16 * 8) * 64 + 16 * 10
    rows[1]["T"] = 6
    assert counted(rows, (3, 8, 8))[0] == (3 * 16 + 16 * 4 + 6 * 16 + 16 * 8) * 64 + 16 * 10


@pytest.mark.parametrize(("residual", "left"), [(True, 12), (None, 12), (False, 6)])
def test_blocks_add_their_input_unless_told(residual: bool | None, left: int) -> None:
    rows = [
        stem(12, limit=4),
        inverted(3, 10, 8, 6, 1, T=4, residual=residual, act=None),
        {"type": "pw", "exp": 2, "T": 3},
        *HEAD,
    ]
    own, others = counted(rows, (3, 16, 16))
    assert own == (27 * 12 + 12 * 10 + 9 * 8 + 10 * 6 + left * 2) * 64 + 3 * 1000
    assert others == (0 if residual is False else 12 * 64) + 3 * 64


def test_skips_of_a_pruned_decoder_are_unions() -> None:
    """By hand, on 16x16: 4 channels leave the pointwise layer, and the map that is added has 12."""
    rows = [
        stem(12),
        {"type": "conv", "kernel": 3, "stride": 2, "exp": 5, "bn": 1, "act": "RE", "T": 3},
        {"type": "pw", "exp": 2, "bn": 1, "act": "RE", "T": 4},
        {"type": "up"},
        {"type": "add", "row": 1},
        {"type": "pw", "exp": 1, "T": 0},
    ]
    assert counted(rows, (3, 16, 16)) == (27 * 12 * 64 + 9 * 12 * 5 * 16 + 5 * 2 * 16 + 12 * 64, 12 * 64)


def test_a_block_without_expansion_is_not_one_that_lost_it() -> None:
    def rows(expanded: int | None) -> list[Row]:
        return [stem(8, limit=4), inverted(3, expanded, 8, 6, 1, T=4, residual=False), *HEAD]

    assert counted(rows(None), (3, 16, 16))[0] == (27 * 8 + 9 * 8 + 8 * 6) * 64 + 6 * 1000
    assert counted(rows(0), (3, 16, 16))[0] == (27 * 8 + 9 * 4 + 4 * 6) * 64 + 6 * 1000


def test_a_removed_block_of_stride_two_reads_the_threshold_before_it() -> None:
    rows = [stem(12, limit=5), inverted(3, 0, 0, 0, 2, T=3), {"type": "pw", "exp": 7, "T": 0}, *HEAD]
    assert counted(rows, (3, 16, 16))[0] == 27 * 12 * 64 + 3 * 7 * 16 + 7 * 1000


def test_layers_stay_elastic_where_no_layer_makes_the_output() -> None:
    """The blocks of a table without a classifier are bypassed as they are with one."""
    body = [stem(12, limit=4), inverted(3, 10, 8, 0, 1, T=4), inverted(3, 10, 0, 6, 1, T=4)]
    assert counted(body, (3, 16, 16))[0] == counted([*body, *HEAD], (3, 16, 16))[0] - 12 * 1000


def test_a_linear_layer_reads_all_numbers() -> None:
    rows: list[Row] = [stem(4), {"type": "fc", "exp": 6, "T": 0, "act": "RE"}, {"type": "fc", "exp": 3}]
    assert counted(rows, (3, 8, 8))[0] == 27 * 4 * 16 + 4 * 16 * 6 + 6 * 3


def test_a_published_bypass_is_wider_than_its_filters() -> None:
    """T counts even where no row of the table has as many filters."""
    rows = [stem(16, "HS", 8), inverted(3, 0, 0, 4, 1, T=12, act="RE"), {"type": "gap"}, {"type": "fc", "exp": 10}]
    assert counted(rows, (3, 32, 32))[0] == 27 * 16 * 256 + 12 * 4 * 256 + 16 * 10


CONV = {"type": "conv", "kernel": 3, "exp": 8, "T": 0}


@pytest.mark.parametrize(("row", "problem"), [
    ({"kernal": 3}, "layers.0: 'kernal' must be 'kernel', or another word"),
    ({"kernel": 4}, "layers.0: 'kernel' must be odd, got 4"),
    ({"act": "GELU"}, "layers.0.act: input should be 'HS', 'RE' or 'RE6'"),
    ({"exp": None}, "layers.0: 'exp' must say how many filters are left"),
    ({"exp": 0}, "row 1 of the table (conv) must keep a filter"),
    ({"se": 4}, "'se' says nothing about a row of type conv"),
    ({"type": "pw"}, "'kernel' of a pointwise convolution must be 1, got 3"),
    ({"type": "lstm"}, "layers.0.type: input should be"),
    ({"type": "mnv3"}, "'dw' and 'pw' must say"),
    ({"type": "mnv3", "dw": 4, "pw": 4}, "row 1 of the table (mnv3) can not add the image itself"),
    ({"type": "mnv3", "dw": 4, "pw": 0, "residual": False}, "row 1 of the table (mnv3) must keep a filter"),
    ({"type": "mnv3", "dw": 4, "pw": 4, "residual": True, "stride": 2}, "an input can be added where 'stride' is 1"),
    ({"type": "dw", "kernel": None}, "'kernel' must be odd, got None"),
    ({"type": "add", "exp": None}, "'row' must say which row is added"),
    ({"type": "add", "exp": None, "row": 1}, "must add a row before it, got row 1"),
    ({"type": "fc", "exp": 0}, "'exp' of a linear layer must be at least 1"),
])  # fmt: skip
def test_rows_that_can_not_be_are_refused(
    row: Row, problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert problem in refusal({"layers": [CONV | row]}, tmp_path, capsys)


@pytest.mark.parametrize(("content", "problem"), [
    ({"layers": []}, "'layers' must hold a row, found none"),
    ([1], "a mapping of names to values is needed"),
    ({"layers": [CONV | {"kernel": 2}, {"type": "gap", "T": -1}]},
     "layers.0: 'kernel' must be odd, got 2; layers.1.T: input should be greater than or equal to 0\n"),
    ({"rows": []}, "layers: field required"),
    ({"layers": [CONV, CONV | {"stride": 2}, {"type": "add", "row": 1}]}, "must add a map of 16x16, but row 1 gives"),
    ({"layers": [CONV, {"type": "fc", "exp": 2}, CONV]}, "row 3 of the table (conv) must read a map"),
])  # fmt: skip
def test_tables_that_can_not_be_are_refused(
    content: object, problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert problem in refusal(content, tmp_path, capsys)


def refusal(content: object, folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """What the benchmark says about a table that it has to refuse, in one line."""
    (folder / "table.json").write_text(json.dumps(content))
    assert main(["macs", "--table", str(folder / "table.json"), "--image", "3", "32", "32"]) == 2
    told = capsys.readouterr()
    assert not told.out and told.err.count("\n") == 1
    return told.err


def test_files_that_hold_no_table_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "text.json").write_text("{")
    for name in ("gone.json", "text.json"):
        assert main(["macs", "--table", str(tmp_path / name)]) == 2
        assert "must be a JSON table of layers" in capsys.readouterr().err
    with pytest.raises(SearchError, match="must be a JSON table of layers"):
        read_published(tmp_path)


def test_the_benchmark_counts_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [stem(4) | {"index": 1, "note": "first", "Hin": 96}, {"type": "fc", "exp": 2}]
    (tmp_path / "t.json").write_text(json.dumps({"source": "me", "legend": "none", "layers": rows}))
    assert main(["macs", "--table", str(tmp_path / "t.json"), "--image", "3", "96", "96"]) == 0
    assert "t.json: 0.3 M of convolutions and linear layers" in capsys.readouterr().out
