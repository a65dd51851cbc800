"""What Snakemake's workflow catalog asks of a repository."""

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]


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
