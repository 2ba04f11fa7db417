"""The options of `nascc compress`, in groups."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from nascc.tools.errors import CommandError
from nascc.tools.options import PowerMode, Target
from nascc.tools.overrides import parse_overrides
from nascc.tools.search_options import ALL, Settings, data_path, merge
from nascc.tools.source import words

LIMIT = "Upper limit of {}, compiled: {}; several with commas give several results."


@dataclass(frozen=True)
class Placing:
    """Where the network will run."""

    target: Target = "cpu"
    power_mode: PowerMode = None
    batch: Annotated[
        int | None, typer.Option(min=1, help="Images that run at once where it is deployed.  [of the preset]")
    ] = None
    also: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TARGET",
            help="Train candidates that pay on this target too, for later runs with --pool. Repeatable.",
        ),
    ] = None
    measure: Annotated[
        bool, typer.Option("--measure", help="Take latencies from this machine (--target cpu) instead of a model.")
    ] = False

    def asked(self) -> dict[str, Any]:
        """The fields of the configuration that were given."""
        values = {
            "power_mode": self.power_mode,
            "batch": self.batch,
            "also": self.also,
            "measured": self.measure or None,
        }
        return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True)
class Limits:
    """What the network may cost."""

    ratio: Annotated[
        str | None,
        typer.Option(
            help="How much of the latency of the whole network may be left: '0.5'; '0.7,0.5' gives several results."
        ),
    ] = None
    latency: Annotated[str | None, typer.Option(help=LIMIT.format("the latency of a batch", "'12ms'"))] = None
    macs: Annotated[str | None, typer.Option(help=LIMIT.format("multiply-accumulates an image", "'600M'"))] = None
    params: Annotated[str | None, typer.Option(help=LIMIT.format("parameters", "'4M', '50%' of what can be saved"))] = (
        None
    )
    bytes_: Annotated[str | None, typer.Option("--bytes", help=LIMIT.format("bytes moved by a batch", "'40MB'"))] = None

    def asked(self) -> dict[str, Any]:
        """The fields of the configuration that were given."""
        named = {"latency": self.latency, "macs": self.macs, "params": self.params, "bytes": self.bytes_}
        budgets = {metric: text for metric, text in named.items() if text is not None}
        return ({} if self.ratio is None else {"ratio": self.ratio}) | ({"budgets": budgets} if budgets else {})


@dataclass(frozen=True)
class Teaching:
    """What the network has learned, and from which images its candidates learn."""

    data: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER",
            help="Images, a folder per class, or 'torchvision:NAME@FOLDER'; classes in the network's order.  "
            "[cluttered digits, made here]",
        ),
    ] = None
    classes: Annotated[str, typer.Option(help="'all', 'random:100', or names with commas.")] = ALL
    resolution: Annotated[
        int | None, typer.Option(help="Side in pixels of the images.  [what the network reads, or that of the images]")
    ] = None
    new_head: Annotated[
        bool,
        typer.Option("--new-head", help="Replace the last layer and train the network on the data first."),
    ] = False

    def asked(self) -> dict[str, Any]:
        """The fields of the configuration that were given."""
        task = {
            "data": None if self.data is None else data_path(self.data),
            "classes": None if self.classes == ALL else self.classes,
            "resolution": self.resolution,
        }
        given = {name: value for name, value in task.items() if value is not None}
        return ({"task": given} if given else {}) | ({"new_head": True} if self.new_head else {})


@dataclass(frozen=True)
class Replacing:
    """What is replaced, and by what."""

    blocks: Annotated[
        str | None,
        typer.Option(
            metavar="LIST",
            help="Modules that are blocks: 'layer1.*,layer2.0', or 'features.3..features.5'.  [found in the graph]",
        ),
    ] = None
    operators: Annotated[
        str | None,
        typer.Option(metavar="LIST", help="'all', 'toy', names and patterns: 'efn_*,cb_res_k3'.  [of the preset]"),
    ] = None
    pool: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Keep trained candidates here, and use those that are; other runs may share it."
        ),
    ] = None
    candidates: Annotated[
        int | None, typer.Option(min=1, help="Solutions of the integer program that are evaluated.  [of the preset]")
    ] = None
    baseline: Annotated[
        str | None,
        typer.Option(metavar="random:N", help="Random students under the same budget, fine-tuned beside.  [none]"),
    ] = None
    set_: Settings = None

    def asked(self) -> dict[str, Any]:
        """The fields of the configuration that were given. Raises CommandError."""
        if self.baseline is not None and self.baseline != "none" and not self.baseline.startswith("random"):
            raise CommandError(f"--baseline must be 'random:N' or 'none', got '{self.baseline}'")
        values: dict[str, Any] = {
            "blocks": words(self.blocks),
            "operators": words(self.operators),
            "pool": None if self.pool is None else str(self.pool.absolute()),
            "baselines": self.baseline,
            "solving": None if self.candidates is None else {"candidates": self.candidates},
        }
        given = {name: list(v) if isinstance(v, tuple) else v for name, v in values.items() if v is not None}
        return merge(given, parse_overrides(self.set_ or []))
