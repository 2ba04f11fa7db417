"""The directory of a run: what it refuses, what survives, what it says of damage."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from nascc.nas.errors import CorruptRun, Diverged, RunBusy, RunMismatch, SearchError
from nascc.nas.run import RunDirectory, hours_per_phase
from nascc.nas.run.configuration import differences
from nascc.nas.run.files import TEMPORARY, to_json, write_whole
from nascc.nas.run.journal import read_lines
from nascc.nas.run.state import plain
from run_kit import Recipe, Toy


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run"


def test_creates_and_reopens(path: Path) -> None:
    with RunDirectory.create(path, Toy(seed=5)) as run:
        assert run.config_as(Toy).seed == 5
    document = json.loads((path / "config.json").read_text())
    assert document["schema"] == "nascc.run/1" and document["config"]["recipe"] == {"lr": 0.1, "momentum": 0.9}
    with RunDirectory.reopen(path, Toy) as run:
        assert run.config == Toy(seed=5)


def test_a_configuration_of_another_kind_is_refused(path: Path) -> None:
    with RunDirectory.create(path, Toy()) as run, pytest.raises(RunMismatch, match="must be a Recipe, found a Toy"):
        run.config_as(Recipe)


def test_a_run_is_not_overwritten(path: Path) -> None:
    RunDirectory.create(path, Toy()).close()
    with pytest.raises(RunMismatch, match="holds a run; go on with it by --resume"):
        RunDirectory.create(path, Toy())


def test_a_folder_with_other_things_is_refused(path: Path) -> None:
    path.mkdir()
    (path / "thesis.tex").touch()
    for open_run in (RunDirectory.create, RunDirectory.resume):
        with pytest.raises(RunMismatch, match=r"must be empty, found thesis\.tex"):
            open_run(path, Toy())
    assert os.listdir(path) == ["thesis.tex"]


def test_a_file_is_refused(path: Path) -> None:
    path.touch()
    with pytest.raises(RunMismatch, match="must be a folder"):
        RunDirectory.create(path, Toy())


def test_a_run_killed_before_its_first_file_can_be_resumed(path: Path) -> None:
    path.mkdir()
    (path / ".lock").touch()
    (path / f".config.json.1{TEMPORARY}").touch()
    RunDirectory.resume(path, Toy()).close()
    assert sorted(os.listdir(path)) == [".lock", "config.json"]


def test_every_differing_key_is_named(path: Path) -> None:
    RunDirectory.create(path, Toy()).close()
    with pytest.raises(RunMismatch) as caught:
        RunDirectory.resume(path, Toy(seed=4, recipe=Recipe(lr=0.2)))
    message = str(caught.value)
    assert "seed: 3 in the run, 4 asked for" in message and "recipe.lr: 0.1 in the run, 0.2 asked for" in message
    assert "momentum" not in message


def test_differences_tell_absent_keys_and_long_values() -> None:
    found = differences({"a": {"b": 1}, "c": [1] * 99, "e": {}}, {"a": {}, "c": [1] * 99 + [2], "e": {}})
    assert found[0] == "a.b: 1 in the run, absent asked for" and len(found) == 3
    assert any(entry.startswith("c: [1, 1") and entry.endswith("... asked for") for entry in found)


@pytest.mark.parametrize(("key", "value"), [("schema", "nascc.run/2"), ("nascc", "0.0.1")])
def test_another_version_is_refused(path: Path, key: str, value: str) -> None:
    RunDirectory.create(path, Toy()).close()
    document = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps(document | {key: value}))
    with pytest.raises(RunMismatch, match=value.replace(".", r"\.")):
        RunDirectory.resume(path, Toy())


@pytest.mark.parametrize("text", ["{", '{"schema": "nascc.run/1", "config": 3}', '{"schema": "nascc.run/1"}'])
def test_a_damaged_configuration_is_reported(path: Path, text: str) -> None:
    path.mkdir()
    (path / "config.json").write_text(text)
    with pytest.raises(CorruptRun):
        RunDirectory.resume(path, Toy())


def test_a_configuration_that_does_not_validate_is_reported(path: Path) -> None:
    RunDirectory.create(path, Recipe()).close()
    document = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps(document | {"config": {"seed": "many"}}))
    with pytest.raises(CorruptRun, match="must be a Toy, found seed"):
        RunDirectory.reopen(path, Toy)


def test_one_process_at_a_time(path: Path) -> None:
    with RunDirectory.create(path, Toy()), pytest.raises(RunBusy, match="one process at a time"):
        RunDirectory.resume(path, Toy())
    RunDirectory.resume(path, Toy()).close()


def test_the_lock_of_a_killed_process_is_taken_over(path: Path) -> None:
    hold = "import sys, filelock\nlock = filelock.FileLock(sys.argv[1])\nlock.acquire()\n"
    hold += "print('held', flush=True)\nsys.stdin.read()"
    RunDirectory.create(path, Toy()).close()
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(path / ".lock")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
        with pytest.raises(RunBusy):
            RunDirectory.resume(path, Toy())
        holder.kill()
        holder.wait()
    RunDirectory.resume(path, Toy()).close()


def test_leftovers_of_killed_writes_are_removed(path: Path) -> None:
    with RunDirectory.create(path, Toy()) as run:
        (leftover := run.phase_folder("search") / f".state.pt.77{TEMPORARY}").touch()
    RunDirectory.resume(path, Toy()).close()
    assert not leftover.exists()


@pytest.mark.parametrize("name", ["../x", "/x", "a/../b", "", ".hidden", "a b"])
def test_names_stay_inside_the_run(path: Path, name: str) -> None:
    with RunDirectory.create(path, Toy()) as run, pytest.raises(SearchError, match="names inside a run"):
        run.phase_folder(name)


def test_states_survive_and_keep_their_layout(path: Path) -> None:
    image = torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last)
    with RunDirectory.create(path, Toy()) as run:
        assert run.load_state("search") is None
        run.save_state("search", {"x": image, "n": (1, [2.5, None, True]), "s": "é"}, step=4)
        saved = run.saved("search")
    assert saved is not None and saved.step == 4 and saved.state["n"] == (1, [2.5, None, True])
    assert torch.equal(saved.state["x"], image) and saved.state["x"].stride() == image.stride()


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b[:700] + b"\1" + b[701:]])
def test_a_damaged_state_is_reported(path: Path, damage) -> None:  # type: ignore[no-untyped-def]
    with RunDirectory.create(path, Toy()) as run:
        run.save_state("search", {"x": torch.zeros(1000)})
        file = path / "search" / "state.pt"
        file.write_bytes(damage(file.read_bytes()))
        with pytest.raises(CorruptRun, match=r"state\.pt' must be a state that nascc saved") as caught:
            run.load_state("search")
    assert caught.value.exit_code == 3


def test_a_state_runs_no_code(path: Path) -> None:
    with RunDirectory.create(path, Toy()) as run:
        torch.save({"schema": "nascc.state/1", "state": print}, run.phase_folder("search") / "state.pt")
        with pytest.raises(CorruptRun, match="UnpicklingError"):
            run.load_state("search")


@pytest.mark.parametrize("value", [float("nan"), torch.tensor([1.0, float("nan")]), torch.tensor([float("inf")])])
def test_a_state_that_diverged_does_not_replace_the_last(path: Path, value: object) -> None:
    with RunDirectory.create(path, Toy()) as run:
        run.save_state("search", {"x": 1.0}, step=1)
        with pytest.raises(Diverged, match=r"'state\.net\.x' must be"):
            run.save_state("search", {"net": {"x": value}}, step=2)
        assert run.load_state("search") == {"x": 1.0}


def test_states_are_plain() -> None:
    with pytest.raises(TypeError, match=r"'state\.net' must be a tensor, .* got Linear"):
        plain({"net": torch.nn.Linear(1, 1)})
    shared = torch.zeros(3)
    found = plain({"a": shared, "b": shared})
    assert found["a"] is not found["b"] and found["a"].data_ptr() != shared.data_ptr()


def test_a_write_that_fails_leaves_the_old_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.mkdir()
    write_whole(path / "a", b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_whole(path / "a", b"new")
    assert os.listdir(path) == ["a"] and (path / "a").read_bytes() == b"old"


def test_the_journal_rewinds(path: Path) -> None:
    with RunDirectory.create(path, Toy()) as run:
        run.journal.write("search", 0, loss=1.5, lambda_=torch.tensor(0.5), p=torch.tensor([[1, 2]]))
        position = run.journal.position
        run.journal.write("search", 1, loss=float("inf"))
        assert [line.get("loss") for line in read_lines(run.journal.path)] == [1.5, "Infinity"]
        run.journal.rewind(position)
        assert read_lines(run.journal.path) == (
            {"phase": "search", "step": 0, "loss": 1.5, "lambda": 0.5, "p": [[1, 2]]},
        )
        with pytest.raises(CorruptRun, match=f"must have the {position + 1} bytes"):
            run.journal.rewind(position + 1)


def test_the_journal_replays(path: Path) -> None:
    with RunDirectory.create(path, Toy()) as run:
        for step in range(3):
            run.journal.write("search", step)
        whole = run.journal.path.read_bytes()
        run.journal.replay(0)
        run.journal.write("search", 0, measured="anew")
        assert run.journal.position == len(whole) // 3
        run.journal.skip_to(len(whole))
        assert run.journal.path.read_bytes() == whole
        run.journal.write("search", 3)
        assert len(read_lines(run.journal.path)) == 4


def test_a_line_that_is_being_written_is_left_out(path: Path) -> None:
    (journal := path.parent / "journal").write_bytes(b'{"phase": "a"}\n{"pha')
    assert read_lines(journal) == ({"phase": "a"},)
    assert read_lines(path) == ()


@pytest.mark.parametrize("line", [b"{", b"[1]", b'{"step": 1}'])
def test_a_damaged_line_is_reported(path: Path, line: bytes) -> None:
    (journal := path.parent / "journal").write_bytes(b'{"phase": "a"}\n' + line + b"\n")
    with pytest.raises(CorruptRun, match="line 2 of"):
        read_lines(journal)


def test_documents(path: Path) -> None:
    with RunDirectory.create(path, Toy()) as run:
        run.save_json("profile/table.json", {"x": [1.5, float("nan")], "t": torch.tensor(2)})
        assert run.load_json("profile/table.json") == {"x": [1.5, "NaN"], "t": 2}
        with pytest.raises(CorruptRun, match="must exist"):
            run.load_json("profile/other.json")
        with pytest.raises(TypeError):
            to_json({"x": object()})


def test_results(path: Path) -> None:
    with RunDirectory.create(path, Toy()) as run:
        for phase in ("profile", "5ms/search", "retrain"):
            with pytest.raises(SearchError, match="must be finished first"):
                run.result(phase)
            run.begin(phase)
            run.journal.write(phase, 0, x=1)
            run.finish(phase, {"n": phase})
            assert run.finished(phase) and run.result(phase) == {"n": phase}
        before = sum(line["phase"] == "profile" for line in read_lines(run.journal.path))
        run.forget("5ms/search")
        assert run.finished("profile") and not run.finished("5ms/search") and not run.finished("retrain")
        assert len(read_lines(run.journal.path)) == before


def test_a_damaged_result_is_reported(path: Path) -> None:
    with RunDirectory.create(path, Toy()) as run:
        run.begin("search")
        run.finish("search", {})
        (path / "search" / "result.json").write_text('{"schema": "nascc.result/1"}')
        with pytest.raises(CorruptRun, match="must be the result of a phase"):
            run.result("search")


def test_hours_per_phase() -> None:
    assert hours_per_phase({"search": [9.0, 1.0, 2.0, 4.0, 3.0]}, {"search": 1200}) == {"search": 1.0}
    with pytest.raises(SearchError, match="no times for retrain"):
        hours_per_phase({"search": [1.0]}, {"search": 1, "retrain": 2})
