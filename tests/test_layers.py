"""The house of DESIGN.md: which folder may import what, and that each is seen under one name only."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

PORTIONS = ("compiler", "nas", "passes", "runtime", "tools")
ABOVE = {
    "passes": {"runtime", "compiler", "nas", "tools"},
    "runtime": {"passes", "compiler", "nas", "tools"},
    "compiler": {"nas", "tools"},
    "nas": {"tools"},
    "tools": set(),
}
FOREIGN = {
    "passes": ("onnx", "onnx_ir", "onnxruntime", "onnxscript", "onnxsim", "pydantic", "rich", "typer", "nascc.runtime"),
    "runtime": ("torch.fx", "torch.export", "onnxscript", "rich", "typer"),
    "compiler": ("rich", "typer"),
    "nas": ("rich", "typer"),
    "tools": (),
}
LAZY_TORCH = {"runtime/runners/torch.py", "runtime/measure_torch.py"}


def imported(tree: ast.AST) -> Iterator[str]:
    """Every module name that the code imports, with `from a import b` as both `a` and `a.b`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"relative import at line {node.lineno}"
            yield from (str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names))


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def imports_of(portion: str, root: Path) -> Iterator[tuple[str, str]]:
    for path in sorted((root / portion).rglob("*.py")):
        for name in imported(ast.parse(path.read_text())):
            yield path.relative_to(root).as_posix(), name


@pytest.mark.parametrize("portion", PORTIONS)
def test_imports_only_go_down(portion: str, root: Path) -> None:
    banned = [f"nascc.{name}" for name in ABOVE[portion]] + list(FOREIGN[portion])
    broken = [(path, name) for path, name in imports_of(portion, root) if any(within(name, ban) for ban in banned)]
    assert not broken


@pytest.mark.parametrize("portion", PORTIONS)
def test_bare_names_are_never_imported(portion: str, root: Path) -> None:
    assert not [(path, name) for path, name in imports_of(portion, root) if name.split(".")[0] in PORTIONS]


def test_runtime_imports_torch_where_it_runs_and_times_modules_only(root: Path) -> None:
    assert {path for path, name in imports_of("runtime", root) if within(name, "torch")} <= LAZY_TORCH


@pytest.mark.parametrize("portion", PORTIONS)
def test_bare_names_can_not_be_imported(portion: str, root: Path) -> None:
    assert str(root) not in sys.path
    spec = find_spec(portion)
    assert spec is None or not str(spec.origin).startswith(str(root))


@pytest.mark.parametrize("portion", PORTIONS)
def test_every_module_opens_with_one_sentence(portion: str, root: Path) -> None:
    for path in sorted((root / portion).rglob("*.py")):
        first = (ast.get_docstring(ast.parse(path.read_text())) or "").split("\n\n")[0]
        assert first.endswith((".", "`.")) and len(first) > 10, f"{path} must open with one sentence, got {first!r}"


def test_bases_do_not_load_each_other() -> None:
    code = "import sys, nascc.{0}; assert not [m for m in sys.modules if m.startswith('nascc.{1}')]"
    for one, other in (("passes", "runtime"), ("runtime", "passes")):
        subprocess.run([sys.executable, "-c", code.format(one, other)], check=True)
