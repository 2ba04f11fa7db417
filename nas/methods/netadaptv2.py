"""NetAdaptV2 (CVPR 2021): a network shrunk to a budget, channel by channel, for any metric."""

from collections.abc import Mapping
from typing import Any

from nascc.nas.core import Method
from nascc.nas.methods.configure import checked, merged
from nascc.nas.methods.method import SearchMethod
from nascc.nas.netadapt.config import NetAdaptConfig
from nascc.nas.netadapt.emit import Emit
from nascc.nas.netadapt.goals import names_of
from nascc.nas.netadapt.pretrain import Pretrain
from nascc.nas.netadapt.profile import Profile
from nascc.nas.netadapt.retrain import Retrain
from nascc.nas.netadapt.search import SEARCH, Search
from nascc.nas.netadapt.study import SUPERNET, Workbench
from nascc.nas.netadapt.user_metric import settled
from nascc.nas.phases.board import MeasureDeployed
from nascc.nas.phases.config import RunConfig
from nascc.nas.phases.goals import PROFILE
from nascc.nas.tasks import TaskConfig, open_task


def configure_netadapt(
    method: SearchMethod, preset: str, target: str, task: TaskConfig, asked: Mapping[str, Any]
) -> NetAdaptConfig:
    """The configuration of a run, as `nascc.nas.methods.configure` makes one; images are those of the task."""
    values = merged(method.preset(preset), asked)
    depth = values.pop("depth", {})
    opened = open_task(task)
    if opened.kind == "depth":
        values = merged(merged(method.preset(preset), depth), asked)
        values.pop("depth", None)
    if any(name in asked for name in ("budgets", "ratio", "metric")):
        values = {k: v for k, v in values.items() if k not in ("budgets", "ratio") or k in asked}
    values.setdefault("budgets", {})
    values.setdefault("image", opened.input_shape)
    if "collapse" not in asked and "latency" not in values["budgets"] and (values["budgets"] or values.get("metric")):
        values["collapse"] = "never"  # fewer operators take less time, but more of everything else
    if isinstance(values.get("metric"), str):
        values["metric"] = settled(values["metric"])
    given = {"method": method.name, "preset": preset, "target": target, "task": opened.config}
    config: NetAdaptConfig = checked(method.config, values | given)
    names_of(config)
    return config


def phases(config: RunConfig) -> Method:
    """Profile, one supernet, one descent for all budgets, retrain, emit."""
    bench = Workbench()
    measured = () if config.device is None else (MeasureDeployed(),)
    return Profile(bench), Pretrain(bench), Search(bench), Retrain(bench), Emit(bench), *measured


NETADAPTV2 = SearchMethod(
    name="netadaptv2",
    title="NetAdaptV2 (CVPR 2021): channels, layers and kernels taken away until a budget holds",
    config=NetAdaptConfig,
    phases=phases,
    configure=configure_netadapt,
    kinds=("classification", "depth"),
    kept=(PROFILE, SUPERNET, SEARCH),
)
