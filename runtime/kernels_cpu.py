"""What onnxruntime's CPU kernels do of a kernel: channels in blocks, windows that are copied, activations apart."""

from dataclasses import replace

from nascc.runtime.kernels import Kernel

BLOCK, ALIGNMENT = 16, 4
"""Channels lie in blocks of 16 numbers (AVX-512), padded; only a multiple of 4 channels may."""
NARROW = 4
"""How much slower a pointwise convolution multiplies that reads fewer channels than a block."""


def as_on_cpu(kernel: Kernel) -> Kernel:
    """The kernel with the numbers that are multiplied and moved in truth.

    Found by profiling onnxruntime 1.31.1: convolutions compute whole blocks of channels; a depthwise one of
    unaligned channels copies the window of every output first, as a matrix; relu and clip run within a convolution, a
    gated activation afterwards; and scaling the channels of a value turns its blocks back and forth.
    """
    if kernel.kind in ("conv", "pointwise", "depthwise") and kernel.channels_in:
        kernel = _depthwise(kernel) if kernel.kind == "depthwise" else _dense(kernel)
    if kernel.gated:
        kernel = replace(kernel, read=kernel.read + 2 * kernel.written)
    if kernel.kind == "elementwise" and kernel.written < kernel.read < 2 * kernel.written:
        kernel = replace(kernel, read=kernel.read + 4 * kernel.written)
    return kernel


def _depthwise(kernel: Kernel) -> Kernel:
    if kernel.channels_out % ALIGNMENT:
        return replace(kernel, read=kernel.read + 2 * kernel.macs)
    return _padded(kernel, 1.0, _padding(kernel.channels_out))


def _dense(kernel: Kernel) -> Kernel:
    c_in, c_out = kernel.channels_in, kernel.channels_out
    if c_in < BLOCK:
        return _padded(kernel, NARROW if kernel.kind == "pointwise" else 1.0, _padding(c_out))
    return kernel if c_in % ALIGNMENT else _padded(kernel, _padding(c_in), _padding(c_out))


def _padded(kernel: Kernel, per_product: float, per_output: float) -> Kernel:
    if per_product == per_output == 1:
        return kernel
    macs, written = round(kernel.macs * per_product * per_output), round(kernel.written * per_output)
    return replace(kernel, macs=macs, written=written)


def _padding(channels: int) -> float:
    """How much more there is of channels in whole blocks."""
    return -(-channels // BLOCK) * BLOCK / channels
