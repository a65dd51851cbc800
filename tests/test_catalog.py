"""What Snakemake's workflow catalog asks of a repository, and that its page of keys is current."""

import re
from pathlib import Path

import pytest
import yaml

from lasnn.plan.settings import Protocol
from tests import config_page

ROOT = Path(__file__).parents[1]


def test_the_page_of_keys_is_what_its_script_writes():
    assert config_page.PAGE.read_text() == config_page.text(), "run `python -m tests.config_page`"


@pytest.mark.parametrize("section", Protocol.model_fields)
def test_every_key_has_a_line_that_says_something(section):
    """Its values, and what it means or where it is printed."""
    part = re.split(r"(?m)^## ", config_page.PAGE.read_text())
    (page,) = [one for one in part if re.match(rf"protocol\.{section}\b", one)]
    lines = {match[1]: line for line in page.splitlines() if (match := re.match(r"\| `(\w+)` \|", line))}
    kind = Protocol.model_fields[section].annotation
    kind = getattr(kind, "__args__", [kind])[0]
    assert list(lines) == list(kind.model_fields)
    for line in lines.values():
        cells = re.split(r"(?<!\\)\|", line)[1:-1]
        assert len(cells) == 4
        assert all(cell.strip() for cell in cells), line


@pytest.mark.parametrize(
    ("line", "path", "says"),
    [
        ("  a: 1   # one", "a", "one"),
        (
            "  norm: tb   # [P] tb: balancing | max: data-based\n                  # | clip: learned",
            "norm",
            "[P] tb: balancing | max: data-based | clip: learned",
        ),
        ("  list: [one,\n      two]      # both", "list", "both"),
        ("  b: {c: d}", "b", ""),
    ],
)
def test_what_is_said_of_a_key(line, path, says):
    """Behind it, and on lines below it."""
    assert config_page.comments(f"top:\n{line}\n")[f"top.{path}"] == says


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"enum": ["a", "b"], "type": "string"}, "`a`, `b`"),
        ({"anyOf": [{"type": "integer", "exclusiveMinimum": 0}, {"type": "null"}]}, "integer > 0 or null"),
        ({"type": "number", "minimum": 0, "maximum": 1}, "number ≥ 0 ≤ 1"),
        ({"type": "boolean"}, "true, false"),
    ],
)
def test_what_a_key_takes(schema, words):
    assert config_page.taken(schema) == words


def test_the_catalog_finds_what_standardized_usage_asks_for():
    """The workflow, instructions, how software comes; conda and a report are what the Snakefile has."""
    usage = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text())["usage"]
    assert usage["software-stack-deployment"] == {"conda": True, "singularity": False, "singularity+conda": False}
    assert usage["report"] is True
    assert (ROOT / "config" / "README.md").is_file()
    rules = "".join(path.read_text() for path in (ROOT / "workflow").rglob("*.smk"))
    snakefile = (ROOT / "workflow" / "Snakefile").read_text()
    assert "\nreport:" in snakefile
    assert re.search(r"^\s+conda:", rules + snakefile, re.MULTILINE)
    containers = re.findall(r"^\s*container(?:ized)?:.*", rules + snakefile, re.MULTILINE)
    assert containers == ["container: IMAGE"]  # which the user builds: none is published
