"""Every command in the documents: well-formed, with targets that exist, and run by a test or named as not run."""

import re
import shlex
from pathlib import Path

import pytest

from lasnn.__main__ import parser
from lasnn.pipeline.workflow import check_targets
from lasnn.plan.config import read

PAGES = [Path("README.md"), Path("CONTRIBUTING.md"), Path("notebooks/README.md"), *sorted(Path("docs").rglob("*.md"))]
TOOLS = r"(?:\$ )?((?:uv|pip|snakemake|dvc|conda|python -m \w+) .+)"
FENCE = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
NOT_RUN = Path("docs/commands.md").read_text().split("## What no test runs")[1]

# What runs a command or the like of it on fewer images: a file, and words that it holds.
SITE, DVC, MODELS = "tests/pipeline/test_site.py", "tests/pipeline/test_dvc_record.py", "tests/test_models_in.py"
RUN = {
    r"(pip install uv && )?uv run --locked (snakemake --cores 1( --use-conda)? tables|pytest)": (
        ".ci/run",
        "uv run --locked snakemake --cores 2 --use-conda tables",
    ),
    r"uv run --locked (pytest -n 0 .+|ruff .+|mypy|snakemake --lint|snakefmt .+)|uv sync --locked": (
        ".ci/run",
        "uv run --locked ruff check",
    ),
    r"snakemake (--cores (1|2|all) )?(--use-conda )?tables": ("tests/conftest.py", '"--cores", 2, "tables"'),
    r"snakemake --cores 2 all": (".ci/run", "snakemake --cores 2 --use-conda all"),
    r"snakemake --cores 1 notebooks": ("tests/pipeline/test_notebooks.py", "notebooks.execute("),
    r"snakemake --cores 1 (results/quick/\S+|data/\S+|all --config preset=small)": (
        "tests/pipeline/test_workflow.py",
        '"--cores", 1, "--use-conda", "data/digits.npz"',
    ),
    r"snakemake -n( tables)?": ("tests/pipeline/test_workflow.py", '"--dry-run"'),
    r"snakemake --cores 1 tables --config 'presets=.+": ("tests/pipeline/test_workflow.py", '"--config"'),
    r"snakemake --containerize dockerfile( > Dockerfile)?": ("tests/test_surroundings.py", '"--containerize"'),
    r"(uv run --locked )?snakemake --cores \d (site|all site)( --config preset=small)?|python -m lasnn site( .+)?": (
        SITE,
        '1, "site"',
    ),
    r"python -m lasnn (export|import) .+": ("tests/pipeline/test_reference.py", "reference.take_up(read())"),
    r"python -m lasnn (ann|converted|snn)( .+)?": ("tests/training/chains.py", "main([verb"),
    r"python -m lasnn plan .+": ("tests/training/test_command_line.py", '"lasnn", "plan"'),
    r"python -m lasnn trace( .+)?": ("tests/pipeline/test_trace.py", 'main(["trace"'),
    r"python -m lasnn false-verdicts": ("tests/report/test_false_verdicts.py", 'main(["false-verdicts"'),
    r"python -m lasnn lineage": ("tests/pipeline/test_dvc_yaml.py", "from lasnn.pipeline"),
    r"python -m lasnn (runs|diagnose|adopt|export-nir|--version)( .+)?": (MODELS, '"lasnn", *words'),
    r"dvc (pull --allow-missing|remote add .+)": (DVC, 'dvc(origin, "push")'),
    r"dvc repro": (DVC, '"repro"'),
    r"uv run --locked --group bench python -m benchmarks .+": ("tests/test_benchmarks.py", "main([*words.split()"),
    r"dvc (metrics show|metrics diff|params diff|exp show|plots show)( .+)?": (DVC, '"metrics", "show"'),
    r"dvc dag( .+)?": ("tests/pipeline/test_dvc_yaml.py", '"dvc", "dag"'),
}


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


@pytest.mark.parametrize("command", [one for one in ALL if words_of(one, "python -m lasnn")])
def test_a_verb_takes_these_words(command):
    words = words_of(command, "python -m lasnn")
    if len(words) == 1 and words[0] not in ("lineage", "runs", "site"):  # its name alone
        assert words[0] in parser().format_help()
    else:
        assert parser().parse_args(words).act


def for_snakemake() -> list[str]:
    """Commands of Snakemake; a cluster's profile is read only where its plugin is installed."""
    others = {*OF_EXAMPLES, *(one for one in ALL if "--workflow-profile" in one)}
    return [one for one in ALL if words_of(one, "snakemake") and one not in others]


@pytest.mark.parametrize("command", for_snakemake())
def test_snakemake_takes_these_words_and_knows_the_targets(command):
    from snakemake.cli import parse_args

    options = parse_args(words_of(command, "snakemake"))[1]
    check_targets(read(), options.targets or ())


@pytest.mark.parametrize("command", ALL)
def test_a_command_is_run_by_a_test_or_named_as_not_run(command):
    assert any(re.fullmatch(pattern, command) for pattern in RUN) != (f"`{command}`" in NOT_RUN), (
        "name in RUN what runs it, or in docs/commands.md why nothing does"
    )


@pytest.mark.parametrize(("pattern", "place"), RUN.items(), ids=str)
def test_what_runs_commands_is_there_and_runs_some(pattern, place):
    path, words = place
    assert words in Path(path).read_text()
    assert any(re.fullmatch(pattern, command) for command in ALL)


def test_the_list_of_what_is_not_run_holds_nothing_else():
    assert set(re.findall(r"^\| `([^`]+)` \|", NOT_RUN, re.MULTILINE)) <= set(ALL)
