"""What Snakemake's workflow catalog asks of a repository, and that config.yaml says of each key what it means."""

import re
from pathlib import Path

import pytest
import yaml

from lasnn.plan.settings import Protocol

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("section", Protocol.model_fields)
def test_every_key_stands_in_config_yaml_with_a_comment(section):
    """Of a section that begins as another one, `<<: *sgd`, those that differ."""
    text = (ROOT / "config.yaml").read_text().split("\nprotocol:\n")[1].split("\n  for:")[0]
    (part,) = re.findall(rf"(?ms)^  {section}:.*?(?=^  \w|\Z)", text)
    entries = re.split(r"(?m)^    (?=[\w<]+:)", part)[1:]
    keys = {entry.partition(":")[0]: entry for entry in entries}
    fields = set(Protocol.model_fields[section].annotation.model_fields)
    assert set(keys) == fields if "<<" not in keys else set(keys) - {"<<"} < fields
    assert [key for key, entry in keys.items() if "# " not in entry and key != "<<"] == []


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
