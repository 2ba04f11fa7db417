"""The command line: `nascc COMMAND ...`."""

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Annotated

import typer

from nascc.tools.execution import fail
from nascc.tools.options import Reporting

COMMANDS = (
    "search",
    "compress",
    "train",
    "fuse",
    "verify",
    "check",
    "build",
    "bench",
    "profile",
    "device",
    "report",
    "passes",
    "targets",
)
"""Each is a function of this name in the module of this name in `nascc.tools.commands`."""


def version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"nascc {version('nascc')}")
        raise typer.Exit


def common(
    show_version: Annotated[
        bool, typer.Option("--version", help="Show the version.", is_eager=True, callback=version)
    ] = False,
) -> None:
    """Turn trained vision networks into the smallest graph that computes the same thing, with proof.

    Exit codes: 0 ok, 1 internal, 2 usage, 3 model can not be captured, 4 target can not run it, 5 not equivalent,
    6 budget infeasible, 7 device unreachable or unstable, 9 refused as unsafe, 130 interrupted.
    """


def build() -> typer.Typer:
    """The application with all its commands; nothing heavy is imported before a command runs."""
    app = typer.Typer(
        name="nascc",
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
    )
    app.callback()(common)
    for name in COMMANDS:
        app.command(name)(getattr(import_module(f"nascc.tools.commands.{name}"), name))
    return app


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line (by default the process's own) and return the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    reporting = Reporting(json="--json" in words, verbose=not {"-v", "--verbose"}.isdisjoint(words))
    try:
        ended = typer.main.get_command(build()).main(words, prog_name="nascc", standalone_mode=False)
    except (Exception, KeyboardInterrupt) as error:
        return fail(next((word for word in words if word in COMMANDS), "nascc"), error, reporting)
    return ended if isinstance(ended, int) else 0


if __name__ == "__main__":
    sys.exit(main())
