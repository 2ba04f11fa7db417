"""What the benchmark measured of one network, and the ratios that follow."""

from dataclasses import asdict, dataclass, field
from statistics import geometric_mean, median
from typing import Any

from nascc.tools.bench.contenders import NASCC, PEERS, REFERENCE, VERIFIED

ERROR_FLOOR = 1e-5
ERROR_FACTOR = 10.0


@dataclass(frozen=True)
class FileResult:
    """One ONNX file of one tool, with what it took to write it."""

    tool: str
    opset: int
    ir_version: int
    nodes: int
    batch_norms: int
    bytes: int
    cpu_s: tuple[float, ...]
    peak_mib: float
    ms: float
    error: float
    honest: bool
    """Only the default domain, no local functions, and the opset that was asked for."""


@dataclass(frozen=True)
class NetworkResult:
    """All files of one network; the file of a tool at the peers' opset is the one that is compared."""

    network: str
    opset: int
    eager_error: float = float("nan")
    files: tuple[FileResult, ...] = ()
    failures: tuple[str, ...] = field(default=())

    def file(self, tool: str, opset: int | None = None) -> FileResult | None:
        wanted = opset or self.opset
        return next((file for file in self.files if file.tool == tool and file.opset == wanted), None)

    @property
    def complete(self) -> bool:
        """Whether nascc and its reference both have a file to compare."""
        return self.file(NASCC) is not None and self.file(REFERENCE) is not None

    @property
    def mismatches(self) -> list[FileResult]:
        """Files of nascc that are further from float64 than eager fp32 explains, or not what they say."""
        allowed = max(ERROR_FLOOR, ERROR_FACTOR * self.eager_error)
        own = [file for file in self.files if file.tool in (NASCC, VERIFIED)]
        return [file for file in own if not file.error <= allowed or not file.honest]

    @property
    def ratios(self) -> dict[str, float]:
        """Nodes and latency against the best peer; seconds and memory against the reference."""
        own, reference = self.file(NASCC), self.file(REFERENCE)
        assert own is not None
        assert reference is not None
        peers = [file for tool in PEERS if (file := self.file(tool)) is not None]
        ratios = {
            "nodes": own.nodes / min(file.nodes for file in peers),
            "latency": own.ms / min(file.ms for file in peers),
            "cpu": median(own.cpu_s) / median(reference.cpu_s),
            "cpu_least": min(own.cpu_s) / min(reference.cpu_s),
            "memory": own.peak_mib / reference.peak_mib,
        }
        if (verified := self.file(VERIFIED)) is not None:
            ratios["verification"] = (median(verified.cpu_s) - median(own.cpu_s)) / median(reference.cpu_s)
        return ratios

    def overhead(self, opset: int) -> tuple[float, float] | None:
        """(nodes, latency) of nascc's file at `opset` against its file at the peers' opset."""
        own, other = self.file(NASCC), self.file(NASCC, opset)
        return (other.nodes / own.nodes, other.ms / own.ms) if own and other else None

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"ratios": self.ratios if self.complete else {}}


@dataclass(frozen=True)
class Floor:
    """One line of what must be reached: the ratio, its limit, and what was found on each network."""

    name: str
    limit: float
    found: tuple[float, ...]

    @property
    def reached(self) -> int:
        return sum(value <= self.limit for value in self.found)

    def __str__(self) -> str:
        return (
            f"{self.name}: <= {self.limit:.2f} on {self.reached} of {len(self.found)}, "
            f"geometric mean {geometric_mean([max(value, 1e-9) for value in self.found]):.2f}, "
            f"worst {max(self.found):.2f}"
        )


LIMITS = {"nodes": 1.0, "latency": 1.02, "cpu": 1.25, "memory": 1.25, "verification": 1.25}
TITLES = {
    "nodes": "nodes / best peer",
    "latency": "onnxruntime latency / best peer",
    "cpu": f"CPU seconds / {REFERENCE} (goal 1.00)",
    "memory": f"peak memory / {REFERENCE}",
    "verification": f"CPU seconds of verification / {REFERENCE}",
}


def floors(results: list[NetworkResult]) -> list[Floor]:
    """Every floor over the networks that were measured completely."""
    measured = [result.ratios for result in results if result.complete]
    made = [Floor(TITLES[key], LIMITS[key], tuple(r[key] for r in measured if key in r)) for key in LIMITS]
    return [floor for floor in made if floor.found]
