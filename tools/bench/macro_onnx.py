"""Networks of a macro written as ONNX, as the compiler leaves them: batch norms folded, nothing to capture."""

from collections.abc import Sequence

import numpy as np
from onnx import ModelProto, TensorProto, helper

from nascc.nas.blocks.operators import MBConvOp
from nascc.nas.spaces import Part
from nascc.tools.bench.mbconv import OPSET, Writer


def written(parts: Sequence[Part], seed: int = 0) -> ModelProto:
    """The parts one after the other, with random weights, on one image; ReLU, inverted bottlenecks without groups."""
    writer, first = Writer(np.random.default_rng(seed), "Relu"), parts[0].ctx
    x = "x"
    for part in parts:
        x = _part(writer, x, part)
    ends = [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, *first.shape))]
    ends.append(helper.make_tensor_value_info(x, TensorProto.FLOAT, None))
    graph = helper.make_graph(writer.nodes, "macro", ends[:1], ends[1:], writer.constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)


def _part(writer: Writer, x: str, part: Part) -> str:
    ctx, make = part.ctx, part.op.make
    if isinstance(make, MBConvOp):
        inner = round(ctx.c_in * make.expansion)
        y = x if make.expansion == 1 else writer.activate(writer.conv(x, ctx.c_in, inner))
        y = writer.activate(writer.conv(y, inner, inner, make.kernel, ctx.stride, inner))
        y = writer.conv(y, inner, ctx.c_out)
        return writer.call("Add", x, y) if ctx.keeps_shape else y
    if part.op.name.startswith("conv"):
        return writer.activate(writer.conv(x, ctx.c_in, ctx.c_out, int(part.op.name[4:]), ctx.stride))
    if part.op.name.startswith("head"):
        channels = int(part.op.name[4:])
        pooled = writer.call("GlobalAveragePool", writer.activate(writer.conv(x, ctx.c_in, channels)))
        return writer.call("Gemm", writer.call("Flatten", pooled), writer.weight(ctx.c_out, channels), transB=1)
    return x
