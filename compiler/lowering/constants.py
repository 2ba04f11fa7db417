"""The constants of a model, each stored once however often it is used."""

import torch
from onnx import TensorProto

from nascc.compiler.lowering.dtypes import onnx_type
from nascc.compiler.lowering.names import Names, literal_name
from nascc.compiler.lowering.protos import content
from nascc.compiler.lowering.values import Value

HEAD_BYTES = 64
Key = tuple[torch.dtype, tuple[int | str, ...], bytes]


class Constants:
    """Writes constants as initialisers when they are first asked for; equal bytes share one."""

    def __init__(self, names: Names) -> None:
        self.names = names
        self.tensors: list[TensorProto] = []
        self._found: dict[Value, str] = {}
        self._alike: dict[Key, list[TensorProto]] = {}

    def name_of(self, value: Value) -> str:
        """The initialiser that holds a constant."""
        if value not in self._found:
            self._found[value] = self._stored(value)
        return self._found[value]

    def _stored(self, value: Value) -> str:
        assert value.tensor is not None
        raw = content(value.tensor, value.dtype)
        alike = self._alike.setdefault((value.dtype, value.shape, raw[:HEAD_BYTES]), [])
        for known in alike:
            if known.raw_data == raw:
                return known.name
        new = TensorProto(name=self.names.unique(literal_name(value)), data_type=onnx_type(value.dtype), raw_data=raw)
        new.dims.extend(value.tensor.shape)
        alike.append(new)
        self.tensors.append(new)
        return new.name
