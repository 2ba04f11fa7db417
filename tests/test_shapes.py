"""The grammar of --shapes."""

import pytest
import torch

from nascc.compiler.errors import UsageError
from nascc.compiler.shapes import InputSpec, parse_shapes


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("x:1x3x224x224", InputSpec("x", (1, 3, 224, 224))),
        ("x:1,3,224,224", InputSpec("x", (1, 3, 224, 224))),
        ("image:Nx3xHxW:uint8", InputSpec("image", ("N", 3, "H", "W"), torch.uint8)),
        ("ids:Nx128:int64", InputSpec("ids", ("N", 128), torch.int64)),
        ("2x3", InputSpec("x", (2, 3))),
        ("t:scalar:float16", InputSpec("t", (), torch.float16)),
        (" x:batch,3 ", InputSpec("x", ("batch", 3))),
    ],
)
def test_reads(text: str, spec: InputSpec) -> None:
    assert parse_shapes([text]) == (spec,)
    assert parse_shapes([str(spec)]) == (spec,)


@pytest.mark.parametrize(
    "text", ["x:", "x:0x3", "x:1x-3", "x:1x3:float99", "x:1xxx3", "x:1x3:uint8:9", "x:1.5x3", "", "x:1x3x"]
)
def test_refuses(text: str) -> None:
    with pytest.raises(UsageError, match="--shapes must read"):
        parse_shapes([text])


def test_reports_all_violations_together() -> None:
    with pytest.raises(UsageError, match="0x3.*given twice"):
        parse_shapes(["a:0x3", "b:1x3", "b:1x3"])
