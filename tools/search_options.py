"""The options of `nascc search`, in groups."""

from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nascc.tools.errors import CommandError
from nascc.tools.options import Collapse, PowerMode, Target, four_sizes
from nascc.tools.overrides import parse_overrides

if TYPE_CHECKING:
    from nascc.nas.tasks import TaskConfig


class Preset(str, Enum):
    """Where hyper-parameters come from."""

    toy = "toy"
    paper = "paper"


class Controller(str, Enum):
    """How a search is steered to its budget."""

    damped = "damped"
    paper = "paper"
    fixed = "fixed"


class Estimator(str, Enum):
    """How the task loss reaches the logits."""

    score = "score"
    st = "st"


ALL = "all"
Teacher = Annotated[
    str | None,
    typer.Option(
        metavar="MODEL",
        help="A model file, or zoo:NAME, to learn from when retraining; it must read what the network is trained on "
        "and know the same classes.",
    ),
]
Baseline = Annotated[
    str | None,
    typer.Option(
        metavar="LIST",
        help="Networks of equal cost trained beside: 'random:5,width,resolution', or 'none'.  [of the preset]",
    ),
]
TransformFirst = Annotated[
    bool,
    typer.Option(
        "--transform-first",
        help="Train the found network collapsed too, for comparison: with biases, and with batch norms.",
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Any hyper-parameter: 'retrain.epochs=10'. Repeatable."),
]


@dataclass(frozen=True)
class Deploying:
    """Where the network will run, and as what."""

    target: Target = "cpu"
    power_mode: PowerMode = None
    shapes: Annotated[
        str | None,
        typer.Option(
            "--shapes",
            metavar="NxCxHxW",
            help="Input that is deployed, like 8x3x224x224, batch included; costs refer to it.  "
            "[batch of the preset, size that is trained on]",
        ),
    ] = None
    collapse: Annotated[
        Collapse | None,
        typer.Option(help="When linear operators become fewer ones, in costs and in what is deployed.  [auto]"),
    ] = None

    def asked(self) -> dict[str, Any]:
        """The fields of the configuration that were given. Raises CommandError."""
        collapse = None if self.collapse is None else self.collapse.value
        values = _given({"power_mode": self.power_mode, "collapse": collapse})
        if self.shapes is None:
            return values
        batch, *image = four_sizes(self.shapes)
        return values | {"batch": batch, "image": image}


BUDGET = "Upper limit of {}: {}; several with commas give several results."


@dataclass(frozen=True)
class Budgets:
    """What the network may cost."""

    latency: Annotated[
        str | None,
        typer.Option(help=BUDGET.format("the latency of a batch", "'12ms', or '50%' of the reachable range")),
    ] = None
    macs: Annotated[str | None, typer.Option(help=BUDGET.format("multiply-accumulates an image", "'600M', '50%'"))] = (
        None
    )
    params: Annotated[str | None, typer.Option(help=BUDGET.format("parameters after folding", "'4M', '50%'"))] = None
    energy: Annotated[
        str | None, typer.Option(help=BUDGET.format("energy", "'500mJ', '50%' (needs --cost-table energy=FILE)"))
    ] = None
    bytes_: Annotated[
        str | None, typer.Option("--bytes", help=BUDGET.format("bytes moved by a batch", "'40MB', '50%'"))
    ] = None
    cost: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Latencies that come with nascc, instead of the target's: 'pixel1' (--macro singlepath alone).",
        ),
    ] = None
    cost_table: Annotated[
        list[str] | None,
        typer.Option(
            metavar="METRIC=FILE",
            help="Measured costs of operators, CSV or JSON with slot, operator, value (ms, mJ). Repeatable.",
        ),
    ] = None
    measured: Annotated[
        list[str] | None,
        typer.Option(
            metavar="METRIC=FILE",
            help="Measured costs of whole networks, CSV or JSON with arch, value (ms, mJ). Repeatable.",
        ),
    ] = None

    def asked(self) -> dict[str, Any]:
        """The fields of the configuration that were given. Raises CommandError."""
        names = ("latency", "macs", "params", "energy")
        given = {name: getattr(self, name) for name in names} | {"bytes": self.bytes_}
        budgets = {metric: text for metric, text in given.items() if text is not None}
        shipped = {} if self.cost is None else {"latency": _shipped(self.cost)}
        files = {
            "tables": _files(self.cost_table, "--cost-table") | shipped,
            "networks": _files(self.measured, "--measured"),
        }
        return ({"budgets": budgets} if budgets else {}) | {name: found for name, found in files.items() if found}


@dataclass(frozen=True)
class Learning:
    """What is learned, from what."""

    data: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER",
            help="Images, a folder per class, or 'torchvision:NAME@FOLDER'.  [cluttered digits, made here]",
        ),
    ] = None
    classes: Annotated[str, typer.Option(help="'all', 'random:100', or names with commas.")] = ALL
    resolution: Annotated[
        int | None, typer.Option(help="Side in pixels of the images that are trained on.  [that of the images]")
    ] = None
    teacher: Teacher = None

    def asked(self) -> dict[str, Any]:
        """The fields of the configuration that were given."""
        data = None if self.data is None else data_path(self.data)
        classes = None if self.classes == ALL else self.classes
        task = _given({"data": data, "classes": classes, "resolution": self.resolution})
        teacher = None if self.teacher is None else teacher_path(self.teacher)
        return _given({"task": task or None, "teacher": teacher})


class TaskKind(str, Enum):
    """What a network answers."""

    classification = "classification"
    depth = "depth"


@dataclass(frozen=True)
class Shrinking:
    """For methods that start from a network."""

    model: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="hant, netadaptv2: the network that is made faster or smaller, a file or zoo:NAME.",
        ),
    ] = None
    ratio: Annotated[
        str | None,
        typer.Option(
            help="hant, netadaptv2: how much of the latency (or of --metric) of the whole network may be left: '0.5'; "
            "'0.5,0.3' gives several results."
        ),
    ] = None
    metric: Annotated[
        str | None,
        typer.Option(
            metavar="CALLABLE",
            help="netadaptv2: what --ratio is about: 'package.module:function' or 'file.py:function'; it takes a "
            "module and the shape of its input, and returns a number above 0. Runs that code.",
        ),
    ] = None
    measure: Annotated[
        bool, typer.Option("--measure", help="hant, netadaptv2: take latencies from this machine (--target cpu).")
    ] = False
    task: Annotated[
        TaskKind,
        typer.Option(
            help="netadaptv2: what is learned. depth: metres a pixel, of scenes made here or of --data FOLDER."
        ),
    ] = TaskKind.classification

    def asked(self) -> dict[str, Any]:
        """The fields of the configuration that were given."""
        return _given({"ratio": self.ratio, "metric": self.metric, "measured": self.measure or None})

    def of_task(self, asked: dict[str, Any]) -> dict[str, Any]:
        """What was asked for, its data being those of the task."""
        if self.task is TaskKind.classification:
            return asked
        from nascc.nas.tasks.config import DEPTH_FOLDER, DEPTH_SCENES

        task = asked.get("task", {})
        data = task.get("data") if isinstance(task, dict) else None
        return merge(asked, {"task": {"data": DEPTH_SCENES if data is None else f"{DEPTH_FOLDER}{data}"}})


@dataclass(frozen=True)
class Choosing:
    """What is chosen from, and how."""

    macro: Annotated[
        str | None,
        typer.Option(
            help="lightnas, proxylessnas, singlepath, fbnet, mobilenetv2, toy, singlepath_toy, or a .toml file.  "
            "[of the preset]"
        ),
    ] = None
    operators: Annotated[
        str | None, typer.Option(help="Operators to choose from: 'k3e3,k5e6,skip'.  [of the macro]")
    ] = None
    se: Annotated[
        str | None, typer.Option(metavar="last:N", help="Squeeze-and-excitation in the last N slots, costs included.")
    ] = None
    controller: Annotated[
        Controller | None,
        typer.Option(
            help="damped: never above the budget; paper: the published equality; fixed: --lambda.  [of the preset]"
        ),
    ] = None
    lambda_: Annotated[
        float | None, typer.Option("--lambda", help="Weight of the costs for --controller fixed, no unit.")
    ] = None
    estimator: Annotated[
        Estimator | None,
        typer.Option(
            help="score: from the loss alone; st: straight-through, as published, blind in every slot whose output "
            "feeds only a convolution with batch norm.  [of the preset]"
        ),
    ] = None
    baseline: Baseline = None
    transform_first: TransformFirst = False
    set_: Settings = None

    def asked(self) -> dict[str, Any]:
        """The fields of the configuration that were given. Raises CommandError."""
        values: dict[str, Any] = {"macro": self.macro, "baselines": self.baseline}
        values["operators"] = None if self.operators is None else [w.strip() for w in self.operators.split(",")]
        values["transform_first"] = self.transform_first or None
        values["se_last"] = None if self.se is None else _last(self.se)
        architecture = {
            "controller": None if self.controller is None else self.controller.value,
            "lambda_": self.lambda_,
            "estimator": None if self.estimator is None else self.estimator.value,
        }
        values["architecture"] = _given(architecture) or None
        return merge(_given(values), parse_overrides(self.set_ or []))


@dataclass(frozen=True)
class Running:
    """Where a run lies, and how long it may take."""

    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="RUN",
            help="Directory of the run, new or empty.  [the first of run-TARGET, run-TARGET-2, ... that is free]",
        ),
    ] = None
    resume: Annotated[Path | None, typer.Option(metavar="RUN", help="Go on with this run, as it was configured.")] = (
        None
    )
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Time twenty steps of each phase here; print hours and the reachable range."),
    ] = False
    time_limit: Annotated[
        str | None, typer.Option(metavar="TIME", help="Stop after '90s', '30m' or '8h', to be resumed.")
    ] = None
    seed: Annotated[int, typer.Option(min=0, help="Everything random follows from it.")] = 0

    @property
    def seconds(self) -> float | None:
        """The time limit. Raises CommandError."""
        if self.time_limit is None:
            return None
        scales = {"s": 1, "m": 60, "h": 3600}
        text, unit = self.time_limit[:-1], self.time_limit[-1:]
        try:
            seconds = float(text) * scales[unit]
        except (ValueError, KeyError) as error:
            raise CommandError(f"--time-limit must be like 90s, 30m or 8h, got '{self.time_limit}'") from error
        if not 0 < seconds < float("inf"):
            raise CommandError(f"--time-limit must be above 0, got '{self.time_limit}'")
        return seconds


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def usual_preset(task: "TaskConfig") -> Preset:
    """`toy` for images that are made here, `paper` for a user's own."""
    from nascc.nas.tasks.config import DEPTH_SCENES, DIGITS

    return Preset.toy if task.data in (DIGITS, DEPTH_SCENES) else Preset.paper


def data_path(text: str) -> str:
    """A folder as a path that holds wherever the run is resumed; what is made here has a name."""
    from nascc.nas.tasks import DEPTH_FOLDER, DEPTH_SCENES

    if text.startswith("torchvision:") or text == DEPTH_SCENES:
        return text
    prefix = DEPTH_FOLDER if text.startswith(DEPTH_FOLDER) else ""
    return prefix + str(Path(text.removeprefix(prefix)).absolute())


def teacher_path(text: str) -> str:
    """The same for a model file. Raises CommandError when it is not there."""
    if text.startswith("zoo:"):
        return text
    if not Path(text).exists():
        raise CommandError(f"--teacher must be a model file or zoo:NAME, found nothing at '{text}'")
    return str(Path(text).absolute())


def merge(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """`first` with what `second` has instead, mappings merged the same way."""
    from nascc.nas.methods.configure import merged

    return merged(first, second)


def _last(text: str) -> int:
    kind, _, count = text.partition(":")
    if kind != "last" or not count.isdecimal():
        raise CommandError(f"--se must be like last:9, got '{text}'")
    return int(count)


def _shipped(name: str) -> str:
    from nascc.nas.costs.shipped import SHIPPED

    if name not in SHIPPED:
        raise CommandError(f"--cost must be one of {', '.join(SHIPPED)}, got '{name}'; a file goes to --cost-table")
    return name


def _files(given: list[str] | None, option: str) -> dict[str, str]:
    found = {}
    for text in given or ():
        metric, equals, path = text.partition("=")
        if not (metric and equals and path):
            raise CommandError(f"{option} must be METRIC=FILE, like latency=table.csv, got '{text}'")
        found[metric] = str(Path(path).absolute())
    return found
