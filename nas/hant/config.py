"""What a run of HANT is told."""

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from nascc.nas.errors import SearchError
from nascc.nas.macro import Macro
from nascc.nas.phases.config import Count, Data, RunConfig
from nascc.nas.pool import choose
from nascc.nas.train import Recipe

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Share = Annotated[float, Field(gt=0, le=1)]
Norms = Literal["batch", "recal", "eval"]
"""Statistics of batch norms in an evaluation: of the batch (the paper), averaged anew first, or as trained."""


class Pretraining(Data):
    """How each candidate learns its block: on the teacher's features, by the squared error of its output.

    `loss` is `relative` (error over the square of the teacher's output, both means) or `paper` (`gamma` times the sum
    of squares over the batch). `images` limits how many are seen in an epoch.
    """

    epochs: Count = 1
    batch_size: Annotated[int, Field(ge=2)] = 64
    optimiser: Literal["adam", "sgd"] = "adam"
    lr: Positive = 3e-3
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    loss: Literal["relative", "paper"] = "relative"
    gamma: Positive = 1e-3
    clip: Positive | None = 5.0
    images: Count | None = None


class Scoring(Data):
    """How each candidate is judged: alone in the teacher, on `images` of the split for it; see Norms.

    One whose accuracy is more than `max_drop` below the teacher's is left out.
    """

    images: Count = 1000
    batch_size: Count = 250
    norms: Norms = "batch"
    max_drop: Positive = 0.05


class Solving(Data):
    """How students are picked: `candidates` solutions, two of which agree in at most `overlap` of the blocks.

    Later solves stop at a relative `gap` or after `nodes` nodes; every solution is evaluated on `images` images.
    """

    candidates: Count = 100
    overlap: Share = 0.7
    gap: Positive = 0.02
    nodes: Count = 3
    images: Count = 1000
    norms: Norms = "recal"


class ModelSource(Data):
    """Where the teacher came from: what `nascc compress` was given, and the file's SHA-256; the run has a copy."""

    file: str | None = None
    callable: str | None = None
    kwargs: str | None = None
    state_key: str | None = None
    allow_pickle: bool = False
    sha256: str | None = None


class HantConfig(RunConfig):
    """A run of HANT.

    `model` says where the teacher came from (it lies in the run itself); without one, a network of `macro` with
    `teacher_operator` everywhere is trained first, by `teaching`, which also trains a `new_head`. `blocks` are patterns
    of modules (none: found from the graph). `ratio` is how much of the teacher's latency may be left, of the whole
    network; several give several results. `measured` takes latencies from this machine instead of a model, a `device`
    from there (`device_networks` plays no part), where what is found and what is deployed are measured too. Candidates
    are also trained for the targets `also`, and kept in the folder `pool` (none: inside the run). `retrain` is the
    fine-tuning; `frozen_norms` keeps the statistics of the teacher's blocks in it.
    """

    macro: Macro | None = None  # type: ignore[assignment]
    model: ModelSource | None = None
    teacher_operator: str = "k5e6"
    new_head: bool = False
    blocks: tuple[str, ...] = ()
    ratio: str | None = None
    measured: bool = False
    also: tuple[str, ...] = ()
    pool: str | None = None
    frozen_norms: bool = False
    teaching: Recipe
    pretraining: Pretraining = Pretraining()
    scoring: Scoring = Scoring()
    solving: Solving = Solving()

    @property
    def measures(self) -> bool:
        """Are latencies measured, here or on a device?"""
        return self.measured or self.device is not None

    @field_validator("operators")
    @classmethod
    def _in_the_pool(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        try:
            choose(names)
        except SearchError as error:
            raise ValueError(str(error)) from error
        return names

    @model_validator(mode="after")
    def _one_latency(self) -> "HantConfig":
        if self.ratio is not None and "latency" in self.budgets:
            raise ValueError("--ratio and --latency are both budgets of latency; give one of them")
        if self.ratio is None and not self.budgets:
            raise ValueError("a budget must be given, such as --ratio 0.5 or --params 2M")
        if self.new_head and self.model is None:
            raise ValueError("--new-head must come with a network whose head is replaced; give a model")
        if self.measured and self.device is not None:
            raise ValueError("latency is measured on this machine or on a device; give --measure or --device")
        if self.measured and self.target != "cpu":
            raise ValueError(f"latency is measured on this machine, so the target must be cpu, got '{self.target}'")
        return self
