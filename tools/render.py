"""A report of `fuse` or `verify` as lines for a person."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nascc.compiler.report import PassEntry, Report, VerifyEntry

LABEL, WIDTH = 11, 100
PHRASES = {
    "EvaluateConstants": ("constant expression evaluated", "constant expressions evaluated"),
    "EliminateIdentities": ("identity removed", "identities removed"),
    "MergeDuplicates": ("duplicate merged", "duplicates merged"),
    "FoldBatchNorm": ("batch norm or scale folded", "batch norms and scales folded"),
    "MergeBranches": ("branch group merged", "branch groups merged"),
    "CollapseLinear": ("linear region collapsed", "linear regions collapsed"),
    "SubstituteOperators": ("operator substituted", "operators substituted"),
}


def line(label: str, text: str, seconds: float | None = None) -> str:
    """One line: what happened, and how long it took at the right."""
    start = f"{label:<{LABEL}}{text}"
    return start if seconds is None else f"{start:<{WIDTH - 8}} {seconds:5.1f} s"


def amount(number: float, unit: str = "") -> str:
    """A number as people write it: 1520000000 is '1.52 G'."""
    for factor, prefix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(number) >= factor:
            return f"{number / factor:.3g} {prefix}{unit}"
    return f"{number:g} {unit}".rstrip()


def rewrote(passes: Sequence["PassEntry"]) -> str:
    """What the passes did, in the order in which they ran."""
    counts: dict[str, int] = {}
    for entry in passes:
        counts[entry.name] = counts.get(entry.name, 0) + len(entry.rewrites)
    return ", ".join(phrase(name, n) for name, n in counts.items() if n) or "nothing: no pass found anything to do"


def phrase(name: str, n: int) -> str:
    """A count of rewrites in words; for a pass without words of its own, its name."""
    one, many = PHRASES.get(name, (f"rewrite by {name}", f"rewrites by {name}"))
    return f"{n} {one if n == 1 else many}"


def kept(passes: Sequence["PassEntry"], *, every: bool = False) -> list[str]:
    """What the passes refused, and why; of reasons that differ in names only the first, unless `every` is wanted."""
    groups: dict[str, list[str]] = {}
    for entry in passes:
        for reject in entry.rejects:
            text = f"'{reject.module or reject.node}' {reject.reason}"
            alike = text if every else re.sub(r"'[^']*'|\d+", "", reject.reason)
            groups.setdefault(alike, []).append(text)
    return [
        f"{texts[0]}" + (f" (and {len(texts) - 1} like it, -v shows all)" if texts[1:] else "")
        for texts in groups.values()
    ]


def worst(entries: Iterable["VerifyEntry"]) -> dict[str, float]:
    """The largest relative error of each side that was compared."""
    errors: dict[str, float] = {}
    for entry in entries:
        found = [output.max_rel for output in entry.outputs if output.max_rel is not None]
        errors[entry.b] = max([errors.get(entry.b, 0.0), *found])
    return errors


def algebra(passes: Sequence["PassEntry"]) -> float | None:
    """The largest relative error that a pass made, both graphs in float64."""
    errors = [entry.error.fp64_rel for entry in passes if entry.error is not None]
    return max(errors) if errors else None


def table(rows: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Rows of named cells, each column right-aligned; a cell that a row lacks is a dash. Nothing without rows."""
    if not rows:
        return []
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    widths = [max(len(column), *(len(row.get(column, "-")) for row in rows.values())) for column in columns]
    first = max([LABEL, *(len(label) + 2 for label in rows)])
    lines = [" " * first + "  ".join(column.rjust(width) for column, width in zip(columns, widths, strict=True))]
    for label, row in rows.items():
        cells = (row.get(column, "-").rjust(width) for column, width in zip(columns, widths, strict=True))
        lines.append(f"{label:<{first}}" + "  ".join(cells))
    return lines


def warnings(report: "Report") -> list[str]:
    """What the user should know, one line each."""
    return [line("warning", text) for text in report.warnings]
