"""What data that do not fit a schema have wrong, in words."""

import difflib
from collections.abc import Iterator, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

EXTRA = "extra_forbidden"
SHOWN = 8
Place = Sequence[int | str]


def faults(error: ValidationError, schema: type[BaseModel], prefix: str = "") -> str:
    """Every violation, after the dotted place where it is; `prefix` is where the data themselves belong."""
    return "; ".join(f"{_named(fault['loc'], prefix)}{_problem(fault, schema)}" for fault in error.errors())


def _named(place: Place, prefix: str) -> str:
    where = ".".join(map(str, (*([prefix] if prefix else []), *place)))
    return f"{where}: " if where else ""


def _problem(fault: Any, schema: type[BaseModel]) -> str:
    """What pydantic says, as the part of a sentence."""
    if fault["type"] == "model_type":
        return "a mapping of names to values is needed"
    if fault["type"] != EXTRA:
        own = str(fault["msg"]).removeprefix("Value error, ")
        return own[:1].lower() + own[1:]
    *place, name = fault["loc"]
    known = sorted(_fields(schema, place))
    shown = difflib.get_close_matches(str(name), known) or known[:SHOWN]
    more = " and others" if shown == known[:SHOWN] and len(known) > SHOWN else ""
    return f"there is no such field; try {', '.join(shown)}{more}"


def _fields(schema: type[BaseModel], place: Place) -> list[str]:
    """The fields of the model at a place inside a schema."""
    for step in place:
        if isinstance(step, str) and step in schema.model_fields:
            schema = next(_models(schema.model_fields[step].annotation), schema)
    return list(schema.model_fields)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)
