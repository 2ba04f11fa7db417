"""Einstein sums over two operands as permutations, sums and one matrix product."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import torch
from torch.fx import Node

from nascc.passes import graph as g
from nascc.passes.arguments import arguments
from nascc.passes.edit import Edit
from nascc.passes.substitute.rule import Rule

aten = torch.ops.aten


@dataclass(frozen=True)
class _Equation:
    """The letters of an equation over two operands, by what becomes of them."""

    left: str
    right: str
    result: str

    @classmethod
    def of(cls, text: str) -> "_Equation":
        inputs, arrow, result = text.replace(" ", "").partition("->")
        left, _, right = inputs.partition(",")
        letters = left + right
        implied = "".join(sorted(c for c in set(letters) if letters.count(c) == 1))
        return cls(left, right, result if arrow else implied)

    @property
    def sides(self) -> tuple[str, str]:
        """The letters of both operands."""
        return self.left, self.right

    @property
    def batch(self) -> str:
        """In both operands and in the result."""
        return "".join(c for c in self.result if c in self.left and c in self.right)

    @property
    def summed(self) -> str:
        """In both operands, summed over."""
        return "".join(c for c in self.left if c in self.right and c not in self.result)

    def own(self, side: str) -> str:
        """In the result and in one operand only."""
        return "".join(c for c in self.result if c in side and not (c in self.left and c in self.right))


def _refusal(node: Node) -> str | None:
    text, operands = _call(node)
    equation = _Equation.of(text)
    if len(operands) != 2:
        return f"'{text}' has {len(operands)} operands, must have 2"
    if "." in text or any(len(set(s)) != len(s) for s in (equation.left, equation.right, equation.result)):
        return f"'{text}' must name every dimension of an operand once"
    if any(sum(not isinstance(size, int) for size in g.shape(value)) > 1 for value in (*operands, node)):
        return f"'{text}' has several dimensions of dynamic size, must have at most 1"
    left, right = (dict(zip(s, g.shape(v), strict=True)) for s, v in zip(equation.sides, operands, strict=True))
    if not all(g.same(left[c], right[c]) for c in equation.summed):
        return f"'{text}' repeats a dimension of size 1 to sum over it"
    return None


def _build(edit: Edit, node: Node) -> Node:
    """einsum("...", x, y) -> permute(reshape(matmul(x', y'))). Equal up to rounding.

    x' [batch, own, summed] and y' [batch, summed, own] are the operands, summed over letters that only they have,
    permuted, and reshaped so that the letters of each kind form one dimension.
    """
    text, (x, y) = _call(node)
    equation = _Equation.of(text)
    sizes = _sizes(equation, (x, y))
    batch, summed = equation.batch, equation.summed
    rows, columns = equation.own(equation.left), equation.own(equation.right)
    first = _arranged(edit, x, equation.left, (batch, rows, summed))
    second = _arranged(edit, y, equation.right, (batch, summed, columns))
    product = edit.call(aten.matmul.default, first, second)
    found = batch + rows + columns
    product = _reshaped(edit, product, [sizes[c] for c in found])
    return _permuted(edit, product, [found.index(c) for c in equation.result])


def _call(node: Node) -> tuple[str, list[Node]]:
    a = arguments(node)
    return str(a["equation"]), list(a["tensors"])


def _sizes(equation: _Equation, operands: Sequence[Node]) -> dict[str, int | torch.SymInt]:
    """The size of each letter; 1 gives way to another."""
    sizes: dict[str, int | torch.SymInt] = {}
    for letters, operand in zip(equation.sides, operands, strict=True):
        for letter, size in zip(letters, g.shape(operand), strict=True):
            sizes[letter] = size if sizes.get(letter, 1) == 1 else sizes[letter]
    return sizes


def _arranged(edit: Edit, x: Node, letters: str, kinds: Sequence[str]) -> Node:
    """`x` with one dimension for each letter of the first kind, then one for each other kind."""
    wanted = "".join(kinds)
    alone = [k for k, letter in enumerate(letters) if letter not in wanted]
    if alone:
        x = edit.call(aten.sum.dim_IntList, x, alone, False)
        letters = "".join(letter for letter in letters if letter in wanted)
    x = _permuted(edit, x, [letters.index(c) for c in wanted])
    own = dict(zip(wanted, g.shape(x), strict=True))
    joined = [prod(own[c] for c in kind) for kind in kinds[1:]]
    return _reshaped(edit, x, [*(own[c] for c in kinds[0]), *joined])


def _permuted(edit: Edit, x: Node, order: list[int]) -> Node:
    return x if order == sorted(order) else edit.call(aten.permute.default, x, order)


def _reshaped(edit: Edit, x: Node, sizes: list[int | torch.SymInt]) -> Node:
    if len(sizes) == len(g.shape(x)) and all(map(g.same, g.shape(x), sizes)):
        return x
    return edit.call(aten.reshape.default, x, [size if isinstance(size, int) else -1 for size in sizes])


EINSUM = Rule((aten.einsum.default,), _build, _refusal)
