"""What an exported program may say in text: arithmetic over sizes, comparisons of them, operators of networks."""

import pytest
import sympy
from torch.utils._sympy import functions

from nascc.runtime import archive_expr
from nascc.runtime.archive_expr import expression_fault, guard_fault
from nascc.runtime.archive_program import operator_fault


@pytest.mark.parametrize(
    "text",
    [
        "Symbol('s77', positive=True, integer=True)",
        "Add(FloorDiv(Add(Symbol('s0', positive=True, integer=True), Integer(-1)), Integer(2)), Integer(1))",
        "Max(Integer(1), TruncToInt(Mul(Float('2.2999999999999998', precision=53), ToFloat(Symbol('s0')))))",
        "Pow(Symbol('s0'), Integer(-1))",
        "Eq(Mod(Symbol('u0'), Integer(2)), Integer(0))",
        "And(Ne(Symbol('s0'), Integer(3)), true)",
        "2*s1 + (s0 - 1)//2 + s0**2",
        "(s0 >= 2) & (s0 <= 64)",
        "int_oo",
    ],
)
def test_expressions_as_torch_writes_them(text: str) -> None:
    assert expression_fault(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "Symbol('s0').__class__",
        "Symbol('s0', positive=print())",
        "Symbol(\"__import__('os')\")",
        "Symbol(s0)",
        "lambdify(s0, s0)",
        "Integer('1')",
        "(lambda: 1)()",
        "[s0 for s0 in (1,)]",
        "s0 if s0 else s0",
        "f'{s0}'",
        "'text'",
        "b'1'",
        "s0, s1",
        "s0 := 3",
        "s0; s1",
        "s0\ns1",
        "os",
        "s0.real",
        "s0[0]",
        "Pow(Integer(9), Integer(999999))",
        "Pow(Pow(Pow(Integer(9), Integer(9)), Integer(9)), Integer(9))",
        "LShift(Integer(1), Symbol('s0'))",
        "9**9**9",
        "1 << 999999",
        "Float('1e999999999')",
        "Float('0.5', precision=999999)",
        "Max(*s0)",
        "Max(**s0)",
        "9" * 100,
        "(" * 1000,
        "-" * 5000 + "1",
        "1+" * 50_000,
        "",
        None,
        3,
        ["s0"],
    ],
)
def test_expressions_that_are_no_arithmetic(text: object) -> None:
    assert expression_fault(text)
    assert guard_fault(text)


@pytest.mark.parametrize(
    "text",
    [
        "((1 + (((-1) + L['x'].size()[2]) // 4)) % 2) == 0",
        "L['x'][0].size()[2] > L['y']['key'].stride()[3]",
        "math.trunc(1.5*torch.sym_float(L['x'].size()[2])) == 24",
        "max(1, L['x'].storage_offset()) != 1 and not L['n'] == 3",
    ],
)
def test_guards_as_torch_writes_them(text: str) -> None:
    assert guard_fault(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "L['x'].data",
        "L['x'].size()[print()]",
        "L['x'].size(1)",
        "L['a\"b'] == 1",
        "L[L['x']] == 1",
        "x.size()[0]",
        "torch.load('a')",
        "math.__loader__",
        "torch.sym_float.__globals__",
        "max(1, key=print)",
        "print(1)",
        "L['x'].__class__()",
    ],
)
def test_guards_that_are_no_comparison_of_sizes(text: str) -> None:
    assert guard_fault(text)


def test_every_function_of_an_expression_is_one_of_torch_or_sympy() -> None:
    for name in archive_expr.FUNCTIONS:
        assert hasattr(sympy, name) or hasattr(functions, name) or name == "ExprCondPair"


@pytest.mark.parametrize(
    ("name", "harmless"),
    [
        ("torch.ops.aten.conv2d.default", True),
        ("torch.ops.aten.__and__.Tensor", True),
        ("torch.ops.higher_order.cond", True),
        ("_operator.floordiv", True),
        ("math.trunc", True),
        ("torch.sym_max", True),
        ("torch.ops.aten.from_file.default", False),
        ("torch.ops.aten.save.default", False),
        ("torch.ops.aten.__class__.mro", False),
        ("torch.ops.aten.add.__class__", False),
        ("torch.ops.aten.add", False),
        ("torch.ops.load_library", False),
        ("torch.ops.higher_order.print", False),
        ("torch.load", False),
        ("torch.hub.load", False),
        ("_operator.attrgetter", False),
        ("_operator.methodcaller", False),
        ("builtins.eval", False),
        ("#namespace:op", False),
        (None, False),
    ],
)
def test_operators_of_a_network(name: object, harmless: bool) -> None:
    assert (operator_fault(name) is None) is harmless
