"""What onnxruntime's CPU makes of a kernel: blocks of channels, copied windows, activations apart."""

from dataclasses import replace

import pytest

from nascc.runtime.kernels import Kernel, fuse
from nascc.runtime.kernels_cpu import as_on_cpu
from nascc.runtime.latency import setting_of, terms_of
from nascc.runtime.operators import Network, Operator, convolution
from nascc.runtime.profile import load_target

DEPTHWISE = Kernel("d", "depthwise", 9600, 960, 960, 90, 9, channels_in=24, channels_out=24)
POINTWISE = Kernel("p", "pointwise", 46080, 960, 1920, 1200, 24, channels_in=24, channels_out=48)


def wide(kernel: Kernel, c_in: int, c_out: int) -> Kernel:
    return replace(kernel, channels_in=c_in, channels_out=c_out)


def test_blocks_are_padded() -> None:
    assert as_on_cpu(DEPTHWISE).macs == 9600 * 32 / 24 and as_on_cpu(DEPTHWISE).written == 960 * 32 / 24
    assert as_on_cpu(POINTWISE).macs == 46080 * 32 / 24
    assert as_on_cpu(wide(POINTWISE, 32, 48)) == wide(POINTWISE, 32, 48)


def test_unaligned_depthwise_convolutions_copy_their_windows() -> None:
    kernel = wide(DEPTHWISE, 25, 25)
    found = as_on_cpu(kernel)
    assert found.macs == kernel.macs and found.read == kernel.read + 2 * kernel.macs


def test_unaligned_products_are_not_padded() -> None:
    assert as_on_cpu(wide(POINTWISE, 25, 48)) == wide(POINTWISE, 25, 48)


def test_few_input_channels_multiply_slowly() -> None:
    assert as_on_cpu(wide(POINTWISE, 8, 48)).macs == 4 * POINTWISE.macs
    assert as_on_cpu(replace(wide(POINTWISE, 3, 48), kind="conv")).macs == POINTWISE.macs


def test_gated_activations_and_scaled_channels_pass_over_their_values_again() -> None:
    assert as_on_cpu(replace(wide(POINTWISE, 32, 48), gated=True)).read == POINTWISE.read + 2 * POINTWISE.written
    scale = Kernel("s", "elementwise", 0, 1010, 1000, 0, 0)
    assert as_on_cpu(scale).read == 1010 + 4000
    add = replace(scale, read=2000)
    assert as_on_cpu(add) == add


@pytest.mark.parametrize(("target", "differs"), [("cpu", True), ("cuda", False), ("nano", False)])
def test_only_cpus_run_them_so(target: str, differs: bool) -> None:
    plain, gated = POINTWISE, replace(POINTWISE, gated=True)
    setting = setting_of(load_target(target))
    assert (terms_of(plain, setting) != terms_of(gated, setting)) is differs


def conv_and(*operators: Operator) -> Kernel:
    conv = convolution("c", ("x",), "c", (1, 8, 4, 4), (1, 8, 4, 4), (8, 8, 1, 1), 1)
    (kernel,) = fuse(Network({"x": 128}, (conv, *operators), (operators[-1].output,)))
    return kernel


def test_an_activation_is_gated_however_it_is_spelled() -> None:
    sigmoid = Operator("s", "elementwise", ("c",), "s", 128)
    assert conv_and(sigmoid, Operator("m", "elementwise", ("c", "s"), "m", 128)).gated
    assert conv_and(Operator("m", "elementwise", ("c",), "m", 128, gated=True)).gated
    assert not conv_and(sigmoid).gated and not conv_and(Operator("a", "elementwise", ("c", "x"), "a", 128)).gated
    assert (conv_and(sigmoid).channels_in, conv_and(sigmoid).channels_out) == (8, 8)
