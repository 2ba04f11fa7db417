"""Tell from its opcodes what a pickle would import, without running it."""

import pickletools
import re
import struct
from collections.abc import Iterator
from typing import Protocol

from nascc.runtime.errors import CorruptFile

TORCH_LEGACY_MAGIC = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."  # how torch.save began before it wrote zip archives
LEGACY_PICKLES = 4  # magic number, protocol, system, the object itself; storages follow
UNKNOWN = "(a name the opcodes compute)"

# What torch.load(weights_only=True) builds tensors from. The list only decides which sentence the user reads:
# what is opened is opened by torch itself with weights_only=True.
HARMLESS = re.compile(
    r"""collections\.(OrderedDict|Counter) | _codecs\.encode | (builtins|__builtin__)\.(bytearray|set|complex)
    | torch\._utils\._rebuild_\w+ | torch\._tensor\._rebuild_from_type_v2 | torch\.serialization\._get_layout
    | torch\.(cuda\.|sparse\.)*\w+(Storage|Tensor) | torch\.(Tensor|Size|device) | torch\.storage\.\w+Storage
    | torch\.nn\.parameter\.(Parameter|Buffer) | torch\.per_(tensor|channel)_\w+
    | torch\.q?(u?int|b?float|complex|bits|bool)[a-z0-9_]*""",
    re.VERBOSE,
)


class Stream(Protocol):
    """What opcodes are read from: a file, a memory map or bytes in memory."""

    def read(self, n: int = ..., /) -> bytes: ...
    def readline(self) -> bytes: ...
    def tell(self) -> int: ...


def foreign_globals(stream: Stream, pickles: int = 1) -> tuple[str, ...]:
    """Sorted dotted names, in the next `pickles` pickles, of what is imported and is no part of plain tensors.

    Raises CorruptFile when the opcodes make no sense or end early.
    """
    names: set[str] = set()
    try:
        for _ in range(pickles):
            names.update(_globals(stream))
    except (ValueError, struct.error, OverflowError, EOFError, MemoryError, IndexError, KeyError) as error:
        raise CorruptFile(f"the pickle must be whole, found it truncated or damaged: {error}") from error
    return tuple(sorted(name for name in names if not HARMLESS.fullmatch(name)))


def _globals(stream: Stream) -> Iterator[str]:
    """Every global one pickle names; strings are followed through the memo as far as picklers use it."""
    strings: list[str] = []
    memo: dict[int, str] = {}
    for opcode, argument, _ in pickletools.genops(stream):  # type: ignore[arg-type]
        name = opcode.name
        if name in ("GLOBAL", "INST"):
            yield str(argument).replace(" ", ".", 1)
        elif name == "STACK_GLOBAL":
            yield ".".join(strings[-2:]) if len(strings) >= 2 else UNKNOWN
        elif name.startswith("EXT"):
            yield f"copyreg extension {argument}"
        elif name.endswith(("UNICODE", "UNICODE8", "STRING")):
            strings.append(str(argument))
        elif name == "MEMOIZE":
            memo[len(memo)] = strings[-1] if strings else ""
        elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
            memo[int(str(argument))] = strings[-1] if strings else ""
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            strings.append(memo.get(int(str(argument)), ""))
