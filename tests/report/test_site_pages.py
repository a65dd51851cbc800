"""Pages of the site: each number leads to its runs, and what is not there is said where it would be."""

import re
import shutil
from pathlib import Path
from statistics import mean

import pandas as pd
import pytest
from made_up import CONFIG

from lasnn.pipeline import reference
from lasnn.pipeline.trace import described
from lasnn.plan.runs import parse
from lasnn.report import pages
from lasnn.report.exhibit import Table
from lasnn.report.site import Lineage, exhibit_page, front, look
from lasnn.report.site.lineage import in_words
from lasnn.report.site.links import lines_behind
from lasnn.storage import files

KEPT = Path("results/reference/small").resolve()


MARKDOWN = """# Accuracy & <spikes>

| network   | ours     |
|:----------|:---------|
| VGG5      | 98.3     |
| a <b> & c | -        |

- n_test 360.
- `-`: not run.
"""


def test_a_page_says_what_the_markdown_does_escaped():
    shown = pages.page(MARKDOWN)
    assert "<h3>Accuracy &amp; &lt;spikes&gt;</h3>" in shown
    assert shown.count("<tr>") == 3
    assert shown.count("<th ") == shown.count("</th>") == 2
    assert shown.count("<td ") == shown.count("</td>") == 4
    assert ">98.3</td>" in shown
    assert ">a &lt;b&gt; &amp; c</td>" in shown
    assert "<li>n_test 360.</li><li>`-`: not run.</li>" in shown


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
    preset = CONFIG.preset("small")
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
    assert f"python -m lasnn trace {KEPT}/{run} --verify" in text
    assert lineage.page_of(run, "0" * 64) is None  # its metrics are not the ones that an exhibit was made from
    listed = lineage.listing()  # by network, with their accuracies
    assert "## Spiking: vgg5 on cifar10" in listed
    accuracy = files.read_json(KEPT / run / "metrics.json")["accuracy"]
    assert f'>hybrid/poisson-T16/none/base/s0</a></td><td class="short">{accuracy:.2f}</td>' in listed
    assert in_words(parse(run)) == "hybrid training: vgg5 on cifar10, poisson input, T = 16, seed 0"


def test_what_was_never_made_or_can_not_be_read_says_so_in_its_place(small, tmp_path):
    preset, lineage = small
    shutil.copytree(KEPT / "exhibits", tmp_path / "exhibits")
    for path in (tmp_path / "exhibits").glob("table1.*"):
        path.unlink()
    (tmp_path / "exhibits" / "table3.json").write_text("{")
    (tmp_path / "exhibits" / "table4.csv").write_text("other,numbers\n1,2\n")
    (tmp_path / "exhibits" / "figure2.svg").unlink(missing_ok=True)
    shown = found(preset, tmp_path)
    made = {name: exhibit_page(one, preset, lineage) for name, one in shown.items()}
    assert "Not made yet in the preset <code>small</code>" in made["table1"]
    assert "table3.json can&#x27;t be read" in made["table3"]
    assert "table4.csv has changed since it was made" in made["table4"]
    assert "The picture is not kept in git" in made["figure2"]
    first = front(list(shown.values()), preset, lineage, tmp_path)
    lacking = len(shown) - len(list((KEPT / "exhibits").glob("*.json"))) + 2
    assert re.search(rf"Of {len(shown)} exhibits: \d+ kept in git .*, {lacking} not made yet\.", first)
    assert re.search(r"not made yet; \S+table3.json can&#x27;t be read", first)


def test_the_front_shows_verdicts_of_claims_and_links_numbers_to_their_exhibit(small):
    preset, lineage = small
    shown = found(preset)
    first = front(list(shown.values()), preset, lineage, reference.folder_of(preset))
    claims = pd.read_csv(KEPT / "exhibits" / "claims.csv", keep_default_na=False)
    judged = claims[claims["verdict"].isin(["confirmed", "refuted", "undecided", "too few seeds"])]
    runs = r'Behind them: <a [^>]*href="lineage.html">101 runs</a>; seeds 0, 1, 2\.'
    assert re.search(rf"{runs} CIFAR-10: n_train 10000, n_test 2000\.</p>", first)
    assert f"<p>{len(judged)} comparisons: {len(judged)} too few seeds." in first
    lines = re.findall(r"<tr><td[^>]*>(.*?)</td><td[^>]*><span class=\"verdict too-few-seeds\">.*?</tr>", first)
    assert len(lines) == 6
    primary = {"LaSNN is above label KD", "LaSNN is above hybrid training", "LaSNN is close to its ANN"}
    assert {line.split("<br>")[0] for line in lines[:3]} == primary
    assert all("CIFAR-10 all networks: 3Conv2Linear, VGG5, T = 16; logits: mean; 3 seeds" in line for line in lines)
    assert [name in first for name in ("Not made in this preset", "docs/findings.html")] == [False, True]
    assert len(re.findall(r'href="exhibits/table2\.html#cell-\d+"', first)) == 8
    page = exhibit_page(shown["claims"], preset, lineage)
    assert "<tr><th>claim</th><th>verdict</th><th>network</th><th>logits</th>" in page


def test_a_remark_that_a_picture_says_is_not_said_again_below_it(small):
    """figure_steps draws how many images there are; what its curves are is said below the picture alone."""
    preset, lineage = small
    shown = found(preset)["figure_steps"]
    page = exhibit_page(shown, preset, lineage)
    caption = page.split('<ul class="caption">')[1].split("</ul>")[0]
    drawn = [note for note in shown.notes if "n_train 10000" in note]
    assert len(drawn) == 1
    assert "n_train 10000" not in caption
    assert 0 < caption.count("<li>") < len(shown.notes)
