"""How long `nascc --help` takes, as a share of what importing torch takes."""

import subprocess
import sys
import time

HELP = "from nascc.tools.app import main; main(['--help'])"


def least_seconds(code: str, repeats: int) -> float:
    """The fastest of several runs of `code` in a fresh interpreter."""
    least = float("inf")
    for _ in range(repeats):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
        least = min(least, time.perf_counter() - started)
    return least


def start_up_ratio(repeats: int = 5) -> float:
    """Least seconds of `nascc --help` over least seconds of `import torch`."""
    return least_seconds(HELP, repeats) / least_seconds("import torch", repeats)
