"""What the documents promise exists: keys, files, commands."""

import re
from pathlib import Path

import pytest

from lasnn.report import EXHIBITS
from lasnn.settings import Protocol

DOCS = [Path("README.md"), *sorted(Path("docs").glob("*.md"))]


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
