"""Why trtexec failed, in a sentence: an operator it lacks, memory that ran out, a foreign engine, a bad flag."""

import re
from dataclasses import dataclass

from nascc.runtime.errors import BuildFailed, DeviceFailed, RuntimeTargetError, WrongDevice
from nascc.runtime.trtexec.log import Log, parse_log

KILLED, ABORTED, CRASHED = 137, 134, 139


@dataclass(frozen=True)
class Failure:
    """`kind` is one of "unsupported", "memory", "killed", "engine", "flag", "disk", "parse", "cut", "other"."""

    kind: str
    reason: str
    node: str | None = None

    def error(self, what: str) -> RuntimeTargetError:
        """The exception that says so of `what` ('net.onnx')."""
        classes = {"memory": DeviceFailed, "killed": DeviceFailed, "disk": DeviceFailed, "cut": DeviceFailed,
                   "engine": WrongDevice}  # fmt: skip
        return classes.get(self.kind, BuildFailed)(
            f"TensorRT must make and run an engine of '{what}', but {self.reason}"
        )


_PLUGIN = (
    re.compile(r"No importer registered for op: ([\w.:]+)(?!.*Attempting)"),
    re.compile(r"could not find plugin:? '?([\w.:]+)'?"),
    re.compile(r"Cannot find plugin: ([\w.:]+)"),
    re.compile(r"Searching for plugin: ([\w.:]+),"),
)
_NODE = (
    re.compile(r"While parsing node number (\d+) \[([\w.:]+)(?: -> \"([^\"]*)\")?"),
    re.compile(r"--- Begin node ---.*?name: \"([^\"]+)\"", re.DOTALL),
    re.compile(r"In node (\d+) (?:with name: (\S+) and operator: (\w+) )?\("),
)
_NO_PLUGIN = re.compile(r"UNSUPPORTED_NODE|Plugin not found|No importer registered|getPluginCreator could not find")
_IMPLEMENTATION = re.compile(
    r"Could not find any implementation for node ([^\n]+?)(?:\.?\s*(?:due to|\)|$))", re.MULTILINE
)
_MEMORY = re.compile(
    r"out of memory|OutOfMemory|[Cc]udaErrorMemoryAllocation|could not be allocated|insufficient memory|"
    r"std::bad_alloc|Cannot allocate memory|alloc(?:ation)? failed|NvMapMemAlloc"
)
_ENGINE = re.compile(
    r"engine plan file is (?:not compatible|generated on an incompatible)[^\n]*|Version tag does not match[^\n]*|"
    r"Serialization assertion[^\n]*|magicTag[^\n]*|incompatible device[^\n]*|deserialize[^\n]*failed[^\n]*",
    re.IGNORECASE,
)  # fmt: skip
_FLAG = re.compile(r"Unknown option: (\S+)")
_DISK = re.compile(r"No space left on device|Cannot open [^\n]*for writ|Saving engine to file failed", re.IGNORECASE)


def failure_of(text: str, status: int) -> Failure | None:
    """Why a run of trtexec failed, from what it wrote and its exit status; None when it did not.

    A log that ends with PASSED and status 0 is a success whatever warnings stand in it; one that lacks its end is
    "cut", as what it says may be half of the truth.
    """
    log = parse_log(text)
    if log.ended == "PASSED" and status == 0:
        return None
    if (flag := _FLAG.search(text)) is not None:
        return Failure("flag", f"this trtexec does not know '{flag.group(1)}'; its version is another one than it says")
    errors = "\n".join(log.errors)
    if _NO_PLUGIN.search(errors) or (_NO_PLUGIN.search(text) and log.ended == "FAILED"):
        return _unsupported(text)
    if _DISK.search(text):
        return Failure("disk", "the disk of the device is full; free some of it")
    if _MEMORY.search(errors) or _MEMORY.search(_unlogged(text)) or "std::bad_alloc" in text:
        return Failure("memory", _hint("the memory of the device ran out", log))
    if status in (KILLED, -9) or re.search(r"^Killed\b|\bOut of memory: Kill", text, re.MULTILINE):
        return Failure("killed", _hint("the device's kernel killed it, which it does when memory runs out", log))
    if (engine := _ENGINE.search(errors)) is not None:
        return Failure("engine", f"the engine belongs to another device or TensorRT: {_short(engine.group())}")
    if (node := _IMPLEMENTATION.search(errors)) is not None:
        name = node.group(1).strip(" .)")
        return Failure("unsupported", f"it has no implementation for '{name}' in this precision and memory", name)
    if _parsing(errors):
        return Failure("parse", f"it can not read the network: {_first(log)}", _node(text))
    if log.cut_short and not log.errors and status == 0:
        return Failure("cut", "its log was cut short, so nothing it says counts; run it again")
    return Failure("other", _other(log, status))


def _unsupported(text: str) -> Failure:
    operators = [found for pattern in _PLUGIN for found in pattern.findall(text)]
    parsing = _NODE[0].findall(text)
    named = [match for match in _NODE[2].findall(text) if match[2]]
    operator = (named[-1][2] if named else "") or (operators[-1] if operators else parsing[-1][1] if parsing else "")
    where = _node(text)
    words = f"operator {operator or 'of a node'} is unknown to it"
    return Failure("unsupported", f"{words}{f' (node {where!r})' if where else ''}; see `nascc check`", where)


def _node(text: str) -> str | None:
    """The name of the node that is blamed, else its output, else its number."""
    if named := [match[1] for match in _NODE[2].findall(text) if match[1]]:
        return str(named[-1])
    if begun := _NODE[1].findall(text):
        return str(begun[-1])
    if parsed := _NODE[0].findall(text):
        return str(parsed[-1][2] or parsed[-1][0])
    numbered = [match[0] for match in _NODE[2].findall(text)]
    return str(numbered[-1]) if numbered else None


def _unlogged(text: str) -> str:
    """What was not written by TensorRT's logger: the last words of a program that dies."""
    return "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("["))


def _parsing(errors: str) -> bool:
    return bool(re.search(r"Failed to parse|Parsing model failed|ModelImporter|Could not open file|parse ONNX", errors))


def _hint(words: str, log: Log) -> str:
    seen = f" (it held {log.gpu_memory_mib:.0f} MiB)" if log.gpu_memory_mib else ""
    return f"{words}{seen}; close what else runs there, give --workspace a smaller limit, or add swap"


def _other(log: Log, status: int) -> str:
    if log.errors:
        return f"it says: {_first(log)}"
    ended = {ABORTED: "it aborted", CRASHED: "it crashed"}.get(status, f"it ended with status {status}")
    return f"{ended} and said nothing"


def _first(log: Log) -> str:
    """The first error: later ones follow from it."""
    return _short(log.errors[0]) if log.errors else "nothing was said"


def _short(text: str) -> str:
    return " ".join(text.split())[:300]
