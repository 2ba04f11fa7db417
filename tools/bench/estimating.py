"""How long an estimate takes: of one network once captured, and of a table of networks from kernel descriptions.

Run it from a checkout: `python -m nascc.tools.bench.estimating`.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from rich.console import Console

from nascc.compiler.capture import capture
from nascc.compiler.kernels_fx import graph_kernels
from nascc.runtime.descriptions import descriptions_json, read_descriptions
from nascc.runtime.kernels_onnx import model_kernels
from nascc.runtime.latency import estimate
from nascc.runtime.profile import load_target
from nascc.tools.bench.mbconv import mbconv_network
from nascc.tools.bench.networks import load_network

NETWORKS, TARGET = ("torchvision:resnet50", "torchvision:mobilenet_v3_large", "timm:mixnet_m"), "nano"
ONE_MS, TABLE_MS, TABLE = 50.0, 5000.0, 100


def processor_ms(work: Callable[[], object], repeats: int = 5) -> float:
    """The least processor time of a few runs."""
    least = float("inf")
    for _ in range(repeats):
        started = time.process_time()
        work()
        least = min(least, time.process_time() - started)
    return least * 1e3


def told(what: str, ms: float, limit: float) -> str:
    """A line of the result."""
    return f"{what:<60}{ms:>8.1f} ms   limit {limit:g}{'' if ms < limit else '   MISSED'}"


def main() -> None:
    """Time both, and print."""
    console, target = Console(width=120), load_target(TARGET)
    torch.set_num_threads(1)
    for name in NETWORKS:
        network = load_network(name)
        graph = capture(network.module, network.inputs).gm
        ms = processor_ms(lambda gm=graph: estimate(graph_kernels(gm), target))  # type: ignore[misc]
        console.print(told(f"{name}, captured", ms, ONE_MS), highlight=False)
    models = [mbconv_network(seed) for seed in range(TABLE)]
    ms = max(processor_ms(lambda m=m: estimate(model_kernels(m), target), 3) for m in models)  # type: ignore[misc]
    console.print(told(f"the slowest of {TABLE} ONNX models", ms, ONE_MS), highlight=False)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "networks.json"
        path.write_text(descriptions_json({str(i): model_kernels(m) for i, m in enumerate(models)}), encoding="utf-8")
        ms = processor_ms(lambda: [estimate(kernels, target) for kernels in read_descriptions(path).values()])
    console.print(told(f"{TABLE} networks from their descriptions", ms, TABLE_MS), highlight=False)


if __name__ == "__main__":
    main()
