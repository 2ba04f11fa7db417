"""Commands on devices, over a real sshd on loopback: onnxruntime measured there for real, trtexec by a stand-in.

Wherever TensorRT is named here, `trtexec_stand_in.py` takes its place: it checks command lines and writes logs, but
builds and times nothing.
"""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from PIL import Image

import sshd
from device_kit import options, proxied, small_file, small_network, stand_in
from nascc.runtime.profile import load_target
from nascc.runtime.remote.access import Access
from nascc.runtime.remote.facts import facts_script, parse_facts
from nascc.runtime.remote.fleet import Fleet, Job, Measured
from nascc.tools.app import main

pytestmark = pytest.mark.skipif(not sshd.AVAILABLE, reason=sshd.REASON)
FAST = ["--rounds", "5"]


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sshd.Sshd]:
    with sshd.running(tmp_path_factory.mktemp("sshd") / "d") as found:
        yield found
        found.wait_until_clean()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """net.onnx at opset 13, cpu.onnx at opset 20, and arrays."""
    folder = tmp_path_factory.mktemp("files")
    small_file(folder / "net.onnx")
    small_file(folder / "cpu.onnx", "cpu")
    np.savez(folder / "x.npz", x=np.random.default_rng(0).standard_normal((6, 3, 32, 32)).astype(np.float32))
    return folder


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: Path) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("nascc.runtime.measure.DRIFT_PERCENT", float("inf"))  # whatever else runs here
    monkeypatch.setattr("nascc.runtime.remote.tensorrt.ROUNDS", 1)  # a stand-in tells the same every time
    for file in files.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


def report_of(capsys: pytest.CaptureFixture[str], *words: str, status: int = 0) -> dict[str, Any]:
    assert main([*words, "--json"]) == status
    return json.loads(capsys.readouterr().out)  # type: ignore[no-any-return]


class TestOnnxruntime:
    """A remote Linux box with Python: nothing stands in for anything."""

    def test_bench(self, daemon: sshd.Sshd, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
        found = report_of(capsys, "bench", "cpu.onnx", "--vs", "net.onnx", *FAST, *options(daemon))
        latency, device = found["latency"], found["device"]
        assert latency["kind"] == "measured" and latency["n"] >= 5 * 11 and latency["ratio"] > 0
        assert device["address"] == daemon.address and device["runs"].startswith("onnxruntime ")
        assert device["free_mib"] > 0 and "python" in device
        daemon.wait_until_clean()

    def test_verify(self, daemon: sshd.Sshd, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["verify", "cpu.onnx", "--data", "x.npz", *options(daemon)]) == 0
        out = capsys.readouterr().out
        assert "on 6 samples" in out and "MiB at most" in out and "throttled  no" in out

    def test_top1_of_a_folder_of_images(
        self, daemon: sshd.Sshd, here: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        draw = np.random.default_rng(0)
        for k in range(10):
            (here / "images" / str(k)).mkdir(parents=True)
            image = draw.integers(0, 255, (32, 32, 3), dtype=np.uint8)
            Image.fromarray(image).save(here / "images" / str(k) / "a.png")
        torch.export.save(torch.export.export(small_network(), (torch.zeros(1, 3, 32, 32),)), "net.pt2")
        found = report_of(capsys, "verify", "net.pt2", "cpu.onnx", "--data", "images", *options(daemon))
        sides = [entry["side"] for entry in found["findings"]]
        assert sides[:2] == ["eager", "onnxruntime"] and sides[2].startswith("onnxruntime ") and len(sides) == 3
        assert len({entry["top1"] for entry in found["findings"]}) == 1 and found["device"]["peak_mib"] > 0
        assert main(["verify", "cpu.onnx"]) == 2 and main(["verify", "net.pt2", *options(daemon)]) == 2

    def test_a_model_that_does_not_run_there_is_told(
        self, daemon: sshd.Sshd, here: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        model = onnx.load("cpu.onnx")
        model.graph.node[0].op_type = "NonMaxSuppression"
        onnx.save(model, "odd.onnx")
        found = report_of(capsys, "bench", "odd.onnx", *options(daemon), status=1)
        assert "onnxruntime on the device must run the model" in found["errors"][0]

    def test_a_python_without_onnxruntime_is_told(
        self, daemon: sshd.Sshd, here: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        words = [w if w != sys.executable else "no-python" for w in options(daemon)]
        found = report_of(capsys, "bench", "cpu.onnx", *words, status=7)
        assert "pip install onnxruntime there, or give --remote-python" in found["errors"][0]

    def test_odd_names_are_harmless(self, daemon: sshd.Sshd, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
        name = "a $(touch gone) ;'\"`touch gone`.onnx"
        os.rename("cpu.onnx", name)
        assert main(["bench", name, *FAST, *options(daemon)]) == 0
        assert not Path("gone").exists() and main(["bench", name, "--device", "ssh://$(touch gone)"]) == 2
        assert main(["bench", name, "--device", "ssh://-oProxyCommand=touch gone"]) == 2
        words = [w if w != sys.executable else f"{sys.executable};touch gone" for w in options(daemon)]
        assert main(["bench", name, *words]) == 7
        assert not Path("gone").exists() and not list(daemon.folder.rglob("gone"))

    @pytest.mark.slow
    def test_a_slow_link_only_takes_longer(self, daemon: sshd.Sshd, here: Path) -> None:
        with proxied(daemon, here / "proxy", bytes_per_s=40_000) as (_, far):
            assert main(["bench", "cpu.onnx", *FAST, *options(far)]) == 0


class TestDeviceCheck:
    def test_tells_what_is_there(self, daemon: sshd.Sshd, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["device", "check", *options(daemon)]) == 0
        out = capsys.readouterr().out
        for label in ("device", "software", "power mode", "clocks", "heat", "memory", "power"):
            assert f"\n{label}" in f"\n{out}"
        assert "onnxruntime" in out and "missing" not in out

    def test_tells_what_is_missing(self, daemon: sshd.Sshd, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["device", "check", *options(daemon), "--target", "nano"]) == 7
        assert "no trtexec in PATH nor at /usr/src/tensorrt/bin/trtexec" in capsys.readouterr().err

    @pytest.mark.parametrize(("version", "status"), [("8.2.5", 0), ("8.5.2", 4)])
    def test_another_tensorrt_than_the_profile_says(
        self, daemon: sshd.Sshd, here: Path, capsys: pytest.CaptureFixture[str], version: str, status: int
    ) -> None:
        words = options(daemon, stand_in(here, version))
        assert main(["device", "check", *words, "--target", "nano"]) == status
        if status:
            assert "must have TensorRT 8.2.1 as 'nano' says, found 8.5.2" in capsys.readouterr().err
            assert main(["build", "net.onnx", "--target", "nano", *words]) == status
            assert not Path("net.engine").exists()

    def test_needs_a_device(self, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["device", "check"]) == 2
        assert "--device must be given" in capsys.readouterr().err

    def test_unreachable(self, daemon: sshd.Sshd, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
        words = ["--device", f"ssh://127.0.0.1:{sshd.free_port()}", "--ssh-config", str(daemon.config)]
        assert main(["device", "check", *words]) == 7
        assert "nothing listens at that port" in capsys.readouterr().err


def test_reads_the_facts_of_a_jetson(tmp_path: Path) -> None:
    """The files of a Jetson's /proc and /sys, laid out in a folder."""
    import subprocess

    content = {
        "proc/device-tree/model": "NVIDIA Jetson Nano Developer Kit\0",
        "etc/nv_tegra_release": "# R32 (release), REVISION: 7.1, GCID: 29818004, BOARD: t210ref, EABI: aarch64\n",
        "var/lib/nvpmodel/status": "pmode:0001 fmode:fanNull\n",
        "sys/class/devfreq/57000000.gpu/cur_freq": "76800000\n",
        "sys/class/devfreq/57000000.gpu/min_freq": "76800000\n",
        "sys/class/devfreq/57000000.gpu/max_freq": "921600000\n",
        "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "1479000\n",
        "sys/devices/system/cpu/cpu0/cpufreq/scaling_min_freq": "102000\n",
        "sys/devices/system/cpu/cpu0/cpufreq/scaling_max_freq": "1479000\n",
        "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "schedutil\n",
        "sys/class/thermal/thermal_zone0/type": "GPU-therm\n",
        "sys/class/thermal/thermal_zone0/temp": "41500\n",
        "sys/class/thermal/thermal_zone1/type": "PMIC-Die\n",
        "sys/class/thermal/thermal_zone1/temp": "100000\n",
        "sys/class/thermal/cooling_device0/type": "gpu-balanced\n",
        "sys/class/thermal/cooling_device0/cur_state": "2\n",
        "sys/class/thermal/cooling_device1/type": "pwm-fan\n",
        "sys/class/thermal/cooling_device1/cur_state": "3\n",
        "proc/meminfo": "MemTotal:        4059172 kB\nMemFree: 1 kB\nMemAvailable:    2048000 kB\n",
    }
    for name, text in content.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    program = stand_in(tmp_path, "8.2.1")
    script = facts_script(str(program), sys.executable, str(tmp_path))
    said = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True, cwd=tmp_path).stdout
    facts = parse_facts(said)
    assert (facts.model, facts.l4t, facts.jetpack) == ("NVIDIA Jetson Nano Developer Kit", "32.7.1", "4.6.1")
    assert (facts.tensorrt, facts.trtexec, facts.power_mode) == ("8.2.1", str(program), "1")
    assert facts.gpu_mhz == (76.8, 76.8, 921.6) and facts.clocks_fixed is False and facts.governor == "schedutil"
    assert facts.heat_c == {"GPU-therm": 41.5} and facts.throttled == ("gpu-balanced",)
    assert facts.free_mib == 2000 and facts.driver == "L4T 32.7.1" and not facts.missing_tools


def test_a_network_that_was_forgotten_is_sent_and_built_again(daemon: sshd.Sshd, tmp_path: Path) -> None:
    access = Access(
        addresses=(daemon.address,), ssh_config=str(daemon.config), trtexec=str(stand_in(tmp_path, "8.2.1"))
    )
    content, found = small_file(tmp_path / "model.onnx").read_bytes(), list[Measured]()
    Fleet.of(access, load_target("nano"), "fp16").measure([Job(k, lambda: content) for k in range(2)], found.append)
    assert [measured.number for measured in found] == [0, 1]


def test_what_a_device_does_not_say_stays_unknown() -> None:
    assert parse_facts("") == parse_facts("nonsense\n==nascc memory\n?\n==nascc disk\nx\n==nascc heat\na b\n")


def future_target(path: Path, version: str) -> None:
    """A profile of a board with another TensorRT."""
    text = f'name = "{path.stem}"\ntitle = "a board"\n[software]\nruntime = "tensorrt"\ntensorrt = "{version}"\n'
    path.write_text(text + 'opset = 17\nir_version = 8\nprecisions = ["fp32", "fp16", "int8"]\n')


class TestBuild:
    """Engines of a stand-in for trtexec."""

    @pytest.mark.parametrize(
        ("version", "target"),
        [
            ("8.2.1", "nano"),
            pytest.param("8.5.2", "xavier", marks=pytest.mark.slow),
            pytest.param("8.6.2", "eight.toml", marks=pytest.mark.slow),
            pytest.param("10.3.0", "orin-nano", marks=pytest.mark.slow),
            ("11.1.0", "eleven.toml"),
        ],
    )
    def test_builds_proves_measures_and_brings_the_engine(
        self, daemon: sshd.Sshd, here: Path, capsys: pytest.CaptureFixture[str], version: str, target: str
    ) -> None:
        future_target(here / "eleven.toml", "11.1.0")
        future_target(here / "eight.toml", "8.6.2")
        words = ["--target", target, *options(daemon, stand_in(here, version))]
        found = report_of(capsys, "build", "net.onnx", "--data", "x.npz", *words)
        assert {"net.engine", "net.engine.json", "net.cache"} <= set(os.listdir())
        manifest = json.loads(Path("net.engine.json").read_text())
        assert manifest["tensorrt"] == version and manifest["precision"] == "fp16"
        assert found["latency"]["kind"] == "measured" and len(found["kernels"]) >= manifest["layers"]["fp16"]
        assert all(f["precision"] == "fp16" and f["error"] < 1e-2 for f in found["findings"])
        assert main(["bench", "net.engine", *words]) == 0
        assert "TensorRT" in capsys.readouterr().out
        daemon.wait_until_clean()

    def test_an_engine_runs_only_where_it_was_built(
        self, daemon: sshd.Sshd, here: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        words = ["--target", "nano", *options(daemon, stand_in(here, "8.2.1"))]
        assert main(["build", "net.onnx", *words]) == 0
        other = ["--target", "nano", *options(daemon, stand_in(here, "8.2.5"))]
        assert main(["bench", "net.engine", *other]) == 4
        assert "must run where it was built, but TensorRT 8.2.5 there, 8.2.1 here" in capsys.readouterr().err
        Path("net.engine").write_bytes(b"x" + Path("net.engine").read_bytes())
        assert main(["bench", "net.engine", *words]) == 4
        Path("net.engine.json").unlink()
        assert main(["bench", "net.engine", *words]) == 2

    @pytest.mark.parametrize(
        ("failure", "status", "words"),
        [
            ("memory-build", 7, "memory of the device ran out"),
            ("killed-build", 7, "kernel killed it"),
            ("killed-run", 7, "kernel killed it"),
            ("cut", 7, "cut short"),
        ],
    )
    def test_failures_leave_nothing_behind(
        self, daemon: sshd.Sshd, here: Path, capsys: pytest.CaptureFixture[str], failure: str, status: int, words: str
    ) -> None:
        command = ["build", "net.onnx", "--target", "nano", *options(daemon, stand_in(here, "8.2.1", failure))]
        assert main(command) == status
        assert words in capsys.readouterr().err
        assert not [name for name in os.listdir() if "engine" in name]
        daemon.wait_until_clean()

    def test_an_operator_that_tensorrt_lacks(
        self, daemon: sshd.Sshd, here: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        model = onnx.load("net.onnx")
        model.graph.node[0].op_type = "Det"
        onnx.save(model, "odd.onnx")
        assert main(["build", "odd.onnx", "--target", "nano", *options(daemon, stand_in(here, "8.2.1"))]) == 4
        assert "nano can not run 'odd.onnx'" in capsys.readouterr().err

    def test_needs_a_device(self, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["build", "net.onnx", "--target", "nano"]) == 2
        assert "--device must name the board" in capsys.readouterr().err
        assert main(["build", "cpu.onnx", "--target", "cpu"]) == 2
        assert "runs ONNX files as they are" in capsys.readouterr().err

    def test_energy_is_refused_without_rails(
        self, daemon: sshd.Sshd, here: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["bench", "cpu.onnx", "--energy"]) == 2
        assert main(["bench", "cpu.onnx", "--energy", *FAST, *options(daemon)]) == 7
        assert "must have power rails" in capsys.readouterr().err

    def test_a_link_cut_while_building(self, daemon: sshd.Sshd, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
        import threading
        import time

        with proxied(daemon, here / "proxy") as (proxy, far):
            program = stand_in(here, "8.2.1", "slow")

            def cut_when_building() -> None:
                while not any("--saveEngine" in words for words in daemon.sessions()):
                    time.sleep(0.05)
                proxy.cut()

            threading.Thread(target=cut_when_building, daemon=True).start()
            assert main(["build", "net.onnx", "--target", "nano", *options(far, program)]) == 7
            assert "was lost" in capsys.readouterr().err and not Path("net.engine").exists()
            daemon.wait_until_clean()
            assert main(["build", "net.onnx", "--target", "nano", *options(far, stand_in(here, "8.2.1"))]) == 0
