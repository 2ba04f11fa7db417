"""Judge NetAdaptV2: `python -m nascc.tools.bench.netadapt step|macs|descent|embedded|tables --folder DIR`.

`step` times a step of ordered dropout against a plain one and against one for each sub-network; `macs` counts what a
published network costs by the rules of bypass connections (Table 8, or `--table FILE`, in the form that
`nascc.nas.elastic.published_table` describes); `descent` sets several layers at once against one, on synthetic
objectives; `embedded` compares what is found at half the latency with random, narrower and shorter networks of equal
cost, trained alike (`--task depth` for depths); `tables` tries what the paper's Tables 3 to 6 and 11 try: samples that
are trained, bypasses and several layers on and off, J and r0, and how much results vary. Runs lie in DIR; what is
there is gone on with.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from nascc.nas.errors import SearchError


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m nascc.tools.bench.netadapt", description=__doc__)
    parser.add_argument("what", choices=("step", "macs", "descent", "embedded", "tables"))
    parser.add_argument("--folder", type=Path, default=Path("netadapt-bench"), help="where the runs lie")
    parser.add_argument("--task", choices=("classification", "depth"), default="classification")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--target", default="nano", help="whose latency is kept")
    parser.add_argument("--random", type=int, default=5, help="random networks that are trained beside")
    parser.add_argument("--table", type=Path, help="a published network as JSON, for macs  [Table 8]")
    parser.add_argument(
        "--image", type=int, nargs=3, default=(3, 224, 224), metavar=("C", "H", "W"), help="what it reads"
    )
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE")
    chosen = parser.parse_args(arguments)
    if min(chosen.image) < 1:
        parser.error(f"--image must be three sizes of at least 1, got {' '.join(map(str, chosen.image))}")
    torch.set_num_threads(1)
    try:
        _report(chosen)
    except SearchError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _report(chosen: argparse.Namespace) -> None:
    """Raises SearchError."""
    if chosen.what == "step":
        from nascc.tools.bench.netadapt_step import report_steps

        report_steps()
    elif chosen.what == "macs":
        from nascc.tools.bench.netadapt_step import report_macs

        report_macs(chosen.table, tuple(chosen.image))
    elif chosen.what == "descent":
        from nascc.tools.bench.netadapt_descent import report_descents

        report_descents(max(20, len(chosen.seeds)))
    else:
        from nascc.tools.bench import netadapt_embedded, netadapt_tables

        runs = netadapt_embedded.Runs(chosen.folder, chosen.task, chosen.target, tuple(chosen.settings))
        if chosen.what == "embedded":
            netadapt_embedded.report_embedded(runs, chosen.seeds, chosen.random)
        else:
            netadapt_tables.report_tables(runs, chosen.seeds)


if __name__ == "__main__":
    sys.exit(main())
