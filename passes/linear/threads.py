"""Arithmetic whose result does not depend on how many threads the process may use."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import ParamSpec, TypeVar

import torch

P = ParamSpec("P")
R = TypeVar("R")


@contextmanager
def one_thread() -> Iterator[None]:
    """Run the body with one thread, and restore the number of threads afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def pinned(function: Callable[P, R]) -> Callable[P, R]:
    """The same function without gradients and on one thread: every fold adds in one fixed order."""

    @wraps(function)
    def on_one_thread(*args: P.args, **kwargs: P.kwargs) -> R:
        with one_thread(), torch.no_grad():
            return function(*args, **kwargs)

    return on_one_thread
