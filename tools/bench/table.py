"""Print what the benchmark found."""

from collections.abc import Sequence
from statistics import geometric_mean, median

from rich.console import Console
from rich.table import Table

from nascc.tools.bench.results import NetworkResult, floors

COLUMNS = ("tool", "opset", "nodes", "BN", "MB", "CPU s", "least", "peak MiB", "ms", "error")


def print_network(console: Console, result: NetworkResult) -> None:
    """One row a file; below it the ratios and whatever went wrong."""
    table = Table(title=f"{result.network}   eager fp32 error {result.eager_error:.1e}", title_justify="left")
    for column in COLUMNS:
        table.add_column(column, justify="left" if column == "tool" else "right")
    for file in result.files:
        counts = (str(file.opset), str(file.nodes), str(file.batch_norms), f"{file.bytes / 1e6:.1f}")
        peak = f"{file.peak_mib:.0f}" if file.opset == result.opset else ""  # later runs reuse what the first had
        seconds = (f"{median(file.cpu_s):.2f}", f"{min(file.cpu_s):.2f}", peak)
        table.add_row(file.tool, *counts, *seconds, f"{file.ms:.2f}", f"{file.error:.1e}")
    console.print(table)
    if result.complete:
        console.print("   ".join(f"{key} {value:.2f}x" for key, value in result.ratios.items()), highlight=False)
    for file in result.mismatches:
        console.print(f"MISMATCH {file.tool} at opset {file.opset}: error {file.error:.1e}, as asked: {file.honest}")
    for failure in result.failures:
        console.print(f"FAILED {failure}", highlight=False)
    console.print()


def print_summary(console: Console, results: list[NetworkResult], opsets: Sequence[int], help_ratio: float) -> None:
    """The floors, the overhead of older opsets, and the start-up time."""
    mismatches = sum(len(result.mismatches) for result in results)
    failures = sum(len(result.failures) for result in results)
    console.print(f"{len(results)} networks, {mismatches} mismatches, {failures} failures", highlight=False)
    for floor in floors(results):
        console.print(str(floor), highlight=False)
    for opset in opsets:
        pairs = [pair for result in results if result.complete and (pair := result.overhead(opset)) is not None]
        if pairs:
            nodes, latency = (geometric_mean(values) for values in zip(*pairs, strict=True))
            console.print(f"opset {opset} / the peers' opset: nodes {nodes:.2f}x, latency {latency:.2f}x")
    console.print(f"nascc --help / import torch: {help_ratio:.2f} (limit 0.25)", highlight=False)
