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
