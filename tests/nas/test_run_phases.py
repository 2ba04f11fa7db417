"""Phases over a run directory: kills, Ctrl-C, deadlines, full disks; every run ends as an undisturbed one does."""

import errno
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from nascc.nas.errors import CorruptRun, DiskFull, Diverged, SearchError, Stopped
from nascc.nas.run import RunDirectory, Steps, run_phases
from nascc.nas.run.journal import read_lines
from nascc.nas.run.stopping import Stopping, duration
from nascc.nas.run.timing import seconds_per_phase
from run_kit import METHOD, Toy, Train, Trainer, contents


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of an undisturbed run."""
    path = tmp_path_factory.mktemp("whole") / "run"
    with RunDirectory.create(path, Toy()) as run:
        run_phases(METHOD, run)
    return contents(path)


def finish(path: Path) -> dict[str, bytes]:
    with RunDirectory.resume(path, Toy()) as run:
        run_phases(METHOD, run)
    return contents(path)


@pytest.mark.parametrize("stride", [4, pytest.param(1, marks=pytest.mark.slow)])
def test_kills_at_any_moment(tmp_path: Path, stride: int) -> None:
    script = Path(__file__).parents[1] / "run_kills.py"
    env = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(script.parent)}
    ended = subprocess.run(
        [sys.executable, str(script), str(tmp_path), str(stride)], env=env, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    kills = json.loads(ended.stdout)
    assert kills["random"] >= 3 and kills["writes"] > 40 // stride
    assert contents(tmp_path / "random") == contents(tmp_path / "whole")


def test_a_run_is_complete(whole: dict[str, bytes]) -> None:
    assert {"config.json", "journal.jsonl", "pretrain/state.pt", "search/second.state.pt", "search/result.json"} <= set(
        whole
    )
    lines = [json.loads(line) for line in whole["journal.jsonl"].splitlines()]
    assert lines[0] == {"phase": "pretrain", "event": "started"}
    assert lines[-1] == {"phase": "search", "event": "finished"}
    assert [line["step"] for line in lines if "step" in line] == [0, 2, 4, 6, 8, 10] * 4


def test_a_finished_run_changes_nothing(tmp_path: Path, whole: dict[str, bytes]) -> None:
    assert finish(tmp_path / "run") == whole
    assert finish(tmp_path / "run") == whole


@dataclass(frozen=True)
class Interrupted(Train):
    """Gets a signal in one of its steps, sometimes twice, or raises KeyboardInterrupt as a library would."""

    step: int = 0
    signals: tuple[int, ...] = ()
    raises: type[BaseException] | None = None

    def run(self, run: RunDirectory) -> None:
        original, seen = Trainer.step, []

        def step(trainer: Trainer, index: int) -> float:
            seen.append(index)
            if len(seen) == self.step:
                for number in self.signals:
                    os.kill(os.getpid(), number)
                if self.raises is not None:
                    raise self.raises
            return original(trainer, index)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Trainer, "step", step)
            super().run(run)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_stops_after_the_step(tmp_path: Path, whole: dict[str, bytes], number: int) -> None:
    path, before = tmp_path / "run", signal.getsignal(number)
    with RunDirectory.create(path, Toy()) as run:
        with pytest.raises(Stopped, match=r"interrupted after step 8 of 12 of 'pretrain'.*--resume") as caught:
            run_phases((Interrupted("pretrain", step=8, signals=(number,)), METHOD[1]), run)
        saved = run.saved("pretrain")
        assert saved is not None and saved.step == 8
    assert caught.value.exit_code == 130 and signal.getsignal(number) is before
    assert finish(path) == whole


def test_ctrl_c_twice_stops_at_once(tmp_path: Path, whole: dict[str, bytes]) -> None:
    path = tmp_path / "run"
    with RunDirectory.create(path, Toy()) as run:
        with pytest.raises(Stopped, match="interrupted in 'pretrain'"):
            run_phases((Interrupted("pretrain", step=8, signals=(signal.SIGINT, signal.SIGINT)),), run)
        saved = run.saved("pretrain")
        assert saved is not None and saved.step == 5
    assert finish(path) == whole


def test_ctrl_c_outside_of_loops_stops_at_once(tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Emit:
        name: str = "emit"

        def run(self, run: RunDirectory) -> None:
            os.kill(os.getpid(), signal.SIGINT)
            raise AssertionError("must not be reached")

    with RunDirectory.create(tmp_path / "run", Toy()) as run:
        with pytest.raises(Stopped, match="interrupted in 'emit'"):
            run_phases((Emit(),), run)
        assert not run.finished("emit")


def test_a_library_that_swallows_ctrl_c(tmp_path: Path, whole: dict[str, bytes]) -> None:
    path = tmp_path / "run"
    with RunDirectory.create(path, Toy()) as run, pytest.raises(Stopped, match="interrupted in 'search'"):
        run_phases(
            (METHOD[0], Interrupted("search", "pretrain", 3, signals=(signal.SIGINT,), raises=RuntimeError)), run
        )
    assert finish(path) == whole


def test_errors_of_phases_stay_what_they_are(tmp_path: Path) -> None:
    with RunDirectory.create(tmp_path / "run", Toy()) as run, pytest.raises(ZeroDivisionError):
        run_phases((Interrupted("pretrain", step=3, raises=ZeroDivisionError),), run)


def test_a_time_limit_stops_after_a_step(tmp_path: Path, whole: dict[str, bytes]) -> None:
    path, messages = tmp_path / "run", []
    while len(messages) < 100:
        with RunDirectory.resume(path, Toy()) as run:
            ticks = iter(range(10_000))
            run.stopping = Stopping(4.0, clock=lambda ticks=ticks: float(next(ticks)))
            try:
                run_phases(METHOD, run)
                break
            except Stopped as error:
                messages.append(str(error))
    assert all("the time limit of 4 s was reached" in message for message in messages)
    assert len(messages) > 5 and contents(path) == whole


def test_a_time_limit_that_is_over_starts_no_phase(tmp_path: Path) -> None:
    with (
        RunDirectory.create(tmp_path / "run", Toy(), time_limit_s=0.0) as run,
        pytest.raises(Stopped, match="the time limit of 0 s was reached before 'pretrain'"),
    ):
        run_phases(METHOD, run)


def test_a_full_disk(tmp_path: Path, whole: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    path, write, left = tmp_path / "run", os.write, [20_000]

    def full(descriptor: int, content: bytes) -> int:
        if (size := len(content)) > left[0]:
            size, left[0] = left[0], 0
            if size == 0:
                raise OSError(errno.ENOSPC, "No space left on device")
        left[0] -= size
        return write(descriptor, content[:size])

    with RunDirectory.create(path, Toy()) as run:
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", full)
            with pytest.raises(DiskFull, match="must have room for the next state, but it is full") as caught:
                run_phases(METHOD, run)
        assert run.saved("pretrain") is not None
    assert caught.value.exit_code == 2 and finish(path) == whole


def test_the_moment_of_saving_changes_nothing(tmp_path: Path) -> None:
    found = []
    for every in (1, 7, 100):
        with RunDirectory.create(tmp_path / str(every), Toy(every=every)) as run:
            run_phases(METHOD, run)
        found.append(contents(tmp_path / str(every)))
        assert found[-1].pop("config.json")
    assert found[0] == found[1] == found[2]


def test_until(tmp_path: Path, whole: dict[str, bytes]) -> None:
    path = tmp_path / "run"
    with RunDirectory.create(path, Toy()) as run:
        run_phases(METHOD, run, until="pretrain")
        assert run.finished("pretrain") and not run.finished("search")
        with pytest.raises(SearchError, match="got 'serach': try search"):
            run_phases(METHOD, run, until="serach")
    assert finish(path) == whole


def test_phases_have_names_of_their_own(tmp_path: Path) -> None:
    with RunDirectory.create(tmp_path / "run", Toy()) as run, pytest.raises(SearchError, match="search twice"):
        run_phases((Train("search"), Train("search")), run)


def test_a_forgotten_phase_runs_again(tmp_path: Path, whole: dict[str, bytes]) -> None:
    path = tmp_path / "run"
    assert finish(path) == whole
    with RunDirectory.resume(path, Toy()) as run:
        run.forget("search")
        assert not (path / "search").exists()
    assert finish(path) == whole


def test_a_phase_without_result_is_finished(tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Nothing:
        name: str = "nothing"

        def run(self, run: RunDirectory) -> None: ...

    with RunDirectory.create(tmp_path / "run", Toy()) as run:
        run_phases((Nothing(),), run)
        assert run.result("nothing") == {}


def loop(run: RunDirectory, total: int = 3, **options: object) -> Steps:
    return run.steps("search", total, save=lambda: {"x": 1}, load=lambda state: None, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [float("nan"), torch.tensor([[1.0, float("inf")]])])
def test_a_value_that_is_not_finite_stops_the_loop(tmp_path: Path, value: object) -> None:
    def train(run: RunDirectory) -> None:
        for step in (steps := loop(run, every=1)):
            steps.log(loss=0.5 if step == 0 else value)

    with RunDirectory.create(tmp_path / "run", Toy()) as run:
        with pytest.raises(Diverged, match=r"loss of 'search' must be finite, .* in step 1; the state after step 1"):
            train(run)
        assert len(read_lines(run.journal.path)) == 1


def test_each_step_is_seeded(tmp_path: Path) -> None:
    with RunDirectory.create(tmp_path / "run", Toy()) as run:
        whole = [torch.rand(1).item() for _ in loop(run, 4, seed=1)]
        (run.path / "search" / "state.pt").unlink()
        for step in loop(run, 4, seed=1, every=1):
            torch.rand(7)
            if step == 2:
                break
        assert [torch.rand(1).item() for _ in loop(run, 4, seed=1)] == whole[2:]
    assert len(set(whole)) == 4


def test_a_state_that_does_not_fit_is_reported(tmp_path: Path) -> None:
    def refuse(state: object) -> None:
        raise RuntimeError("size mismatch for weight")

    with RunDirectory.create(tmp_path / "run", Toy()) as run:
        list(loop(run))
        with pytest.raises(CorruptRun, match="must fit what it is loaded into, but: size mismatch"):
            list(run.steps("search", 3, save=dict, load=refuse))
        with pytest.raises(CorruptRun, match="at most 2 steps, found 3"):
            list(loop(run, 2))


def test_progress_is_told(tmp_path: Path) -> None:
    told: list[tuple[object, ...]] = []

    class Listener:
        def update(self, phase: str, done: int, total: int, **shown: float | str) -> None:
            told.append((phase, done, total, shown))

    with RunDirectory.create(tmp_path / "run", Toy(), progress=Listener()) as run:
        for step in (steps := loop(run, 2)):
            steps.log(loss=float(step), lambda_=0.5, probabilities=[[1.0]])
            steps.show(epoch="1/1")
    shown = {"lambda": 0.5, "epoch": "1/1"}
    assert told == [
        ("search", 0, 2, {}),
        ("search", 1, 2, {"loss": 0.0} | shown),
        ("search", 2, 2, {"loss": 1.0} | shown),
    ]


def test_times_lie_beside_the_journal(tmp_path: Path) -> None:
    path = tmp_path / "run"
    finish(path)
    with (path / "timing.jsonl").open("ab") as file:
        file.write(b'{"phase": "pre')
    with RunDirectory.resume(path, Toy()) as run:
        run_phases((Train("third"),), run)
    assert list(seconds_per_phase(path / "timing.jsonl")) == ["pretrain", "search", "third"]
    assert sum(line.get("steps", 0) for line in read_lines(path / "timing.jsonl")) == 6 * 12


def test_durations() -> None:
    assert [duration(s) for s in (0, 40, 720, 9000)] == ["0 s", "40 s", "12 min", "2.5 h"]
