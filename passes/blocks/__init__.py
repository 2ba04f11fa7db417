"""Blocks of a captured network: parts with one tensor in and one out, found, taken out as graphs, and re-batched."""

from nascc.passes.blocks.batch import loosened, rebatched
from nascc.passes.blocks.extract import extract
from nascc.passes.blocks.flow import Flow, Span
from nascc.passes.blocks.head import new_head
from nascc.passes.blocks.named import named_spans
from nascc.passes.blocks.select import Place, find_places, place_of
from nascc.passes.blocks.weighted import is_weighted

__all__ = [
    "Flow",
    "Place",
    "Span",
    "extract",
    "find_places",
    "is_weighted",
    "loosened",
    "named_spans",
    "new_head",
    "place_of",
    "rebatched",
]
