"""Data files that come with nascc or from a user: TOML, each checked against a schema."""

import difflib
import sys
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from nascc.nas.errors import SearchError
from nascc.nas.faults import faults

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Schema = TypeVar("Schema", bound=BaseModel)


def data_names(folder: str) -> tuple[str, ...]:
    """The files of a package such as `nascc.nas.macros`, without their suffix, sorted."""
    files = resources.files(folder).iterdir()
    return tuple(sorted(f.name.removesuffix(".toml") for f in files if f.name.endswith(".toml")))


def load_data(name_or_path: str | Path, schema: type[Schema], folder: str) -> Schema:
    """The content of a file of `folder`, by name, or of a user's `.toml` file, by path.

    Raises SearchError with the near matches when there is none, with every violation when it is malformed.
    """
    name, word, names = str(name_or_path), schema.__name__.lower(), data_names(folder)
    if name.endswith(".toml"):
        try:
            text = Path(name).read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise SearchError(f"{word} '{name}' must be a readable UTF-8 file, but: {error}") from error
    elif name in names:
        text = (resources.files(folder) / f"{name}.toml").read_text("utf-8")
    else:
        near = difflib.get_close_matches(name, names) or names
        raise SearchError(f"{word} must be a path to a .toml file or one of {', '.join(near)}, got '{name}'")
    return checked(parsed(text, f"{word} '{name}'"), schema, f"{word} '{name}'")


def parsed(text: str, owner: str) -> dict[str, Any]:
    """The content of a TOML text. Raises SearchError."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SearchError(f"{owner} must be TOML, but: {error}") from error


def checked(values: Any, schema: type[Schema], owner: str, form: str = "") -> Schema:
    """Plain data as what the schema describes, which `form` names. Raises SearchError, which lists every violation."""
    try:
        return schema.model_validate(values)
    except ValidationError as error:
        form = form or f"a {schema.__name__.lower()}"
        raise SearchError(f"{owner} must follow the schema of {form}, but: {faults(error, schema)}") from error
