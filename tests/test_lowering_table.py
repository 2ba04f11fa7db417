"""Every lowering takes what its operator's schema can pass, and is reached by it."""

import inspect

import pytest
from torch._ops import OpOverload

from nascc.compiler.lowering import needs_substitution
from nascc.compiler.lowering.draw import RECORDED
from nascc.compiler.lowering.table import FAMILIES, LOWERINGS, NEEDS
from nascc.passes.canonical.vocabulary import VOCABULARY
from nascc.passes.substitute import RULES


@pytest.mark.parametrize("target", LOWERINGS, ids=str)
def test_takes_every_argument_of_the_schema(target: OpOverload) -> None:
    signature = inspect.signature(LOWERINGS[target])
    arguments = [a for a in target._schema.arguments if a.name not in RECORDED]
    positional = [a.name for a in arguments if not a.kwarg_only]
    named = {a.name: None for a in arguments if a.kwarg_only}
    signature.bind("writer", *positional, **named)
    required = [a.name for a in arguments if not a.kwarg_only and not a.has_default_value()]
    mandatory = {a.name: None for a in arguments if a.kwarg_only and not a.has_default_value()}
    signature.bind("writer", *required, **mandatory)


def test_no_operator_has_two_lowerings() -> None:
    targets = [target for family in FAMILIES for target in family.LOWERINGS]
    assert len(targets) == len(set(targets)) == len(LOWERINGS)


def test_needs_belong_to_operators_that_can_be_lowered() -> None:
    assert NEEDS.keys() <= LOWERINGS.keys()


def test_the_whole_vocabulary_can_be_lowered() -> None:
    assert {str(target) for target in VOCABULARY - LOWERINGS.keys()} <= {"aten.sym_size.int", "aten.eye.default"}


def test_common_operators_that_old_opsets_lack_have_a_rule() -> None:
    substituted = {target for rule in RULES.values() for target in rule.targets}
    without = {str(target) for target in needs_substitution(11) & VOCABULARY - substituted}
    assert without <= {"aten.grid_sampler.default", "aten.grid_sampler_2d.default"}
