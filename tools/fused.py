"""What `nascc fuse` did, as lines for a person."""

from nascc.compiler import Compiled
from nascc.compiler.report import Latency, Report
from nascc.tools import render
from nascc.tools.checked import finding_lines
from nascc.tools.source import Source


def lines(compiled: Compiled, name: str, source: Source, *, verbose: bool = False) -> tuple[str, ...]:
    """One line a step with its seconds at the right, refusals and warnings between, and a table before the end."""
    report, seconds = compiled.report, compiled.seconds
    return (
        render.line("captured", captured(compiled, name), seconds.get("capture")),
        render.line("rewrote", render.rewrote(report.passes), seconds.get("rewrite")),
        *(render.line("kept", text) for text in render.kept(report.passes, every=verbose)),
        render.line("verified", verified(report), seconds.get("verify")),
        *([render.line("lowered", lowered(report), seconds.get("lower"))] if compiled.deployed else []),
        *finding_lines(report.findings),
        *([render.line("estimated", estimated(report.latency))] if report.latency else []),
        *render.warnings(report),
        *before_and_after(compiled, source),
        render.line("wrote", wrote(compiled)),
        render.line("next", f"nascc verify {source.words} {report.outputs[-1].path}"),
    )


def captured(compiled: Compiled, name: str) -> str:
    """The network as it came: name, input shapes, operators, parameters, MACs."""
    found = compiled.captured
    shapes = ", ".join(str(spec).partition(":")[2] for spec in found.input_specs)
    size = f"{render.amount(found.params)} parameters".replace("  ", " ")
    return f"{name}  {shapes}   {found.ops} operators   {size}   {render.amount(found.macs)}MACs"


def verified(report: Report) -> str:
    """How far the result is from float64, beside how far the original itself is."""
    if report.verification == "skipped":
        return "not verified (--no-verify)"
    parts = []
    if (algebra := render.algebra(report.passes)) is not None:
        parts.append(f"fp64 {algebra:.1g} after every pass")
    errors = render.worst(report.verify)
    own = [f" ({side}: {error:.1e})" for side, error in list(errors.items())[1:]]
    parts += [f"{side} {error:.1e}" for side, error in list(errors.items())[:1]]
    return "; ".join(parts) + "".join(own)


def lowered(report: Report) -> str:
    """The versions that were written, for whom, and whether it can run them."""
    target = report.target
    assert target is not None
    runtime = f" (TensorRT {target.tensorrt})" if target.tensorrt else ""
    stops = sum(finding.get("severity") == "error" for finding in report.findings)
    verdict = f"{stops} finding{'s' * (stops != 1)} (--allow-unsupported)" if stops else "every operator supported"
    return f"opset {target.opset}, IR {target.ir_version}; {target.name}{runtime}: {verdict}"


def estimated(latency: Latency) -> str:
    """Milliseconds before and after on the target, and what the estimate rests on."""
    return f"{latency.before_ms:.3g} -> {latency.median_ms:.3g} ms on {latency.calibration}"


def onnx_nodes(compiled: Compiled) -> int | None:
    """Nodes of the ONNX graph, constants not counted."""
    if compiled.deployed is None:
        return None
    return sum(str(node.op_type) != "Constant" for node in compiled.onnx.graph.node)


def before_and_after(compiled: Compiled, source: Source) -> list[str]:
    """Operators, parameters and MACs of the graph; nodes and bytes of the file."""
    report, found = compiled.report, compiled.captured
    last = report.passes[-1] if report.passes else None
    now = {key: getattr(last, key).after for key in ("nodes", "params", "macs")} if last else {}
    before = row(found.ops, found.params, found.macs)
    after = row(now.get("nodes", found.ops), now.get("params", found.params), now.get("macs", found.macs))
    after["bytes"] = render.amount(report.outputs[-1].bytes, "B")
    if (nodes := onnx_nodes(compiled)) is not None:
        after["ONNX nodes"] = str(nodes)
    if source.path is not None:
        before["bytes"] = render.amount(source.path.stat().st_size, "B")
    return render.table({"before": before, "after": after})


def row(operators: int, params: int, macs: int) -> dict[str, str]:
    return {"operators": str(operators), "parameters": render.amount(params), "MACs": render.amount(macs)}


def wrote(compiled: Compiled) -> str:
    """The file, its size and its nodes."""
    output = compiled.report.outputs[-1]
    nodes = onnx_nodes(compiled)
    return f"{output.path}  {render.amount(output.bytes, 'B')}" + ("" if nodes is None else f", {nodes} nodes")
