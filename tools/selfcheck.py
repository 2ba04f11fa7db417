"""Check the whole checkout with one command: format, lint, types, layers and tests."""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PORTIONS = ("compiler", "nas", "passes", "runtime", "tools")


@dataclass(frozen=True)
class Step:
    """One tool of the check: what it is called and how it is started."""

    name: str
    command: tuple[str, ...]

    def run(self) -> bool:
        """Run the tool in the checkout, show its output as it comes, and tell whether it was content."""
        print(f"selfcheck: {self.name}: {' '.join(self.command)}", flush=True)
        program = str(Path(sys.executable).with_name(self.command[0]))
        return subprocess.run([program, *self.command[1:]], cwd=ROOT, env=environment(), check=False).returncode == 0


# The tests come last, so that their closing lines are the last thing seen.
STEPS = (
    Step("format", ("ruff", "format", "--check", ".")),
    Step("lint", ("ruff", "check", ".")),
    Step("types", ("mypy", "--strict", *(word for name in PORTIONS for word in ("-p", f"nascc.{name}")))),
    Step("layers", ("lint-imports", "--no-logo")),
    Step("tests", ("pytest", "-n", "2", "--dist", "worksteal", "--durations", "10")),
)


def environment() -> dict[str, str]:
    """The variables the tools run under: one thread each, and the checkout's folders seen only as `nascc.*`."""
    return os.environ | {"MYPYPATH": ".links", "OMP_NUM_THREADS": "1", "PYTHONSAFEPATH": "1"}


def link_portions() -> None:
    """Create the git-ignored folder through which mypy resolves `nascc.*` to the folders of the checkout."""
    folder = ROOT / ".links" / "nascc"
    folder.mkdir(parents=True, exist_ok=True)
    for name in PORTIONS:
        if not (link := folder / name).is_symlink():
            link.symlink_to(Path("..", "..", name), target_is_directory=True)


def run_steps(steps: Sequence[Step]) -> list[str]:
    """Run every step, also after a failure, and return the names of those that failed."""
    failed = []
    for step in steps:
        started = time.monotonic()
        passed = step.run()
        print(
            f"selfcheck: {step.name} {'ok' if passed else 'FAILED'} in {time.monotonic() - started:.0f} s", flush=True
        )
        failed += [] if passed else [step.name]
    return failed


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the steps named on the command line, all of them by default; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m nascc.tools.selfcheck", description=__doc__)
    parser.add_argument("steps", nargs="*", metavar="STEP", help=f"any of {', '.join(step.name for step in STEPS)}")
    chosen = set(parser.parse_args(arguments).steps)
    if unknown := chosen - {step.name for step in STEPS}:
        parser.error(f"a step must be one of {[step.name for step in STEPS]}, got {sorted(unknown)}")
    if not (ROOT / "pyproject.toml").is_file():
        parser.error(f"the check must run on a checkout, found none at {ROOT}; install with `pip install -e '.[test]'`")
    link_portions()
    failed = run_steps([step for step in STEPS if not chosen or step.name in chosen])
    if failed:
        print(f"selfcheck: failed: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
