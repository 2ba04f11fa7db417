"""Modules of the user's network as spans of its flow."""

from collections import Counter

from nascc.passes.blocks.flow import Flow, Span


def module_spans(flow: Flow) -> tuple[Span, ...]:
    """Every call of a module as the span from its first operation to its last, outer modules first.

    Each is named by the module's path; one that is called again makes a span of its own, `path@1`. They need not be
    closed, and other modules may lie between.
    """
    ends: dict[str, tuple[int, int, str]] = {}
    for position, node in enumerate(flow.nodes):
        for key, (path, _) in (node.meta.get("nn_module_stack") or {}).items():
            first, _, name = ends.get(key, (position, position, _plain(path)))
            ends[key] = (first, position, name)
    spans = sorted((Span(*end) for end in ends.values() if end[2]), key=lambda span: (span.first, -span.last))
    calls: Counter[str] = Counter()
    told = []
    for span in spans:
        again, calls[span.name] = calls[span.name], calls[span.name] + 1
        told.append(Span(span.first, span.last, f"{span.name}@{again}") if again else span)
    return tuple(told)


def is_whole(flow: Flow, span: Span) -> bool:
    """Do all calls of a span belong to the module that it is named after?"""
    path = span.name.partition("@")[0]
    return all(belongs(node.meta.get("nn_module_stack") or {}, path) for node in flow.calls(span))


def belongs(stack: dict[str, tuple[str, object]], path: str) -> bool:
    """Is a module among those that a call was made in?"""
    return any(_plain(found) == path for found, _ in stack.values())


def _plain(path: str) -> str:
    """`L['self'].layer1.0@1` -> `layer1.0`."""
    return path.removeprefix("L['self']").removeprefix("_export_root").lstrip(".").partition("@")[0]
