"""What `nascc verify` found, as lines for a person."""

from nascc.compiler.report import OutputEntry, Report, VerifyEntry
from nascc.compiler.verification import Verification
from nascc.tools import render
from nascc.tools.source import Source


def lines(report: Report, a: Source, b: Source, found: Verification) -> tuple[str, ...]:
    """What was compared, a table of the outputs, and the first node that diverges where one does."""
    diverged = [entry.first_divergence for entry in report.verify if entry.first_divergence]
    table = render.table({key: value for entry in report.verify for key, value in rows(entry).items()})
    return (
        render.line("compared", f"{b.words} with {a.words} on {len(found.outcomes)} samples"),
        *table,
        *(render.line("diverges", f"at '{node.node}', value '{node.value}'") for node in diverged),
        *render.warnings(report),
        *([render.line("equal", "every output is within its tolerance")] if found else []),
    )


def rows(entry: VerifyEntry) -> dict[str, dict[str, str]]:
    """The outputs of one side, one row each."""
    return {f"{output.name} of {entry.b}": cells(output) for output in entry.outputs}


def cells(output: OutputEntry) -> dict[str, str]:
    """What tells an output from what it must be."""
    return {
        "max abs": number(output.max_abs),
        "max rel": number(output.max_rel),
        "tolerance": number(output.tolerance),
        "cosine": "-" if output.cosine is None else f"{output.cosine:.6f}",
        "SNR dB": "-" if output.snr_db is None else f"{output.snr_db:.0f}",
        "top-1": "-" if output.top1_agreement is None else f"{output.top1_agreement:.1%}",
    }


def number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1e}"
