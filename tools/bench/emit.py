"""How fast networks of a space are emitted: blocks lowered once and stitched, against the ordinary export."""

import argparse
import time
from collections.abc import Sequence

import numpy as np

from nascc.compiler import compile
from nascc.nas.core.randomness import rng
from nascc.nas.costs import Deployment, Describer, describe
from nascc.nas.macro import load_macro
from nascc.nas.measured.stitch import INPUT, OUTPUT, Stitcher
from nascc.nas.spaces import MacroSpace
from nascc.runtime.profile import load_target
from nascc.runtime.runners.onnx import OnnxRunner


def main(arguments: Sequence[str] | None = None) -> None:
    """Print processor seconds, and whether the outputs are those of the ordinary export."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--space", default="lightnas")
    parser.add_argument("--side", type=int, default=112)
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--compared", type=int, default=20)
    options = parser.parse_args(arguments)
    image = (3, options.side, options.side)
    space, clock = MacroSpace(load_macro(options.space), 1000, input_shape=image), time.process_time
    started = clock()
    stitcher = Stitcher(describe(space, Describer(Deployment(load_target("cpu")))))
    described, draw = clock(), rng(0, "emit")
    archs = [space.random(draw) for _ in range(options.samples)]
    sizes = [len(stitcher.emit(arch)) for arch in archs]
    emitted = clock()
    print(f"described  {described - started:.1f} s")
    print(f"emitted    {emitted - described:.1f} s for {len(sizes)} networks of {sum(sizes) / len(sizes) / 1e6:.0f} MB")
    feed = {INPUT: np.random.default_rng(0).standard_normal((1, *image)).astype(np.float32)}
    equal, spent = 0, 0.0
    for arch in archs[: options.compared]:
        began = clock()
        whole = compile(
            stitcher.module(arch), shapes=[f"1x3x{options.side}x{options.side}"], input_names=[INPUT],
            output_names=[OUTPUT], verify=False,
        ).onnx  # fmt: skip
        spent += clock() - began
        with OnnxRunner(stitcher.emit(arch)) as one, OnnxRunner(whole) as other:
            equal += np.array_equal(one.run(feed)[OUTPUT], other.run(feed)[OUTPUT])
    print(f"ordinary   {spent / max(options.compared, 1):.2f} s a network")
    print(f"equal      {equal} of {options.compared} to the last bit")


if __name__ == "__main__":
    main()
