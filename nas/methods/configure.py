"""From a preset and what the user asked for to the configuration of a run, with nothing left open."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from nascc.nas.bilevel.schedule import Epochs
from nascc.nas.errors import SearchError
from nascc.nas.faults import faults
from nascc.nas.macro import Macro, load_macro
from nascc.nas.methods.method import SearchMethod
from nascc.nas.phases.config import RunConfig
from nascc.nas.tasks import TaskConfig, open_task

Values = Mapping[str, Any]


def configure(method: SearchMethod, preset: str, target: str, task: TaskConfig, asked: Values) -> RunConfig:
    """The configuration of a run: the preset, then `asked`, field by field; the task is opened to resolve it.

    `asked` may hold any field of the configuration, nested ones as mappings, and `macro` by name. What follows from the
    task (image, classes, steps per epoch) is filled in. Raises SearchError with every violation, or for a kind of task
    that the method does not learn, BadData.
    """
    if task.kind not in method.kinds:
        raise SearchError(
            f"the method '{method.name}' learns {' and '.join(method.kinds)}, and '{task.data}' is a task of kind "
            f"{task.kind}; choose a method that learns it, or other data"
        )
    if method.configure is not None:
        return method.configure(method, preset, target, task, asked)
    values = merged(method.preset(preset), asked)
    opened = open_task(task)
    latency, macro = values.pop("latency", None), _macro(values.pop("macro"))
    values.setdefault("budgets", {"latency": latency})
    values.setdefault("operators", macro.operators)
    values.setdefault("image", opened.input_shape)
    if (epochs := values.pop("epochs", None)) is not None and "schedule" not in values:
        sizes = (len(opened.split("weights")), len(opened.split("alpha")))
        batches = (values["weights"]["batch_size"], values["architecture"]["batch_size"])
        per_epoch = [max(1, size // batch) for size, batch in zip(sizes, batches, strict=True)]
        values["schedule"] = checked(Epochs, epochs).schedule(*per_epoch)
    given = {"method": method.name, "preset": preset, "target": target, "task": opened.config, "macro": macro}
    config: RunConfig = checked(method.config, values | given)
    return config


def merged(first: Values, second: Values) -> dict[str, Any]:
    """`first` with what `second` has instead, mappings merged the same way."""
    both = {key: merged(first[key], second[key]) for key in first if _nested(first, second, key)}
    return dict(first) | dict(second) | both


def _nested(first: Values, second: Values, key: str) -> bool:
    return isinstance(first[key], Mapping) and isinstance(second.get(key), Mapping)


def _macro(given: str | Macro) -> Macro:
    return load_macro(given) if isinstance(given, str) else given


def checked(kind: type[Any], values: Any, prefix: str = "") -> Any:
    """`values` as a configuration of `kind`, or as its part `prefix`. Raises SearchError with every violation."""
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise SearchError(
            f"the configuration of a search must be complete and legal, but: {faults(error, kind, prefix)}"
        ) from error
