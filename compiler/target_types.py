"""Which number types TensorRT takes: in a model at all, and in each operator."""

from collections.abc import Iterator
from dataclasses import dataclass

from onnx import NodeProto

from nascc.compiler.known import Known
from nascc.compiler.lint import Finding
from nascc.runtime.operator_table import OperatorTable

NATIVE = {
    "tensor(float)": "FP32",
    "tensor(float16)": "FP16",
    "tensor(double)": "FP32",
    "tensor(int32)": "INT32",
    "tensor(int8)": "INT8",
    "tensor(bool)": "BOOL",
}
"""What every version takes: doubles become floats."""
SINCE = {
    "tensor(uint8)": ("UINT8", (8, 5)),
    "tensor(bfloat16)": ("BF16", (9, 0)),
    "tensor(float8e4m3fn)": ("FP8", (9, 0)),
    "tensor(int4)": ("INT4", (10, 0)),
}
"""Types that only newer versions take; int64 becomes int32 before version 9."""
FIRST_INT64 = (9, 0)

DATA = {"Where": 1, "OneHot": 2}
"""The input that an operator's types speak of, where it is not the first one."""
UNTYPED = (
    "Constant",
    "ConstantOfShape",
    "If",
    "Loop",
    "NonZero",
    "RandomNormal",
    "RandomUniform",
    "Scan",
    "Shape",
    "Size",
)
"""Operators whose types follow from elsewhere, or that take more than the maker's table says."""
NARROW = ("ArgMax", "ArgMin", "Clip", "CumSum", "Pow", "Reduce", "Scan", "TopK")
"""Beginnings of operators for which the maker's tables leave out integers that the importer may yet take."""
INTEGERS = ("INT32", "INT64")
QUANTISED = ("INT8", "INT4", "FP8")
"""From version 9 on these come from quantisation alone, and go wherever their float goes."""


@dataclass(frozen=True)
class TypeJudge:
    """Number types held against the table of a version of TensorRT."""

    table: OperatorTable

    @property
    def version(self) -> tuple[int, ...]:
        return tuple(int(part) for part in self.table.version.split("."))

    def native(self, found: str) -> str | None:
        """TensorRT's name of a type as schemas write it; None where it has no such type."""
        if found == "tensor(int64)":
            return "INT64" if self.version >= FIRST_INT64 else "INT32"
        name, since = SINCE.get(found, (NATIVE.get(found), (0,)))
        return name if self.version >= since else None

    def __call__(self, node: NodeProto, known: Known) -> Iterator[Finding]:
        """Types that TensorRT does not have, and types that it has but not in this operator."""
        foreign = {
            known.types[n] for n in (*node.input, *node.output) if n in known.types and self._is_foreign(n, known)
        }
        for found in sorted(foreign):
            yield Finding.of(node, f"TensorRT {self.table.version} has no {found}", _instead(found))
        allowed = self.table.operators.get(node.op_type, frozenset())
        if foreign or not allowed or node.op_type in UNTYPED:
            return
        for name in self._data(node):
            native = self.native(known.types.get(name, ""))
            if native in QUANTISED and self.version >= FIRST_INT64:
                continue
            if native is not None and native not in allowed and name not in known.static:
                yield self._refused(node, native, allowed)
                return

    def _is_foreign(self, name: str, known: Known) -> bool:
        """Whether TensorRT has no such type: constants of 8 bits are widened, and FP8 stands in constants only."""
        found = known.types[name]
        return self.native(found) is None and not (found == "tensor(uint8)" and name in known.constants)

    def _data(self, node: NodeProto) -> list[str]:
        """The values that an operator's types speak of."""
        place = DATA.get(node.op_type, 0)
        values = [node.input[place]] if len(node.input) > place else []
        return [*values, *node.output] if node.op_type in ("Cast", "CastLike") else values

    def _refused(self, node: NodeProto, native: str, allowed: frozenset[str]) -> Finding:
        blocks = not (native in INTEGERS and node.op_type.startswith(NARROW))
        may = "" if blocks else " (it may take more than its table says)"
        listed = ", ".join(sorted(allowed))
        problem = f"TensorRT {self.table.version} takes {listed} here, found {native}{may}"
        return Finding.of(node, problem, "cast its input" if blocks else "", blocks=blocks)


def _instead(found: str) -> str:
    if found == "tensor(uint8)":
        return "feed float32 and convert before the network"
    return "convert the model to float32 or float16" if "float" in found or "complex" in found else "use int32 instead"
