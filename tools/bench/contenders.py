"""The tools that the benchmark compares: each turns a module and its inputs into an ONNX file."""

import contextlib
import io
from collections.abc import Callable
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

Inputs = tuple[Tensor, ...]
Contender = Callable[[nn.Module, Inputs, Path, int | None], None]


def nascc(module: nn.Module, inputs: Inputs, path: Path, opset: int | None) -> None:
    from nascc.compiler import compile

    compile(module, inputs, opset=opset, verify=False).save(path)


def nascc_verified(module: nn.Module, inputs: Inputs, path: Path, opset: int | None) -> None:
    from nascc.compiler import compile

    compile(module, inputs, opset=opset, verify=True).save(path)


def exported(module: nn.Module, inputs: Inputs, opset: int | None) -> onnx.ModelProto:
    with contextlib.redirect_stdout(io.StringIO()):
        program = torch.onnx.export(
            module, inputs, dynamo=True, optimize=True, verbose=False, opset_version=opset, external_data=False
        )
    assert program is not None
    return program.model_proto


def torch_export(module: nn.Module, inputs: Inputs, path: Path, opset: int | None) -> None:
    onnx.save(exported(module, inputs, opset), path)


def torch_export_onnxsim(module: nn.Module, inputs: Inputs, path: Path, opset: int | None) -> None:
    import onnxsim

    simplified, _ = onnxsim.simplify(exported(module, inputs, opset))
    onnx.save(simplified, path)


def torch_export_onnxslim(module: nn.Module, inputs: Inputs, path: Path, opset: int | None) -> None:
    import onnxslim

    onnx.save(onnxslim.slim(exported(module, inputs, opset)), path)


def collapsing(mode: str, cost: str = "flops") -> Contender:
    """nascc with `--collapse` and `--collapse-cost`."""

    def contender(module: nn.Module, inputs: Inputs, path: Path, opset: int | None) -> None:
        from nascc.compiler import compile

        compile(module, inputs, opset=opset, verify=False, collapse=mode, collapse_cost=cost).save(path)

    return contender


def timm_reparameterised(module: nn.Module, inputs: Inputs, path: Path, opset: int | None) -> None:
    """What timm's own classes make of their branches, exported and simplified."""
    from timm.utils.model import reparameterize_model

    torch_export_onnxsim(reparameterize_model(module), inputs, path, opset)


NASCC = "nascc"
VERIFIED = "nascc+verify"
REFERENCE = "export+onnxsim"
PEERS: dict[str, Contender] = {
    "export": torch_export,
    REFERENCE: torch_export_onnxsim,
    "export+onnxslim": torch_export_onnxslim,
}
NEVER, ALWAYS, AUTO, MEASURED = "never", "always", "auto", "measured"
MODES: dict[str, Contender] = {
    NEVER: collapsing("never"),
    ALWAYS: collapsing("always"),
    AUTO: collapsing("auto"),
    MEASURED: collapsing("auto", "measured"),
}
REPARAMETERISED = "timm+onnxsim"
CONTENDERS: dict[str, Contender] = {
    NASCC: nascc,
    VERIFIED: nascc_verified,
    REPARAMETERISED: timm_reparameterised,
    **MODES,
    **PEERS,
}
