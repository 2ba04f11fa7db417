"""Read a .pt2 archive so that nothing in it is unpickled or evaluated before it was checked."""

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from nascc.runtime.archive import HARMLESS_BYTES, MAX_RATIO, Archive
from nascc.runtime.archive_program import cleaned, program_faults
from nascc.runtime.errors import CorruptFile, UnsafeFile

COMPILED = re.compile(r"data/(aotinductor|mtia|executorch)/|.*\.(so|dll|dylib|pyd|cubin|ptx|o|cpp|hsaco)(\.\d+)*$")
FOLDERS = {"weights": "weight_", "constants": "tensor_"}  # folder under data/ -> how its members are named
ITEM_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 2, 7: 4, 8: 8, 9: 4, 10: 8, 11: 16, 12: 1, 13: 2, 28: 2, 34: 4, 35: 8}
FORMAT_VERSION = b"0"
BEFORE_2_8 = {  # member of an archive of torch 2.1 to 2.7 -> where torch 2.8 and later look for it
    "serialized_state_dict.pt": "data/weights/model.pt",
    "serialized_constants.pt": "data/constants/model.pt",
    "serialized_example_inputs.pt": "data/sample_inputs/model.pt",
}
WAYS_OUT = (
    "save it again with torch.export.save from the original module, "
    "or pass --allow-pickle if you trust the file with running code"
)


@dataclass(frozen=True)
class Pt2Contents:
    """What a .pt2 archive holds, by the names under which torch looks for it in an archive of one model 'model'."""

    program: dict[str, Any]
    configs: Mapping[str, dict[str, Any]]  # name -> payload table, checked
    raw: Mapping[str, str]  # name -> member: bytes of tensors
    pickled: Mapping[str, str]  # name -> member: opened with weights_only=True, or not at all
    devices: tuple[str, ...]  # other than the CPU, on which it was exported


def inspect_pt2(archive: Archive) -> Pt2Contents:
    """Check a .pt2 archive of torch 2.5 or later.

    Raises CorruptFile when a part is missing or makes no sense, and UnsafeFile, naming what was found, when loading it
    would run code: expressions, names and structures that torch evaluates, compiled libraries, pickled objects.
    """
    if compiled := [name for name in archive.members if COMPILED.match(name)]:
        raise UnsafeFile(
            f"'{archive.path}' must hold a graph, found compiled code {compiled[0]!r}; "
            "save the exported program itself with torch.export.save"
        )
    if "serialized_exported_program.json" in archive:
        return _inspect_before_2_8(archive)
    if (version := archive.read("archive_version")) != FORMAT_VERSION:
        raise CorruptFile(
            f"'{archive.path}' must be of version {FORMAT_VERSION!r} of the .pt2 format, found {version[:9]!r}; "
            "export the module again"
        )
    name = _model_name(archive)
    program, devices = _program(archive, f"models/{name}.json")
    configs: dict[str, dict[str, Any]] = {}
    raw: dict[str, str] = {}
    pickled = _present(archive, {f"data/sample_inputs/{name}.pt": "data/sample_inputs/model.pt"})
    for folder, prefix in FOLDERS.items():
        if old := _present(archive, {f"data/{folder}/{name}.pt": f"data/{folder}/model.pt"}):
            pickled |= old
            continue
        table = _json(archive, f"data/{folder}/{name}_{folder}_config.json")
        configs[f"data/{folder}/model_{folder}_config.json"] = cleaned(table, devices)
        for tensor, entry in _entries(archive, table):
            member = _payload(archive, folder, prefix, tensor, entry)
            (pickled if entry["use_pickle"] else raw)[member] = member
    if both := sorted(set(raw) & set(pickled)):
        raise CorruptFile(f"'{both[0]}' in '{archive.path}' must be either pickled or plain bytes, is used as both")
    return Pt2Contents(program, configs, raw, pickled, tuple(sorted(devices - {"cpu"})))


def _inspect_before_2_8(archive: Archive) -> Pt2Contents:
    program, devices = _program(archive, "serialized_exported_program.json")
    return Pt2Contents(program, {}, {}, _present(archive, BEFORE_2_8), tuple(sorted(devices - {"cpu"})))


def _model_name(archive: Archive) -> str:
    names = [name[len("models/") : -len(".json")] for name in archive.members if re.fullmatch(r"models/.+\.json", name)]
    if len(names) == 1 or "model" in names:
        return names[0] if len(names) == 1 else "model"
    raise CorruptFile(f"'{archive.path}' must hold one exported program, found {names or 'none'}; save one per file")


def _present(archive: Archive, names: Mapping[str, str]) -> dict[str, str]:
    """new name -> member, for the members that are there and not empty."""
    return {new: member for member, new in names.items() if member in archive and archive.size(member)}


def _json(archive: Archive, member: str) -> dict[str, Any]:
    try:
        value = json.loads(archive.read(member))
    except (ValueError, RecursionError) as error:
        raise CorruptFile(f"'{archive.path}' must hold JSON in '{member}', but: {error}; save it again") from error
    if not isinstance(value, dict):
        raise CorruptFile(f"'{archive.path}' must hold a JSON object in '{member}', found {type(value).__name__}")
    return value


def _program(archive: Archive, member: str) -> tuple[dict[str, Any], set[str]]:
    program, devices = _json(archive, member), set[str]()
    try:
        faults = list(islice(program_faults(program), 4))
        program = cleaned(program, devices)
    except (AttributeError, TypeError, KeyError, RecursionError) as error:
        raise CorruptFile(f"'{archive.path}' must follow torch's schema in '{member}', but: {error}") from error
    if faults:
        more = " and more" if len(faults) > 3 else ""
        raise UnsafeFile(
            f"'{archive.path}' must hold nothing that runs when it is loaded, "
            f"found: {'; '.join(faults[:3])}{more}; {WAYS_OUT}"
        )
    return program, devices


def _entries(archive: Archive, table: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        for name, entry in table["config"].items():
            if not isinstance(entry["use_pickle"], bool) or not isinstance(entry["path_name"], str):
                raise TypeError(f"entry {name!r} has wrong types")
            yield name, entry
    except (AttributeError, TypeError, KeyError) as error:
        raise CorruptFile(f"'{archive.path}' must hold torch's table of tensors, but: {error!r}") from error


def _payload(archive: Archive, folder: str, prefix: str, tensor: str, entry: dict[str, Any]) -> str:
    """The member that holds a tensor, once its name and its size are found to be what torch writes."""
    if not re.fullmatch(rf"{prefix}\d+", entry["path_name"]):
        raise UnsafeFile(
            f"tensors of '{archive.path}' must lie in members '{prefix}N', "
            f"found {tensor!r} in {entry['path_name']!r}, which torch unpickles; {WAYS_OUT}"
        )
    member = f"data/{folder}/{entry['path_name']}"
    size = archive.size(member)
    if entry["use_pickle"]:
        return member
    needed, elements = _needed_bytes(archive, tensor, entry)
    if needed > size:
        raise CorruptFile(
            f"{tensor!r} in '{archive.path}' must have {needed} bytes, found {size}; export the module with its weights"
        )
    if elements > max(HARMLESS_BYTES, MAX_RATIO * size):
        raise UnsafeFile(f"{tensor!r} in '{archive.path}' must be as large as its {size} bytes, declares {elements}")
    return member


def _needed_bytes(archive: Archive, tensor: str, entry: dict[str, Any]) -> tuple[int, int]:
    """(bytes from the beginning of the storage to the end of the last element, number of elements)."""
    try:
        meta = entry["tensor_meta"]
        sizes, strides = ([int(size["as_int"]) for size in meta[key]] for key in ("sizes", "strides"))
        offset = int(meta["storage_offset"]["as_int"])
        if min((offset, *sizes, *strides)) < 0 or len(sizes) != len(strides):
            raise ValueError(f"sizes {sizes}, strides {strides}, offset {offset}")
        last = sum((size - 1) * stride for size, stride in zip(sizes, strides, strict=True))
        return 0 if 0 in sizes else (offset + last + 1) * ITEM_BYTES.get(meta["dtype"], 1), math.prod(sizes)
    except (ValueError, TypeError, KeyError) as error:
        raise CorruptFile(f"{tensor!r} in '{archive.path}' must have whole sizes, but: {error!r}") from error
