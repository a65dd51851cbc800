"""The table of the frame's columns in docs/exhibits.md, written from the registry.

python -m tests.columns_page
"""

from pathlib import Path

from lasnn.report.columns import COLUMNS
from lasnn.report.frame import OF_RUNS

PAGE = Path(__file__).parents[1] / "docs" / "exhibits.md"
HEAD = "| column | unit | over seeds | meaning |\n|---|---|---|---|\n"


def text() -> str:
    """A line for each column."""
    lines = ""
    for name in OF_RUNS:
        one = COLUMNS[name]
        words = one.fold == "mean" and not one.form  # tell runs apart: a cell has no value of them
        lines += f"| `{name}` | {one.unit} | {'' if words else one.fold} | {one.meaning} |\n"
    return HEAD + lines


def parts() -> tuple[str, str, str]:
    """The page before the table, the table, and the page behind it."""
    before, rest = PAGE.read_text(encoding="utf-8").split(HEAD)
    own, _, behind = rest.partition("\n\n")
    return before, f"{HEAD}{own.rstrip()}\n", f"\n{behind}" if behind else ""


if __name__ == "__main__":
    top, _, bottom = parts()
    PAGE.write_text(top + text() + bottom, encoding="utf-8")
