"""The changes that mutation testing makes to a line of Python: operators and names swapped, numbers and truths changed,
conditions inverted, arguments exchanged or left out, calls and results dropped. What people are told stays as it is.
"""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

SWAPS = {  # of operators and functions
    **{"Lt": "LtE Gt", "LtE": "Lt", "Gt": "GtE Lt", "GtE": "Gt", "Eq": "NotEq", "NotEq": "Eq", "Is": "IsNot"},
    **{"IsNot": "Is", "In": "NotIn", "NotIn": "In", "Add": "Sub", "Sub": "Add", "Mult": "Div", "Div": "Mult"},
    **{"FloorDiv": "Mult", "And": "Or", "Or": "And", "min": "max", "max": "min", "mean": "sum", "sum": "mean"},
    **{"any": "all", "all": "any", "floor": "ceil", "ceil": "floor", "first": "last", "last": "first", "amin": "amax"},
    **{"amax": "amin", "argmax": "argmin"},
}
LEFT = (ast.Raise, ast.Assert, ast.Import, ast.ImportFrom, ast.JoinedStr)  # messages, and what types know
UNREAD = ("annotation", "returns", "decorator_list")
PEOPLE = ("say", "warn", "print", "InputError", "isinstance", "TypeVar")  # what a person is told, or a type


class Mutant(NamedTuple):
    file: str
    line: int
    text: str  # of the line
    start: int  # of the old text in the file's bytes
    old: str
    new: str

    def __str__(self) -> str:
        return " ".join(f"{self.file} | {self.text} | {self.old} -> {self.new}".split())


def mutants(file: str) -> Iterator[Mutant]:
    """All changes of a file."""
    lines = Path(file).read_bytes().splitlines(keepends=True)
    places, begins = [ast.parse(source := b"".join(lines))], [sum(map(len, lines[:at])) for at in range(len(lines))]
    while places:
        if isinstance(node := places.pop(), LEFT) or _name(node) in PEOPLE:
            continue
        inner = [value for name, value in ast.iter_fields(node) if name not in UNREAD]
        flat = [one for value in inner for one in (value if isinstance(value, list) else [value])]
        places += [one for one in flat if isinstance(one, ast.AST)]
        for at, new in _changed(node):
            start, end = begins[at.lineno - 1] + at.col_offset, begins[at.end_lineno - 1] + at.end_col_offset
            if new != ast.unparse(at):
                yield Mutant(file, at.lineno, lines[at.lineno - 1].decode(), start, source[start:end].decode(), new)


def _name(node: ast.AST) -> str:
    return getattr(node.func, "attr", getattr(node.func, "id", "")) if isinstance(node, ast.Call) else ""


def _swapped(items: list, at: int) -> list:
    return [*items[:at], items[at + 1], items[at], *items[at + 2 :]]


def _changed(node: ast.AST) -> Iterator[tuple[ast.AST, str]]:
    """Places of a node, each with another text."""
    of = lambda **changed: (node, ast.unparse(type(node)(**dict(ast.iter_fields(node)) | changed)))  # noqa: E731
    for at, operator in enumerate(getattr(node, "ops", [getattr(node, "op", None)])):
        for new in (getattr(ast, name)() for name in SWAPS.get(type(operator).__name__, "").split()):
            yield of(ops=[*node.ops[:at], new, *node.ops[at + 1 :]]) if hasattr(node, "ops") else of(op=new)
    match node:
        case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
            yield node, ast.unparse(operand)
        case ast.Constant(value=bool(value)):
            yield of(value=not value)
        case ast.Constant(value=int(value) | float(value)):
            yield from (of(value=new) for new in {value + 1, 0 if value else -1, -value})
        case ast.If(test=test) | ast.IfExp(test=test) | ast.While(test=test) | ast.comprehension(ifs=[test, *_]):
            yield test, f"(not ({ast.unparse(test)}))"
        case ast.Dict(values=values):
            yield from (of(values=_swapped(values, at)) for at in range(len(values) - 1))
        case ast.Expr(value=ast.Call() as call) if _name(call) not in PEOPLE:
            yield node, "pass"
        case ast.Return(value=ast.BinOp(left=part) | ast.BoolOp(values=[part, *_]) | ast.Call(args=[part, *_])):
            yield of(value=part)
        case ast.Call(func=func, args=args, keywords=keywords):
            if other := SWAPS.get(_name(node)):
                yield func, ast.unparse(func).removesuffix(_name(node)) + other
            kinds = [type(one) if isinstance(one, ast.Name | ast.Attribute) else id(one) for one in args]
            yield from (of(args=_swapped(args, at)) for at in range(len(args) - 1) if kinds[at] == kinds[at + 1])
            left = [at for at, keyword in enumerate(keywords) if keyword.arg != "strict"]  # a guard
            yield from (of(keywords=keywords[:at] + keywords[at + 1 :]) for at in left)
