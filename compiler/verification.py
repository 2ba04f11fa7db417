"""What a verification found, as a value that is true when both sides are equal."""

from collections.abc import Sequence
from dataclasses import dataclass

from nascc.compiler.divergence import Divergence
from nascc.compiler.errors import NotEquivalent
from nascc.compiler.report import DivergenceEntry, OutputEntry, VerifyEntry
from nascc.runtime.compare import OutputComparison


@dataclass(frozen=True)
class SampleOutcome:
    """One sample on both sides: a comparison an output, or why side `b` did not run."""

    label: str
    outputs: tuple[OutputComparison, ...]
    failure: str = ""

    def __bool__(self) -> bool:
        return not self.failure and all(self.outputs)

    @property
    def reason(self) -> str:
        """What is wrong with this sample; empty when nothing is."""
        wrong = [f"output '{o.name}': {o.reason}" for o in self.outputs if not o]
        return self.failure or "; ".join(wrong)


@dataclass(frozen=True)
class Verification:
    """Side `b` against side `a` on many samples; true when no sample differs.

    `own` compares the original in its own dtype with `a`, the worst sample of each output. `failure` says why nothing
    could be compared at all, `skipped` which samples the original itself does not accept.
    """

    a: str
    b: str
    outcomes: tuple[SampleOutcome, ...] = ()
    own: tuple[OutputComparison, ...] = ()
    own_side: str = ""
    divergence: Divergence | None = None
    warnings: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    failure: str = ""

    def __bool__(self) -> bool:
        return not self.failure and bool(self.outcomes) and all(self.outcomes)

    @property
    def outputs(self) -> tuple[OutputComparison, ...]:
        """The worst sample of each output."""
        return worst([outcome.outputs for outcome in self.outcomes])

    @property
    def max_rel(self) -> float:
        """The largest relative error of any output on any sample."""
        return max((o.max_rel or 0.0 for o in self.outputs), default=0.0)

    @property
    def own_max_rel(self) -> float | None:
        """The largest relative error of the original in its own dtype, None where it was not run."""
        return max((o.max_rel or 0.0 for o in self.own), default=None)

    @property
    def reason(self) -> str:
        """Why the sides are not equal, in one sentence; empty when they are."""
        if self.failure:
            return self.failure
        failed = [outcome for outcome in self.outcomes if not outcome]
        if not failed:
            return "" if self.outcomes else "nothing was compared"
        more = f" (and {len(failed) - 1} more of {len(self.outcomes)} samples)" if len(failed) > 1 else ""
        where = f"; the first that diverges is {self.divergence}" if self.divergence else ""
        return f"on {failed[0].label}{more}: {failed[0].reason}{where}"

    def require(self) -> None:
        """Raise NotEquivalent unless the sides are equal."""
        if not self:
            raise NotEquivalent(f"{self.b} must compute what {self.a} computes, but {self.reason}")

    def entries(self) -> tuple[VerifyEntry, ...]:
        """The report's entries: this comparison, then the original in its own dtype against the same side."""
        divergence = None if self.divergence is None else _divergence_entry(self.divergence)
        entry = VerifyEntry(
            a=self.a, b=self.b, outputs=tuple(map(output_entry, self.outputs)), first_divergence=divergence
        )
        if not self.own:
            return (entry,)
        return entry, VerifyEntry(a=self.a, b=self.own_side, outputs=tuple(map(output_entry, self.own)))


def worst(samples: Sequence[Sequence[OutputComparison]]) -> tuple[OutputComparison, ...]:
    """For each output, in order of appearance, the comparison that is closest to failing, or fails worst."""
    found: dict[str, OutputComparison] = {}
    for output in (output for outputs in samples for output in outputs):
        if output.name not in found or _badness(output) > _badness(found[output.name]):
            found[output.name] = output
    return tuple(found.values())


def _badness(output: OutputComparison) -> tuple[bool, bool, float]:
    if output.max_rel is None:
        return not output, True, 0.0
    ratio = output.max_rel / output.tolerance if output.tolerance else output.max_rel
    return not output, False, ratio


def output_entry(output: OutputComparison) -> OutputEntry:
    """A comparison as the report holds it."""
    return OutputEntry(
        name=output.name,
        max_abs=output.max_abs,
        max_rel=output.max_rel,
        cosine=output.cosine,
        snr_db=output.snr_db,
        top1_agreement=output.top1_agreement,
        tolerance=output.tolerance,
        ok=output.ok,
    )


def _divergence_entry(found: Divergence) -> DivergenceEntry:
    return DivergenceEntry(
        node=found.node,
        module=found.module,
        value=found.value,
        error_before=found.before,
        error_after=found.after,
    )
