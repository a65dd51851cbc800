"""What the documents promise exists: keys, files, functions, numbers."""

import ast
import csv
import re
from pathlib import Path

import pytest

from lasnn.plan.settings import Protocol

DOCS = [Path("README.md"), Path("CONTRIBUTING.md"), Path("CHANGELOG.md"), *sorted(Path("docs").rglob("*.md"))]


def keys() -> list[str]:
    """Every key that the table of choices names."""
    lines = [line.split("|")[5] for line in Path("docs/choices.md").read_text().splitlines() if line.startswith("| ")]
    return [key for line in lines for key in re.findall(r"`([^`]+)`", line)]


def test_every_choice_names_a_key_that_exists():
    for key in keys():
        section, _, field = key.partition(".")
        assert field in Protocol.model_fields[section].annotation.model_fields, key


def silent_keys() -> list[str]:
    """Every key below `protocol` of config.yaml whose comment says [S]: the paper is silent there."""
    text = Path("config.yaml").read_text().split("\nprotocol:\n")[1].split("\nvariants:")[0]
    found, path = [], []
    for line in text.splitlines():
        if entry := re.match(r"( +)([\w.+-]+):", line):
            path = [*path[: len(entry[1]) // 2 - 1], entry[2]]
            if "[S]" in line and path[0] != "for":
                found.append(".".join(path))
    return found


@pytest.mark.parametrize("key", silent_keys())
def test_where_the_paper_is_silent_there_is_a_choice(key):
    """The three trainings share their keys: a row for one of them stands for all."""
    section, _, rest = key.partition(".")
    alike = ("teacher", "ann", "student") if section in ("teacher", "ann", "student") else (section,)
    named = {".".join(choice.split(".")[:2]) for choice in keys()}
    assert {f"{name}.{rest.split('.')[0]}" for name in alike} & named


@pytest.mark.parametrize("path", DOCS, ids=str)
def test_links_and_named_files_exist(path):
    text = path.read_text()
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert (path.parent / target).exists(), f"{path} links to {target}"
    for name in re.findall(r"`((?:lasnn|workflow|docs|tests|benchmarks|notebooks)/[\w./-]+)`", text):
        assert Path(name).exists(), f"{path} names {name}"


def test_every_equation_of_section_3_has_its_functions():
    """In the paper's order, (1) to (17); `file`: `function`, `Class.method` of docs/reading.md are defined there."""
    table = [line.strip("| ").split(" | ") for line in Path("docs/reading.md").read_text().splitlines()]
    rows = [row for row in table if len(row) == 3 and "`" in row[2]]
    assert [row[0] for row in rows if row[0] != "text"] == [f"({number})" for number in range(1, 18)]
    for part in (part for row in rows for part in row[2].split("; ")):
        path, *names = re.findall(r"`([^`]+)`", part)
        nodes = [node for node in ast.parse(Path(path).read_text()).body if hasattr(node, "name")]
        inner = {f"{node.name}.{one.name}" for node in nodes for one in node.body if hasattr(one, "name")}
        assert names
        assert set(names) <= {node.name for node in nodes} | inner, (path, names)


def test_each_accuracy_of_the_front_page_stands_in_the_kept_results():
    """With two decimals: as a table shows it, or as a CSV has it before rounding."""
    found = re.findall(r"(?<![\d.])\d\d\.\d\d(?![\d.])", Path("README.md").read_text())
    kept = Path("results/reference")
    shown = {number for path in kept.glob("*/exhibits/*.md") for number in re.findall(r"\d+\.\d\d", path.read_text())}
    cells = {cell for path in kept.glob("*/exhibits/*.csv") for row in csv.reader(path.open()) for cell in row}
    shown |= {f"{float(cell):.2f}" for cell in cells if re.fullmatch(r"\d+(\.\d+)?", cell)}
    assert len(found) > 20
    assert [number for number in found if number not in shown] == []
