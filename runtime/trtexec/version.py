"""Versions of TensorRT as they are written: '8.2.1', 'v8201', 'v100300'."""

import re

_BANNER = re.compile(r"TensorRT[.\w]*\s*\[TensorRT v(\d{4,6})\]")
_SAID = re.compile(r"TensorRT version:\s*(\d+\.\d+\.\d+)")


def version_in(log: str) -> str | None:
    """The version in the first banner of a log, or in its line 'TensorRT version'; None where neither is there.

    Banners write major * 1000 + minor * 100 + patch, and from TensorRT 10 on major * 10000 + minor * 100 + patch.
    """
    if (found := _BANNER.search(log)) is not None:
        number = int(found.group(1))
        scale = 1000 if number < 10_000 else 10_000
        major, rest = divmod(number, scale)
        return f"{major}.{rest // 100}.{rest % 100}"
    said = _SAID.search(log)
    return said.group(1) if said else None


def numbers(version: str) -> tuple[int, ...]:
    """'8.2.1' as (8, 2, 1), for comparisons."""
    return tuple(int(part) for part in version.split("."))
