"""The command line as such: start-up, errors, exit codes and the JSON document."""

import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest
import typer

from nascc.tools import execution
from nascc.tools.app import COMMANDS, main
from nascc.tools.failure import Failure
from nascc.tools.options import Reporting

HEAVY = ("torch", "numpy", "onnx", "onnxruntime")
START = "import sys; from nascc.tools.app import main; code = main(sys.argv[1:]); "


class Refused(Exception):
    exit_code = 4


def run_fresh(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("arguments", [["--help"], ["fuse", "--help"], ["--version"], []])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    done = run_fresh(START + f"sys.exit(any(m in sys.modules for m in {HEAVY}) or code)", *arguments)
    assert done.returncode == 0, done.stderr
    assert "nascc" in done.stdout


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(f"\n  {name} " in shown for name in COMMANDS)
    assert "..." not in shown.partition("Commands:")[2]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["fuze"], "Did you mean 'fuse'"),
        (["verify", "x.pt2"], "two models must be given"),
        (["fuse"], "a model must be given"),
        (["fuse", "x.pt2", "--opsat", "13"], "--opset"),
        (["fuse", "x.pt2", "--opset", "new"], "--opset"),
        (["targets", "nanno"], "did you mean 'nano'"),
        (["targets", "nano", "more"], "more"),
    ],
)
def test_wrong_usage_is_one_sentence(arguments: list[str], reason: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("error: ")
    assert shown.err.count("\n") == 1
    assert reason in shown.err


@pytest.mark.parametrize("arguments", [["fuse", "--json", "--opsat"], ["targets", "nanno", "--json"]])
def test_json_is_one_document_on_failure(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    shown = capsys.readouterr()
    report = json.loads(shown.out)
    assert (report["schema"], report["command"], report["exit_code"]) == ("nascc.report/1", arguments[0], 2)
    assert [f"error: {sentence}\n" for sentence in report["errors"]] == [shown.err]


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (Refused("the target must have Erf"), 4, "the target must have Erf"),
        (KeyboardInterrupt(), 130, "interrupted; nothing was written"),
        (RuntimeError("a bug\nwith a page of text"), 1, "internal error: RuntimeError: a bug; run again with -v"),
        (FileNotFoundError(2, "No such file", "x.pt2"), 2, "'x.pt2' must be accessible, but: No such file"),
        (MemoryError(), 1, "memory"),
    ],
)
def test_every_exception_has_an_exit_code(error: BaseException, code: int, text: str) -> None:
    failure = Failure.of(error)
    assert failure.exit_code == code
    assert failure.message.startswith(text) or text in failure.message
    assert "\n" not in failure.message


def test_traceback_only_when_verbose(capsys: pytest.CaptureFixture[str]) -> None:
    error = RuntimeError("a bug")
    assert execution.fail("fuse", error, Reporting()) == 1
    assert "Traceback" not in capsys.readouterr().err
    error.__cause__ = ValueError("what led to it")
    assert execution.fail("fuse", error, Reporting(verbose=True)) == 1
    assert "what led to it" in capsys.readouterr().err


def chatter(say: execution.Say) -> execution.Answer:
    """A command in which libraries print, warn and log."""
    from nascc.compiler.provenance import new_report

    print("printed")
    print("printed as an error", file=sys.stderr)
    logging.getLogger("library").error("logged")
    warnings.warn("warned", stacklevel=1)
    return execution.Answer(new_report("fuse"), ("wrote",))


def test_what_libraries_say_is_silenced(capsys: pytest.CaptureFixture[str]) -> None:
    execution.execute("fuse", Reporting(), chatter)
    assert capsys.readouterr() == ("wrote\n", "")


@pytest.mark.filterwarnings("ignore:warned")
def test_what_libraries_say_goes_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    execution.execute("fuse", Reporting(json=True, verbose=True), chatter)
    shown = capsys.readouterr()
    assert json.loads(shown.out)["exit_code"] == 0
    assert shown.err.startswith("printed\nprinted as an error\n")


def test_report_is_written_beside_the_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["targets", "--report", str(tmp_path / "r.json")]) == 0
    assert "nano" in capsys.readouterr().out
    report = json.loads((tmp_path / "r.json").read_text())
    assert {"cpu", "nano"} <= {target["name"] for target in report["findings"]}
    assert [path.name for path in tmp_path.iterdir()] == ["r.json"]


def test_report_must_be_writable(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["targets", "--report", str(tmp_path / "no" / "r.json")]) == 2
    shown = capsys.readouterr().err
    assert "folder that exists" in shown
    assert shown.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_swallowed_interruption_counts(capsys: pytest.CaptureFixture[str]) -> None:
    def work(say: execution.Say) -> execution.Answer:
        with contextlib.suppress(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(5)
        raise RecursionError("what a library made of it")

    with pytest.raises(typer.Exit) as raised:
        execution.execute("fuse", Reporting(), work)
    assert raised.value.exit_code == 130
    assert capsys.readouterr().err == "error: interrupted; nothing was written\n"


def test_passes_are_listed_with_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["passes"]) == 0
    shown = capsys.readouterr().out
    assert "FoldBatchNorm(" in shown
    assert "bn(conv(x" in shown


def test_target_is_shown_in_full(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["targets", "nano"]) == 0
    shown = capsys.readouterr().out
    for text in (
        "TensorRT 8.2.1, JetPack 4.6.x; fp32, fp16",
        "opset 13, IR version 7",
        "lacks BitShift, ",
        "4 GB",
        "mode maxn (default)  921.6  25.6",
        "mode 5w                640",
        "rests on 17 networks",
    ):
        assert text in shown


def test_a_power_mode_is_chosen_by_its_name_in_any_case(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["targets", "orin-nano", "--power-mode", "7W", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["target"]["power_mode"] == "7w"
    (found,) = report["findings"]
    assert found["operators"]["table"] == "10.1" and "Det" in found["operators"]["lacks"]
    assert main(["targets", "orin-nano", "--power-mode", "7w"]) == 0
    shown = capsys.readouterr().out
    assert "mode 7w (chosen)" in shown and "mode 15w (default)" in shown
    assert "operators as TensorRT 10.1 imports them" in shown


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["nano", "--power-mode", "9w"], "power mode must be one of maxn, 10w, 5w"),
        (["cpu", "--power-mode", "5w"], "cpu has no power modes"),
        (["--power-mode", "5w"], "must come with a target"),
    ],
)
def test_wrong_power_modes(arguments: list[str], reason: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["targets", *arguments]) == 2
    assert reason in capsys.readouterr().err


@pytest.mark.parametrize("command", ["fuse", "check", "profile"])
def test_a_power_mode_stands_beside_the_target(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    shown = capsys.readouterr().out
    assert shown.index("--target") < shown.index("--power-mode") < shown.index("--json")
