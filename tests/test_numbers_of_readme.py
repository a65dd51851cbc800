"""Each number that README gives as a result is in a kept exhibit: in the one that it links to, if it links to one."""

import csv
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
KEPT = "results/reference/"
NUMBER = re.compile(
    r"(?<![\w.,/*-])(?P<sign>[-+\N{MINUS SIGN}]?)(?P<value>\d+\.\d+|\d{4,})(?![\w./]|,\d)(?! ?(?:[GM]i?B|s|min|h)\b)"
)
LINK = re.compile(r"\[(?P<label>[^\]]*)\]\((?P<target>[^)#\s]+)(?:#L(?P<line>\d+))?[^)]*\)")
NO_RESULT = re.compile(r"```.*?```|!\[.*?\]\(.*?\)|`[^`]*`|(?:Python|arXiv|version) [\d.:]+", re.DOTALL)


def numbers(text: str) -> list[str]:
    """Numbers with decimals, or of four digits and more, that are no memory, time or version."""
    return [match["value"] for match in NUMBER.finditer(text)]


def claimed(text: str) -> list[tuple[str, str | None, int | None]]:
    """Each number of a page, with the file that it links to and the line of that."""
    text, found = NO_RESULT.sub(" ", text), []
    for link in LINK.finditer(text):
        line = int(link["line"]) if link["line"] else None
        found += [(number, link["target"], line) for number in numbers(link["label"])]
    return found + [(number, None, None) for number in numbers(LINK.sub(" link ", text))]


def of_row(row: dict[str, str]) -> list[float]:
    """The numbers of a line; of a claim also what the paper's sides differ by, and ratios for differences."""
    values = {
        key: float(cell) for key, cell in row.items() if cell and re.fullmatch(r"[-+]?\d+(\.\d+)?(e-?\d+)?", cell)
    }
    if "less_paper" in values and "more_paper" in values:
        values["paper"] = values["more_paper"] - values["less_paper"]
    if row.get("unit") == "times" and "less" in values:
        values |= {
            f"{key} ratio": values[key] + values["less"] for key in ("difference", "low", "high") if key in values
        }
    return list(values.values())


@cache
def values(path: str, line: int | None = None) -> list[float]:
    """The numbers of a kept exhibit, or of one of its lines."""
    lines = (ROOT / path).with_suffix(".csv").read_text(encoding="utf-8").splitlines()
    rows = csv.DictReader(lines if line is None else [lines[0], lines[line - 1]])
    return [value for row in rows for value in of_row(row)]


@cache
def everywhere() -> set[str]:
    """The numbers of every kept exhibit with up to three decimals."""
    found = [value for path in (ROOT / KEPT).glob("*/exhibits/*.csv") for value in values(path)]
    return {f"{abs(value):.{places}f}" for value in found for places in range(4)}


def is_there(number: str, target: str | None, line: int | None) -> bool:
    """Whether a number is where it links to: an exhibit, or a page; without a link, whether an exhibit has it."""
    places = len(number.partition(".")[2])
    if target is None:
        return number in everywhere()
    if target.startswith(KEPT):
        return number in {f"{abs(value):.{places}f}" for value in values(target, line)}
    return target.startswith("http") or number in numbers((ROOT / target).read_text(encoding="utf-8"))


def test_each_number_of_the_front_page_is_in_a_kept_exhibit():
    found = claimed((ROOT / "README.md").read_text(encoding="utf-8"))
    assert len(found) > 10
    assert [one for one in found if not is_there(*one)] == []


EXHIBIT = KEPT + "small/exhibits/"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("LaSNN has 52.89 %", [True]),
        ("LaSNN has 52.87 %", [False]),
        (f"[52.89]({EXHIBIT}table2.csv)", [True]),
        (f"[52.89]({EXHIBIT}table1.csv)", [False]),
        (f"[+1.13]({EXHIBIT}claims.csv#L3)", [True]),
        (f"[+1.13]({EXHIBIT}claims.csv#L4)", [False]),
        ("Python 3.11 takes 5.9 GB, and `x = 0.12345`", []),
    ],
)
def test_what_counts_as_there(text, expected):
    """Numbers of Table II and of the first claim about conversion, and near misses."""
    assert [is_there(*one) for one in claimed(text)] == expected
