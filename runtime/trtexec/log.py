"""What a log of trtexec says: version, end, latencies, memory and warnings; logs may be cut short anywhere."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from nascc.runtime.trtexec.version import version_in

_STAMP = re.compile(r"^\s*(?:\[[^\]]*\]\s*)?\[([VIWEF])\]\s?(?:\[TRT\]\s?)?")
_END = re.compile(r"&&&& (PASSED|FAILED)")
_NUMBER = r"(-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)"
_SUMMARY = re.compile(
    r"^(Latency|Host Latency|Enqueue Time|H2D Latency|GPU Compute(?: Time)?|D2H Latency):\s+min\b", re.I
)
_FIELD = re.compile(
    rf"(min|max|mean|median|percentile)\s*(?:\((\d+(?:\.\d+)?)%\))?\s*[=:]?\s*{_NUMBER}\s*ms(?:\s+at\s+(\d+)%)?"
)
_HEADING = re.compile(r"^(Host Latency|GPU Compute|Enqueue Time)\s*$")
_AVERAGE = re.compile(rf"Average on \d+ runs - GPU latency: {_NUMBER} ms - Host latency: {_NUMBER} ms")
_DEVICE = re.compile(r"Selected Device: ([^\n]+)")
_THROUGHPUT = re.compile(rf"[Tt]hroughput:\s*{_NUMBER} qps")
_PEAK = re.compile(r"Peak memory usage[^:]*: CPU: \d+ MiB, GPU: (\d+) MiB")
_USE = re.compile(r"\[MemUsage\w*\][^\n]*?now: CPU \d+, GPU (\d+) \(MiB\)|\[MemUsageSnapshot\][^\n]*GPU (\d+) MiB")


@dataclass(frozen=True)
class Percentiles:
    """Milliseconds: `at` has them by percent ("percentile(99%)")."""

    min_ms: float | None = None
    max_ms: float | None = None
    mean_ms: float | None = None
    median_ms: float | None = None
    at: tuple[tuple[float, float], ...] = ()

    def percentile(self, percent: float) -> float | None:
        """The milliseconds at a percentage; None where the log does not give it."""
        return dict(self.at).get(percent)


@dataclass(frozen=True)
class Log:
    """`ended` is "PASSED", "FAILED", or None for a log that was cut short.

    `gpu` is GPU compute time, `host` latency with transfers; both None where the summary is not there. `averages_ms`
    are the averages of GPU latency on the way, `device` is the GPU's name.
    """

    version: str | None
    ended: str | None
    gpu: Percentiles | None
    host: Percentiles | None
    enqueue: Percentiles | None
    averages_ms: tuple[float, ...]
    throughput_qps: float | None
    gpu_memory_mib: float | None
    device: str | None
    warnings: tuple[str, ...]
    errors: tuple[str, ...]

    @property
    def cut_short(self) -> bool:
        """Does the line that ends every log lack?"""
        return self.ended is None


def parse_log(text: str) -> Log:
    """Read the log of any version from 7 on."""
    lines = [_split(line) for line in text.replace("\r", "").splitlines()]
    bodies = [body for _, body in lines]
    end = _END.search(text)
    found = dict(_summaries(bodies))
    qps = [float(m.group(1)) for body in bodies if (m := _THROUGHPUT.search(body))]
    return Log(
        version_in(text),
        end.group(1) if end else None,
        found.get("gpu"),
        found.get("host"),
        found.get("enqueue"),
        tuple(float(m.group(1)) for body in bodies if (m := _AVERAGE.search(body))),
        qps[-1] if qps else None,
        _peak(text),
        device.group(1).strip() if (device := _DEVICE.search(text)) else None,
        tuple(dict.fromkeys(body for level, body in lines if level == "W" and body)),
        tuple(dict.fromkeys(body for level, body in lines if level in ("E", "F") and body)),
    )


def _split(line: str) -> tuple[str, str]:
    """(level, text) of a line; the level is empty for what trtexec did not log itself."""
    found = _STAMP.match(line)
    return (found.group(1), line[found.end() :].strip()) if found else ("", line.strip())


def _summaries(bodies: list[str]) -> Iterator[tuple[str, Percentiles]]:
    """The summary of version 8 and later has a line a quantity, that of version 7 a heading and a line a number."""
    for index, body in enumerate(bodies):
        if (found := _SUMMARY.match(body)) is not None:
            yield _kind(found.group(1)), _percentiles(body.partition(":")[2])
        elif (heading := _HEADING.match(body)) is not None:
            block = []
            for below in bodies[index + 1 :]:
                if not re.match(r"(min|max|mean|median|percentile|throughput|walltime|total)", below):
                    break
                block.append(re.sub(r"\(end to end.*", "", below))
            if block:
                yield _kind(heading.group(1)), _percentiles("\n".join(block))


def _kind(title: str) -> str:
    lower = title.lower()
    if lower.startswith("gpu"):
        return "gpu"
    return {"latency": "host", "host latency": "host", "enqueue time": "enqueue"}.get(lower, lower)


def _percentiles(text: str) -> Percentiles:
    named: dict[str, float] = {}
    at: list[tuple[float, float]] = []
    for name, percent, value, later in _FIELD.findall(text):
        if name == "percentile":
            at.append((float(percent or later or 99), float(value)))
        else:
            named[f"{name}_ms"] = float(value)
    return Percentiles(**named, at=tuple(at))


def _peak(text: str) -> float | None:
    """The most GPU memory that the log tells of, in MiB; on a Jetson it is the memory of the CPU, too."""
    seen = _PEAK.findall(text) or [number for pair in _USE.findall(text) for number in pair if number]
    return float(max(map(int, seen))) if seen else None
