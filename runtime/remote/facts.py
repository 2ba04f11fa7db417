"""What a device is, and in which state: model, software, clocks, heat, memory, and what it lacks."""

import re
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields

from nascc.runtime.remote.link import Link
from nascc.runtime.trtexec.version import version_in

TRTEXEC = "/usr/src/tensorrt/bin/trtexec"
"""Where JetPack and the Debian packages of TensorRT put it; it is not in PATH there."""
_MARK = "==nascc "
_QUESTIONS = {
    "model": "tr -d '\\0' <{root}/proc/device-tree/model || cat {root}/sys/class/dmi/id/product_name",
    "kernel": "uname -srm",
    "processor": "grep -m1 -E '^(model name|Model)' {root}/proc/cpuinfo",
    "l4t": "head -n1 {root}/etc/nv_tegra_release",
    "jetpack": "dpkg-query -W -f '${{Version}}' nvidia-jetpack",
    "tensorrt": "dpkg-query -W -f '${{Package}} ${{Version}}\\n' 'libnvinfer[0-9]*' tensorrt | grep -v ' $'",
    "trtexec": "command -v {trtexec} || command -v {default}",
    "help": "$(command -v {trtexec} || echo {default}) --help | head -n 5",
    "gpu": "nvidia-smi --query-gpu=name,driver_version,compute_cap --format=csv,noheader",
    "driver": "head -n1 {root}/proc/driver/nvidia/version",
    "power_mode": "nvpmodel -q || cat {root}/var/lib/nvpmodel/status",
    "gpu_clock": "for d in {root}/sys/class/devfreq/*.g[pv]u {root}/sys/class/devfreq/*.g[vpa][0-9]*b; do [ -d $d ] && "
    "cat $d/cur_freq $d/min_freq $d/max_freq && break; done",
    "cpu_clock": "cd {root}/sys/devices/system/cpu/cpu0/cpufreq && cat scaling_cur_freq scaling_min_freq "
    "scaling_max_freq scaling_governor",
    "heat": 'for z in {root}/sys/class/thermal/thermal_zone*; do echo "$(cat $z/type) $(cat $z/temp)"; done',
    "throttled": 'for c in {root}/sys/class/thermal/cooling_device*; do echo "$(cat $c/type) $(cat $c/cur_state)"; '
    "done; vcgencmd get_throttled",
    "memory": "grep -E '^(MemTotal|MemAvailable)' {root}/proc/meminfo",
    "disk": "df -Pk . | tail -n1",
    "python": "{python} -c 'import sys; print(sys.version.split()[0])'",
    "onnxruntime": "{python} -c 'import onnxruntime; print(onnxruntime.__version__)'",
    "rails": "ls {root}/sys/bus/i2c/drivers/ina3221*/*/iio:device*/in_power*_input "
    "{root}/sys/bus/i2c/drivers/ina3221/*/hwmon/hwmon*/curr*_input "
    "{root}/sys/class/powercap/intel-rapl:0/energy_uj",
    "tools": "for t in flock mktemp find sha256sum setsid timeout; do command -v $t >/dev/null || echo $t; done",
}


@dataclass(frozen=True)
class Facts:
    """What could be found out; None or empty where the device does not say. Clocks in MHz, heat in degrees Celsius."""

    model: str | None = None
    kernel: str | None = None
    processor: str | None = None
    jetpack: str | None = None
    l4t: str | None = None
    tensorrt: str | None = None
    trtexec: str | None = None
    gpu: str | None = None
    driver: str | None = None
    power_mode: str | None = None
    gpu_mhz: tuple[float, ...] = ()
    cpu_mhz: tuple[float, ...] = ()
    governor: str | None = None
    heat_c: dict[str, float] = field(default_factory=dict)
    throttled: tuple[str, ...] = ()
    memory_mib: float | None = None
    free_mib: float | None = None
    disk_free_mib: float | None = None
    python: str | None = None
    onnxruntime: str | None = None
    rails: tuple[str, ...] = ()
    missing_tools: tuple[str, ...] = ()

    def missing(self, runtime: str | None = None) -> tuple[str, ...]:
        """What must be put right before `runtime` ("tensorrt", "onnxruntime", None: either) can measure there."""
        found = [f"{tool} is missing" for tool in self.missing_tools]
        no_trt = "no trtexec in PATH nor at " + TRTEXEC + "; install TensorRT's samples, or give --trtexec"
        no_ort = "python3 has no onnxruntime; pip install onnxruntime there, or give --remote-python"
        if runtime == "tensorrt" and self.trtexec is None:
            found.append(no_trt)
        if runtime == "onnxruntime" and self.onnxruntime is None:
            found.append(no_ort)
        if runtime is None and self.trtexec is None and self.onnxruntime is None:
            found += [no_trt, no_ort]
        return tuple(found)

    @property
    def clocks_fixed(self) -> bool | None:
        """Do least and largest GPU clock agree, as `jetson_clocks` makes them? None where that is unknown."""
        return None if len(self.gpu_mhz) < 3 else self.gpu_mhz[1] == self.gpu_mhz[2]

    def as_object(self) -> dict[str, object]:
        """What is known, as plain data."""
        found = asdict(self)
        return {f.name: found[f.name] for f in fields(self) if found[f.name] not in (None, (), {})}


def read_facts(link: Link, *, trtexec: str = "trtexec", python: str = "python3", root: str = "") -> Facts:
    """Ask the device; `root` is where its /proc, /sys and /etc stand. Raises DeviceUnreachable, DeviceFailed."""
    return parse_facts(link.script(facts_script(trtexec, python, root), timeout_s=120).stdout)


def facts_script(trtexec: str = "trtexec", python: str = "python3", root: str = "") -> str:
    """A script that answers every question under a heading of its own."""
    names = {"root": shlex.quote(root) if root else "", "trtexec": shlex.quote(trtexec), "python": shlex.quote(python)}
    parts = [
        f"echo '{_MARK}{name}'; ( {q.format(**names, default=TRTEXEC)} ) 2>/dev/null" for name, q in _QUESTIONS.items()
    ]
    return "\n".join([*parts, "exit 0"])


def parse_facts(text: str) -> Facts:
    """Read the answers; what is missing or strange stays unknown."""
    said: dict[str, str] = {}
    for part in text.split(_MARK)[1:]:
        name, _, answer = part.partition("\n")
        said[name] = answer.strip()
    gpu = [word.strip() for word in said.get("gpu", "").split("\n")[0].split(",")]
    memory = dict(re.findall(r"(Mem\w+):\s+(\d+)", said.get("memory", "")))
    disk = said.get("disk", "").split()
    l4t = _l4t(said.get("l4t", ""))
    clock = said.get("cpu_clock", "").split()
    return Facts(
        model=said.get("model") or None,
        kernel=said.get("kernel") or None,
        processor=said.get("processor", "").partition(":")[2].strip() or None,
        jetpack=said.get("jetpack", "").split("-")[0] or jetpack_of(l4t),
        l4t=l4t,
        tensorrt=_tensorrt(said),
        trtexec=said.get("trtexec", "").split("\n")[0] or None,
        gpu=gpu[0] or None,
        driver=gpu[1] if len(gpu) > 1 else _driver(said.get("driver", "")) or (f"L4T {l4t}" if l4t else None),
        power_mode=_power_mode(said.get("power_mode", "")),
        gpu_mhz=tuple(float(n) / 1e6 for n in said.get("gpu_clock", "").split() if n.isdecimal()),
        cpu_mhz=tuple(float(n) / 1e3 for n in clock if n.isdecimal()),
        governor=next((word for word in clock if not word.isdecimal()), None),
        heat_c=_heat(said.get("heat", "")),
        throttled=_throttled(said.get("throttled", "")),
        memory_mib=_mib(memory.get("MemTotal")),
        free_mib=_mib(memory.get("MemAvailable")),
        disk_free_mib=_mib(disk[3]) if len(disk) > 3 and disk[3].isdecimal() else None,
        python=said.get("python") or None,
        onnxruntime=said.get("onnxruntime") or None,
        rails=tuple(said.get("rails", "").split()),
        missing_tools=tuple(said.get("tools", "").split()),
    )


_JETPACK_OF_L4T = {
    "32.5": "4.5", "32.6": "4.6", "32.7": "4.6.1", "35.1": "5.0.2", "35.2": "5.1", "35.3": "5.1.1", "35.4": "5.1.2",
    "35.5": "5.1.3", "35.6": "5.1.4", "36.2": "6.0", "36.3": "6.0", "36.4": "6.1",
}  # fmt: skip
"""The first JetPack of an L4T release; from the table of JetPack, L4T and TensorRT that target profiles rest on."""


def jetpack_of(l4t: str | None) -> str | None:
    """The JetPack that an L4T release belongs to, where it says none itself."""
    return None if l4t is None else _JETPACK_OF_L4T.get(".".join(l4t.split(".")[:2]))


def _l4t(text: str) -> str | None:
    found = re.search(r"R(\d+).*?REVISION:\s*([\d.]+)", text)
    return f"{found.group(1)}.{found.group(2)}" if found else None


def _tensorrt(said: Mapping[str, str]) -> str | None:
    """What trtexec says of itself, which is what will run; else the version of its packages."""
    if (own := version_in(said.get("help", ""))) is not None:
        return own
    found = re.search(r"\s(?:\d+:)?(\d+\.\d+\.\d+)", said.get("tensorrt", ""))
    return found.group(1) if found else None


def _driver(text: str) -> str | None:
    found = re.search(r"Kernel Module\s+(?:for \S+\s+)?([\d.]+)", text)
    return found.group(1) if found else None


def _power_mode(text: str) -> str | None:
    found = re.search(r"NV Power Mode:\s*(\S+)", text) or re.search(r"pmode:0*(\d+)", text)
    return found.group(1) if found else None


def _heat(text: str) -> dict[str, float]:
    """Each zone that can be believed: the zone of the power chip is fixed at 100 degrees."""
    pairs = (line.rsplit(" ", 1) for line in text.splitlines() if " " in line)
    found = {name: int(value) / 1000 for name, value in pairs if value.lstrip("-").isdecimal()}
    return {name: c for name, c in found.items() if -40 < c < 130 and not name.lower().startswith("pmic")}


def _throttled(text: str) -> tuple[str, ...]:
    """What slows the device down right now: cooling devices that act (fans apart), or the bits of a Raspberry Pi."""
    found = []
    for line in text.splitlines():
        bits = re.fullmatch(r"throttled=(0x[0-9a-fA-F]+)", line.strip())
        name, _, state = line.rpartition(" ")
        if bits and int(bits.group(1), 16) & 0xF:
            found.append(line.strip())
        elif state.isdecimal() and int(state) > 0 and "fan" not in name.lower() and "processor" not in name.lower():
            found.append(name)
    return tuple(dict.fromkeys(found))


def _mib(kib: str | None) -> float | None:
    return None if kib is None else int(kib) / 1024
