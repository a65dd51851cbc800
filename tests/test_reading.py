"""docs/reading.md: every equation of the paper's Section III, in its order, with functions that exist."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

LAST = 17  # equations of Section III: (1) to (17)
ROWS = [line.strip("| ").split(" | ") for line in Path("docs/reading.md").read_text().splitlines() if line[:2] == "| "]
ROWS = [row for row in ROWS if row[0] != "Equation"]


def named(cell: str) -> list[tuple[str, str]]:
    """File and name of everything in a cell like "`a.py`: `f`, `Class.g`; `b.py`: `h`"."""
    found = []
    for part in cell.split("; "):
        path, *names = re.findall(r"`([^`]+)`", part)
        found += [(path, name) for name in names]
    return found


@cache
def defined(path: str) -> set[str]:
    """Functions and classes of a file, and the methods of its classes as `Class.method`."""
    found = set()
    for node in ast.parse(Path(path).read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{inner.name}" for inner in node.body if isinstance(inner, ast.FunctionDef)}
    return found


def test_every_equation_has_its_row_in_the_papers_order():
    assert [row[0] for row in ROWS if row[0] != "text"] == [f"({number})" for number in range(1, LAST + 1)]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_what_a_row_names_is_defined_there(row):
    _, _, where = row
    assert named(where)
    for path, name in named(where):
        assert name in defined(path), f"docs/reading.md names {name}, which {path} does not define"
