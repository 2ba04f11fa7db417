"""NetAdaptV2 (CVPR 2021): a network shrunk to a budget, channel by channel, for any metric."""

from collections.abc import Mapping
from typing import Any

from nascc.nas.core import Method
from nascc.nas.errors import SearchError
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
from nascc.nas.tasks import Kind, TaskConfig, open_task


def configure_netadapt(
    method: SearchMethod, preset: str, target: str, task: TaskConfig, asked: Mapping[str, Any]
) -> NetAdaptConfig:
    """The configuration of a run, as `nascc.nas.methods.configure` makes one; images are those of the task.

    Where a preset has a section `depth`, that holds for depths; one `networks.NAME` for that initial network.
    """
    opened = open_task(task)
    _require_one_network(asked)
    values = merged(_preset(method.preset(preset), opened.kind, asked), asked)
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


def _preset(values: Mapping[str, Any], kind: Kind, asked: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a preset says of tasks of a kind, and of the initial network that is asked for."""
    plain = {name: value for name, value in values.items() if name not in ("depth", "networks")}
    if kind == "depth":
        plain = merged(plain, values.get("depth", {}))
    own = {} if "model" in asked else values.get("networks", {})
    return merged(plain, own.get(str(asked.get("network", plain["network"])), {}))


def _require_one_network(asked: Mapping[str, Any]) -> None:
    """Raise SearchError where a network is brought, and one of the zoo asked for."""
    if "model" in asked and (also := [name for name in ("network", "options") if asked.get(name)]):
        raise SearchError(
            f"--model brings the initial network, so {' and '.join(map(repr, also))}, which are for networks that are "
            "built, must be left out; or name one of the zoo by --set network=NAME, without --model"
        )


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
