"""Where a cost comes from: the target's model, a measured table, measured networks, or several of them."""

from pathlib import Path

from nascc.nas.costs.described import DescribedSpace
from nascc.nas.costs.networks import read_networks
from nascc.nas.costs.pairwise_cost import PairwiseCost
from nascc.nas.costs.predictors import DEFAULT, Predictor, fit_predictor
from nascc.nas.costs.shipped import SHIPPED, shipped_table
from nascc.nas.costs.tables import read_table
from nascc.nas.errors import SearchError


def cost_from(
    described: DescribedSpace,
    metric: str,
    *,
    table: Path | None = None,
    networks: Path | None = None,
    predictor: str = DEFAULT,
) -> Predictor:
    """The cost of a metric, with its quality where it was fitted.

    Without files it is described; `table` replaces descriptions by a measured table, a file or the
    name of one that comes with nascc (`pixel1`); `networks` corrects either by
    measured networks, as `predictor` says. Energy needs a table, or networks: then it is fitted on latency.
    Raises BadMeasurements, NotCalibrated, SearchError.
    """
    if table is None and networks is None and metric == "energy":
        raise SearchError(
            "energy must be measured: give a CSV table of mJ an operator (slot, operator, value), "
            "or measured networks (arch, value)"
        )
    base: PairwiseCost
    if table is not None and str(table) in SHIPPED and metric == "latency":
        base = shipped_table(str(table), described.space)
    elif table is not None:
        base = read_table(table, described.space, metric)
    else:
        base = described.cost("latency" if metric == "energy" else metric)
    if networks is None:
        return Predictor(base, None)
    return fit_predictor(read_networks(networks, described.space, metric), base, predictor)
