"""Blocks that a user names by the modules that make them."""

import difflib
from collections.abc import Sequence
from fnmatch import fnmatchcase
from itertools import pairwise

from torch import fx

from nascc.passes.base import Reject
from nascc.passes.blocks.flow import Flow, Span
from nascc.passes.blocks.layout import image_values
from nascc.passes.blocks.modules import is_whole, module_spans
from nascc.passes.blocks.select import Place, place_of
from nascc.passes.errors import PassError

RANGE = ".."


def named_spans(gm: fx.GraphModule, patterns: Sequence[str]) -> tuple[Place, ...]:
    """The blocks of patterns like `layer1.*`, `layer2.0`, or `features.3..features.5` (from one module to another).

    Raises PassError with all that is wrong: names that no module has, blocks with several inputs, that overlap, ...
    """
    flow = Flow.of(gm)
    images, spans = image_values(flow), module_spans(flow)
    found, problems = list[Place](), list[str]()
    for pattern in patterns:
        chosen = _chosen(pattern, spans)
        if not chosen:
            near = difflib.get_close_matches(pattern, [s.name for s in spans]) or [s.name for s in spans][:5]
            problems.append(f"'{pattern}' names no module of the network; near: {', '.join(near)}")
        for span in chosen:
            place = _place(flow, span, images)
            if isinstance(place, Place):
                found.append(place)
            else:
                problems.append(place.reason)
    found.sort(key=lambda place: place.span.first)
    for before, after in pairwise(found):
        if after.span.first <= before.span.last:
            problems.append(f"blocks must not overlap, but '{before.name}' and '{after.name}' do")
    if problems:
        raise PassError("; ".join(dict.fromkeys(problems)))
    return tuple(found)


def _chosen(pattern: str, spans: Sequence[Span]) -> list[Span]:
    first, dots, last = pattern.partition(RANGE)
    if dots:
        ends = [next((s for s in spans if s.name == name), None) for name in (first, last)]
        return [Span(ends[0].first, ends[1].last, pattern)] if ends[0] and ends[1] else []
    depth = pattern.count(".")
    return [s for s in spans if fnmatchcase(s.name.partition("@")[0], pattern) and s.name.count(".") == depth]


def _place(flow: Flow, span: Span, images: set[fx.Node]) -> Place | Reject:
    if span.size < 1:
        return Reject(flow.nodes[0], f"block '{span.name}' must hold something, but its second module stands first")
    if RANGE not in span.name and not is_whole(flow, span):
        return Reject(flow.end(span), f"block '{span.name}' must be run at one stretch, but other modules run between")
    return place_of(flow, span, images)
