"""Compare `nascc fuse` with torch's ONNX exporter, alone and followed by onnxsim or onnxslim.

Every tool runs on every network in a process of its own; imports and a warm-up are not counted. Latencies of one
network are measured interleaved in one process. Run it from a checkout: `python -m nascc.tools.bench.fuse`.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from nascc.tools.bench.contenders import NASCC, PEERS, VERIFIED
from nascc.tools.bench.networks import DEFAULT
from nascc.tools.bench.results import FileResult, NetworkResult, floors
from nascc.tools.bench.start_up import start_up_ratio
from nascc.tools.bench.table import print_network, print_summary

WORKER = "nascc.tools.bench.worker"
LATENCY = "nascc.tools.bench.latency"
Answer = dict[str, Any]


class WorkerFailed(Exception):
    """A tool did not come to an answer."""


@dataclass(frozen=True)
class Job:
    """One tool at one opset, None for its own."""

    tool: str
    opset: int | None
    repeats: int


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    opsets: tuple[int, ...]
    repeats: int
    rounds: int
    seconds: int


def ask(module: str, request: Mapping[str, Any], seconds: int) -> dict[str, Any]:
    """Run a worker module on a request and return its answer; raise WorkerFailed with the last line it said."""
    answer = Path(request["folder"], "answer.json")
    answer.unlink(missing_ok=True)
    command = [sys.executable, "-m", module, json.dumps(request)]
    env = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore", "PYTHONSAFEPATH": "1"}
    try:
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired as error:
        raise WorkerFailed(f"took more than {seconds} s") from error
    if done.returncode != 0 or not answer.is_file():
        raise WorkerFailed((done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1])
    return dict(json.loads(answer.read_text()))


def write_files(network: str, plan: Plan, folder: Path) -> tuple[list[Answer], list[str]]:
    """Let every tool write its files: the peers at their own opset, nascc there too and at every opset of the plan."""
    answers: list[Answer] = []
    failures: list[str] = []

    def add(jobs: Sequence[Job]) -> None:
        request = {"network": network, "jobs": [asdict(job) for job in jobs], "folder": str(folder)}
        try:
            found = ask(WORKER, request, plan.seconds)["answers"]
        except WorkerFailed as error:
            found = [{"failure": str(error)}] * len(jobs)
        for job, answer in zip(jobs, found, strict=True):
            if "failure" in answer:
                failures.append(f"{job.tool} at opset {job.opset or 'default'}: {answer['failure']}")
            else:
                answers.append({"tool": job.tool, "asked": job.opset or answer["opset"]} | answer)

    for tool in PEERS:
        add([Job(tool, None, plan.repeats)])
    own = max((answer["opset"] for answer in answers), default=max(plan.opsets))
    older = [Job(NASCC, opset, 1) for opset in plan.opsets if opset != own]
    add([Job(NASCC, own, plan.repeats), Job(VERIFIED, own, plan.repeats), *older])
    return answers, failures


def measure(network: str, plan: Plan, folder: Path) -> NetworkResult:
    """Write, time and check all files of one network."""
    answers, failures = write_files(network, plan, folder)
    opset = next((answer["opset"] for answer in answers if answer["tool"] in PEERS), max(plan.opsets))
    paths = [answer["path"] for answer in answers]
    request = {"network": network, "paths": paths, "rounds": plan.rounds, "folder": str(folder)}
    try:
        timed = ask(LATENCY, request, plan.seconds)
    except WorkerFailed as error:
        return NetworkResult(network, opset, failures=(*failures, f"onnxruntime: {error}"))
    rows = zip(answers, timed["ms"], timed["errors"], strict=True)
    files = tuple(file_result(answer, ms, error) for answer, ms, error in rows)
    return NetworkResult(network, opset, timed["eager_error"], files, tuple(failures))


def file_result(answer: Answer, ms: float, error: float) -> FileResult:
    honest = answer["domains"] == [""] and answer["functions"] == 0 and answer["opset"] == answer["asked"]
    fields = {key: answer[key] for key in ("tool", "opset", "ir_version", "nodes", "batch_norms", "bytes")}
    peak, cpu = max(answer["peak_mib"]), tuple(answer["cpu_s"])
    return FileResult(cpu_s=cpu, peak_mib=peak, ms=ms, error=error, honest=honest, **fields)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m nascc.tools.bench.fuse", description=__doc__)
    parser.add_argument("--networks", default=",".join(DEFAULT), help="timm:NAME or torchvision:NAME, with commas")
    parser.add_argument("--opsets", default="13,17,20", help="opsets that nascc writes besides the peers' own")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each tool on each network")
    parser.add_argument("--rounds", type=int, default=40, help="interleaved rounds of the latency measurement")
    parser.add_argument("--seconds", type=int, default=900, help="limit for one tool on one network")
    parser.add_argument("--json", type=Path, help="also write everything that was measured to this file")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print a table for each network and a summary; exit code 1 on a mismatch or a failure."""
    asked, console = parse(arguments), Console(width=120)
    plan = Plan(tuple(int(word) for word in asked.opsets.split(",")), asked.repeats, asked.rounds, asked.seconds)
    results = []
    for network in asked.networks.split(","):
        with tempfile.TemporaryDirectory(prefix="nascc-bench-") as folder:
            results.append(measure(network, plan, Path(folder)))
        print_network(console, results[-1])
    help_ratio = start_up_ratio()
    print_summary(console, results, plan.opsets, help_ratio)
    if asked.json:
        summary = {str(floor.name): [floor.limit, *floor.found] for floor in floors(results)}
        document = {"networks": [result.to_json() for result in results], "floors": summary, "help_ratio": help_ratio}
        asked.json.write_text(json.dumps(document, indent=1) + "\n")
    return 1 if any(result.mismatches or result.failures for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
