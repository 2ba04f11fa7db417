"""Read the expressions and guards of an exported program strictly: arithmetic over sizes, and nothing else.

torch hands them to evaluators (sympy, Python), so each function here parses without evaluating and answers None when
the text is harmless, and otherwise what is wrong with it.
"""

import ast
import re
import warnings
from collections.abc import Callable, Iterable

MAX_CHARACTERS = 1 << 14
MAX_INTEGER = 1 << 64
MAX_EXPONENT = 16
SYMBOL = re.compile(r"[A-Za-z]\w{0,63}", re.ASCII)
BARE_SYMBOL = re.compile(r"(s|u|zf|zuf|ps|i|z|r0_|r1_)\d{1,6}", re.ASCII)
DECIMAL = re.compile(r"[+-]?\d{0,40}\.?\d{0,40}(e[+-]?\d{1,3})?", re.ASCII | re.IGNORECASE)
CONSTANTS = {"true", "false", "oo", "int_oo"}
RAISING = {"Pow", "PowByNatural", "FloatPow", "LShift", "RShift"}  # the second argument must be a small number
FUNCTIONS = RAISING | set(
    """Abs Add CeilDiv CeilToInt CleanDiv Float FloatTrueDiv FloorDiv FloorToInt Identity IntTrueDiv Integer
    IsNonOverlappingAndDenseIndicator Max Min Mod ModularIndexing Mul PythonMod Rational RoundDecimal RoundToInt Symbol
    ToFloat TruncToFloat TruncToInt Where ceiling floor sqrt
    And Eq Equality ExprCondPair Ge GreaterThan Gt Le LessThan Lt Ne Not Or Piecewise StrictGreaterThan StrictLessThan
    Unequality""".split()
)
GUARD_FUNCTIONS = {"abs", "float", "int", "max", "min", "round"}
GUARD_MEMBERS = {
    "math": {"ceil", "floor", "inf", "isnan", "sqrt", "trunc"},
    "torch": {"sym_float", "sym_int", "sym_ite", "sym_max", "sym_min", "sym_not", "sym_sqrt", "_sym_sqrt"},
}
OPERATORS = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.BitAnd, ast.BitOr)
Leaf = Callable[[ast.expr], Iterable[ast.expr] | None]


def expression_fault(text: object) -> str | None:
    """What keeps `text` from being arithmetic over symbols, as in `FloorDiv(Symbol('s0'), Integer(2))`."""
    return _fault(text, _expression_parts)


def guard_fault(text: object) -> str | None:
    """What keeps `text` from being a comparison of input sizes (`L['x'].size()[2] // 2 >= 2`)."""
    return _fault(text, _guard_parts)


def _fault(text: object, leaf: Leaf) -> str | None:
    if not isinstance(text, str):
        return f"{text!r:.60} is no text"
    if len(text) > MAX_CHARACTERS:
        return f"{text[:40]!r}... is longer than {MAX_CHARACTERS} characters"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text.strip(), mode="eval").body
        wrong = _wrong_part(tree, leaf, raised=0)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return f"{text[:60]!r} is no expression"
    return f"{text[:60]!r} is not arithmetic over sizes" if wrong else None


def _wrong_part(node: ast.expr, leaf: Leaf, raised: int) -> bool:
    """Walk the tree with a white list; `raised` counts the powers around the node, which may nest twice."""
    parts = _shared_parts(node)
    if parts is None:
        parts = leaf(node)
    if parts is None:
        return True
    if _raises(node):
        raised += 1
        if raised > 2 or not _is_small(list(parts)[1]):
            return True
    return any(_wrong_part(part, leaf, raised) for part in parts)


def _shared_parts(node: ast.expr) -> Iterable[ast.expr] | None:
    """What is left to check inside a node that both grammars know, or None."""
    if isinstance(node, ast.Constant):
        value = node.value
        return () if isinstance(value, (int, float)) and abs(value) < MAX_INTEGER else None
    if isinstance(node, ast.BinOp) and (isinstance(node.op, OPERATORS) or _raises(node)):
        return node.left, node.right
    if isinstance(node, ast.UnaryOp):
        return (node.operand,)
    if isinstance(node, ast.Compare):
        plain = all(not isinstance(op, (ast.In, ast.NotIn, ast.Is, ast.IsNot)) for op in node.ops)
        return (node.left, *node.comparators) if plain else None
    return node.values if isinstance(node, ast.BoolOp) else None


def _raises(node: ast.expr) -> bool:
    if isinstance(node, ast.BinOp):
        return isinstance(node.op, (ast.Pow, ast.LShift, ast.RShift))
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in RAISING


def _is_small(node: ast.expr) -> bool:
    """A number written out, of at most MAX_EXPONENT: `2`, `-1`, `Integer(-1)`, `Rational(1, 2)`, `Float('0.5')`."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
        if node.func.id == "Float":
            text = node.args[0]
            return isinstance(text, ast.Constant) and abs(float(str(text.value))) <= MAX_EXPONENT
        return node.func.id in ("Integer", "Rational") and all(_is_small(part) for part in node.args)
    if isinstance(node, ast.UnaryOp):
        return _is_small(node.operand)
    return isinstance(node, ast.Constant) and isinstance(node.value, (int, float)) and abs(node.value) <= MAX_EXPONENT


def _expression_parts(node: ast.expr) -> Iterable[ast.expr] | None:
    if isinstance(node, ast.Name):
        return () if node.id in CONSTANTS or BARE_SYMBOL.fullmatch(node.id) else None
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or node.func.id not in FUNCTIONS:
        return None
    if node.func.id in ("Symbol", "Float"):
        return () if _names_or_numbers(node, SYMBOL if node.func.id == "Symbol" else DECIMAL) else None
    if node.func.id in RAISING and len(node.args) != 2:
        return None
    return None if node.keywords else node.args


def _names_or_numbers(node: ast.Call, pattern: re.Pattern[str]) -> bool:
    """`Symbol('s0', positive=True, integer=True)` and `Float('0.5', precision=53)`: text first, then plain flags."""
    if len(node.args) != 1 or not isinstance(text := node.args[0], ast.Constant) or not isinstance(text.value, str):
        return False
    flags = [keyword.value for keyword in node.keywords]
    plain = all(isinstance(flag, ast.Constant) and isinstance(flag.value, int) and flag.value <= 64 for flag in flags)
    named = all(keyword.arg and SYMBOL.fullmatch(keyword.arg) for keyword in node.keywords)
    return plain and named and pattern.fullmatch(text.value) is not None and "__" not in text.value


def _guard_parts(node: ast.expr) -> Iterable[ast.expr] | None:
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return () if node.attr in GUARD_MEMBERS.get(node.value.id, ()) else None
    if isinstance(node, ast.Subscript):
        return () if _is_input(node) or (_is_size(node.value) and _is_key(node.slice)) else None
    if not isinstance(node, ast.Call) or node.keywords:
        return None
    if isinstance(node.func, ast.Name):
        return node.args if node.func.id in GUARD_FUNCTIONS else None
    if _is_size(node):
        return ()
    return node.args if isinstance(node.func, ast.Attribute) and _guard_parts(node.func) is not None else None


def _is_size(node: ast.expr) -> bool:
    """`L['x'].size()`, `L['x'].stride()` or `L['x'].storage_offset()`."""
    if not isinstance(node, ast.Call) or node.args or node.keywords or not isinstance(node.func, ast.Attribute):
        return False
    return node.func.attr in ("size", "stride", "storage_offset") and _is_input(node.func.value)


def _is_input(node: ast.expr) -> bool:
    """`L['x']`, `L['x'][0]`, `L['x']['key']`: an input, found by safe keys only."""
    if isinstance(node, ast.Subscript) and _is_key(node.slice):
        return _is_input(node.value) or (isinstance(node.value, ast.Name) and node.value.id == "L")
    return False


def _is_key(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and (isinstance(node.value, int) or is_plain_text(node.value))


def is_plain_text(value: object) -> bool:
    """Text that stays what it is between quotes in generated code: printable, no quotes, no backslashes."""
    return isinstance(value, str) and value.isprintable() and not set(value) & set("'\"\\")
