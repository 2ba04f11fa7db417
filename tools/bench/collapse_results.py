"""What the benchmark of merging and collapsing measured, and the floors it must reach."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from nascc.tools.bench.contenders import AUTO, MODES, NEVER, PEERS, REPARAMETERISED

ERROR_FLOOR, ERROR_FACTOR = 5e-6, 10.0
LEAST_SPEED_UP, ALL_LINEAR_SPEED_UP, CPU_LIMIT_S = 0.98, 1.35, 5.0
REPVGG_NODES, REPVGG_LATENCY = 47, 1.03


@dataclass(frozen=True)
class Timed:
    """One ONNX file in one setting."""

    tool: str
    nodes: int
    ms: float
    error: float


@dataclass(frozen=True)
class Setting:
    """All files of one network at one batch size and number of threads, timed interleaved."""

    network: str
    batch: int
    threads: int
    eager_error: float
    files: tuple[Timed, ...]

    def file(self, tool: str) -> Timed | None:
        return next((file for file in self.files if file.tool == tool), None)

    def speed_up(self, tool: str, over: str = NEVER) -> float | None:
        """How many times as fast `tool` is as `over`, by default the same graph with nothing collapsed."""
        own, other = self.file(tool), self.file(over)
        return other.ms / own.ms if own and other else None

    @property
    def over_best_peer(self) -> float | None:
        """How many times as fast auto is as the fastest file that no mode of nascc wrote."""
        own = self.file(AUTO)
        peers = [file.ms for file in self.files if file.tool in (*PEERS, REPARAMETERISED)]
        return min(peers) / own.ms if own and peers else None

    @property
    def allowed_error(self) -> float:
        """Relative error against float64 that rounding explains."""
        plain = self.file(NEVER)
        return max(ERROR_FLOOR, ERROR_FACTOR * max(self.eager_error, plain.error if plain else 0.0))

    @property
    def wrong(self) -> list[Timed]:
        """Files of nascc that are farther from float64 than that."""
        return [file for file in self.files if file.tool in MODES and not file.error <= self.allowed_error]


@dataclass(frozen=True)
class Nodes:
    """Node counts of one of timm's own families: merged by nascc, and by its classes."""

    network: str
    own: int
    reference: int


@dataclass(frozen=True)
class Check:
    """One line of what must be reached."""

    text: str
    found: float
    limit: float
    at_least: bool = False

    @property
    def reached(self) -> bool:
        return self.found >= self.limit if self.at_least else self.found <= self.limit

    def __str__(self) -> str:
        sign = ">=" if self.at_least else "<="
        return f"{'ok  ' if self.reached else 'MISS'} {self.text}: {self.found:.3f} ({sign} {self.limit:g})"


def checks(settings: Sequence[Setting], families: Iterable[Nodes] = (), cpu_s: float | None = None) -> Iterator[Check]:
    """Every floor that what was measured can say something about."""
    slowest = min(
        ((s.speed_up(AUTO), s) for s in settings if s.speed_up(AUTO)), key=lambda pair: pair[0] or 0.0, default=None
    )
    if slowest is not None:
        worst, s = slowest
        where = f"{s.network} at batch {s.batch}, {s.threads} threads"
        yield Check(f"auto is never slower than not collapsing; worst: {where}", worst or 0.0, LEAST_SPEED_UP, True)
    for s in settings:
        if s.network == "dw:k3e6" and s.threads == 2 and (ratio := s.speed_up(AUTO)):
            yield Check(f"auto on dw:k3e6 at batch {s.batch}, 2 threads", ratio, ALL_LINEAR_SPEED_UP, True)
        if s.network == "timm:repvgg_a0":
            yield from _repvgg(s)
    yield Check("files farther from float64 than rounding explains", float(sum(len(s.wrong) for s in settings)), 0.0)
    for f in families:
        yield Check(f"nodes of {f.network}", f.own, f.reference)
    if cpu_s is not None:
        yield Check("CPU seconds to collapse the 21-block network", cpu_s, CPU_LIMIT_S)


def _repvgg(s: Setting) -> Iterator[Check]:
    where = f"batch {s.batch}, {s.threads} threads"
    if own := s.file(AUTO):
        yield Check(f"nodes of repvgg_a0, {where}", own.nodes, REPVGG_NODES)
    if ratio := s.speed_up(REPARAMETERISED, over=AUTO):
        yield Check(f"repvgg_a0 over timm's reparameterised export, {where}", ratio, REPVGG_LATENCY)
