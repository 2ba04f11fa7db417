"""Target profiles as lines for a person."""

from nascc.runtime.operator_table import schema_operators
from nascc.runtime.profile import Target
from nascc.runtime.silicon import Silicon
from nascc.tools import render


def line(target: Target) -> str:
    """One profile as one line."""
    versions = f"opset {target.opset}, IR {target.ir_version}"
    return f"{target.name:<12}{target.runtime_words:<17}{versions:<18}{', '.join(target.precisions):<18}{target.title}"


def full(target: Target, mode: str | None) -> tuple[str, ...]:
    """One profile in full, its power modes as a table; `mode` is the one that counts."""
    jetpack = f", JetPack {target.jetpack}" if target.jetpack else ""
    return (
        render.line("target", f"{target.name}  {target.title}"),
        render.line("runs", f"{target.runtime_words}{jetpack}; {', '.join(target.precisions)}"),
        render.line("reads", f"opset {target.opset}, IR version {target.ir_version}, and older ones"),
        *(render.line("operators", text) for text in operators(target)),
        *(silicon(target.silicon, mode) if target.silicon else ()),
        render.line("estimates", latency(target)),
    )


def operators(target: Target) -> list[str]:
    """How many ONNX operators are imported, by which table, and which ones are not."""
    known, lacks = schema_operators(target.opset), target.lacks
    texts = [f"{len(known - set(lacks))} of ONNX's {len(known)} at opset {target.opset} are imported"]
    if target.table_words is not None:
        texts.append(target.table_words)
    if target.software.runtime == "torch":
        texts = [f"models are checked by ONNX's schemas at opset {target.opset} alone"]
    return [*texts, *([f"lacks {', '.join(lacks)}"] if lacks else [])]


def silicon(gpu: Silicon, mode: str | None) -> list[str]:
    """The GPU, its memory, and its peaks in each power mode."""
    cores = f"{gpu.sm_count} SM, {gpu.cuda_cores} CUDA cores, {gpu.tensor_cores} tensor cores"
    return [
        render.line("GPU", f"{gpu.architecture}, compute capability {gpu.compute_capability}, {cores}"),
        render.line("memory", f"{gpu.memory_gb:g} GB, shared with the CPU"),
        *render.table({mode_label(gpu, name, mode): peaks(gpu, name) for name in gpu.clock_mhz}),
    ]


def mode_label(gpu: Silicon, name: str, mode: str | None) -> str:
    """A power mode, marked where it is the default one or the one asked for."""
    marks = [mark for mark, holds in (("default", name == gpu.default_mode), ("chosen", name == mode)) if holds]
    if marks == ["default", "chosen"]:
        marks = ["default"]
    return f"mode {name}" + (f" ({', '.join(marks)})" if marks else "")


def peaks(gpu: Silicon, name: str) -> dict[str, str]:
    """Clock, bandwidth and peak rates in a power mode."""
    single, half = gpu.rates(name, "fp32"), gpu.rates(name, "fp16")
    return {
        "MHz": f"{half.clock_mhz:g}",
        "GB/s": f"{half.bandwidth_gb_per_s:g}",
        "fp32 GFLOPS": f"{single.matrix_gflops:.0f}",
        "fp16 GFLOPS": f"{half.matrix_gflops:.0f}",
    }


def latency(target: Target) -> str:
    """What an estimate of latency rests on."""
    table = target.latency
    if table is None:
        return "none: the profile has no latency coefficients"
    mode = f" in {table.power_mode}" if table.power_mode else ""
    return f"{table.precision}, batch 1{mode}: {table.calibration}"
