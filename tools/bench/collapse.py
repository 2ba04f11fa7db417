"""Time networks of linear regions with nothing collapsed, with everything, and where it pays, against the best peer.

All files of one network at one batch size and number of threads are timed interleaved in one process; what counts are
ratios of their fastest runs. Run it from a checkout: `python -m nascc.tools.bench.collapse --quick`.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from nascc.tools.bench.collapse_results import Nodes, Setting, Timed, checks
from nascc.tools.bench.contenders import ALWAYS, AUTO, MEASURED, NEVER, PEERS, REFERENCE, REPARAMETERISED
from nascc.tools.bench.fuse import LATENCY, WORKER, WorkerFailed, ask
from nascc.tools.bench.linear_networks import COLLAPSIBLE, load_collapsible

FAMILIES = ("repvgg_a0", "mobileone_s0", "fastvit_t8", "repvit_m0_9", "repghostnet_050")
LARGEST = "dw:k3e6"


@dataclass(frozen=True)
class Plan:
    """What is measured."""

    networks: tuple[str, ...]
    families: tuple[str, ...]
    tools: tuple[str, ...]
    batches: tuple[int, ...]
    threads: tuple[int, ...]
    rounds: int
    seconds: int


def write(network: str, batch: int, tools: Sequence[str], plan: Plan, folder: Path) -> list[dict[str, Any]]:
    """Let every tool write its file, each in a process of its own; what fails is left out, and said."""
    found = []
    for tool in tools:
        job = {"tool": tool, "opset": None, "repeats": 1}
        request = {"network": network, "batch": batch, "jobs": [job], "folder": str(folder)}
        try:
            (answer,) = ask(WORKER, request, plan.seconds)["answers"]
        except WorkerFailed as error:
            answer = {"failure": str(error)}
        if "failure" in answer:
            print(f"FAILED {tool} on {network}: {answer['failure']}", file=sys.stderr)
        else:
            found.append({"tool": tool} | answer)
    return found


def measure(network: str, plan: Plan, folder: Path) -> Iterator[Setting]:
    """Every setting of one network."""
    tools = [tool for tool in plan.tools if tool != REPARAMETERISED or network.startswith("timm:")]
    for batch in plan.batches:
        written = write(network, batch, tools, plan, folder)
        for threads in plan.threads:
            request = {"network": network, "batch": batch, "threads": threads, "rounds": plan.rounds}
            try:
                paths = [answer["path"] for answer in written]
                timed = ask(LATENCY, request | {"paths": paths, "folder": str(folder)}, plan.seconds)
            except WorkerFailed as error:
                print(f"FAILED to time {network}: {error}", file=sys.stderr)
                continue
            rows = zip(written, timed["ms"], timed["errors"], strict=True)
            files = tuple(Timed(answer["tool"], answer["nodes"], ms, error) for answer, ms, error in rows)
            yield Setting(network, batch, threads, timed["eager_error"], files)


def count_nodes(family: str, plan: Plan, folder: Path) -> Nodes | None:
    """Nodes of one of timm's networks, merged by nascc and by timm."""
    written = {a["tool"]: a["nodes"] for a in write(f"timm:{family}", 1, (AUTO, REPARAMETERISED), plan, folder)}
    return Nodes(family, written[AUTO], written[REPARAMETERISED]) if len(written) == 2 else None


def collapse_cpu_seconds(network: str) -> float:
    """Processor seconds that MergeBranches and CollapseLinear take, with the cost that counts operations."""
    from nascc.compiler import capture
    from nascc.passes import PASSES, CollapseLinear, MergeBranches, default_pipeline, run_pipeline

    loaded = load_collapsible(network)
    graph = capture(loaded.module, loaded.inputs).gm
    linear = (MergeBranches(), CollapseLinear())
    before = [p for p in default_pipeline(PASSES) if not isinstance(p, (MergeBranches, CollapseLinear))]
    run_pipeline([p for p in before if type(p) not in _later(linear)], graph)
    started = time.process_time()
    run_pipeline(linear, graph)
    return time.process_time() - started


def _later(passes: Sequence[object]) -> set[type]:
    """Passes that say they run after one of these."""
    from nascc.passes import PASSES

    kinds = {type(p) for p in passes}
    return {p for p in PASSES if kinds & set(p.runs_after)}


def print_setting(console: Console, setting: Setting) -> None:
    table = Table(title=f"{setting.network}   batch {setting.batch}, {setting.threads} threads", title_justify="left")
    for column in ("tool", "nodes", "ms", "never / it", "error"):
        table.add_column(column, justify="left" if column == "tool" else "right")
    for file in setting.files:
        ratio = setting.speed_up(file.tool)
        shown = "" if ratio is None else f"{ratio:.3f}"
        table.add_row(file.tool, str(file.nodes), f"{file.ms:.3f}", shown, f"{file.error:.1e}")
    console.print(table)
    peer = setting.over_best_peer
    if peer is not None:
        console.print(f"best peer / auto {peer:.3f}   error allowed {setting.allowed_error:.1e}", highlight=False)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m nascc.tools.bench.collapse", description=__doc__)
    parser.add_argument(
        "--networks", default=",".join(COLLAPSIBLE), help="dw:..., timm:NAME, dbb_resnet18, with commas"
    )
    parser.add_argument("--families", default=",".join(FAMILIES), help="timm's names, to count nodes; '' for none")
    parser.add_argument("--batches", default="1,8", help="batch sizes")
    parser.add_argument("--threads", default="1,2", help="numbers of threads")
    parser.add_argument("--rounds", type=int, default=40, help="interleaved rounds of the latency measurement")
    parser.add_argument("--seconds", type=int, default=900, help="limit for one tool on one network")
    parser.add_argument("--measured", action="store_true", help="also collapse by times measured here")
    parser.add_argument("--quick", action="store_true", help="batch 1, 12 rounds, the peer with onnxsim only")
    parser.add_argument("--json", type=Path, help="also write everything that was measured to this file")
    return parser.parse_args(arguments)


def plan_of(asked: argparse.Namespace) -> Plan:
    peers = (REFERENCE,) if asked.quick else tuple(PEERS)
    tools = (NEVER, ALWAYS, AUTO, *((MEASURED,) if asked.measured else ()), *peers, REPARAMETERISED)
    words = {name: tuple(filter(None, getattr(asked, name).split(","))) for name in ("networks", "families")}
    batches, threads = (tuple(map(int, text.split(","))) for text in (asked.batches, asked.threads))
    rounds = min(asked.rounds, 12) if asked.quick else asked.rounds
    return Plan(words["networks"], words["families"], tools, batches[:1] if asked.quick else batches, threads,
                rounds, asked.seconds)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print a table a setting and what must be reached; exit code 1 where something is not."""
    asked, console = parse(arguments), Console(width=120)
    plan = plan_of(asked)
    settings: list[Setting] = []
    families: list[Nodes] = []
    with tempfile.TemporaryDirectory(prefix="nascc-bench-") as folder:
        for network in plan.networks:
            for setting in measure(network, plan, Path(folder)):
                settings.append(setting)
                print_setting(console, setting)
        for family in plan.families:
            if (nodes := count_nodes(family, plan, Path(folder))) is not None:
                families.append(nodes)
    found = list(checks(settings, families, collapse_cpu_seconds(LARGEST)))
    for check in found:
        console.print(str(check), highlight=False)
    if asked.json:
        document = {"settings": [asdict(s) for s in settings], "families": [asdict(f) for f in families]}
        asked.json.write_text(json.dumps(document | {"checks": [str(check) for check in found]}, indent=1) + "\n")
    return 0 if all(check.reached for check in found) else 1


if __name__ == "__main__":
    sys.exit(main())
