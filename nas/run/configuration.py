"""The configuration of a run, kept beside its results, so that nobody resumes one run with the options of another."""

import json
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ValidationError

from nascc.nas.errors import CorruptRun, RunMismatch
from nascc.nas.run.files import read_json, to_json, write_whole

SCHEMA: Literal["nascc.run/1"] = "nascc.run/1"
NAME = "config.json"
SHOWN = 60
Config = TypeVar("Config", bound=BaseModel)


def write_config(folder: Path, config: BaseModel) -> None:
    """Put `config`, with the schema and the version of nascc, into `folder`. Raises OSError."""
    write_whole(folder / NAME, (to_json(_document(config), indent=2) + "\n").encode())


def require_config(folder: Path, config: BaseModel) -> None:
    """Raise RunMismatch, with every key that differs, unless `folder` holds a run of exactly `config`."""
    found = read_document(folder)
    wanted = json.loads(to_json(_document(config)))
    if found.get("nascc") != wanted["nascc"]:
        raise RunMismatch(
            f"'{folder}' must be resumed with the nascc that began it, {found.get('nascc')}, "
            f"this is {wanted['nascc']}; install that one, or start anew in another folder"
        )
    if changes := differences(found["config"], wanted["config"]):
        raise RunMismatch(
            f"'{folder}' must be resumed with the configuration it began with, but {'; '.join(changes)}; "
            "use the same options, or start anew in another folder"
        )


def read_document(folder: Path) -> dict[str, Any]:
    """The whole of config.json: schema, nascc, config. Raises RunMismatch for another schema, CorruptRun."""
    if not (folder / NAME).is_file():
        raise RunMismatch(f"'{folder}' must hold a run, but it has no {NAME}; name the folder of a search")
    found = read_json(folder / NAME)
    document: dict[str, Any] = found if isinstance(found, dict) else {}
    if (schema := document.get("schema")) != SCHEMA:
        raise RunMismatch(f"'{folder / NAME}' must follow '{SCHEMA}', found {schema!r}; start anew in another folder")
    if not isinstance(document.get("config"), dict):
        raise CorruptRun(f"'{folder / NAME}' must hold a configuration, found none; start anew in another folder")
    return document


def read_config(folder: Path, kind: type[Config]) -> Config:
    """The configuration of a run as `kind`. Raises RunMismatch, CorruptRun."""
    try:
        return kind.model_validate_json(json.dumps(read_document(folder)["config"]))
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise CorruptRun(f"'{folder / NAME}' must be a {kind.__name__}, found {faults}") from error


def differences(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """Every dotted key whose values differ, as 'train.lr: 0.1 in the run, 0.2 asked for'."""
    left, right = _flat(found), _flat(wanted)
    return [
        f"{key}: {_shown(left, key)} in the run, {_shown(right, key)} asked for"
        for key in dict.fromkeys((*left, *right))
        if _shown(left, key, whole=True) != _shown(right, key, whole=True)
    ]


def _document(config: BaseModel) -> dict[str, object]:
    return {"schema": SCHEMA, "nascc": metadata.version("nascc"), "config": json.loads(config.model_dump_json())}


def _flat(value: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    leaves: dict[str, Any] = {}
    for key, item in value.items():
        if isinstance(item, Mapping) and item:
            leaves |= _flat(item, f"{before}{key}.")
        else:
            leaves[f"{before}{key}"] = item
    return leaves


def _shown(leaves: Mapping[str, Any], key: str, *, whole: bool = False) -> str:
    if key not in leaves:
        return "absent"
    text = json.dumps(leaves[key])
    return text if whole or len(text) <= SHOWN else text[:SHOWN] + "..."
