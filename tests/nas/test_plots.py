"""Series from a journal, the report of a run, its plots, and the command that writes them anew."""

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from nascc.compiler.provenance import new_report
from nascc.compiler.report import Best, Block, Report, Search, Series, SlotEntry
from nascc.nas.errors import CorruptRun, RunMismatch
from nascc.nas.plots import plot_architecture, plot_budget, plot_curves, plot_predictor, plot_probabilities
from nascc.nas.plots.canvas import MOST_POINTS, thinned
from nascc.nas.plots.draw import plots
from nascc.nas.run import RunDirectory, run_phases
from nascc.nas.run.series import collect
from nascc.nas.run.summary import read_report, write_report
from nascc.tools.app import main
from run_kit import METHOD, Toy

BLOCKS = (
    Block(name="stem", operator="conv3", c_in=1, c_out=8, height=24, width=24, stride=2, searched=False),
    Block(name="1", operator="k3e6", c_in=8, c_out=12, height=12, width=12),
    Block(name="2", operator="skip", c_in=12, c_out=12, height=12, width=12),
)


def texts(svg: bytes) -> list[str]:
    """What stands in a plot."""
    return [text.strip() for element in ElementTree.fromstring(svg).iter() if (text := element.text or "").strip()]


def test_series_hold_what_has_steps_and_numbers() -> None:
    lines = [
        {"phase": "search", "event": "started"},
        {"phase": "search", "step": 0, "loss": 2.5, "note": "x", "good": True, "probabilities": [[0.5, 0.5], [1.0]]},
        {"phase": "search", "step": 5, "loss": 1, "bad": "NaN", "empty": []},
        {"phase": "retrain", "step": 0, "network": "random-1", "loss": 0.5},
    ]
    assert collect(lines) == (
        Series(phase="search", name="loss", steps=(0, 5), values=(2.5, 1)),
        Series(phase="search", name="probabilities", steps=(0,), values=([[0.5, 0.5], [1.0]],)),
        Series(phase="retrain/random-1", name="loss", steps=(0,), values=(0.5,)),
    )


def drawn() -> dict[str, bytes]:
    """One plot of each kind."""
    return {
        "budget": plot_budget("search: latency", "latency", ([0, 1, 2], [5.0, 4.0, 3.1]), ([0], [3.2])),
        "curves": plot_curves("losses", {"train": ([0, 1], [2.0, 1.0]), "valid": ([1], [1.5])}, "loss"),
        "probabilities": plot_probabilities("p", [[0.1, 0.9], [1.0]], ["a", "b"], [("k3", "skip"), ("k5",)]),
        "predictor": plot_predictor("predictor", "latency", [1.0, 2.0, 3.0], [1.0, 2.0, 4.0]),
        "architecture": plot_architecture("net", BLOCKS),
    }


def test_plots_say_what_they_show() -> None:
    found = {name: " ".join(texts(svg)) for name, svg in drawn().items()}
    assert "latency, ms" in found["budget"] and "limit" in found["budget"] and "step" in found["budget"]
    assert "train" in found["curves"] and "valid" in found["curves"]
    assert "skip 0.90" in found["probabilities"] and "k5 1.00" in found["probabilities"]
    assert "RMSE 0.577, n 3" in found["predictor"] and "true latency, ms" in found["predictor"]
    assert "conv3  1 to 8 at 24×24, stride 2" in found["architecture"]


def test_plots_are_the_same_every_time() -> None:
    first = drawn()
    assert first == drawn() and not any(b"<dc:date>" in svg or b"<image" in svg for svg in first.values())


def test_operators_that_all_slots_share_name_the_columns() -> None:
    found = texts(plot_probabilities("p", [[0.25, 0.75]] * 2, ["a", "b"], [("k3", "skip")] * 2))
    assert {"k3", "skip", "a", "b", "0.75"} <= set(found)


def test_long_curves_are_thinned() -> None:
    steps = list(range(12_345))
    found, values = thinned((steps, steps))
    assert len(found) == MOST_POINTS and found == values and found[0] == 0 and found[-1] == steps[-1]
    assert thinned(([1], [2.0])) == ([1], [2.0])


def full_report() -> Report:
    """A report with series of every kind that is plotted."""
    report = new_report("search")
    named = {
        "latency": (5.0, 3.0),
        "latency_limit": (3.2, 3.2),
        "loss": (2.0, 1.0),
        "valid_loss": (2.0, 1.5),
        "valid_accuracy": (0.1, 0.4),
        "lambda": (0.0, 0.1),
        "predicted": (1.0, 2.0),
        "truth": (1.1, 2.1),
        "probabilities": ([[0.5, 0.5], [1.0, 0.0]], [[0.25, 0.75], [1.0, 0.0]]),
    }
    report.series = tuple(Series(phase="5ms/search", name=n, steps=(0, 9), values=v) for n, v in named.items())
    slots = (SlotEntry(name="s1", operators=("k3", "skip")), SlotEntry(name="s2", operators=("k5",)))
    best = Best(arch="skip k5", cost={"latency": 3.0}, score={"accuracy": 0.4}, blocks=BLOCKS)
    report.search = Search(method="toy", budget={"latency": 3.2}, best=best, slots=slots)
    return report


def test_a_report_has_a_plot_of_everything() -> None:
    found = dict(plots(full_report()))
    kinds = ("latency", "loss", "accuracy", "lambda", "probabilities", "predictor")
    assert list(found) == [*(f"5ms/search-{kind}" for kind in kinds), "architecture"]
    assert {"skip 0.75", "k5 1.00", "s1"} <= set(texts(found["5ms/search-probabilities"]))
    assert dict(plots(Report.from_json(full_report().to_json()))) == found


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The run of a toy that is finished and says what it found."""
    with RunDirectory.create(tmp_path / "run", Toy()) as run:
        run_phases(METHOD, run)
        run.begin("emit")
        best = {"arch": "k3 skip", "cost": {"latency": 3.14159}, "score": {"accuracy": 0.9}}
        run.finish("emit", {"search": {"method": "toy", "budget": {"latency": 3.2}, "best": best}})
    return tmp_path / "run"


def test_the_report_command(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(path)]) == 0
    out = capsys.readouterr().out
    assert "search     finished after" in out and "found      k3 skip" in out and "latency 3.142" in out
    report = Report.from_json((path / "report.json").read_bytes())
    assert report.command == "search" and report.seed == 3 and report.search is not None
    assert {series.phase for series in report.series} == {
        f"{p}{s}" for p in ("pretrain", "search") for s in ("", "/second")
    }
    assert len(list((path / "plots").glob("*.svg"))) == 12
    before = {file: file.read_bytes() for file in (path / "plots").iterdir()}
    assert main(["report", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["command"] == "report"
    assert {file: file.read_bytes() for file in (path / "plots").iterdir()} == before
    assert Report.from_json((path / "report.json").read_bytes()) == report


def test_a_run_that_is_not_finished(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with RunDirectory.create(tmp_path / "run", Toy()) as run:
        run.begin("search")
        run.journal.write("search", 7, loss=1.0)
        assert main(["report", str(run.path)]) == 0
    out = capsys.readouterr().out
    assert "search     at step 7" in out and f"next       nascc search --resume {run.path}" in out


def test_what_is_no_run_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(tmp_path)]) == 2
    assert "must hold a run" in capsys.readouterr().err
    with pytest.raises(RunMismatch):
        read_report(tmp_path / "nowhere")


def test_damage_is_reported(path: Path) -> None:
    (path / "report.json").write_text("{")
    with pytest.raises(CorruptRun, match="remove it"):
        write_report(path)
    (path / "report.json").unlink()
    with RunDirectory.resume(path, Toy()) as run:
        run.finish("other", {"search": {"best": 3}})
    with pytest.raises(CorruptRun, match="must make a report, found best"):
        write_report(path)
