"""Compare an ONNX file on a device with float64, onnxruntime here and the model it was made from."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx
from onnx import ModelProto
from torch.export import ExportedProgram

from nascc.compiler.deployable import deployable
from nascc.compiler.deployed_outputs import against_exact
from nascc.compiler.errors import NotEquivalent
from nascc.compiler.lowering.save import write_onnx
from nascc.compiler.provenance import new_report, target_entry
from nascc.compiler.report import Report, VerifyEntry
from nascc.compiler.verification import output_entry
from nascc.runtime.compare import OutputComparison
from nascc.runtime.onnx_file import read_onnx
from nascc.runtime.profile import load_target
from nascc.runtime.remote.access import Access
from nascc.runtime.remote.board import Board, open_board
from nascc.runtime.remote.facts import read_facts
from nascc.runtime.remote.onnx import RemoteOnnxRunner
from nascc.runtime.remote.tensorrt import TensorRtBoard
from nascc.runtime.runners.base import Array, Runner
from nascc.runtime.runners.onnx import OnnxRunner
from nascc.tools.benched_there import device_entry, state_warnings
from nascc.tools.calibration_data import Labelled, labelled, samples_of, top1
from nascc.tools.commands.bench import fixed_sizes
from nascc.tools.comparison import Side
from nascc.tools.device_options import Precisions
from nascc.tools.errors import CommandError
from nascc.tools.execution import Answer
from nascc.tools.failure import Failure
from nascc.tools.progress import Say
from nascc.tools.render import line, table, warnings
from nascc.tools.source import Source
from nascc.tools.verified import cells

Feeds = Sequence[dict[str, Array]]
Run = Callable[[Feeds], list[Array]]
DROP = 0.01
"""Top-1 accuracy that a device may lose without being another network."""


@dataclass(frozen=True)
class Case:
    """What is compared: the ONNX file, the model before it where one is given, inputs, and labels where there are."""

    file: Path
    model: ModelProto
    eager: Side | None
    feeds: Feeds
    labels: Labelled | None
    warnings: tuple[str, ...]


def verify_there(
    sources: Sequence[Source],
    target_name: str,
    access: Access,
    precisions: Precisions,
    data: Path | None,
    shapes: Sequence[str],
    seed: int,
    say: Say,
) -> Answer:
    """Run the ONNX file, the last of one or two sources, on the device. Raises what opening and running raise."""
    target, report = load_target(target_name), new_report("verify", seed=seed)
    precision = precisions.chosen(target) if target.tensorrt else "fp32"
    report.target = target_entry(target, None)
    say("open")
    case = _case(sources, data, shapes, seed, report)
    sizes = fixed_sizes(case.model, shapes)
    made = deployable(case.model, precision, case.feeds[:4], target.tensorrt)
    settings = {"precision": precision, "pinned": () if made.typed else made.pinned}
    with tempfile.TemporaryDirectory(prefix="nascc-") as folder:
        file = Path(folder) / case.file.name
        write_onnx(made.model, file)
        say("connect")
        with open_board(access, target, **settings) as board:  # type: ignore[arg-type]
            say("verify")
            with board.runner(file, sizes) as runner:
                outputs = [runner.run(feed) for feed in case.feeds]
                memory = _memory(board, runner)
            after = read_facts(board.link, trtexec=access.trtexec, python=access.python)
    report.device = device_entry(board, after, precision) | ({"peak_mib": memory} if memory else {})
    found = against_exact(case.model, case.feeds, outputs, precision)
    entries = list(map(output_entry, found))
    report.verify = (VerifyEntry(a="float64", b=board.words, outputs=tuple(entries)),)
    report.verification = "done"
    report.warnings = (*case.warnings, *state_warnings(board.facts, after, target))
    accuracies = dict(_accuracies(case, precision, board.words, [o[found[0].name] for o in outputs]))
    report.findings = tuple({"side": side, "top1": share} for side, share in accuracies.items())
    lines = (
        line("compared", f"{board.words} ({precision}) with float64 on {len(case.feeds)} samples"),
        *table({f"{c.name} of {board.words}": cells(entry) for c, entry in zip(found, entries, strict=True)}),
        *(line("top-1", f"{share:.2%}  {side}") for side, share in accuracies.items()),
        line("memory", f"{memory:.0f} MiB at most" if memory else "peak not told by the device"),
        line("throttled", ", ".join(after.throttled) or "no"),
        *warnings(report),
    )
    return Answer(report, lines, _failure(case, found, accuracies))


def _case(sources: Sequence[Source], data: Path | None, shapes: Sequence[str], seed: int, report: Report) -> Case:
    sides = [Side.of(source) for source in sources]
    if sides[-1].opened is not None:
        raise CommandError(
            f"what runs on --device must be an ONNX file, got {sources[-1].words}; `nascc fuse` makes one"
        )
    path = sides[-1].path
    read_onnx(path)
    model = onnx.load(path)
    report.inputs = tuple(entry for side in sides for entry in side.entries)
    eager = sides[0] if len(sides) == 2 else _before(path)
    if data is not None and data.is_dir():
        found = labelled(model, data)
        return Case(path, model, eager, found.batches, found, found.warnings)
    feeds, said = samples_of(model, data, fixed_sizes(model, shapes), seed)
    return Case(path, model, eager, feeds, None, said if data is not None else ())


def _before(path: Path) -> Side | None:
    """The trained network that a file in the deploy folder of a search was made from."""
    checkpoints = sorted(path.resolve().parent.parent.glob("retrain/found*.safetensors"))
    return Side.of(Source(str(checkpoints[0]))) if len(checkpoints) == 1 else None


def _accuracies(case: Case, precision: str, words: str, there: Sequence[Array]) -> Iterator[tuple[str, float]]:
    """Top-1 of the model before, of onnxruntime here, and of the device."""
    if case.labels is None:
        return
    if case.eager is not None and case.eager.opened is not None:
        yield "eager", top1(case.labels, _eager(case))
    with OnnxRunner(case.model) as runner:
        name = runner.outputs[0].name
        yield "onnxruntime", top1(case.labels, [runner.run(feed)[name] for feed in case.feeds])
    yield f"{words}, {precision}", top1(case.labels, there)


def _eager(case: Case) -> list[Array]:
    import torch

    assert case.eager is not None
    assert case.eager.opened is not None
    module = case.eager.opened.module
    call = module.module() if isinstance(module, ExportedProgram) else module.eval()
    with torch.no_grad():
        found = [call(*(torch.from_numpy(a) for a in feed.values())) for feed in case.feeds]
    return [(o[0] if isinstance(o, (tuple, list)) else o).numpy() for o in found]


def _memory(board: Board, runner: Runner) -> float | None:
    """The most memory in MiB that running took, where the log of TensorRT or the system tells."""
    if isinstance(runner, RemoteOnnxRunner):
        return runner.peak_mib
    return board.peak_mib if isinstance(board, TensorRtBoard) else None


def _failure(case: Case, found: Sequence[OutputComparison], accuracies: dict[str, float]) -> Failure | None:
    """Labels decide where there are any, else the numbers do."""
    if accuracies:
        *others, there = accuracies.values()
        if max(others) - there > DROP:
            return Failure.of(NotEquivalent(f"the device must lose at most {DROP:.0%} of top-1, got {there:.2%}"))
        return None
    wrong = [f"output '{c.name}': {c.reason}" for c in found if not c]
    return Failure.of(NotEquivalent(f"the device must compute '{case.file}', but {wrong[0]}")) if wrong else None
