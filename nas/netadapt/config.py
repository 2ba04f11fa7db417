"""What a run of NetAdaptV2 is told."""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from nascc.nas.baselines import parse_baselines
from nascc.nas.elastic import Thresholds
from nascc.nas.errors import SearchError
from nascc.nas.hant.config import ModelSource
from nascc.nas.macro import Macro
from nascc.nas.netadapt.descent import Descent
from nascc.nas.phases.config import Count, Data, RunConfig
from nascc.nas.train import Recipe

BASELINES = ("random", "width", "depth")
CUSTOM = "custom"
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]


class Elastic(Data):
    """What may shrink: `levels` widths a layer, and kernels; T of bypasses is as in `Thresholds`."""

    levels: Annotated[int, Field(ge=2)] = 9
    kernels: bool = True
    bypass: bool = True
    share: Annotated[float, Field(gt=0, le=1)] = 0.5
    at: dict[str, int] = Field(default_factory=dict)
    of: dict[str, int] = Field(default_factory=dict)

    @property
    def thresholds(self) -> Thresholds:
        return Thresholds(self.share, self.bypass, self.at, self.of)


class Dropout(Data):
    """How the supernet trains: `steps` of ordered dropout; a share `whole` of the images runs the initial network."""

    steps: Count
    whole: Share = 0.25
    kernels: Literal["batch", "image"] = "batch"


class Descending(Data):
    """Multi-layer coordinate descent, see `Descent`: `step` and `decay` are r0 and d, and bound what can be reached."""

    samples: Count
    layers: Count
    step: Annotated[float, Field(gt=0, lt=1)]
    decay: Annotated[float, Field(gt=0, le=1)] = 0.98
    exactly: bool = False
    single: bool = False
    select: Literal["score", "ratio"] = "score"

    @property
    def settings(self) -> Descent:
        return Descent(**self.model_dump())


class Ranking(Data):
    """How samples are judged, untrained: on `images` of a split nothing was trained on, after `batches` batches of
    `batch_size` gave batch norms new statistics (0: those of the supernet); by the least `loss` or the best `score`.

    The price of a search is samples x iterations x (batches x batch_size + images) forward passes.
    """

    images: Count = 1000
    batches: Annotated[int, Field(ge=0)] = 4
    batch_size: Count = 64
    by: Literal["loss", "score"] = "loss"


class Retraining(Data):
    """Where found networks begin: `inherit` the supernet's weights, from `scratch`, or along the `trajectory`, on every
    point of which they train `epochs` before the recipe of the run.
    """

    start: Literal["inherit", "scratch", "trajectory"] = "inherit"
    epochs: Count = 1


class NetAdaptConfig(RunConfig):
    """A run of NetAdaptV2.

    The initial network is `network`, of the zoo, with `options`, or the user's own (`model` says where it came from; it
    lies in the run). There is one budget: `ratio` is how much of the initial network's cost may be left, a share such
    as 50% refers to the range from the smallest network to the initial one. `metric` is a user's callable,
    'package.module:function' or 'file.py:function', which takes a module and the shape of its input [N, C, H, W] and
    gives a number. `measured` takes latency from this machine, a `device` from there.
    """

    macro: Macro | None = None  # type: ignore[assignment]
    operators: tuple[str, ...] = ()
    network: str = "netadapt_toy"
    options: dict[str, Any] = Field(default_factory=dict)
    model: ModelSource | None = None
    ratio: str | None = None
    metric: str | None = None
    measured: bool = False
    elastic: Elastic = Elastic()
    dropout: Dropout
    weights: Recipe
    descent: Descending
    ranking: Ranking = Ranking()
    retraining: Retraining = Retraining()

    @property
    def measures(self) -> bool:
        """Are latencies measured, here or on a device?"""
        return self.measured or self.device is not None

    @property
    def resource(self) -> str:
        """The metric of the one budget."""
        if self.metric is not None:
            return CUSTOM
        return next(iter(self.budgets), "latency")

    @field_validator("baselines")
    @classmethod
    def _known(cls, text: str) -> str:
        try:
            parse_baselines(text, BASELINES)
        except SearchError as error:
            raise ValueError(str(error)) from error
        return text

    @model_validator(mode="after")
    def _one_budget(self) -> "NetAdaptConfig":
        if self.ratio is not None and self.budgets:
            raise ValueError("--ratio and a budget such as --latency say the same; give one of them")
        if self.metric is not None and self.ratio is None:
            raise ValueError("a metric of your own has no unit; say with --ratio how much of it may be left")
        if self.ratio is None and len(self.budgets) != 1:
            raise ValueError(f"one budget must be given, such as --ratio 0.5 or --latency 5ms, got {len(self.budgets)}")
        if self.measured and (self.target != "cpu" or self.device is not None):
            raise ValueError("latency is measured on this machine, so the target must be cpu and no device be given")
        if self.measures and self.resource != "latency":
            raise ValueError(f"only latency can be measured, got a budget of {self.resource}")
        return self
