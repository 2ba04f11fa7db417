"""`nascc device check`: what a device is, in which state, and what it lacks."""

from collections.abc import Iterator
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nascc.tools.device_options import Devices
from nascc.tools.execution import Answer, execute
from nascc.tools.failure import Failure
from nascc.tools.grouped import grouped
from nascc.tools.groups import Telling
from nascc.tools.options import TARGET

if TYPE_CHECKING:
    from nascc.runtime.profile import Target
    from nascc.runtime.remote.access import Access
    from nascc.runtime.remote.address import Address
    from nascc.runtime.remote.facts import Facts
    from nascc.tools.progress import Say


class Action(str, Enum):
    """What to do with a device."""

    check = "check"


@grouped
def device(
    action: Annotated[Action, typer.Argument(help="check: ask the device what it is.")],
    target: Annotated[str | None, typer.Option(help=f"{TARGET} Also say whether the device is one.")] = None,
    *,
    devices: Devices,
    telling: Telling,
) -> None:
    """Tell what a device is, and what is missing to measure there.

    Model, software, power mode, clocks, heat, memory.

    Nothing is installed and nothing stays there. The exit code is 7 when it can not be reached or can not measure, 4
    when it is not the --target.
    """
    execute("device", telling.reporting, lambda say: check(devices, target, say))


def check(devices: Devices, name: str | None, say: "Say") -> Answer:
    """Ask every device in turn."""
    from nascc.compiler.provenance import new_report, target_entry
    from nascc.runtime.profile import load_target
    from nascc.tools.errors import CommandError

    if (access := devices.access) is None:
        raise CommandError("--device must be given, like ssh://user@host")
    target, report = None if name is None else load_target(name), new_report("device")
    report.target = None if target is None else target_entry(target, None)
    lines, findings, failure = list[str](), list[Any](), None
    for address in access.parsed():
        say(str(address))
        facts = ask(access, address)
        findings.append({"address": str(address), **facts.as_object()})
        found, problem = list(facts_lines(address, facts, target)), failure_of(address, facts, target)
        lines, failure = lines + found, failure or problem
    report.device, report.findings = findings[0], tuple(findings[1:])
    return Answer(report, tuple(lines), failure)


def ask(access: "Access", address: "Address") -> "Facts":
    """The facts of one device. Raises what a link raises."""
    from nascc.runtime.remote.facts import read_facts

    with access.link(address) as link:
        return read_facts(link, trtexec=access.trtexec, python=access.python)


def failure_of(address: "Address", facts: "Facts", target: "Target | None") -> Failure | None:
    """Why nothing can be measured there, or why it is not the target."""
    from nascc.runtime.errors import DeviceFailed, WrongDevice
    from nascc.runtime.remote.tensorrt import require_version

    runtime = None if target is None else target.software.runtime
    if lacks := facts.missing(runtime):
        return Failure.of(DeviceFailed(f"{address} must be able to measure, but {'; '.join(lacks)}"))
    try:
        if target is not None:
            require_version(facts, target)
    except WrongDevice as error:
        return Failure.of(error)
    return None


def facts_lines(address: "Address", facts: "Facts", target: "Target | None") -> Iterator[str]:
    """One line a kind of fact."""
    from nascc.tools.render import line

    yield line("device", f"{facts.model or facts.processor or 'of unknown make'}   {address}, {facts.kernel}")
    software = {
        "JetPack": facts.jetpack, "L4T": facts.l4t, "TensorRT": facts.tensorrt, "driver": facts.driver,
        "Python": facts.python, "onnxruntime": facts.onnxruntime,
    }  # fmt: skip
    yield line("software", ", ".join(f"{name} {value}" for name, value in software.items() if value) or "unknown")
    if facts.gpu:
        yield line("GPU", facts.gpu)
    yield line("power mode", facts.power_mode or "unknown")
    yield line("clocks", clock_words(facts))
    heat = ", ".join(f"{name} {degrees:.0f} °C" for name, degrees in facts.heat_c.items())
    yield line("heat", heat or "unknown")
    if facts.throttled:
        yield line("throttled", ", ".join(facts.throttled))
    yield line("memory", memory_words(facts))
    yield line("power", f"{len(facts.rails)} rails" if facts.rails else "no rails: --energy is not possible")
    for lack in facts.missing(None if target is None else target.software.runtime):
        yield line("missing", lack)


def clock_words(facts: "Facts") -> str:
    """GPU and CPU clocks, and whether they may move."""
    words = []
    for name, mhz in (("GPU", facts.gpu_mhz), ("CPU", facts.cpu_mhz)):
        if mhz:
            span = f" ({mhz[1]:.0f} to {mhz[2]:.0f})" if len(mhz) > 2 else ""
            words.append(f"{name} {mhz[0]:.0f} MHz{span}")
    if facts.governor:
        words.append(f"governor {facts.governor}")
    if facts.clocks_fixed is False:
        words.append("not fixed: run jetson_clocks before measuring")
    return ", ".join(words) or "unknown"


def memory_words(facts: "Facts") -> str:
    """What is free."""
    found = []
    if facts.free_mib is not None and facts.memory_mib is not None:
        found.append(f"{facts.free_mib:.0f} of {facts.memory_mib:.0f} MiB free")
    if facts.disk_free_mib is not None:
        found.append(f"disk {facts.disk_free_mib:.0f} MiB free")
    return ", ".join(found) or "unknown"
