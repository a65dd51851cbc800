"""Pages of the site: each number leads to its runs, and what is not there is said where it would stand."""

import re
import shutil
from pathlib import Path
from statistics import mean

import pandas as pd
import pytest

from lasnn.pipeline import reference
from lasnn.pipeline.trace import described
from lasnn.plan.config import read
from lasnn.report.exhibit import Table
from lasnn.report.site import Lineage, exhibit_page, front, look
from lasnn.report.site.links import lines_behind
from lasnn.storage import files

KEPT = Path("results/reference/small").resolve()


def test_a_cell_is_traced_to_the_line_whose_number_it_shows():
    """Two lines side by side in one row, a difference of both, a word: only what shows one line's number is traced."""
    tidy = pd.DataFrame({"who": ["a", "b"], "ours": [1.5, 2.5], "n": [3, 3], "paper": [7.0, 8.0]})

    def arrange(tidy):
        a, b = tidy["ours"]
        cells = [f"{a:.2f} (n={tidy['n'][0]:g})", f"{b:.1f}", f"{b - a:+.2f}", f"{tidy['paper'][1]:.0f}", "word"]
        return pd.DataFrame([cells])

    shown = [["1.50 (n=3)", "2.5", "+1.00", "8", "word"]]
    table = Table("title", lambda preset: [], arrange)
    assert lines_behind(table, tidy, shown) == [[0, 1, None, None, None]]
    assert lines_behind(table, tidy, [["1.50 (n=3)", "2.6", "+1.00", "8", "word"]]) == [[None] * 5]  # of other numbers


@pytest.fixture
def small(tmp_path, monkeypatch):
    """The preset `small` as in a fresh clone: no result of its own, those in git."""
    preset = read().preset("small")
    monkeypatch.chdir(tmp_path)
    lineage = Lineage(preset, (tmp_path / "nothing", KEPT), described)
    return preset, lineage


def found(preset, kept=KEPT):
    return {shown.name: shown for shown in look(preset, kept, lambda name: None)}


def test_every_number_of_a_kept_table_leads_to_the_runs_whose_mean_it_is(small):
    preset, lineage = small
    page = exhibit_page(found(preset)["table2"], preset, lineage)
    cells = dict(re.findall(r'href="#cell-(\d+)">([\d.]+) ±', page))
    lines = dict(re.findall(r'<tr id="cell-(\d+)">(.*?)</tr>', page))
    assert len(cells) == len(lines) == 8  # two networks by four columns
    for place, number in cells.items():
        runs = re.findall(r'href="\.\./(lineage/[^"]+)\.html"', lines[place])
        folders = [folder for root, folder in lineage.shown_by if lineage._name(root, folder) in runs]
        accuracies = [files.read_json(KEPT / folder / "metrics.json")["accuracy"] for folder in folders]
        assert len(runs) == len(folders) == 3
        assert f"{mean(accuracies):.2f}" == number


def test_a_run_has_a_page_with_its_parents_and_theirs(small, tmp_path):
    _, lineage = small
    run = "snn/cifar10/vgg5/hybrid/poisson-T16/none/base/s0"
    name = lineage.page_of(run, None, "table2")
    assert set(lineage.write(tmp_path)) == {
        "lineage/kept-snn-cifar10-vgg5-hybrid-poisson-T16-none-base-s0",
        "lineage/kept-converted-cifar10-vgg5-poisson-base-s0",
        "lineage/kept-ann-cifar10-vgg5-base-s0",
    }
    text = (tmp_path / f"{name}.md").read_text()
    stated = files.read_json(KEPT / run / "provenance.json")["files"]
    assert all(digest in text for digest in stated.values())
    assert "kept-converted-cifar10-vgg5-poisson-base-s0.html" in text
    assert "../exhibits/table2.html" in text
    assert f"python -m lasnn trace results/small/{run} --verify" in text
    assert lineage.page_of(run, "0" * 64) is None  # its metrics are not the ones that an exhibit was made from


def test_what_was_never_made_or_can_not_be_read_says_so_in_its_place(small, tmp_path):
    preset, lineage = small
    shutil.copytree(KEPT / "exhibits", tmp_path / "exhibits")
    for path in (tmp_path / "exhibits").glob("table1.*"):
        path.unlink()
    (tmp_path / "exhibits" / "table3.json").write_text("{")
    (tmp_path / "exhibits" / "table4.csv").write_text("other,numbers\n1,2\n")
    (tmp_path / "exhibits" / "figure2.svg").unlink(missing_ok=True)
    shown = found(preset, tmp_path)
    pages = {name: exhibit_page(one, preset, lineage) for name, one in shown.items()}
    assert "Not made yet in the preset <code>small</code>" in pages["table1"]
    assert "table3.json can&#x27;t be read" in pages["table3"]
    assert "table4.csv has changed since it was made" in pages["table4"]
    assert "The picture is not kept in git" in pages["figure2"]
    first = front(list(shown.values()), preset, lineage, tmp_path)
    lacking = len(shown) - len(list((KEPT / "exhibits").glob("*.json"))) + 2
    assert re.search(rf"Of {len(shown)} exhibits: \d+ kept in git .*, {lacking} not made yet\.", first)
    assert re.search(r"not made yet; \S+table3.json can&#x27;t be read", first)


def test_the_front_shows_verdicts_of_claims_and_links_numbers_to_their_exhibit(small):
    preset, lineage = small
    shown = found(preset)
    first = front(list(shown.values()), preset, lineage, reference.folder_of(preset))
    said = re.findall(
        r"\| (confirmed|refuted|undecided|too few seeds) +\|", (KEPT / "exhibits" / "claims.md").read_text()
    )
    assert len(said) > 30
    assert re.findall(r'class="verdict ([\w-]+)"', first) == [word.replace(" ", "-") for word in said]
    assert len(re.findall(r'href="exhibits/table2\.html#cell-\d+"', first)) == 8
