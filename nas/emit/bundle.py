"""The folder that is deployed: the model, its labels, its preprocessing, and a script that runs it."""

import json
import shutil
from importlib import resources
from pathlib import Path

from onnx import ModelProto, helper

from nascc.compiler.compile import Compiled
from nascc.compiler.lowering.save import write_onnx
from nascc.nas.emit.usage import Usage
from nascc.nas.run.files import TEMPORARY
from nascc.nas.tasks import Kind

SCRIPT = "classify.py"
NAMES: dict[Kind, str] = {"classification": SCRIPT, "depth": "depths.py"}
"""What the script is called beside a model of each kind."""


def write_bundle(folder: Path, compiled: Compiled, usage: Usage, kind: Kind = "classification") -> tuple[Path, ...]:
    """Put model.onnx, labels.txt, preprocess.json and classify.py into `folder`, which appears whole or not at all.

    The script is called depths.py where the model gives depths. A folder of an earlier attempt is replaced. Labels and
    preprocessing are in the model's metadata too. Raises OSError.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = folder.with_name(f".{folder.name}{TEMPORARY}")
    shutil.rmtree(temporary, ignore_errors=True)  # a killed process left it
    temporary.mkdir()
    try:
        write_onnx(_with_metadata(compiled.onnx, usage), temporary / "model.onnx")
        (temporary / "labels.txt").write_text("".join(f"{label}\n" for label in usage.labels), "utf-8")
        (temporary / "preprocess.json").write_text(json.dumps(usage.document(), indent=2) + "\n", "utf-8")
        (temporary / NAMES[kind]).write_text((resources.files("nascc.nas.emit") / SCRIPT).read_text("utf-8"), "utf-8")
        if folder.exists():
            shutil.rmtree(folder)
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return tuple(sorted(folder.iterdir()))


def _with_metadata(model: ModelProto, usage: Usage) -> ModelProto:
    copied = ModelProto()
    copied.CopyFrom(model)
    helper.set_model_props(copied, usage.metadata())
    return copied
