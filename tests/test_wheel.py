"""The built wheel holds every module and data file, and what it installs runs outside the checkout."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

PORTIONS = ("compiler", "nas", "passes", "runtime", "tools")
SOURCES = (*PORTIONS, "pyproject.toml", "README.md", "LICENSE")


@pytest.fixture(scope="module")
def sources(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what a wheel is built from, so that the checkout stays as it is."""
    copy = tmp_path_factory.mktemp("sources")
    for name in SOURCES:
        if (source := root / name).is_dir():
            shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, copy / name)
    return copy


@pytest.fixture(scope="module")
def wheel(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built with what is installed."""
    built = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "--wheel-dir", str(built), str(sources)], check=True)
    (found,) = built.glob("nascc-*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds what the wheel installs, and nothing else."""
    target = tmp_path_factory.mktemp("target")
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--target", str(target)]
    subprocess.run([*pip, str(wheel)], check=True)
    return target


def run_installed(installed: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the installed `nascc` in `folder`; the checkout is reached through none of its paths."""
    start = (
        "import sys; sys.meta_path = [f for f in sys.meta_path if 'Editable' not in getattr(f, '__name__', '')];"
        "from nascc.tools.app import main; sys.exit(main())"
    )
    env = os.environ | {"PYTHONPATH": str(installed), "PYTHONSAFEPATH": "1"}
    command = [sys.executable, "-c", start, *arguments]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)


def test_holds_every_module_and_data_file(wheel: Path, sources: Path) -> None:
    files = [path for portion in PORTIONS for path in (sources / portion).rglob("*") if path.is_file()]
    wanted = {f"nascc/{path.relative_to(sources).as_posix()}" for path in files}
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if name.startswith("nascc/")}
    assert held == wanted


def test_declares_command_and_licence(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        texts = {Path(name).name: archive.read(name).decode() for name in archive.namelist() if ".dist-info/" in name}
    assert "nascc = nascc.tools.app:main" in texts["entry_points.txt"]
    assert "Apache License" in texts["LICENSE"]


def test_runs_outside_the_checkout(installed: Path, tmp_path: Path) -> None:
    shown = run_installed(installed, tmp_path, "--help")
    assert shown.returncode == 0, shown.stderr
    assert all(word in shown.stdout for word in ("fuse", "verify", "passes", "targets"))


def test_fuses_outside_the_checkout(installed: Path, tmp_path: Path) -> None:
    arguments = ("fuse", "zoo:repvgg_a0", "--shapes", "x:1x3x32x32", "-o", "repvgg.onnx", "--target", "nano")
    done = run_installed(installed, tmp_path, *arguments)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["repvgg.onnx"]
