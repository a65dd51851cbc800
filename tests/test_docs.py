"""What the documents promise exists: keys, files, commands."""

import csv
import re
from pathlib import Path

import pytest
import yaml

from lasnn.plan.settings import Protocol
from lasnn.report import EXHIBITS

DOCS = [Path("README.md"), Path("CONTRIBUTING.md"), Path("CHANGELOG.md"), *sorted(Path("docs").rglob("*.md"))]


def keys() -> list[str]:
    """Every key that the table of choices names."""
    lines = [line.split("|")[5] for line in Path("docs/choices.md").read_text().splitlines() if line.startswith("| ")]
    return [key for line in lines for key in re.findall(r"`([^`]+)`", line)]


@pytest.mark.parametrize("key", keys())
def test_a_choice_names_a_key_that_exists(key):
    section, _, field = key.partition(".")
    assert field in Protocol.model_fields[section].annotation.model_fields


def test_the_table_of_choices_is_not_empty():
    assert len(keys()) > 40


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


def test_choices_are_numbered_without_a_gap():
    rows = re.findall(r"^\| (\d+) \|", Path("docs/choices.md").read_text(), re.MULTILINE)
    assert [int(row) for row in rows] == list(range(1, len(rows) + 1))
    assert len(silent_keys()) > 30


def test_every_exhibit_is_described_once():
    lines = Path("docs/exhibits.md").read_text().splitlines()
    assert sorted(line.split("`")[1] for line in lines if line.startswith("| `")) == sorted(EXHIBITS)


@pytest.mark.parametrize("path", DOCS, ids=str)
def test_links_and_named_files_exist(path):
    text = path.read_text()
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert (path.parent / target).exists(), f"{path} links to {target}"
    for name in re.findall(r"`((?:lasnn|workflow|docs|tests|benchmarks|notebooks)/[\w./-]+)`", text):
        assert Path(name).exists(), f"{path} names {name}"


def steps_of_ci() -> list[str]:
    """The commands of .ci/run's steps."""
    return re.findall(r'^step "[^"]+" (.+)$', Path(".ci/run").read_text(), re.MULTILINE)


def test_each_check_that_contributing_names_is_a_step_of_ci():
    rows = re.findall(r"^\| .+ \| `(.+)` \|$", Path("CONTRIBUTING.md").read_text(), re.MULTILINE)
    checks = [row for row in rows if row.startswith("uv run")]
    assert checks == [step for step in steps_of_ci() if step in checks]
    assert {"ruff", "snakefmt", "snakemake", "mypy", "pytest"} == {check.split()[3] for check in checks}


def test_hooks_and_ci_configure_no_tool():
    """`pre-commit` runs steps of .ci/run as they are; the CI service runs .ci/run and nothing else."""
    hooks = [
        hook for repo in yaml.safe_load(Path(".pre-commit-config.yaml").read_text())["repos"] for hook in repo["hooks"]
    ]
    assert {hook["entry"] for hook in hooks} < set(steps_of_ci())
    assert all(hook["language"] == "system" and not hook["pass_filenames"] for hook in hooks)
    (job,) = yaml.safe_load(Path(".github/workflows/ci.yaml").read_text())["jobs"].values()
    assert [step["run"] for step in job["steps"] if "run" in step] == [".ci/run"]


def test_contributing_has_a_row_for_each_room():
    rooms = re.findall(r"^\| `lasnn/(\w+)/` \|", Path("CONTRIBUTING.md").read_text(), re.MULTILINE)
    assert sorted(rooms) == sorted(path.parent.name for path in Path("lasnn").glob("*/__init__.py"))


def test_each_headline_number_stands_in_the_kept_results():
    found = re.findall(r"\d+\.\d\d ± \d+\.\d\d", Path("README.md").read_text())
    tables = "".join(path.read_text() for path in Path("results/reference").glob("*/exhibits/*.md"))
    assert len(found) > 8
    assert [number for number in found if number not in tables] == []


def test_each_accuracy_of_the_front_page_stands_in_the_kept_results():
    """With two decimals: as a table shows it, or as a CSV has it before rounding."""
    found = re.findall(r"(?<![\d.])\d\d\.\d\d(?![\d.])", Path("README.md").read_text())
    kept = Path("results/reference")
    shown = {number for path in kept.glob("*/exhibits/*.md") for number in re.findall(r"\d+\.\d\d", path.read_text())}
    cells = {cell for path in kept.glob("*/exhibits/*.csv") for row in csv.reader(path.open()) for cell in row}
    shown |= {f"{float(cell):.2f}" for cell in cells if re.fullmatch(r"\d+(\.\d+)?", cell)}
    assert len(found) > 20
    assert [number for number in found if number not in shown] == []


@pytest.mark.parametrize("path", DOCS, ids=str)
def test_each_line_of_a_table_has_as_many_cells_as_its_head(path):
    text = re.sub(r"```.*?```|`[^`\n]*`|\\\|", "", path.read_text(), flags=re.DOTALL)  # bars that part nothing
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        head, *lines = table.splitlines()
        assert [line for line in lines if line.count("|") != head.count("|")] == []
