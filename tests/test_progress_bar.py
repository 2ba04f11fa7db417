"""The bar of a run: what it shows on a terminal, and that it is silent elsewhere."""

import io

from rich.console import Console

from nascc.tools.progress_bar import ProgressBar, words


def shown(terminal: bool, wanted: bool = True) -> str:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=terminal, width=160, legacy_windows=False)
    with ProgressBar(wanted, console) as bar:
        bar.update("pretrain", 20, 20)
        bar.update("search", 5, 20, loss=1.2345, latency=3.456, **{"lambda": -0.02}, epoch="3/10", note="[b]")
    return stream.getvalue()


def test_shows_phases_steps_and_values() -> None:
    found = shown(terminal=True)
    assert "pretrain" in found and "20/20" in found and "search" in found and " 5/20" in found
    assert "loss 1.23  latency 3.46 ms  lambda -0.02  epoch 3/10  note [b]" in found


def test_is_silent_off_a_terminal_and_on_request() -> None:
    assert shown(terminal=False) == "" and shown(terminal=True, wanted=False) == ""


def test_numbers_are_short() -> None:
    assert words({"steps": 12345, "macs": 1.234e9, "bytes": "big"}) == "steps 12345  macs 1.23e+09  bytes big"
