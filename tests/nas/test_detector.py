"""Searched networks as backbones, and SSDLite on them."""

import pytest
import torch

from nascc.compiler import compile
from nascc.nas.errors import SearchError
from nascc.nas.macro import load_macro
from nascc.nas.spaces import MacroSpace
from nascc.nas.zoo import ARCHITECTURES
from nascc.nas.zoo.backbone import Backbone

SMALL = load_macro("lightnas").scaled(width=0.25).model_dump(mode="json") | {"input": [3, 64, 64]}


def test_maps_at_strides_4_to_32() -> None:
    space = MacroSpace(load_macro("lightnas"), 1, input_shape=(3, 64, 96))
    network = space.build((0, 6) * 10 + (1,)).eval()
    maps = Backbone(space, network)(torch.zeros(2, 3, 64, 96))
    assert [tuple(m.shape) for m in maps] == [(2, 24, 16, 24), (2, 48, 8, 12), (2, 128, 4, 6), (2, 384, 2, 3)]


def test_a_stride_that_the_network_has_not() -> None:
    space = MacroSpace(load_macro("toy"), 10)
    with pytest.raises(SearchError, match=r"strides must be among \[2, 4, 8\]"):
        Backbone(space, space.build((0,) * 6), (4, 16))


def test_ssdlite_is_fused_for_a_board() -> None:
    detector = ARCHITECTURES["ssdlite"](macro=SMALL, num_classes=3)
    compiled = compile(detector, shapes=["x:1x3x64x64"], target="nano")
    assert [output.name for output in compiled.onnx.graph.output]
    assert "BatchNormalization" not in {node.op_type for node in compiled.onnx.graph.node}
