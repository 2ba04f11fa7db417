"""Channel-level bypass connections (NetAdaptV2, Sec. 3.1): how many channels a layer leaves, and which they are."""


def bypassed(inputs: int, threshold: int | None, full: int) -> int:
    """b: the first so many input channels stand in for filters that are gone.

    `inputs` C of them are alive, `threshold` is T (None: no limit), and the layer has `full` filters at most, which is
    what its consumers can read.
    """
    return min(inputs, full) if threshold is None else min(inputs, threshold, full)


def alive(inputs: int, threshold: int | None, full: int, filters: int) -> int:
    """Z = max(min(C, T), M): the channels that a layer with M `filters` leaves."""
    return max(bypassed(inputs, threshold, full), filters)


def kept_filters(filters: int, depthwise: bool, inputs: int) -> int:
    """M as it counts: a depthwise filter on a channel that is gone would still emit act(bn(0)), so it goes too."""
    return min(filters, inputs) if depthwise else filters
