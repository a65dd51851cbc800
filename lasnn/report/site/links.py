"""Which line of an exhibit's numbers a cell of the shown table comes from.

`Table.arrange` turns lines into what a reader sees. It is asked again with each column of numbers replaced by marks,
one for each line: a cell that then shows exactly one mark shows a number of that line. (The paper's rest on no run.)
"""

from __future__ import annotations

import re

from lasnn.report.exhibit import Table
from lasnn.report.late import pd

FIRST = 700_000  # marks: six digits that no number here has, so that `{:g}` leaves them whole
MARKED = re.compile(r"(?<!\d)7\d{5}(?!\d)")

Grid = list[list[str]]


def lines_behind(table: Table, tidy: pd.DataFrame, shown: Grid) -> list[list[int | None]]:
    """For each cell of `shown` the number of its line of `tidy`; None for words, and throughout if it shows others."""
    found: list[list[int | None]] = [[None] * len(line) for line in shown]
    if tidy.empty or _arranged(table, tidy) != shown:
        return found
    for column in tidy.select_dtypes("number").columns.difference(["paper", "less_paper", "more_paper"]):
        marked = _arranged(table, tidy.assign(**{column: [float(FIRST + number) for number in range(len(tidy))]}))
        if marked is None or [len(line) for line in marked] != [len(line) for line in shown]:
            continue
        for row, line in enumerate(marked):
            for place, text in enumerate(line):
                marks = {int(mark) - FIRST for mark in MARKED.findall(text)}
                if text != shown[row][place] and len(marks) == 1 and found[row][place] is None:
                    found[row][place] = marks.pop()
    return found


def _arranged(table: Table, tidy: pd.DataFrame) -> Grid | None:
    """What a reader would see of these lines; None where they can't be arranged."""
    try:
        frame = table.arrange(tidy)
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
    return [[" ".join(str(value).split()) for value in line] for line in frame.itertuples(index=False)]
