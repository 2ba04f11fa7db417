"""The configuration that every method's run has; a method adds its own fields."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from nascc.nas.baselines import parse_baselines
from nascc.nas.costs.predictors import DEFAULT
from nascc.nas.macro import Macro
from nascc.nas.tasks import TaskConfig
from nascc.nas.train.recipe import Recipe
from nascc.runtime.remote.access import Access

Count = Annotated[int, Field(ge=1)]


class Data(BaseModel):
    """Plain, frozen, and nothing that is not known."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class RunConfig(Data):
    """What decides the result of a run.

    `target` is a profile's name or path, `batch` and `image` (C, H, W) the deployed shape that costs refer to,
    `budgets` what the user asked for by metric ('12ms', '50%'), several values ('5ms,10ms') giving several results.
    `tables` and `networks` are files of measured costs by metric, of operators (or the name of a table that comes
    with nascc) and of whole networks, which `predictor` fits. `collapse` is that of `nascc fuse`, for costs and for
    what is emitted. `macro` and `operators` make the space; `se_last` gives squeeze-and-excitation to the last slots
    of what is retrained, and costs know of it. `baselines` are networks of equal cost that are trained beside the
    found one ('random:5,width,resolution'); `transform_first` has it trained collapsed too, with biases and with batch
    norms. `teacher` is a model file whose logits retraining learns from too. `source` is a run whose profile and
    search are taken over. Supernets work on `threads` processor threads (None: as many as torch takes), which is part
    of the configuration because the last bits of sums depend on it. `preset` says where values came from.
    With a `device`, latency is fitted to `device_networks` random networks measured there, and what is found is
    measured there.
    """

    method: str
    preset: str = ""
    target: str
    power_mode: str | None = None
    batch: Count
    image: tuple[Count, Count, Count]
    budgets: dict[str, str]
    tables: dict[str, str] = {}
    networks: dict[str, str] = {}
    predictor: str = DEFAULT
    collapse: Literal["auto", "always", "never"] = "auto"
    task: TaskConfig
    macro: Macro
    operators: tuple[str, ...]
    se_last: Annotated[int, Field(ge=0)] = 0
    retrain: Recipe
    baselines: str = "none"
    transform_first: bool = False
    teacher: str | None = None
    source: str | None = None
    threads: Count | None = None
    device: Access | None = None
    device_networks: Count = 30
    seed: int = 0

    @field_validator("baselines")
    @classmethod
    def _known(cls, text: str) -> str:
        parse_baselines(text)  # says what is wrong before hours are spent
        return text
