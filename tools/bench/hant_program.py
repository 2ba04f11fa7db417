"""Time the integer program on synthetic instances as large as the paper's."""

import time
from collections.abc import Sequence

from nascc.nas.program import Found, Program, diverse, generate, solve


def report_program(seeds: Sequence[int], count: int) -> None:
    """Processor seconds of the first solve and of many different solutions, with every constraint checked."""
    for seed in seeds:
        for prefiltered in (True, False):
            program = generate(seed, prefiltered=prefiltered)
            started = time.process_time()
            first = solve(program)
            first_s = time.process_time() - started
            started = time.process_time()
            found = diverse(program, count)
            many_s = time.process_time() - started
            assert first is not None
            check(program, found)
            worst = max(one.objective for one in found) / found[0].objective
            print(
                f"seed {seed}, {len(program.sizes)} layers, {program.offsets[-1]} variables: first {first_s:.2f} s, "
                f"{len(found)} solutions {many_s:.1f} s, objective {found[0].objective:.5f}, worst {worst:.3f} of it",
                flush=True,
            )


def check(program: Program, found: Sequence[Found], share: float = 0.7) -> None:
    """Raise AssertionError unless budgets and overlaps hold."""
    most = int(share * len(program.free) + 1e-9)
    for k, one in enumerate(found):
        assert program.keeps(one.arch), f"solution {k} breaks a budget"
        for other in found[:k]:
            assert program.overlap(one.arch, other.arch) <= most, f"solution {k} is too much like another"
