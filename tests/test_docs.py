"""What the documents promise exists: keys, files, functions; and each number of the front page is a kept result."""

import ast
import csv
import os
import re
import runpy
from pathlib import Path

import pytest
from tiny import python

from lasnn.plan.settings import Protocol

DOCS = [Path("README.md"), Path("CONTRIBUTING.md"), Path("CHANGELOG.md"), *sorted(Path("docs").rglob("*.md"))]


def keys() -> list[str]:
    """Every key that the table of choices names."""
    lines = [line.split("|")[5] for line in Path("docs/choices.md").read_text().splitlines() if line.startswith("| ")]
    return [key for line in lines for key in re.findall(r"`([^`]+)`", line)]


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


def test_each_choice_has_a_key_and_where_the_paper_is_silent_there_is_a_choice():
    """The three trainings share their keys: a row for one of them covers all."""
    for key in keys():
        section, _, field = key.partition(".")
        assert field in Protocol.model_fields[section].annotation.model_fields, key
    named = {".".join(choice.split(".")[:2]) for choice in keys()}
    trainings = ("teacher", "ann", "student")
    silent = [key.split(".")[:2] for key in silent_keys()]
    assert len(silent) > 20
    for section, field in silent:
        alike = trainings if section in trainings else (section,)
        assert {f"{name}.{field}" for name in alike} & named, (section, field)


@pytest.mark.parametrize("section", Protocol.model_fields)
def test_every_key_stands_in_config_yaml_with_a_comment(section):
    """Of a section that begins as another one, `<<: *sgd`, those that differ."""
    text = Path("config.yaml").read_text().split("\nprotocol:\n")[1].split("\n  for:")[0]
    (part,) = re.findall(rf"(?ms)^  {section}:.*?(?=^  \w|\Z)", text)
    entries = re.split(r"(?m)^    (?=[\w<]+:)", part)[1:]
    found = {entry.partition(":")[0]: entry for entry in entries}
    fields = set(Protocol.model_fields[section].annotation.model_fields)
    assert set(found) == fields if "<<" not in found else set(found) - {"<<"} < fields
    assert [key for key, entry in found.items() if "# " not in entry and key != "<<"] == []


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


README = Path("README.md").read_text()
VERDICT = re.compile(r"\| (.+) \| (.+) \| \[(.+?)\]\((.+?)#L(\d+)\) \[(.+), (.+)\] \| (.+) \|")


def test_each_verdict_of_the_front_page_is_that_of_the_line_it_links_to():
    """The difference with its interval, or for ratios the second value; the paper's difference; the verdict."""
    lines = VERDICT.findall(README)
    assert len(lines) == 6
    for claim, printed, here, path, number, low, high, verdict in lines:
        text = Path(path).read_text().splitlines()
        (row,) = csv.DictReader([text[0], text[int(number) - 1]])
        shift = float(row["less"]) if row["unit"] == "times" else 0
        decimals = 0 if row["unit"].startswith("spikes") else 2
        for shown, key in ((here, "difference"), (low, "low"), (high, "high")):
            assert float(shown) == round(float(row[key]) + shift, decimals), (claim, key)
        if row["less_paper"] and row["more_paper"]:
            assert abs(float(printed) - (float(row["more_paper"]) - float(row["less_paper"]))) < 0.0051
        elif row["less_paper"]:
            assert float(printed) == float(row["less_paper"])
        assert verdict == row["verdict"]
        assert (row["network"], row["reading"]) == ("all networks: 3Conv2Linear, VGG5", "sum")  # as its head says


def test_the_front_page_has_the_three_primary_claims_and_three_others():
    lines = VERDICT.findall(README)
    rows = [Path(line[3]).read_text().splitlines()[int(line[4]) - 1].split(",") for line in lines]
    primary = ["hybrid_below_lasnn", "kd_below_lasnn", "lasnn_near_ann"]
    assert [row[0] for row in rows][:3] == primary
    assert [row[3] == "primary" for row in rows] == [True] * 3 + [False] * 3


def test_the_front_page_is_short():
    """450 words and 20 numbers above "Limits": a value counts once with its interval, code not at all."""
    text = re.sub(r"```.*?```|`[^`]*`", "", README.split("\n## Limits")[0], flags=re.DOTALL)
    text = re.sub(r"\]\([^)]*\)", "]", re.sub(r"\[-?[\d.]+, -?[\d.]+\]|!\[.*?\]\(.*?\)", "", text))
    assert len([word for word in text.split() if re.search(r"\w", word)]) <= 450
    assert len(re.findall(r"(?<![\w.-])[-+]?\d[\d,.]*", text)) <= 20


NO_RESULT = r"(?s)```.*?```|!\[.*?\]\(.*?\)|`[^`]*`|(?:Python|arXiv|version) [\d.:]+"
LINK = re.compile(r"\[([^\]]*)\]\(([^)#\s]+)(?:#L(\d+))?[^)]*\)")
NUMBER = re.compile(  # with decimals, or of four digits and more, that is no memory or time
    r"(?<![\w.,/*-])[-+\N{MINUS SIGN}]?(\d+\.\d+|\d{4,})(?![\w./]|,\d)(?! ?(?:[GM]i?B|s|min|h)\b)"
)


def in_exhibit(number, path, line=""):
    """Whether a kept exhibit, or one line of it, has a number that is this one when rounded alike."""
    lines = Path(path).with_suffix(".csv").read_text().splitlines()
    rows = csv.DictReader([lines[0], lines[int(line) - 1]] if line else lines)
    cells = [cell for row in rows for cell in row.values() if re.fullmatch(r"[-+]?\d+(\.\d+)?(e-?\d+)?", cell or "")]
    return number in {f"{abs(float(cell)):.{len(number.partition('.')[2])}f}" for cell in cells}


def test_each_other_number_of_the_front_page_is_where_it_links_to():
    """In a kept exhibit or on a page; without a link in any kept exhibit."""
    text = re.sub(NO_RESULT, " ", VERDICT.sub(" ", README))
    linked = [(number, *place) for label, *place in LINK.findall(text) for number in NUMBER.findall(label)]
    for number, target, line in linked:
        if target.startswith("results/reference/"):
            assert in_exhibit(number, target, line), (number, target, line)
        else:
            assert number in NUMBER.findall(Path(target).read_text()), (number, target)
    for number in NUMBER.findall(LINK.sub(" link ", text)):
        assert any(in_exhibit(number, path) for path in Path("results/reference").glob("*/exhibits/*.csv")), number
    assert ("63.40", "results/reference/few_steps/exhibits/table_s8.md", "") in linked
    assert not in_exhibit("63.40", "results/reference/small/exhibits/table1.csv")


def test_the_front_pages_python_runs(tmp_path):
    """In a folder of its own, on the networks that are kept in git."""
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len([line for line in code.splitlines() if line]) == 6
    told = python(tmp_path, "-c", code.replace('"results/', f'"{Path.cwd()}/results/'), PYTHONPATH=os.getcwd())
    assert re.search(r"c1 +threshold 5\.301 +leak 0\.99", told)
    assert (tmp_path / "raster.png").read_bytes().startswith(b"\x89PNG")


def test_the_picture_of_the_front_page_has_the_means_of_the_kept_claims():
    """Its dots are read from the runs, the claims' sides from exhibits, in both readings of the logits."""
    sides = {
        ("hybrid_below_lasnn", "less"): "hybrid",
        ("hybrid_below_lasnn", "more"): "lasnn_act",
        ("kd_below_lasnn", "less"): "kd_label",
        ("lasnn_near_ann", "less"): "ann",
        ("conversion_below_hybrid", "less"): "conversion",
    }
    shown = {
        (line["network"], method, line["reading"]): (line[side], line[f"{side}_paper"])
        for line in csv.DictReader(Path("results/reference/verdicts/exhibits/claims.csv").read_text().splitlines())
        for (claim, side), method in sides.items()
        if line["claim"] == claim
    }
    rows = list(runpy.run_path("docs/pictures/draw.py")["rows"]())
    assert len(rows) == 10
    for student, _, method, found, paper in rows:
        for reading, accuracies in found.items():
            ours, printed = shown[student, method, reading]
            assert len(accuracies) == 5
            assert abs(sum(accuracies) / 5 - float(ours)) < 1e-9
            assert paper == (float(printed) if printed else None)


def test_each_mean_of_the_findings_is_in_the_kept_results():
    """As a table shows it: mean ± sd; or as a CSV has it before rounding."""
    found = re.findall(r"(?<![\d.])\d\d\.\d\d(?= ± )", Path("docs/findings/small.md").read_text())
    kept = Path("results/reference/small/exhibits")
    shown = {number for path in kept.glob("*.md") for number in re.findall(r"\d+\.\d\d", path.read_text())}
    cells = {cell for path in kept.glob("*.csv") for row in csv.reader(path.open()) for cell in row}
    shown |= {f"{float(cell):.2f}" for cell in cells if re.fullmatch(r"\d+(\.\d+)?", cell)}
    assert len(found) > 12
    assert [number for number in found if number not in shown] == []
