"""Judge HANT: `python -m nascc.tools.bench.hant program|round|embedded|searches|training|ratios --folder DIR`.

`program` times the integer program at the paper's size; `round` a round of pretraining against the teacher's own
training; `embedded` compares students with random ones under the same budget (three seeds, latency measured here);
`searches` is Table 3 (numbers of solutions, random, ten operators, Gumbel, REINFORCE), `training` Table 4 (what
distillation and pretrained weights add), `ratios` Fig. 4. Runs lie in DIR; what is there is gone on with.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m nascc.tools.bench.hant", description=__doc__)
    parser.add_argument("what", choices=("program", "round", "embedded", "searches", "training", "ratios"))
    parser.add_argument("--folder", type=Path, default=Path("hant-bench"), help="where the runs lie")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--random", type=int, default=5, help="random students that are fine-tuned")
    parser.add_argument("--count", type=int, default=100, help="solutions of the integer program")
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE")
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(1)
    if chosen.what == "program":
        from nascc.tools.bench.hant_program import report_program

        report_program(chosen.seeds, chosen.count)
    elif chosen.what == "round":
        from nascc.tools.bench.hant_round import report_round

        report_round()
    elif chosen.what == "embedded":
        from nascc.tools.bench.hant_embedded import report_embedded

        report_embedded(chosen.folder, chosen.seeds, chosen.random, chosen.settings)
    else:
        from nascc.tools.bench import hant_tables

        table = {"searches": hant_tables.searches, "training": hant_tables.training, "ratios": hant_tables.ratios}
        for seed in chosen.seeds:
            table[chosen.what](chosen.folder, seed, chosen.settings)
    return 0


if __name__ == "__main__":
    sys.exit(main())
