"""The process in which onnxsim runs, started as a file: `python simplify_worker.py SOURCE RESULT MIB`."""

import sys
from pathlib import Path

MISSING = "onnxsim is not installed; `pip install nascc[simplify]`"


def main(arguments: list[str]) -> int:
    """Simplify one file into another; what goes wrong is the last line on stderr."""
    source, result, mib = arguments
    limit_memory(int(mib))
    try:
        import onnx
        import onnxsim

        model, ok = onnxsim.simplify(onnx.load(source))
    except ImportError as error:
        return _failed(MISSING if error.name == "onnxsim" else f"onnxsim can not be imported: {_one_line(error)}")
    except MemoryError:
        return _failed(f"onnxsim needs more than {mib} MiB")
    except Exception as error:
        return _failed(f"onnxsim raised {type(error).__name__}: {_one_line(error)}")
    if not ok:
        return _failed("onnxsim found its own result to differ")
    Path(result).write_bytes(model.SerializeToString(deterministic=True))
    return 0


def limit_memory(mib: int) -> None:
    """Cap the address space of this process, where the system can."""
    try:
        import resource
    except ImportError:
        return
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    wanted = mib * 2**20
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_AS, (wanted, hard))


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def _failed(reason: str) -> int:
    sys.stderr.write(f"{reason}\n")
    return 1


if __name__ == "__main__":
    # the folder of this file must not provide modules under their bare names
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != Path(__file__).resolve().parent]
    sys.exit(main(sys.argv[1:]))
