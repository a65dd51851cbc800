"""Every command in the documents: well-formed, with targets, verbs and options that exist."""

import re
import shlex
from pathlib import Path

import pytest

from lasnn.__main__ import parser
from lasnn.pipeline.workflow import check_targets
from lasnn.plan.config import read
from lasnn.verbs import VERBS

PAGES = [Path("README.md"), Path("CONTRIBUTING.md"), Path("notebooks/README.md"), *sorted(Path("docs").rglob("*.md"))]
TOOLS = r"(?:\$ )?((?:uv|pip|snakemake|dvc|conda|python -m \w+) .+)"
FENCE = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)


def commands(page: Path) -> list[str]:
    """What a page says to type: whole lines of its blocks, and commands with words behind them within its text."""
    text = page.read_text()
    blocks = [block.splitlines() for block in FENCE.findall(text)]
    lines = [line.strip() for block in blocks if block[0].strip() == "```" for line in block[1:]]
    rest = FENCE.sub("", text)
    lines += re.findall(r"^    (\S.*)$", rest, re.MULTILINE)
    lines += [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", rest)]
    found = [match[1] for line in lines if (match := re.fullmatch(TOOLS, line))]
    return [command for command in dict.fromkeys(found) if command not in ("uv run --locked", "pip install uv")]


ALL = sorted({command for page in PAGES for command in commands(page)})
OF_EXAMPLES = set(commands(Path("docs/extending.md")))  # of networks and exhibits that its test adds


def test_commands_are_found():
    assert len(ALL) > 60
    assert "pip install uv && uv run --locked snakemake --cores 1 --use-conda tables" in commands(Path("README.md"))
    in_a_block = "dvc dag --md snn-digits-vgg5-lasnn_act-poisson-T10-vgg16bn-s0"  # behind a prompt
    assert in_a_block in commands(Path("docs/trace.md"))


def words_of(command: str, tool: str) -> list[str] | None:
    """The words behind a tool, whatever runs it; None if it is another tool's command."""
    first = command.split(" && ")[-1].rstrip("\\").split(" > ")[0]
    first = re.sub(r"^uv run --locked (--group \w+ )?", "", first)
    return shlex.split(first.removeprefix(tool)) if first.startswith(f"{tool} ") else None


def test_a_verb_takes_these_words():
    for command in ALL:
        words = words_of(command, "python -m lasnn") or []
        if len(words) == 1 and words[0] not in ("lineage", "runs", "site"):  # its name alone
            assert words[0] in parser().format_help()
        elif words:
            assert parser().parse_args(words).act, command


def test_snakemake_takes_these_words_and_knows_the_targets():
    """Of a cluster's profile only where its plugin is installed, so not here."""
    from snakemake.cli import parse_args

    config = read()
    for command in ALL:
        words = words_of(command, "snakemake")
        if words and command not in OF_EXAMPLES and "--workflow-profile" not in command:
            check_targets(config, parse_args(words)[1].targets or ())


@pytest.mark.parametrize("verb", [verb for group in VERBS.values() for verb in group], ids=lambda verb: verb.name)
def test_a_verb_has_help_and_an_example_that_it_takes(verb, capsys):
    assert f"  {verb.name:15} {verb.help}\n" in parser().format_help()
    assert parser().parse_args([verb.name, *shlex.split(verb.example)]).act is verb.act
    with pytest.raises(SystemExit):
        parser().parse_args([verb.name, "--help"])
    said = capsys.readouterr().out.split()
    assert ["python", "-m", "lasnn", verb.name, *verb.example.split()] == said[said.index("example:") + 1 :]
