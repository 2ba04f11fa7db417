"""What a search is worth by the paths that its weight steps train: DW-NAS with the sandwich rule and without it."""

from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from time import process_time

from rich.console import Console
from rich.table import Table

from nascc.nas.methods import find_method, run_method
from nascc.nas.methods.configure import configure
from nascc.nas.phases.retrain import RETRAIN
from nascc.nas.run import RunDirectory
from nascc.nas.tasks import TaskConfig

RULES = ("sandwich", "single", "every", "mixed")


def found_by(rule: str, seed: int, budget: str, folder: Path) -> tuple[float, float, float]:
    """Accuracy of the found network in the supernet and trained again, 0 to 1, and processor seconds of the search."""
    asked = {"paths": rule, "seed": seed, "budgets": {"latency": budget}, "baselines": "none"}
    method, spent = find_method("dw-nas"), 0.0
    with RunDirectory.resume(folder / f"{rule}{seed}", configure(method, "toy", "nano", TaskConfig(), asked)) as run:
        run_method(method, run, until="profile")
        began = process_time()
        run_method(method, run, until="search")
        spent = process_time() - began
        run_method(method, run, until=RETRAIN)
        best = run.result("search")["search"]["candidates"][0]["accuracy"]
        return best, run.result(RETRAIN)["networks"][0]["test"]["accuracy"], spent


def rules(console: Console, seeds: Sequence[int], budget: str = "45%") -> None:
    """Print one row a rule, means over the seeds."""
    table = Table(title=f"Searches by paths of a weight step, at {budget} of the range", title_justify="left")
    for column in ("paths", "in the supernet %", "trained %", "seeds", "CPU seconds"):
        table.add_column(column, justify="left" if column in ("paths", "seeds") else "right")
    with TemporaryDirectory() as folder:
        for rule in RULES:
            inside, trained, spent = zip(*(found_by(rule, s, budget, Path(folder)) for s in seeds), strict=True)
            shown = " ".join(f"{100 * accuracy:.1f}" for accuracy in trained)
            table.add_row(rule, f"{100 * mean(inside):.1f}", f"{100 * mean(trained):.1f}", shown, f"{mean(spent):.0f}")
    console.print(table)
