"""What the README shows is what works: its lines stand where they are said to stand, and its examples run."""

import re
import shlex
from pathlib import Path

import pytest

from nascc.nas.zoo import ARCHITECTURES
from nascc.tools.app import main


def blocks(root: Path, language: str) -> list[str]:
    """The fenced blocks of one language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```", (root / "README.md").read_text(), re.MULTILINE | re.DOTALL)


def test_second_line_is_what_ci_runs(root: Path) -> None:
    line = blocks(root, "sh")[1].strip()
    assert line.endswith("-m nascc.tools.selfcheck")
    assert line in (root / ".ci" / "run").read_text().splitlines()


def first_command(root: Path) -> list[str]:
    line = blocks(root, "sh")[0].strip()
    assert "pip install -q -c constraints.txt ." in line
    command = shlex.split(line.split("&&")[-1])
    assert command[0] == ".venv/bin/nascc"
    return command[1:]


def test_first_line_begins(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*first_command(root), "--dry-run"]) == 0
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_first_line_searches(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(first_command(root)) == 0
    assert {"classify.py", "labels.txt", "model.onnx", "preprocess.json"} == {
        path.name for path in (tmp_path / "run-nano" / "deploy").iterdir()
    }


def test_python_example_runs(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (code,) = blocks(root, "python")
    assert len(code.splitlines()) == 3
    exec(compile(code, "README.md", "exec"), {"model": ARCHITECTURES["mobilenet_v2"]()})
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


@pytest.mark.parametrize(
    ("start", "end", "commands"),
    [
        ("## A budget", "## A trained network", ["search", "train"]),
        ("## A trained network", "## A trained model", ["compress", "search"]),
        ("## A trained model", "## On the board", ["fuse", "check", "bench"]),
        (
            "## On the board",
            "## What is rewritten",
            ["device", "build", "bench", "verify", "profile", "search", "fuse"],
        ),
        ("## What is rewritten", "## From Python", ["fuse"]),
    ],
)
def test_named_options_exist(
    start: str, end: str, commands: list[str], root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert [main([command, "--help"]) for command in commands] == [0] * len(commands)
    shown = capsys.readouterr().out
    part = (root / "README.md").read_text().partition(start)[2].partition(end)[0]
    named = set(re.findall(r"--[a-z][a-z-]+", part))
    assert named
    assert not [option for option in named if option not in shown]


def test_constraints_pin_every_requirement(root: Path) -> None:
    lines = [line for line in (root / "constraints.txt").read_text().splitlines() if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+==[0-9][A-Za-z0-9.]*", line) for line in lines)
    assert "torch==2.13.0" in lines
