"""The grammar of `--shapes`: `x:Nx3x224x224:uint8`, a letter being a dynamic size."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from nascc.compiler.errors import UsageError

GRAMMAR = "NAME:SIZExSIZEx...[:DTYPE], as in x:1x3x224x224 or ids:Nx128:int64 (a letter is a dynamic size)"
DTYPES = {
    name: getattr(torch, name) for name in "float32 float16 bfloat16 float64 uint8 int8 int16 int32 int64 bool".split()
}
_SPEC = re.compile(r"(?:(?P<name>[A-Za-z_]\w*):)?(?P<dims>[^:]*)(?::(?P<dtype>\w+))?")


@dataclass(frozen=True)
class InputSpec:
    """One input: sizes are numbers, or names of dynamic sizes."""

    name: str
    dims: tuple[int | str, ...]
    dtype: torch.dtype = torch.float32

    def __str__(self) -> str:
        sizes = "x".join(map(str, self.dims)) or "scalar"
        dtype = "" if self.dtype is torch.float32 else f":{str(self.dtype).removeprefix('torch.')}"
        return f"{self.name}:{sizes}{dtype}"

    @property
    def is_dynamic(self) -> bool:
        """Is any size left open?"""
        return any(isinstance(d, str) for d in self.dims)


def parse_shapes(texts: Sequence[str]) -> tuple[InputSpec, ...]:
    """`--shapes` options as input specifications. Raises UsageError with every violation at once."""
    specs, problems = [], []
    for k, text in enumerate(texts):
        try:
            specs.append(_parse(text.strip(), "x" if len(texts) == 1 else f"x{k}"))
        except UsageError as error:
            problems.append(str(error))
    names = [s.name for s in specs]
    problems += [f"input '{n}' is given twice" for n in dict.fromkeys(names) if names.count(n) > 1]
    if problems:
        raise UsageError(f"--shapes must read {GRAMMAR}, but: " + "; ".join(problems))
    return tuple(specs)


def _parse(text: str, default_name: str) -> InputSpec:
    match = _SPEC.fullmatch(text)
    if match is None:
        raise UsageError(f"'{text}' does not")
    name, dims, dtype = match["name"] or default_name, match["dims"], match["dtype"] or "float32"
    if dtype not in DTYPES:
        raise UsageError(f"'{text}' names the dtype '{dtype}', known are {', '.join(DTYPES)}")
    sizes = [] if dims == "scalar" else re.split(r"[x,×]", dims)
    return InputSpec(name, tuple(_size(size.strip(), text) for size in sizes), DTYPES[dtype])


def _size(size: str, text: str) -> int | str:
    if size.isdecimal() and int(size) > 0:
        return int(size)
    if re.fullmatch(r"[A-WYZa-wyz]\w*", size):
        return size
    raise UsageError(f"'{text}' has the size '{size}', must be a positive number or a letter (not x)")
