"""Which lines of an exhibit's numbers words mean: keys of a cell, or its row and column as a table shows them."""

import csv
import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

from lasnn.errors import InputError
from lasnn.plan.config import Preset
from lasnn.plan.runs import Run
from lasnn.report import Table
from lasnn.report.site.links import lines_behind
from lasnn.report.site.shown import Shown

KEYS = ("claim", "row_label", "dataset", "student", "teacher", "method", "encoding", "timesteps", "metric", "variant")
NAMED = 8  # rows that a message names, those alike first


@dataclass(frozen=True)
class Line:
    """`entries`: of its CSV; `texts`: what is shown around each cell that shows it; `row`: the whole of its row."""

    entries: dict[str, str]
    runs: list[Run]
    texts: list[list[str]]
    row: dict[str, str]

    @property
    def keys(self) -> list[str]:
        """What tells it from others, in the words of the paper's numbers."""
        return [self.entries[key] for key in KEYS if self.entries.get(key)]

    def says(self) -> str:
        """It in words: its keys and its value beside the paper's, else its row as it is shown."""
        if "metric" not in self.entries:
            said = {head: text for head, text in (self.row or self.entries).items() if text not in ("", "-")}
            return ", ".join(
                f"{head} {text}" for head, text in (said | {"test": self.entries.get("test", "-")}).items()
            )
        what = ", ".join(
            f"{key} {self.entries[key]}" for key in KEYS if self.entries.get(key, "base") not in ("", "base")
        )
        ours = f"{float(self.entries['ours']):.2f}" if self.entries.get("ours") else "-"
        return f"{what}: {ours} (paper: {self.entries.get('paper') or '-'}), n = {len(self.runs)}"

    def is_meant(self, words: list[str], whole: bool) -> bool:
        """Whether all words are keys or lie around a cell; `whole`: as a text of its own."""
        keys = {key.casefold() for key in self.keys}
        return any(all(word in keys or _stands(word, texts, whole) for word in words) for texts in self.texts or [[]])


def meant(shown: Shown, preset: Preset, words: list[str]) -> list[Line]:
    """The lines that these words mean, in any case, for which something was run; InputError without any."""
    path = f"{shown.folder}/{shown.name}.csv"
    if not shown.file("csv"):
        raise InputError(f"no {path}: make it first, `snakemake --cores 1 {path}`")
    lines = _lines(shown, preset)
    asked = " and ".join(words)
    wanted = [" ".join(word.split()).casefold() for word in words]
    found = [line for line in lines if line.is_meant(wanted, True)] or [
        line for line in lines if line.is_meant(wanted, False)
    ]
    if not found:
        ran = [line for line in lines if line.runs]
        known = list(dict.fromkeys(word for line in ran for word in (*line.keys, *list(line.row.values())[:2])))
        near = get_close_matches(asked, known, NAMED, cutoff=0.3)
        named = [*near, *(word for word in known if word not in near)][:NAMED]
        rows = ", ".join(named) + (f" and {len(known) - NAMED} more" if len(known) > NAMED else "")
        raise InputError(
            f"no cell of {path} holds {asked}: its rows are {rows}; its columns {', '.join(shown.table()[0])}"
        )
    ran = [line for line in found if line.runs]
    if not ran:
        raise InputError(f"{len(found)} cells of {path} hold {asked}, but this preset runs none of them")
    return ran


def _lines(shown: Shown, preset: Preset) -> list[Line]:
    path, tidy, (head, grid) = f"{shown.folder}/{shown.name}.csv", shown.tidy(), shown.table()
    runs = shown.exhibit.runs_behind(tidy, preset)
    if runs is None:
        raise InputError(
            f"{path} doesn't say which runs its lines are of: trace one of the runs' folders that its .json file names"
        )
    with open(path, encoding="utf-8", newline="") as file:
        entries = list(csv.DictReader(file))
    texts: list[list[list[str]]] = [[] for _ in entries]
    rows: list[dict[str, str]] = [{} for _ in entries]
    behind = lines_behind(shown.exhibit, tidy, grid) if isinstance(shown.exhibit, Table) else []
    for row, places in zip(grid, behind, strict=bool(behind)):
        numbers = set(places) - {None}
        for column, number in enumerate(places):
            if number is not None:
                alone = len(numbers) == 1  # the whole row is of this line
                around = [text for text, other in zip(row, places, strict=True) if alone or other is None]
                heads = head if alone else [head[column]]
                texts[number].append([*around, row[column], *heads, *(one.split(": ")[0] for one in heads)])
                rows[number] = dict(zip(head, row, strict=True))
    return [Line(*four) for four in zip(entries, runs, texts, rows, strict=True)]


def _stands(word: str, texts: Iterable[str], whole: bool) -> bool:
    texts = [text.casefold() for text in texts]
    if whole:
        return word in texts
    return any(re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text) for text in texts)
