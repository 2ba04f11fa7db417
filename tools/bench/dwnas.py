"""The observations that DW-NAS rests on, and what its parts are worth: `python -m nascc.tools.bench.dwnas [TABLE ...]`.

share      linear kernels of MobileNetV2, by target          shallow    shallow against narrow networks of equal MACs
visits     which operators a rule trains (Fig. 7)            steps      what a step costs, beside a single path
predictor  errors on compiled networks                       gain       what collapsing gains, by target (Fig. 9)
ablation   training with and without each part, half an hour on two cores
rules      searches by the paths of a weight step: sandwich, single, every, mixed; half an hour a seed
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from nascc.tools.bench.dwnas_ablation import ablation
from nascc.tools.bench.dwnas_latency import gains, shallow, shares
from nascc.tools.bench.dwnas_paths import costs, visits
from nascc.tools.bench.dwnas_predictor import predictors
from nascc.tools.bench.dwnas_rules import rules

TABLES: dict[str, Callable[[Console, argparse.Namespace], None]] = {
    "share": lambda console, chosen: shares(console, chosen.batch),
    "shallow": lambda console, chosen: shallow(console, chosen.batch),
    "visits": lambda console, chosen: visits(console, chosen.steps),
    "steps": lambda console, chosen: costs(console, chosen.rounds, chosen.sharing),
    "predictor": lambda console, chosen: predictors(
        console, chosen.target, chosen.macro, chosen.batch, chosen.networks, chosen.compiled, chosen.folder
    ),
    "gain": lambda console, chosen: gains(console, chosen.batch),
    "ablation": lambda console, chosen: ablation(console, chosen.seeds, chosen.epochs, chosen.lr, chosen.file),
    "rules": lambda console, chosen: rules(console, chosen.seeds),
}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m nascc.tools.bench.dwnas",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("tables", nargs="*", choices=[*TABLES, []], metavar="TABLE", help="all by default")
    parser.add_argument("--batch", type=int, default=8, help="images at once (share, shallow, predictor, gain)")
    parser.add_argument("--steps", type=int, default=5000, help="of a search (visits)")
    parser.add_argument("--rounds", type=int, default=40, help="timed (steps)")
    parser.add_argument("--sharing", default="sliced", choices=["sliced", "separate"], help="(steps)")
    parser.add_argument("--target", default="nano", help="(predictor)")
    parser.add_argument("--macro", default="lightnas", help="(predictor)")
    parser.add_argument("--networks", type=int, default=1000, help="(predictor)")
    parser.add_argument("--compiled", type=int, default=10, help="of the networks are compiled whole (predictor)")
    parser.add_argument("--folder", type=Path, help="keeps the descriptions (predictor)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="(ablation, rules)")
    parser.add_argument("--epochs", type=int, default=3, help="(ablation)")
    parser.add_argument("--lr", type=float, default=0.1, help="(ablation)")
    parser.add_argument("--file", type=Path, help="keeps what was trained, one JSON object a line (ablation)")
    chosen = parser.parse_args(arguments)
    console = Console()
    for name in chosen.tables or TABLES:
        TABLES[name](console, chosen)
    return 0


if __name__ == "__main__":
    sys.exit(main())
