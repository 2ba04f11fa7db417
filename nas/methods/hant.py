"""HANT (arXiv 2107.10624): make a trained network faster by replacing its blocks."""

from collections.abc import Mapping
from typing import Any

from nascc.nas.core import Method
from nascc.nas.errors import SearchError
from nascc.nas.hant.config import HantConfig
from nascc.nas.hant.emit import Emit
from nascc.nas.hant.finetune import Finetune
from nascc.nas.hant.goals import names_of
from nascc.nas.hant.pretrain import Pretrain
from nascc.nas.hant.profile import Profile
from nascc.nas.hant.score import Score
from nascc.nas.hant.search import Search
from nascc.nas.hant.study import Workbench
from nascc.nas.hant.teach import Teach
from nascc.nas.macro import load_macro
from nascc.nas.methods.configure import checked, merged
from nascc.nas.methods.method import SearchMethod
from nascc.nas.phases.board import MeasureDeployed
from nascc.nas.phases.config import RunConfig
from nascc.nas.tasks import TaskConfig, open_task


def configure_hant(
    method: SearchMethod, preset: str, target: str, task: TaskConfig, asked: Mapping[str, Any]
) -> HantConfig:
    """The configuration of a run, as `nascc.nas.methods.configure` makes one; images are those of the task."""
    values = merged(method.preset(preset), asked)
    image = values.pop("image", None)
    if image is not None and task.resolution is None:
        task = task.model_copy(update={"resolution": tuple(image[1:])})
    opened = open_task(task)
    if image is not None and tuple(image) != tuple(opened.input_shape):
        told = ["x".join(map(str, shape)) for shape in (image, opened.input_shape)]
        raise SearchError(f"the deployed images must be those that are trained on, got {told[0]} and {told[1]}")
    macro = values.pop("macro", None)
    if any(metric in asked for metric in ("budgets", "ratio")):
        values = {k: v for k, v in values.items() if k not in ("budgets", "ratio") or k in asked}
    values.setdefault("budgets", {})
    given = {"method": method.name, "preset": preset, "target": target, "task": opened.config}
    if values.get("model") is None:
        given["macro"] = load_macro(macro) if isinstance(macro, str) else macro
    config: HantConfig = checked(method.config, values | given | {"image": opened.input_shape})
    names_of(config)
    return config


def phases(config: RunConfig) -> Method:
    """Teacher, profile, candidates and scores are shared by all goals."""
    assert isinstance(config, HantConfig)
    bench = Workbench()
    searches = (Search(name, f"search-{name}" if name else "search", bench) for name in names_of(config))
    measured = () if config.device is None else (MeasureDeployed(),)
    return (
        *(Teach(bench), Profile(bench), Pretrain(bench), Score(bench)),
        *searches,
        *(Finetune(bench), Emit(bench), *measured),
    )


HANT = SearchMethod(
    name="hant",
    title="HANT (arXiv 2107.10624): a trained network made faster by replacing its blocks",
    config=HantConfig,
    phases=phases,
    configure=configure_hant,
)
