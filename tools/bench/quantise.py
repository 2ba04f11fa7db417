"""What int8 brings on this CPU: linear MBConv blocks collapsed and quantised, against their fp32 original."""

import argparse
from collections.abc import Sequence

import numpy as np
import torch
from onnx import ModelProto

from nascc.compiler import compile
from nascc.compiler.quantise import quantise
from nascc.runtime.anchor import anchor_feed, anchor_model
from nascc.runtime.measure import measure
from nascc.runtime.measure_onnx import run_on
from nascc.runtime.runners.onnx import OnnxRunner
from nascc.tools.bench.linear_networks import BLOCKS, Choice, linear_network
from nascc.tools.bench.networks import randomise_statistics

CALIBRATED, JUDGED = 8, 4


def models(side: int) -> dict[str, ModelProto]:
    """The same network as fp32 original, collapsed in fp32, and collapsed in int8 with residuals kept or folded."""
    torch.manual_seed(0)
    network = linear_network([Choice()] * BLOCKS).eval()
    randomise_statistics(network, torch.Generator().manual_seed(0))
    shapes = [f"x:1x3x{side}x{side}"]
    given = {"shapes": shapes, "input_names": ["x"], "output_names": ["y"], "verify": False}
    found = {"fp32": compile(network, collapse="never", **given).onnx}  # type: ignore[arg-type]
    feeds = samples(side, CALIBRATED)
    for name, kept in (("collapsed", True), ("collapsed, residuals folded", False)):
        made = compile(network, collapse="always", keep_residuals=kept, **given).onnx  # type: ignore[arg-type]
        found |= {name: made, f"{name}, int8": quantise(made, feeds).model}
    return found


def samples(
    side: int, count: int, first: int = 0
) -> list[dict[str, "np.ndarray[tuple[int, ...], np.dtype[np.float32]]"]]:
    """Seeded inputs."""
    shape = (1, 3, side, side)
    return [{"x": np.random.default_rng(first + k).standard_normal(shape).astype(np.float32)} for k in range(count)]


def snr_db(exact: OnnxRunner, other: OnnxRunner, side: int) -> float:
    """Signal to noise at the output, over inputs that nothing was calibrated on."""
    signal = noise = 0.0
    for feed in samples(side, JUDGED, CALIBRATED):
        a, b = (next(iter(r.run(feed).values())).astype(np.float64) for r in (exact, other))
        signal, noise = signal + float(np.sum(a * a)), noise + float(np.sum((a - b) ** 2))
    return float("inf") if noise == 0 else 10 * float(np.log10(signal / noise))


def main(arguments: Sequence[str] | None = None) -> None:
    """Print ratios of times of one interleaved run, one thread, and signal to noise."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=112)
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args(arguments)
    built = models(options.side)
    runners = {name: OnnxRunner(model, threads=1) for name, model in built.items()}
    feed, anchor = samples(options.side, 1)[0], OnnxRunner(anchor_model(), threads=1)
    with anchor:
        for runner in runners.values():
            runner.__enter__()
        runs = [run_on(runner, feed) for runner in runners.values()]
        found = measure(runs, run_on(anchor, anchor_feed()), rounds=options.rounds, drift_percent=float("inf"))
        for index, (name, runner) in enumerate(runners.items()):
            ratio, snr = found.ratio(0, index).value, snr_db(runners["fp32"], runner, options.side)
            print(
                f"{name:38} {found.timings[index].spent.median_ms:7.3f} ms, {ratio:5.2f} x as fast, SQNR {snr:5.1f} dB"
            )
        for runner in runners.values():
            runner.__exit__(None, None, None)


if __name__ == "__main__":
    main()
