"""Pipelines as tuples of passes: the default order, and what users write in `--passes`."""

import ast
import difflib
from collections.abc import Iterable, Sequence
from dataclasses import fields

from nascc.passes.base import Pass
from nascc.passes.errors import PipelineError


def default_pipeline(table: Sequence[type[Pass]]) -> tuple[Pass, ...]:
    """Every pass of `table` with its default options, each behind those it runs after; otherwise in table order.

    Raises PipelineError when `runs_after` goes in a circle.
    """
    waiting, done = list(table), []
    while waiting:
        ready = [p for p in waiting if not any(early in waiting for early in p.runs_after)]
        if not ready:
            raise PipelineError(f"`runs_after` must not go in a circle: {', '.join(p.__name__ for p in waiting)}")
        done.append(ready[0])
        waiting.remove(ready[0])
    return tuple(p() for p in done)


def parse_pipeline(text: str, table: Sequence[type[Pass]]) -> tuple[Pass, ...]:
    """`"FoldBatchNorm, CollapseLinear(mode='always')"` as passes. Raises PipelineError for what is not such a list."""
    try:
        tree = ast.parse(f"({text},)" if text.strip() else "()", mode="eval").body
    except SyntaxError as error:
        raise PipelineError(f"passes must read like 'FoldBatchNorm, MergeDuplicates', found '{text}'") from error
    return tuple(_one(element, table) for element in tree.elts)  # type: ignore[attr-defined]


def without(passes: Iterable[Pass], skipped: Iterable[str], table: Sequence[type[Pass]]) -> tuple[Pass, ...]:
    """The passes that are not named in `skipped`. Raises PipelineError for names that no pass has."""
    gone = {_class_of(name, table) for name in skipped}
    return tuple(p for p in passes if type(p) not in gone)


def _one(element: ast.expr, table: Sequence[type[Pass]]) -> Pass:
    call = element if isinstance(element, ast.Call) else None
    name = call.func if call is not None else element
    if not isinstance(name, ast.Name) or (call is not None and call.args):
        raise PipelineError(f"a pass must be a name with named options, found '{ast.unparse(element)}'")
    cls = _class_of(name.id, table)
    known = [f.name for f in fields(cls) if f.compare]
    options = {}
    for keyword in call.keywords if call is not None else []:
        if keyword.arg not in known:
            raise PipelineError(f"{cls.__name__} has the options {known or 'none'}, found '{keyword.arg}'")
        try:
            options[keyword.arg] = ast.literal_eval(keyword.value)
        except ValueError as error:
            raise PipelineError(
                f"option '{keyword.arg}' must be a literal, found '{ast.unparse(keyword.value)}'"
            ) from error
    return cls(**options)


def _class_of(name: str, table: Sequence[type[Pass]]) -> type[Pass]:
    by_name = {cls.__name__: cls for cls in table}
    if name not in by_name:
        near = difflib.get_close_matches(name, by_name, n=3, cutoff=0.4)
        hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(by_name)}"
        raise PipelineError(f"there is no pass '{name}'; {hint}")
    return by_name[name]
