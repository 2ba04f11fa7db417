"""Run one tool on one network in a process of its own: processor seconds, peak memory and the file it wrote."""

import copy
import json
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import nn

from nascc.tools.bench.contenders import CONTENDERS, Contender
from nascc.tools.bench.linear_networks import load_collapsible
from nascc.tools.bench.memory import cpu_seconds, peak_mib, reset_peak
from nascc.tools.bench.networks import Network


def warm_up(contender: Contender, folder: Path, opset: int | None) -> None:
    """Pay for lazy imports and first-call tables on a trivial network."""
    trivial = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU()).eval()
    contender(trivial, (torch.randn(1, 3, 8, 8),), folder / "warm_up.onnx", opset)


def measure(contender: Contender, network: Network, path: Path, opset: int | None) -> tuple[float, float]:
    """One run on a fresh copy of the network: (processor seconds, MiB above what was resident before)."""
    module = copy.deepcopy(network.module)
    reset_peak()
    resident, started = peak_mib(), cpu_seconds()
    contender(module, network.inputs, path, opset)
    return cpu_seconds() - started, peak_mib() - resident


def describe(path: Path) -> dict[str, Any]:
    """What the file says of itself: versions, nodes without constants, and batch norms left."""
    model = onnx.load(path, load_external_data=False)
    operators = [node.op_type for node in model.graph.node if node.op_type != "Constant"]
    return {
        "path": str(path),
        "opset": {entry.domain: entry.version for entry in model.opset_import}.get("", 0),
        "domains": sorted({node.domain for node in model.graph.node} | {entry.domain for entry in model.opset_import}),
        "functions": len(model.functions),
        "ir_version": model.ir_version,
        "nodes": len(operators),
        "batch_norms": operators.count("BatchNormalization"),
        "bytes": path.stat().st_size,
    }


def run(job: Mapping[str, Any], network: Network, folder: Path) -> dict[str, Any]:
    """Measure the tool of the job `repeats` times and describe the last file; or say why it failed."""
    tool, opset = job["tool"], job["opset"]
    contender, path = CONTENDERS[tool], folder / f"{network.name}-{tool}-{opset or 'default'}.onnx"
    try:
        warm_up(contender, folder, opset)
        runs = [measure(contender, network, path, opset) for _ in range(job["repeats"])]
        onnx.checker.check_model(str(path), full_check=True)
    except Exception as error:
        return {"failure": f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}"}
    return {"cpu_s": [seconds for seconds, _ in runs], "peak_mib": [mib for _, mib in runs], **describe(path)}


def main() -> None:
    """Read the request as JSON from the first argument, write the answers, one a job, into its folder."""
    request = json.loads(sys.argv[1])
    warnings.simplefilter("ignore")
    network, folder = load_collapsible(request["network"], request.get("batch", 1)), Path(request["folder"])
    answers = [run(job, network, folder) for job in request["jobs"]]
    (folder / "answer.json").write_text(json.dumps({"answers": answers}))


if __name__ == "__main__":
    main()
