"""The report `nascc.report/1` that every command writes."""

from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue

from nascc.compiler.errors import UsageError

SCHEMA: Literal["nascc.report/1"] = "nascc.report/1"
Object = dict[str, JsonValue]


class _Part(BaseModel):
    """Infinities and NaN become the strings "Infinity", "-Infinity" and "NaN": JSON has no numbers for them."""

    model_config = ConfigDict(extra="forbid", ser_json_inf_nan="strings", frozen=True)


class Tool(_Part):
    """The version of nascc."""

    version: str


class TargetEntry(_Part):
    """What was compiled for."""

    name: str
    tensorrt: str | None = None
    opset: int | None = None
    ir_version: int | None = None
    power_mode: str | None = None


class InputFile(_Part):
    """A file that was read."""

    path: str
    sha256: str
    format: str


class OutputFile(_Part):
    """A file that was written."""

    path: str
    sha256: str
    bytes: int
    opset: int | None = None
    ir_version: int | None = None
    precision: str | None = None


class Rejection(_Part):
    """A place where a pass could have applied and must not."""

    node: str
    module: str
    reason: str


class Change(_Part):
    """A count before and after a pass."""

    before: int
    after: int


class PassError64(_Part):
    """The relative error of a pass, both graphs in float64."""

    fp64_rel: float


class PassEntry(_Part):
    """What one pass did."""

    name: str
    rewrites: tuple[str, ...] = ()
    rejects: tuple[Rejection, ...] = ()
    decisions: tuple[str, ...] = ()
    nodes: Change | None = None
    params: Change | None = None
    macs: Change | None = None
    error: PassError64 | None = None


class OutputEntry(_Part):
    """One output of two sides, compared: the worst over all inputs that were tried."""

    name: str
    max_abs: float | None = None
    max_rel: float | None = None
    cosine: float | None = None
    snr_db: float | None = None
    top1_agreement: float | None = None
    tolerance: float
    ok: bool


class DivergenceEntry(_Part):
    """The first node whose value departs from the reference; errors are relative to the largest absolute value."""

    node: str
    module: str
    value: str
    error_before: float
    error_after: float


class VerifyEntry(_Part):
    """Side `b` against side `a`, which is taken for right."""

    a: str
    b: str
    outputs: tuple[OutputEntry, ...]
    first_divergence: DivergenceEntry | None = None


class Latency(_Part):
    """A distribution of latencies, measured or estimated."""

    kind: Literal["measured", "estimated"]
    calibration: str | None = None
    median_ms: float
    p10_ms: float | None = None
    p90_ms: float | None = None
    p99_ms: float | None = None
    n: int | None = None
    anchor_drift_percent: float | None = None
    before_ms: float | None = None
    ratio: float | None = None


class Block(_Part):
    """One operator of a network, in order; `height` and `width` are those of what comes in.

    Where linear operators were to choose: `linear`, whether it was `collapsed` to one convolution and the `reason`,
    what it costs alone `before` and `after`, in `unit`, and the relative `error` of what is deployed against float64.
    """

    name: str
    operator: str
    c_in: int
    c_out: int
    height: int
    width: int
    stride: int = 1
    searched: bool = True
    linear: bool | None = None
    collapsed: bool | None = None
    reason: str | None = None
    before: float | None = None
    after: float | None = None
    unit: str | None = None
    error: float | None = None


class Best(_Part):
    """The architecture a search ended with; `goal` names its budget where there are several."""

    goal: str | None = None
    arch: JsonValue
    cost: Object
    score: Object
    blocks: tuple[Block, ...] = ()


class SlotEntry(_Part):
    """A slot of a search space and the operators it chooses from."""

    name: str
    operators: tuple[str, ...]


class Search(_Part):
    """What a search was asked for and found; `results` has one a budget if there are several, the first as `best`."""

    method: str
    budget: Object
    reachable: Object | None = None
    candidates: tuple[Object, ...] = ()
    best: Best | None = None
    results: tuple[Best, ...] = ()
    baseline: tuple[Object, ...] = ()
    slots: tuple[SlotEntry, ...] = ()


class Series(_Part):
    """What a phase logged under one name: numbers, or matrices as nested lists, over its steps."""

    phase: str
    name: str
    steps: tuple[int, ...]
    values: tuple[JsonValue, ...]


class Report(BaseModel):
    """One run of one command. Parts that are absent are left out of the JSON; assignment validates."""

    model_config = ConfigDict(
        extra="forbid", ser_json_inf_nan="strings", validate_assignment=True, validate_by_name=True
    )

    schema_id: Annotated[Literal["nascc.report/1"], Field(alias="schema")]
    tool: Tool
    command: str
    started: AwareDatetime
    seconds: float | None = None
    seed: int | None = None
    exit_code: int | None = None
    host: Object = Field(default_factory=dict)
    target: TargetEntry | None = None
    inputs: tuple[InputFile, ...] = ()
    outputs: tuple[OutputFile, ...] = ()
    passes: tuple[PassEntry, ...] = ()
    verification: Literal["done", "skipped"] | None = None
    verify: tuple[VerifyEntry, ...] = ()
    findings: tuple[Object, ...] = ()
    kernels: tuple[Object, ...] = ()
    latency: Latency | None = None
    device: Object | None = None
    search: Search | None = None
    series: tuple[Series, ...] = ()
    warnings: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()

    def to_json(self) -> str:
        """The report as one JSON document."""
        return self.model_dump_json(by_alias=True, exclude_defaults=True, indent=2)

    @classmethod
    def from_json(cls, text: str | bytes) -> "Report":
        """Read a report back. Raises UsageError when the text is none."""
        try:
            return cls.model_validate_json(text)
        except ValueError as error:
            raise UsageError(f"a report must follow '{SCHEMA}', but: {_summary(error)}") from error


def _summary(error: Any) -> str:
    errors = error.errors() if hasattr(error, "errors") else []
    return "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg'].lower()}" for e in errors) or str(error)
