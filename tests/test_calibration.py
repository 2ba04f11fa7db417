"""Fitting to the public tables, and to a user's own measurements."""

from pathlib import Path

import numpy as np
import pytest

from nascc.runtime.calibration import Measurement, Prior, fit
from nascc.runtime.descriptions import descriptions_json, read_descriptions
from nascc.runtime.errors import CorruptFile, UnreadableFile, WrongMeasurements
from nascc.runtime.evaluation import fitted, flops_proportional, half_and_half, left_out, roofline, score
from nascc.runtime.latency import estimate
from nascc.runtime.measurements import ANCHORS, TORCH2TRT, public_networks, public_rows, read_measurements
from nascc.runtime.priors import prior_of
from nascc.runtime.profile import load_target
from nascc.runtime.refit import measured_setting, refit
from nascc.tools.bench.calibrate import CARRIED, Calibrated, calibrate, carried_table, latency_table

NETWORKS, ROWS = public_networks(), public_rows()
ALL = {name: calibrate(name, ROWS) for name in dict.fromkeys(r.target for r in ROWS)}


def measured(target: str, source: str) -> list[Measurement]:
    setting = measured_setting(load_target(target), None)
    return [
        Measurement(r.network, NETWORKS[r.network], r.latency_ms, setting, source)
        for r in ROWS
        if (r.target, r.source) == (target, source)
    ]


@pytest.mark.parametrize(("target", "percent", "tau"), [("nano", 7, 0.95), ("xavier", 14, 0.90)])
def test_half_predicts_the_other_half(target: str, percent: float, tau: float) -> None:
    found = half_and_half(measured(target, TORCH2TRT), fitted(ALL[target].prior))
    assert found.mape_percent <= percent and found.tau >= tau
    for baseline in (flops_proportional, roofline):
        assert half_and_half(measured(target, TORCH2TRT), baseline, 5).mape_percent > 3 * found.mape_percent


@pytest.mark.parametrize("found", ALL.values(), ids=ALL)
def test_anchors(found: Calibrated) -> None:
    anchors = found.of(ANCHORS)
    assert len(anchors) == 3
    inside = score([found.fit.predict(m) for m in anchors], [m.latency_ms for m in anchors])
    outside, _ = found.anchors_left_out
    assert inside.worst_percent <= 20 and inside.tau == 1
    assert outside.worst_percent <= 30


@pytest.mark.parametrize("found", ALL.values(), ids=ALL)
def test_profiles_hold_the_fit(found: Calibrated) -> None:
    target = load_target(found.name)
    assert target.latency is not None
    assert target.latency.calibration == latency_table(found).calibration
    assert target.latency.coefficients == pytest.approx(latency_table(found).coefficients, rel=1e-3)
    mode = found.measurements[0].setting.power_mode
    for m in found.of(ANCHORS):
        assert estimate(m.kernels, target, mode).ms == pytest.approx(found.fit.predict(m), rel=1e-2)


@pytest.mark.parametrize("name", CARRIED)
def test_what_nobody_measured_lies_between_its_relatives(name: str) -> None:
    table = carried_table(name, [ALL[o] for o in CARRIED[name]])
    stored = load_target(name).latency
    assert stored is not None and stored.coefficients == pytest.approx(table.coefficients, rel=1e-3)
    ms = [estimate(NETWORKS["torchvision:resnet50"], load_target(n), "maxn").ms for n in ("orin", name, "orin-nano")]
    assert ms[0] < ms[1] < 1.2 * ms[2]


def test_a_fit_recovers_its_coefficients() -> None:
    truth = Prior((1.5, 0.7, 20.0, 1.2, 15.0, 3.0), 0.4)
    setting = measured_setting(load_target("xavier"), None)
    names = sorted(NETWORKS)
    exact = fit([], truth, ["a"])
    wanted = [Measurement(n, NETWORKS[n], 1.0, setting, "a") for n in names]
    known = [Measurement(n, NETWORKS[n], exact.predict(m), setting, "a") for n, m in zip(names, wanted, strict=True)]
    found = fit(known, Prior(prior_of(load_target("xavier")).coefficients, 0.2, strength=1e-4))
    assert np.allclose(found.coefficients, truth.coefficients, rtol=0.05)


def test_sources_have_offsets_of_their_own() -> None:
    both = [*measured("xavier", ANCHORS), *measured("xavier", TORCH2TRT)]
    found = fit(both, ALL["xavier"].prior)
    assert set(found.offsets_ms) == {ANCHORS, TORCH2TRT} and min(found.coefficients) > 0
    assert left_out(both[:2], fitted(ALL["xavier"].prior))[0].mape_percent < 60


@pytest.mark.parametrize("target", ["nano", "xavier", "orin"])
def test_three_networks_of_a_slower_board_calibrate_it(target: str) -> None:
    board, names = load_target(target), [n for n in sorted(NETWORKS) if "densenet" not in n]
    truth = {n: 1.4 * estimate(NETWORKS[n], board).ms for n in names}
    chosen = ("torchvision:resnet18", "torchvision:mobilenet_v2", "timm:mixnet_m/3")
    found = refit(board, {n: truth[n] for n in chosen}, NETWORKS, source="mine.csv")
    mine = board.model_copy(update={"latency": found.table})
    errors = [abs(estimate(NETWORKS[n], mine).ms / truth[n] - 1) for n in names]
    assert found.before is not None and found.before.mape_percent == pytest.approx(100 * (1 - 1 / 1.4), rel=0.01)
    assert np.mean(errors) < 0.1 and "3 networks of mine.csv" in found.table.calibration


def test_a_target_without_silicon_can_be_fitted() -> None:
    latencies = {n: 1 + 4 * sum(k.count * k.macs for k in NETWORKS[n]) / 1e9 for n in sorted(NETWORKS)[:12]}
    found = refit(load_target("cuda"), latencies, NETWORKS, source="here")
    assert found.table.power_mode is None and found.table.precision == "fp16"
    assert found.fitted.mape_percent < 10 and found.before is None


def test_measurements_need_models_at_hand() -> None:
    with pytest.raises(WrongMeasurements, match="none for nowhere"):
        refit(load_target("nano"), {"nowhere": 3.0}, {}, source="mine.csv")
    with pytest.raises(WrongMeasurements, match="at least one model"):
        refit(load_target("nano"), {}, {}, source="mine.csv")


def test_a_user_table(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("\ufeffmodel,latency_ms,note\na.onnx,12.5,x\nresnet50, 30,\n", encoding="utf-8")
    assert read_measurements(path) == {"a.onnx": 12.5, "resnet50": 30.0}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "at least one row"),
        ("model,latency_ms\n", "at least one row"),
        ("model,latency_us\na,3\n", "convert 'latency_us' to milliseconds"),
        ("model,fps\na,3\n", "convert 'fps' to milliseconds"),
        ("name,latency_ms\na,3\n", "columns model and latency_ms, found name, latency_ms"),
        ("model,latency_ms\na,fast\n", "'fast', which is no number"),
        ("model,latency_ms\na,-1\n", "must be above 0"),
        ("model,latency_ms\na,nan\n", "must be above 0"),
        ("model,latency_ms\na,3e7\n", "is it milliseconds"),
        ("model,latency_ms\n,3\n", "line 2 names no model"),
        ("model,latency_ms\na,3\na,4\n", "'a' stands there twice"),
    ],
)
def test_tables_that_can_not_be_used(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "mine.csv"
    path.write_text(text)
    with pytest.raises(WrongMeasurements) as caught:
        read_measurements(path)
    assert reason in str(caught.value) and caught.value.exit_code == 2


def test_every_bad_row_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("model,latency_ms\na,fast\nb,0\n")
    with pytest.raises(WrongMeasurements, match=r"line 2 .*line 3 "):
        read_measurements(path)


def test_descriptions_survive_a_file(tmp_path: Path) -> None:
    path = tmp_path / "networks.json"
    path.write_text(descriptions_json({"a": NETWORKS["torchvision:alexnet"]}))
    assert read_descriptions(path) == {"a": NETWORKS["torchvision:alexnet"]}
    with pytest.raises(UnreadableFile):
        read_descriptions(tmp_path / "missing.json")
    path.write_text('{"a": [["conv", 1]]}')
    with pytest.raises(CorruptFile, match="kernel descriptions"):
        read_descriptions(path)
