"""The latency model: its terms, power modes, precisions, and what it says of itself."""

from pathlib import Path

import pytest

from nascc.runtime.errors import NotCalibrated, UnknownPowerMode, UnknownTarget
from nascc.runtime.kernels import Kernel
from nascc.runtime.latency import TERMS, estimate, kernel_ms, setting_of, terms_of
from nascc.runtime.latency_table import Efficiency, LatencyTable, with_latency
from nascc.runtime.profile import Target, load_target, profile_text, target_names

CONV = Kernel("c", "conv", macs=10**9, read=10**6, written=10**6, weights=10**6, reduction=1000)
SLICE = Kernel("s", "slice", macs=0, read=10**6, written=10**6, weights=0, reduction=0)
MEASURED = ("cpu", "nano", "tx2", "xavier-nx", "xavier", "orin-nano", "orin")


def board(**changes: object) -> Target:
    table = LatencyTable(
        calibration="made up", precision="fp16", power_mode="maxn", offset_ms=0.5, launch_us=10.0, reduction_ns=2.0,
        efficiency=Efficiency(conv=0.5, pointwise=0.5, depthwise=0.1, memory=0.5), networks=1,
    )  # fmt: skip
    return load_target("nano").model_copy(update={"latency": table.model_copy(update=changes)})


def test_the_terms_of_a_kernel() -> None:
    found = estimate([CONV], board())
    assert found.terms["conv"] == pytest.approx(2e9 / (471.9e6 * 0.5))
    assert found.terms["memory"] == pytest.approx(6e6 / (25.6e6 * 0.5))
    assert found.terms["launch"] == pytest.approx(0.010) and found.terms["reduction"] == pytest.approx(0.002)
    assert found.ms == pytest.approx(sum(found.terms.values())) and found.terms["offset"] == 0.5


@pytest.mark.parametrize(
    ("kind", "term", "peak"),
    [("depthwise", "depthwise", 2820.0), ("grouped", "conv", 2820.0), ("gemm", "pointwise", 11280.0)],
)
def test_what_runs_on_single_cores_has_their_peak(kind: str, term: str, peak: float) -> None:
    kernel = Kernel("k", kind, macs=10**9, read=0, written=0, weights=0, reduction=0)
    found = terms_of(kernel, setting_of(load_target("xavier")))
    assert found[TERMS.index(term)] == pytest.approx(2e9 / (peak * 1e6))


def test_copies_are_half_a_launch() -> None:
    assert terms_of(SLICE, setting_of(board()))[TERMS.index("launch")] == pytest.approx(0.5e-3)


def test_counts_multiply() -> None:
    twice = Kernel("c", "conv", 10**9, 10**6, 10**6, 10**6, 1000, count=2)
    setting = setting_of(board())
    assert kernel_ms(twice, board(), setting) == pytest.approx(2 * kernel_ms(CONV, board(), setting))


def test_the_clock_scales_all_but_memory_and_offset() -> None:
    fast, slow = estimate([CONV], board()), estimate([CONV], board(), "5W")
    assert slow.power_mode == "5w" and "scaled by clock from maxn" in slow.calibration
    for term in ("conv", "launch", "reduction"):
        assert slow.terms[term] / fast.terms[term] == pytest.approx(921.6 / 640)
    assert slow.terms["memory"] == fast.terms["memory"] and slow.terms["offset"] == fast.terms["offset"]


def test_modes_of_orin_nano_differ_by_their_clocks() -> None:
    seven, fifteen = (setting_of(load_target("orin-nano"), mode) for mode in ("7w", "15w"))
    assert fifteen.rates.clock_mhz / seven.rates.clock_mhz == pytest.approx(1.53, abs=0.005)
    assert seven.slowdown == 1 and fifteen.slowdown == pytest.approx(408 / 625)


def test_memory_has_modes_too() -> None:
    rates = {m: setting_of(load_target("orin-nano"), m).rates.bandwidth_gb_per_s for m in ("15w", "maxn")}
    assert rates == {"15w": 68.0, "maxn": 102.0}


def test_another_precision_says_so() -> None:
    single = estimate([CONV], board(), precision="fp32")
    assert single.terms["memory"] == pytest.approx(2 * estimate([CONV], board()).terms["memory"])
    assert "fp32 carried over from fp16" in single.calibration


@pytest.mark.parametrize("name", [n for n in target_names() if n != "cuda"])
def test_estimates_say_that_they_are_and_what_they_rest_on(name: str) -> None:
    found = estimate([CONV], load_target(name))
    assert str(found).startswith("estimated ") and found.calibration in str(found)
    expected = "rests on" if name in MEASURED else "nothing measured"
    assert expected in found.calibration


def test_tx2_admits_its_priors() -> None:
    assert "3 networks" in estimate([], load_target("tx2")).calibration
    assert "priors" in estimate([], load_target("tx2")).calibration


def test_without_coefficients_there_is_no_estimate() -> None:
    with pytest.raises(NotCalibrated, match="nascc profile --target cuda"):
        estimate([CONV], load_target("cuda"))


def test_unknown_power_modes() -> None:
    with pytest.raises(UnknownPowerMode, match="one of maxn, 10w, 5w, got '30w'"):
        estimate([CONV], load_target("nano"), "30w")
    with pytest.raises(UnknownPowerMode, match="no power modes"):
        setting_of(load_target("cpu"), "maxn")


def test_a_table_survives_its_profile(tmp_path: Path) -> None:
    table = board(calibration='a "quoted" \\ word', error_percent=4.2).latency
    assert table is not None
    path = tmp_path / "mine.toml"
    path.write_text(with_latency(with_latency(profile_text("nano"), table), table))
    assert load_target(path).latency == table
    assert load_target(path).silicon == load_target("nano").silicon


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('power_mode = "maxn"', 'power_mode = "99w"', "latency.power_mode must be a mode"),
        ("depthwise = 0.", "depthwise = -0.", "latency.efficiency.depthwise"),
        ("launch_us = ", "launch_ms = ", "latency.launch_us"),
        (
            "[silicon.clock_mhz]",
            '[silicon.mode_bandwidth_gb_per_s]\n"3w" = 1.0\n[silicon.clock_mhz]',
            "must name modes",
        ),
    ],
)
def test_malformed_tables_are_refused(tmp_path: Path, old: str, new: str, reason: str) -> None:
    text = profile_text("nano")
    assert old in text
    path = tmp_path / "mine.toml"
    path.write_text(text.replace(old, new))
    with pytest.raises(UnknownTarget) as caught:
        load_target(path)
    assert reason in str(caught.value)
