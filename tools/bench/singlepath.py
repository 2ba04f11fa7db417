"""What Single-Path NAS claims, measured here: `python -m nascc.tools.bench.singlepath steps|subsets|runtime|sweep`.

steps: a search step beside a plain training step of the largest network, seconds and bytes kept. subsets: 3x3 and 5x5
trained in one kernel with accumulated gradients, beside kernels of their own (Table 2). runtime: random networks
measured on this CPU against Eqs. 10 to 12 on measured operators (Fig. 7). sweep: five lambdas, and limits without one.
"""

import argparse
import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from scipy.stats import spearmanr
from torch import nn

from nascc.nas.core import Arch
from nascc.nas.core.randomness import rng
from nascc.nas.costs.tables import TableCost
from nascc.nas.macro import load_macro
from nascc.nas.methods import METHODS, run_method
from nascc.nas.methods.configure import configure, merged
from nascc.nas.methods.threshold_learner import ThresholdLearner
from nascc.nas.phases.adopted import DESCRIPTIONS
from nascc.nas.phases.goals import PROFILE
from nascc.nas.run import RunDirectory
from nascc.nas.search import Fixed, SyntheticCost
from nascc.nas.spaces import MacroSpace, Part
from nascc.nas.spaces.macro_space import Place
from nascc.nas.supernets import recalibrate
from nascc.nas.supernets.superkernel_net import SuperkernelNet
from nascc.nas.supernets.superkernel_runtime import Runtime
from nascc.nas.supernets.weights import WeightTrainer
from nascc.nas.tasks import Task, TaskConfig, open_task
from nascc.nas.train import Recipe, evaluate
from nascc.nas.train.layout import channels_last
from nascc.tools.bench.macro_onnx import written
from nascc.tools.bench.ranking import known_or_measured
from nascc.tools.bench.supernet import saved_bytes, seconds, training_step

LAMBDAS = (0.0, 0.3, 1.0, 3.0, 10.0)
SETTINGS = {"paper": ("singlepath", 112, 16, 1000, 1.15), "toy": ("singlepath_toy", 24, 64, 10, 1.3)}
"""Macro, side of the images, batch size, classes, and the largest ratio of a step."""


def uniform(space: MacroSpace, name: str) -> Arch:
    """One operator everywhere."""
    return tuple(slot.names.index(name) for slot in space.slots)


class Searching(nn.Module):
    """Logits of a supernet as its weights decide; what they cost is added as a zero that has a gradient."""

    def __init__(self, net: SuperkernelNet) -> None:
        super().__init__()
        self.net = net
        rows = [[1.0 + k for k in range(len(slot.ops))] for slot in net.space.slots]
        self.learner = ThresholdLearner(net, (), SyntheticCost(rows, constant=1.0), Fixed(1.0), 0.3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        gates = self.net.gates()
        cost = self.learner.loss(gates)
        assert cost is not None
        return self.net.gated(x, gates) + (cost - cost.detach())


def steps(console: Console, rounds: int) -> None:
    """Ratios of interleaved steps, fastest of each."""
    table = Table("size", "seconds", "bytes kept", "goal")
    for size, (macro, side, batch, classes, goal) in SETTINGS.items():
        own = load_macro(macro)
        space = MacroSpace(own, classes, input_shape=(own.input[0], side, side))
        torch.manual_seed(0)
        net = SuperkernelNet(space).train()
        largest = channels_last(net.extract(uniform(space, "k5e6")).train())
        searching = channels_last(Searching(net).train())
        x = torch.randn(batch, *space.input_shape).to(memory_format=torch.channels_last)
        labels = torch.randint(classes, (batch,))
        kept = saved_bytes(searching, x) / saved_bytes(largest, x)
        pair = (training_step(searching, x, labels), training_step(largest, x, labels))
        least = seconds(pair, rounds).min(0)
        table.add_row(size, f"{least[0] / least[1]:.3f}", f"{kept:.3f}", f"<= {goal}")
    console.print(table)


def subsets(console: Console, epochs: int, seeds: Sequence[int]) -> None:
    """Accuracy of 3x3 and 5x5 in one kernel, and of kernels of their own (Table 2)."""
    task = open_task(TaskConfig())
    space = MacroSpace(load_macro("singlepath_toy"), len(task.classes))
    archs = {"3x3": uniform(space, "k3e6"), "5x5": uniform(space, "k5e6")}
    rows: dict[str, list[tuple[float, float]]] = {name: [] for name in archs}
    for seed in seeds:
        shared = _trained(space, task, list(archs.values()), epochs, seed)
        for name, arch in archs.items():
            alone = _trained(space, task, [arch], epochs, seed)
            rows[name].append((_accuracy(alone, task, arch), _accuracy(shared, task, arch)))
    table = Table("kernel", "alone %", "in one kernel %", "change")
    for name, pairs in rows.items():
        own, joint = (100 * float(np.mean([p[k] for p in pairs])) for k in (0, 1))
        table.add_row(name, f"{own:.2f}", f"{joint:.2f}", f"{joint - own:+.2f}")
    console.print(table)
    console.print(f"{epochs} epochs, {len(seeds)} seeds; ImageNet, as published: 73.59 -> 73.43 and 74.10 -> 73.86")


def _trained(space: MacroSpace, task: Task, archs: Sequence[Arch], epochs: int, seed: int) -> SuperkernelNet:
    """A superkernel net after steps that add up the gradients of all `archs`."""
    torch.manual_seed(seed)
    net, split = SuperkernelNet(space), task.split("train")
    recipe = Recipe(epochs=1, batch_size=32, lr=0.1, label_smoothing=0.1, clip=5.0, schedule="one_cycle")
    total = epochs * (len(split) // recipe.batch_size)
    trainer = WeightTrainer(net, split, recipe, total, seed, net.thresholds)
    for step in range(total):
        trainer.step(step, archs)
    return net


def _accuracy(net: SuperkernelNet, task: Task, arch: Arch) -> float:
    """On the test images, with batch norm statistics of its own."""
    network, split = channels_last(net.extract(arch)), task.split("train")
    batches = (split.batch(torch.arange(64 * k, 64 * (k + 1)))[0] for k in range(16))
    recalibrate(network, (b.to(memory_format=torch.channels_last) for b in batches))
    return evaluate(network, task.split("test")).accuracy


def runtime(console: Console, networks: int, rounds: int, side: int, known: Path | None) -> None:
    """Random networks measured on this CPU, against Eqs. 10 to 12 on operators measured alone (Fig. 7)."""
    space = MacroSpace(load_macro("singlepath"), 1000, input_shape=(3, side, side))
    draw = rng(0, "runtime")
    archs = [space.random(draw) for _ in range(networks)]
    pieces = {key: written([part]) for key, part in _operators(space).items()}
    whole = {space.name_of(a): written(space.parts(a)) for a in archs}
    found = known_or_measured(pieces | whole, known, rounds, console)
    rows = [
        [found.get(_key(place, k), 0.0) for k in range(len(place.ops))]
        for place in space.places
        if place.slot is not None
    ]
    model = Runtime(SuperkernelNet(space), TableCost("latency", rows))
    predicted = np.array([model.of(a) for a in archs])
    measured = np.array([found[space.name_of(a)] for a in archs])
    factor, offset = np.polyfit(predicted, measured, 1)
    rmse = float(np.sqrt(np.mean((factor * predicted + offset - measured) ** 2)))
    console.print(
        f"{networks} networks of {measured.min():.1f} to {measured.max():.1f} ms: RMSE {rmse:.3f} ms, "
        f"{100 * rmse / measured.mean():.2f} % (goal 5) after {factor:.3f} x + {offset:.2f}; "
        f"Spearman {spearmanr(predicted, measured).statistic:.3f}",
        highlight=False,
    )


def _operators(space: MacroSpace) -> dict[str, Part]:
    """Every searched operator on its own, places of equal shape once."""
    return {
        _key(place, k): Part(place.name, op, place.ctx, place.slot)
        for place in space.places
        if place.slot is not None
        for k, op in enumerate(place.ops)
        if op.name != "skip"
    }


def _key(place: Place, k: int) -> str:
    ctx = place.ctx
    return f"{place.ops[k].name} {'x'.join(map(str, ctx.shape))} to {ctx.c_out} stride {ctx.stride}"


def sweep(console: Console, lambdas: Sequence[float], shares: Sequence[str], changes: dict[str, Any]) -> None:
    """The runtime that each lambda leaves, and what limits leave without one."""
    asked = [("100%", {"controller": "fixed", "lambda_": value}) for value in lambdas]
    decided = []
    with tempfile.TemporaryDirectory() as folder:
        for number, (latency, own) in enumerate([*asked, *((share, {}) for share in shares)]):
            found = _searched(changes | {"architecture": own}, latency, Path(folder), number)
            decided.append(found["decided"])
            words = [f"{name} {value if isinstance(value, str) else f'{value:.3f}'}" for name, value in found.items()]
            console.print(f"{own or f'--latency {latency}'}: {', '.join(words)}", highlight=False)
    rank = spearmanr(lambdas, decided[: len(lambdas)]).statistic
    console.print(f"Spearman of lambda and runtime {rank:.3f} (goal <= -0.9)", highlight=False)


def _searched(changes: dict[str, Any], latency: str, folder: Path, number: int) -> dict[str, float | str]:
    """Milliseconds of what the weights decided and of what was found, the limit, the network: on the toy task."""
    method = METHODS["single-path"]
    asked = merged({"budgets": {"latency": latency}, "baselines": "none"}, changes)
    config = configure(method, "toy", "nano", TaskConfig(), asked)
    with RunDirectory.create(folder / str(number), config) as run:
        if number:  # the space is the same: nothing has to be compiled again
            shutil.copyfile(folder / "0" / PROFILE / DESCRIPTIONS, run.phase_folder(PROFILE) / DESCRIPTIONS)
        run_method(method, run, until="search")
        result, limits = run.result("search"), run.result(PROFILE)["limits"][""]
        lines = [json.loads(line) for line in (run.path / "journal.jsonl").read_text().splitlines()]
    last = [line for line in lines if line["phase"] == "search" and "step" in line][-1]
    found = {"decided": last["latency"], "found": result["cost"]["latency"], **limits, "network": result["name"]}
    return {"limit" if name == "latency" else name: value for name, value in found.items()}


def main() -> None:
    """Do what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("steps", "subsets", "runtime", "sweep"))
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--networks", type=int, default=100)
    parser.add_argument("--side", type=int, default=112)
    parser.add_argument("--measured", type=Path, help="JSON of {model: ms}: what it lacks is measured and added")
    parser.add_argument("--lambdas", type=float, nargs="*", default=LAMBDAS)
    parser.add_argument("--shares", nargs="*", default=["30%", "50%", "70%"])
    parser.add_argument("--total", type=int, default=1200, help="steps of a search of the sweep, a third of them free")
    options, console = parser.parse_args(), Console(width=140)
    torch.set_num_threads(1)
    ways: dict[str, Callable[[], None]] = {
        "steps": lambda: steps(console, options.rounds),
        "subsets": lambda: subsets(console, options.epochs, range(options.seeds)),
        "runtime": lambda: runtime(console, options.networks, options.rounds, options.side, options.measured),
        "sweep": lambda: sweep(
            console, options.lambdas, options.shares, {"length": {"total": options.total, "free": options.total // 3}}
        ),
    }
    ways[options.what]()


if __name__ == "__main__":
    main()
