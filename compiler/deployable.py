"""An ONNX model in the precision it will run in, with the error of every layer against float64."""

from collections.abc import Sequence
from dataclasses import dataclass

from onnx import ModelProto

from nascc.compiler.errors import UnsupportedByTarget
from nascc.compiler.islands import Samples, halve
from nascc.compiler.layer_error import LayerError
from nascc.compiler.quantise import quantise
from nascc.runtime.errors import RuntimeTargetError
from nascc.runtime.table import Precision
from nascc.runtime.trtexec.command import is_typed
from nascc.runtime.trtexec.flags import flags_of


@dataclass(frozen=True)
class Deployable:
    """`model` is what runs or is built from; `pinned` names layers that a TensorRT up to 10 must keep in fp32.

    `typed` says that types are those of the graph. `snr_db` is that of the worst output, where it was computed.
    """

    model: ModelProto
    precision: Precision
    pinned: tuple[str, ...] = ()
    layers: tuple[LayerError, ...] = ()
    typed: bool = False
    overflowing: tuple[str, ...] = ()
    snr_db: float | None = None
    agreement: float | None = None


def deployable(model: ModelProto, precision: Precision, samples: Samples, tensorrt: str | None) -> Deployable:
    """The model as TensorRT of a version (None: onnxruntime) takes it in a precision.

    Raises NotEquivalent where fp16 is hopeless, UnsupportedByTarget where layers must stay in fp32 and can not.
    """
    if precision == "fp32":
        return Deployable(model, precision)
    if precision == "int8":
        made = quantise(model, samples, symmetric=tensorrt is not None)
        return Deployable(made.model, precision, layers=made.layers, snr_db=made.snr_db, agreement=made.agreement)
    halved = halve(model, samples)
    if tensorrt is None or is_typed(tensorrt):
        return Deployable(halved.model, precision, halved.single, halved.layers, True, halved.overflowing)
    _require_pins(halved.single, tensorrt)
    return Deployable(model, precision, halved.single, halved.layers, overflowing=halved.overflowing)


def _require_pins(names: Sequence[str], tensorrt: str) -> None:
    """Layers are pinned by name up to TensorRT 10, where the version's trtexec can."""
    try:
        able = flags_of(tensorrt).has("--layerPrecisions")
    except RuntimeTargetError as error:
        raise UnsupportedByTarget(str(error)) from error
    if names and not able:
        raise UnsupportedByTarget(
            f"{len(names)} layers must stay in fp32 or fp16 loses too much ({', '.join(names[:3])}), but trtexec of "
            f"TensorRT {tensorrt} can not keep layers in fp32; build with --fp32, or use TensorRT 8.4 or newer"
        )
