"""The filter of ``[audience] where``: a small subset of Python's expression syntax, never passed to `eval`.

It allows columns by name (`` `Last name` `` in backticks), texts, numbers, ``True False None``, comparisons, ``in``
over a list, ``and or not``, and arithmetic on numbers. The expression is compiled once into nested functions; anything
else is refused and shown. A row whose values cannot be compared is an invalid row.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime

from campaign.audience.columns.template_names import column_of
from campaign.errors import ConfigError
from campaign.model import Value

Term = Callable[[Sequence[Value]], Value]

COMPARISONS: dict[type[ast.cmpop], Callable[..., bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
ARITHMETIC: dict[type[ast.operator], Callable[..., Value]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
#: Characters of an expression, and levels of brackets within it.
LENGTH = 4000
_QUOTED_OR_TICKED = re.compile(r"""('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")|`([^`]+)`""")


class FilterError(ValueError):
    """The filter cannot be evaluated for a row."""


class Filter:
    """A compiled filter over ``columns``. Raises ConfigError for an expression that is not allowed."""

    def __init__(self, expression: str, columns: Sequence[str], types: Mapping[str, str]) -> None:
        self._term = _Compiler(expression, columns, types).compile()

    def accepts(self, row: Sequence[Value]) -> bool:
        """Whether the row matches. Raises FilterError if its values cannot be compared."""
        try:
            return bool(self._term(row))
        except (TypeError, ZeroDivisionError, OverflowError) as error:
            raise FilterError(f"audience.where cannot be answered: {error}") from None


class _Compiler:
    """Compiles the permitted kinds of syntax node into functions of a row."""

    def __init__(self, expression: str, columns: Sequence[str], types: Mapping[str, str]) -> None:
        self.expression, self.columns, self.types = expression, columns, types
        self.ticked: dict[str, str] = {}

    def compile(self) -> Term:
        if len(self.expression) > LENGTH:
            raise self._refuse(f"it is longer than {LENGTH} characters")
        text = _QUOTED_OR_TICKED.sub(self._untick, self.expression.strip())
        try:
            tree = ast.parse(text, mode="eval")
            return self._term(tree.body)
        except SyntaxError as error:
            raise self._refuse(f"{error.msg} near character {error.offset}") from None
        except (RecursionError, MemoryError, ValueError):
            raise self._refuse("it is nested too deeply, or no expression at all") from None

    def _untick(self, match: re.Match[str]) -> str:
        if match[1]:
            return match[1]
        name = f"ticked_{len(self.ticked)}_"
        self.ticked[name] = match[2]
        return name

    def _term(self, node: ast.expr) -> Term:
        match node:
            case ast.Name(id=name):
                return operator.itemgetter(self._column(name))
            case ast.Constant(value=bool() | int() | float() | str() | None as value):
                return lambda _: value
            case ast.BoolOp(op=op, values=values):
                return _joined(isinstance(op, ast.And), [self._term(value) for value in values])
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                inner = self._term(operand)
                return lambda row: not inner(row)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                inner = self._term(operand)
                return lambda row: -_numeric(inner(row))
            case ast.BinOp(left=left, op=op, right=right) if type(op) in ARITHMETIC:
                return _computed(ARITHMETIC[type(op)], self._term(left), self._term(right))
            case ast.Compare():
                return self._comparison(node)
        raise self._refuse(f"{ast.unparse(node)!r} is not among what a filter may say")

    def _column(self, name: str) -> int:
        name = self.ticked.get(name, name)
        column = column_of(name, self.columns)
        if column is None:
            raise self._refuse(f"there is no column {name!r}; the columns are {', '.join(self.columns)}")
        return self.columns.index(column)

    def _comparison(self, node: ast.Compare) -> Term:
        sides = [node.left, *node.comparators]
        parts = [self._pair(a, op, b) for a, op, b in zip(sides, node.ops, sides[1:], strict=False)]
        return parts[0] if len(parts) == 1 else _joined(True, parts)

    def _pair(self, left: ast.expr, op: ast.cmpop, right: ast.expr) -> Term:
        if isinstance(op, ast.In | ast.NotIn):
            return self._membership(left, isinstance(op, ast.In), right)
        if isinstance(op, ast.Is | ast.IsNot):
            return self._pair(left, ast.Eq() if isinstance(op, ast.Is) else ast.NotEq(), right)
        self._refuse_text_against_number(left, right)
        one, other = self._side(left, self._kind(right)), self._side(right, self._kind(left))
        return _compared(COMPARISONS[type(op)], one, other, isinstance(op, ast.NotEq))

    def _membership(self, left: ast.expr, wanted: bool, right: ast.expr) -> Term:
        if not isinstance(right, ast.List | ast.Tuple | ast.Set):
            raise self._refuse("after 'in' comes a list, such as plan in ['pro', 'team']")
        options = [self._pair(left, ast.Eq(), option) for option in right.elts]
        return lambda row: any(option(row) for option in options) is wanted

    def _side(self, node: ast.expr, against: str) -> Term:
        """One side of a comparison; a text compared with a date column becomes a date."""
        if against != "date" or not isinstance(node, ast.Constant) or not isinstance(node.value, str):
            return self._term(node)
        try:
            text = node.value
            moment = datetime.fromisoformat(text) if len(text) > 10 else date.fromisoformat(text)
        except ValueError:
            raise self._refuse(f"{node.value!r} is not a date (write '2026-12-31')") from None
        return lambda _: moment

    def _refuse_text_against_number(self, left: ast.expr, right: ast.expr) -> None:
        kinds = {self._kind(left), self._kind(right)}
        if kinds == {"text", "number"}:
            column = next((side.id for side in (left, right) if isinstance(side, ast.Name)), "it")
            name = self.ticked.get(column, column)
            raise self._refuse(f'column {name!r} is text; set [audience.columns] {name} = "number" (or "integer")')

    def _kind(self, node: ast.expr) -> str:
        if isinstance(node, ast.Name):
            name = self.ticked.get(node.id, node.id)
            kind = self.types.get(column_of(name, self.columns) or name, "text")
            return "number" if kind == "integer" else kind
        if isinstance(node, ast.Constant):
            return "text" if isinstance(node.value, str) else "number" if type(node.value) in (int, float) else ""
        return ""

    def _refuse(self, why: str) -> ConfigError:
        return ConfigError(
            f"audience.where cannot be used: {why}.",
            evidence=self.expression[:200],
            next_step="write one such as plan == 'pro' and age >= 18",
        )


def _joined(every: bool, terms: Sequence[Term]) -> Term:
    if every:
        return lambda row: all(term(row) for term in terms)
    return lambda row: any(term(row) for term in terms)


def _computed(operation: Callable[..., Value], left: Term, right: Term) -> Term:
    return lambda row: operation(_numeric(left(row)), _numeric(right(row)))


def _compared(operation: Callable[..., bool], left: Term, right: Term, differs: bool) -> Term:
    """A comparison; with None only equality can hold, and any ordering is false."""

    def compare(row: Sequence[Value]) -> bool:
        a, b = left(row), right(row)
        if a is None or b is None:
            return (a is not b) if differs else operation is operator.eq and a is b
        return operation(*_alike(a, b))

    return compare


def _alike(a: Value, b: Value) -> tuple[Value, Value]:
    """Both sides as one kind: text with text, number with number; a date becomes the beginning of its day."""
    if isinstance(a, date) and isinstance(b, date):
        return _moment(a, b), _moment(b, a)
    numbers = isinstance(a, int | float), isinstance(b, int | float)
    if numbers[0] is not numbers[1] or (isinstance(a, str) is not isinstance(b, str)):
        raise TypeError(f"{a!r} and {b!r} are not of one kind")
    return a, b


def _moment(one: date, other: date) -> date:
    if isinstance(other, datetime) and not isinstance(one, datetime):
        one = datetime(one.year, one.month, one.day, tzinfo=other.tzinfo)
    return one


def _numeric(value: Value) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} is no number")
    return value
