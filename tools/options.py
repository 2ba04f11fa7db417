"""Command-line options that several commands share."""

from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from nascc.tools.errors import CommandError


class Collapse(str, Enum):
    """When regions of linear operators become fewer operators."""

    auto = "auto"
    always = "always"
    never = "never"


Json = Annotated[bool, typer.Option("--json", help="Print the report as one JSON document, on failure too.")]
ReportPath = Annotated[Path | None, typer.Option("--report", metavar="FILE", help="Also write the JSON report here.")]
NoProgress = Annotated[bool, typer.Option("--no-progress", help="Show no progress, on a terminal either.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Show logs, warnings and tracebacks.")]

TARGET = "A profile that `nascc targets` lists, or a .toml file."
Target = Annotated[str, typer.Option("--target", help=TARGET)]
PowerMode = Annotated[
    str | None,
    typer.Option("--power-mode", help="Power mode of the target, as `nascc targets NAME` lists them.  [its default]"),
]

Shapes = Annotated[
    list[str] | None,
    typer.Option(
        "--shapes",
        metavar="NAME:DIMS[:DTYPE]",
        help="Shape of an input: 'x:1x3x224x224', 'x:Nx3xHxW:uint8' (a letter is a dynamic size). Repeatable.",
    ),
]
Mean = Annotated[
    str | None, typer.Option("--mean", metavar="M,M,M", help="Per-channel mean that is folded into the network.")
]
Std = Annotated[
    str | None, typer.Option("--std", metavar="S,S,S", help="Per-channel deviation that is folded into the network.")
]
Model = Annotated[
    str | None, typer.Option("--model", metavar="PKG:CALLABLE", help="What builds the module a state dict belongs to.")
]
Kwargs = Annotated[
    str | None,
    typer.Option("--kwargs", metavar="JSON", help="Arguments of --model as a JSON object: '{\"width\": 2}'."),
]
StateKey = Annotated[
    str | None, typer.Option("--state-key", metavar="KEY", help="Where a nested checkpoint holds the state dict.")
]
AllowPickle = Annotated[
    bool, typer.Option("--allow-pickle", help="Unpickle the file: this runs whatever code it brings along.")
]
Data = Annotated[
    Path | None, typer.Option("--data", metavar="X.NPZ", help="Compare on these arrays too, named like the inputs.")
]
Seed = Annotated[int, typer.Option("--seed", help="Seed of the inputs that the comparison draws.")]


@dataclass(frozen=True)
class Reporting:
    """How a command tells what it did."""

    json: bool = False
    report: Path | None = None
    verbose: bool = False
    progress: bool = True


def four_sizes(text: str) -> tuple[int, ...]:
    """[N, C, H, W] of `--shapes` where images go in: '8x3x224x224', a name before it or not. Raises CommandError."""
    words = text.rpartition(":")[2].replace(",", "x").split("x")
    if len(words) != 4 or not all(word.isdecimal() and int(word) > 0 for word in words):
        raise CommandError(f"--shapes must be four sizes like 8x3x224x224, got '{text}'")
    return tuple(map(int, words))
