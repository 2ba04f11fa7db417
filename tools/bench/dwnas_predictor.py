"""How well predictors know compiled networks of DW-NAS: fitted and judged on architectures compiled one by one."""

import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from nascc.nas.core.randomness import rng
from nascc.nas.costs import Deployment, DescribedSpace, Describer, describe
from nascc.nas.costs.networks import Networks
from nascc.nas.costs.predictors import PREDICTORS, fit_predictor
from nascc.nas.costs.random_weights import randomise
from nascc.nas.macro import load_macro
from nascc.nas.spaces import MacroSpace
from nascc.runtime.profile import load_target
from nascc.tools.bench.dwnas_ablation import LINEAR, NONLINEAR


def predictors(
    console: Console, target: str, macro: str, batch: int, count: int, compiled: int, folder: Path | None
) -> None:
    """Errors on networks that a fit did not see, as shares of the mean; `compiled` of them are compiled whole."""
    space = MacroSpace(load_macro(macro), 10, operators=(*NONLINEAR, *LINEAR))
    described = describe(space, Describer(Deployment(load_target(target), batch), folder))
    networks, worst, taken = sampled(described, count, compiled)
    mean = float(networks.values.mean())
    title = f"Latency of {count} compiled networks ({macro}, {target}, batch {batch}): mean {mean:.4g} ms"
    table = Table(title=title, title_justify="left")
    for column in ("predictor", "held-out RMSE, ms", "% of the mean", "Kendall tau"):
        table.add_column(column, justify="left" if column == "predictor" else "right")
    for name in PREDICTORS:
        quality = fit_predictor(networks, described.cost("latency"), name).quality
        assert quality is not None
        table.add_row(name, f"{quality.rmse:.2g}", f"{100 * quality.rmse / mean:.3f}", f"{quality.tau:.4f}")
    console.print(table)
    told = f"{compiled} of them compiled whole in {taken:.0f} s" if compiled else "none compiled whole"
    console.print(f"values are sums of compiled pieces; {told}, largest difference {worst:.1e}", highlight=False)


def sampled(described: DescribedSpace, count: int, compiled: int) -> tuple[Networks, float, float]:
    """Random networks with their costs; the largest relative difference from whole ones, and the seconds these took."""
    space, cost, draw = described.space, described.cost("latency"), rng(0, "predictor")
    archs = list(dict.fromkeys(space.random(draw) for _ in range(count)))
    values, worst, started = [cost(arch) for arch in archs], 0.0, time.monotonic()
    for index, arch in enumerate(archs[:compiled]):
        graph = described.deployment.compiled(randomise(space.build(arch)), space.input_shape)
        whole = cost.of_graph(graph)
        worst, values[index] = max(worst, abs(values[index] - whole) / whole), whole
    taken = time.monotonic() - started
    return Networks(space, "latency", tuple(archs), np.array(values)), worst, taken
