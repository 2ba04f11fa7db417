"""One finished search for all tests that look at what a search leaves."""

import contextlib
import io

import pytest

from nas.search_kit import Finished, tiny
from nascc.tools.app import main


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A run that nobody may change, and what the command printed."""
    folder = tmp_path_factory.mktemp("tiny")
    with contextlib.redirect_stdout(io.StringIO()) as out:
        assert main(tiny(folder, folder / "run", "--latency", "50%")) == 0
    return Finished(folder / "run", out.getvalue())
