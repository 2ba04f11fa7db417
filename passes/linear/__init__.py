"""Linear operators on images: what they are, how they combine into one exactly, and where that pays."""

from nascc.passes.linear.add import add
from nascc.passes.linear.compose import Repair, compose
from nascc.passes.linear.concatenate import concatenate, take_outputs
from nascc.passes.linear.convolution import Convolution, to_convolution
from nascc.passes.linear.cost import Cost, flops, roofline, traffic
from nascc.passes.linear.deploy import Deployed, deploy
from nascc.passes.linear.description import LinearOp
from nascc.passes.linear.emit import Emitter, emit
from nascc.passes.linear.operator import Operator, Refusal
from nascc.passes.linear.plan import Join, Mode, Plan, Row, Segment, steps
from nascc.passes.linear.planner import plan
from nascc.passes.linear.region import Chain, Concat, Leaf, Region, Site, Sum

__all__ = [
    "Chain",
    "Concat",
    "Convolution",
    "Cost",
    "Deployed",
    "Emitter",
    "Join",
    "Leaf",
    "LinearOp",
    "Mode",
    "Operator",
    "Plan",
    "Refusal",
    "Region",
    "Repair",
    "Row",
    "Segment",
    "Site",
    "Sum",
    "add",
    "compose",
    "concatenate",
    "deploy",
    "emit",
    "flops",
    "plan",
    "roofline",
    "steps",
    "take_outputs",
    "to_convolution",
    "traffic",
]
