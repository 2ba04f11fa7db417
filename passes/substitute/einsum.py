"""Einstein sums over two operands as permutations, sums and one matrix product."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.fx import Node

from nascc.passes import graph as g
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
    text, operands = node.args[:2]
    equation = _Equation.of(str(text))
    if len(operands) != 2:  # type: ignore[arg-type]
        return f"'{text}' has {len(operands)} operands, must have 2"  # type: ignore[arg-type]
    if "." in str(text) or any(len(set(s)) != len(s) for s in (equation.left, equation.right, equation.result)):
        return f"'{text}' must name every dimension of an operand once"
    x, y = operands  # type: ignore[misc]
    if any(sum(not isinstance(size, int) for size in g.shape(value)) > 1 for value in (x, y, node)):
        return f"'{text}' has several dimensions of dynamic size, must have at most 1"
    own = [dict(zip(letters, g.shape(v), strict=True)) for letters, v in ((equation.left, x), (equation.right, y))]
    if not all(g.same(own[0][c], own[1][c]) for c in equation.summed):
        return f"'{text}' repeats a dimension of size 1 to sum over it"
    return None


def _build(edit: Edit, node: Node) -> Node:
    """einsum("...", x, y) -> permute(reshape(matmul(x', y'))). Equal up to rounding.

    x' [batch, own, summed] and y' [batch, summed, own] are the operands, summed over letters that only they have,
    permuted, and reshaped so that the letters of each kind form one dimension.
    """
    text, (x, y) = node.args[:2]  # type: ignore[misc]
    equation = _Equation.of(str(text))
    sizes = _sizes(equation, (x, y))
    batch, summed = equation.batch, equation.summed
    rows, columns = equation.own(equation.left), equation.own(equation.right)
    first = _arranged(edit, x, equation.left, (batch, rows, summed), sizes)
    second = _arranged(edit, y, equation.right, (batch, summed, columns), sizes)
    product = edit.call(aten.matmul.default, first, second)
    found = batch + rows + columns
    return _permuted(
        edit, _reshaped(edit, product, [sizes[c] for c in found]), [found.index(c) for c in equation.result]
    )


def _sizes(equation: _Equation, operands: Sequence[Node]) -> dict[str, int | torch.SymInt]:
    """The size of each letter; 1 gives way to another."""
    sizes: dict[str, int | torch.SymInt] = {}
    for letters, operand in zip((equation.left, equation.right), operands, strict=True):
        for letter, size in zip(letters, g.shape(operand), strict=True):
            sizes[letter] = size if sizes.get(letter, 1) == 1 else sizes[letter]
    return sizes


def _arranged(edit: Edit, x: Node, letters: str, kinds: Sequence[str], sizes: dict[str, int | torch.SymInt]) -> Node:
    """`x` with one dimension for each letter of the first kind, then one for each other kind."""
    wanted = "".join(kinds)
    alone = [k for k, letter in enumerate(letters) if letter not in wanted]
    if alone:
        x = edit.call(aten.sum.dim_IntList, x, alone, False)
        letters = "".join(letter for letter in letters if letter in wanted)
    x = _permuted(edit, x, [letters.index(c) for c in wanted])
    own = dict(zip(wanted, g.shape(x), strict=True))
    joined = [_product([own[c] for c in kind]) for kind in kinds[1:]]
    return _reshaped(edit, x, [*(own[c] for c in kinds[0]), *joined])


def _product(sizes: Sequence[int | torch.SymInt]) -> int | torch.SymInt:
    total: int | torch.SymInt = 1
    for size in sizes:
        total = total * size
    return total


def _permuted(edit: Edit, x: Node, order: list[int]) -> Node:
    return x if order == sorted(order) else edit.call(aten.permute.default, x, order)


def _reshaped(edit: Edit, x: Node, sizes: list[int | torch.SymInt]) -> Node:
    if len(sizes) == len(g.shape(x)) and all(map(g.same, g.shape(x), sizes)):
        return x
    return edit.call(aten.reshape.default, x, [size if isinstance(size, int) else -1 for size in sizes])


EINSUM = Rule((aten.einsum.default,), _build, _refusal)
