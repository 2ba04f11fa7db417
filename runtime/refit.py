"""Refit a target's latency model to measurements: the public tables, or a handful of the user's own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nascc.runtime.calibration import Fit, Measurement, Prior, fit, table_of
from nascc.runtime.errors import WrongMeasurements
from nascc.runtime.evaluation import Score, fitted, left_out, score
from nascc.runtime.kernels import Kernel
from nascc.runtime.latency import Setting, setting_of, uncalibrated_setting, usual_precision
from nascc.runtime.latency_table import LatencyTable
from nascc.runtime.priors import prior_of
from nascc.runtime.profile import Target
from nascc.runtime.table import Precision

STRENGTH = 0.15
"""How much a prior counts: a coefficient off by all of its prior weighs as much as a network off by 15 %."""
NOMINAL_STRENGTH = 0.03
"""The same where nothing is known of the silicon."""

LEAST_SHARE = 0.05
"""The least that is expected of a coefficient, as a share of what is expected of its generation."""


@dataclass(frozen=True)
class Refit:
    """New coefficients, how well they fit, how well each network is predicted from the others, and what was before."""

    table: LatencyTable
    fitted: Score
    left_out: Score
    before: Score | None


def carried_prior(target: Target, power_mode: str | None, precision: Precision) -> Prior:
    """What to expect in a power mode: the target's own coefficients, else those of its generation of GPU."""
    is_known = target.silicon is not None or target.software.runtime == "onnxruntime"
    strength = STRENGTH if is_known else NOMINAL_STRENGTH
    table = target.latency
    if table is None:
        return prior_of(target, power_mode, strength)
    *shares, launch, reduction = table.coefficients
    slowdown = setting_of(target, power_mode, precision).slowdown
    own = (*shares, launch * slowdown, reduction * slowdown)
    # a coefficient that vanished in an earlier fit could never grow again: unknowns are shares of their prior
    least = [LEAST_SHARE * c for c in prior_of(target, power_mode).coefficients]
    return Prior(tuple(map(max, own, least)), max(table.offset_ms, 0.01), strength)


def refit(
    target: Target,
    latencies_ms: Mapping[str, float],
    kernels: Mapping[str, tuple[Kernel, ...]],
    *,
    source: str,
    power_mode: str | None = None,
    precision: Precision | None = None,
) -> Refit:
    """Coefficients for a target from `{model: ms}` and `{model: kernels}`, measured in one mode and precision.

    Raises WrongMeasurements for models without kernels, UnknownPowerMode.
    """
    if missing := sorted(set(latencies_ms) - set(kernels)):
        raise WrongMeasurements(f"every measured model must be at hand, found none for {', '.join(missing)}")
    if not latencies_ms:
        raise WrongMeasurements("measurements must name at least one model, found none")
    setting = uncalibrated_setting(target, power_mode, precision or usual_precision(target))
    measured = [Measurement(n, kernels[n], ms, setting, source) for n, ms in latencies_ms.items()]
    prior = carried_prior(target, power_mode, setting.precision)
    found = fit(measured, prior)
    known = target.latency is not None
    before = _score(Fit(prior.coefficients, {source: prior.offset_ms}), measured) if known else None
    loo = left_out(measured, fitted(prior))[0]
    text = f"fitted to {len(measured)} networks of {source}, +-{loo.mape_percent:.0f} % with each left out"
    table = table_of(
        found, source, calibration=text, precision=setting.precision, power_mode=setting.power_mode,
        networks=len(measured), sources=(source,), error_percent=loo.mape_percent,
    )  # fmt: skip
    return Refit(table, _score(found, measured), loo, before)


def _score(found: Fit, measured: Sequence[Measurement]) -> Score:
    return score([found.predict(m) for m in measured], [m.latency_ms for m in measured])


def measured_setting(target: Target, power_mode: str | None) -> Setting:
    """The setting of public FP16 measurements."""
    return uncalibrated_setting(target, power_mode, "fp16")
