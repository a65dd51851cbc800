"""The frame of runs: its registry, its page, how seeds fold, and what no figure may do."""

import re

import pandas as pd
import pytest
from made_up import CONFIG, finish, preset_in
from tiny import message_of

from lasnn.plan.cells import focus_cell, runs_of
from lasnn.report import style
from lasnn.report.columns import METHOD_TITLES, shown
from lasnn.report.frame import SEEDS, TITLE, csv, frame, of_cells
from lasnn.report.templates import dots
from tests import columns_page


def test_the_page_says_what_the_registry_does():
    assert columns_page.parts()[1] == columns_page.text(), "run `python -m tests.columns_page`"


def test_the_input_is_that_of_the_runs_beside_the_papers(tmp_path):
    """Also where nothing has run, of an ANN, and of a frame of runs, which has no numbers of the paper."""
    preset = preset_in(tmp_path, {"inputs": {"poisson": "direct"}, "seeds": [0]})
    cells = [focus_cell(preset, "", method) for method in ("hybrid", "ann", "kd_spike")]
    ran = runs_of(cells[0], preset)
    for run in (*ran, *runs_of(cells[1], preset)):
        finish(preset, run, 80.0)
    lines = of_cells(cells, preset).assign(encoding=["poisson", "analog", "poisson"])
    assert shown(lines, "encoding")["input"].tolist() == ["direct (paper: poisson)", "analog", "poisson"]
    same = of_cells(cells[:1], preset).assign(encoding="direct")
    assert shown(same, "encoding")["input"].tolist() == ["direct"]
    assert shown(frame(ran, preset, ["encoding"]), "encoding")["input"].tolist() == ["direct"]


def test_a_csv_has_the_columns_without_an_underscore():
    assert csv(pd.DataFrame({"method": ["ann"], "_drawn": [1], 2: [3.5]})) == "method,2\nann,3.5\n"


def test_seeds_fold_to_a_line_by_hand_and_a_column_that_is_none_is_one_line(tmp_path):
    """Hybrid training of VGG5 with three seeds: 80, 83 and 86 %, one of them without a start."""
    preset = preset_in(tmp_path, {"seeds": [0, 1, 2]})
    cells = [focus_cell(preset, "", "hybrid"), focus_cell(preset, "", "kd_spike")]
    runs = runs_of(cells[0], preset)
    for run, accuracy in zip(runs, (80.0, 83.0, 86.0), strict=True):
        choices = {"scale": 0.7} | ({"start_accuracy": 60.0 + run.seed} if run.seed else {})
        finish(preset, run, accuracy, choices=choices, ann_accuracy=90.0)
    first, second = of_cells(cells, preset, "start ann").to_dict("records")
    assert (first["ours"], first["sd"], first["n"], first["start"], first["ann"]) == (83, 3, 3, 61.5, 90)
    assert (first[SEEDS], first[TITLE]) == ((80, 83, 86), "base")
    assert first["runs"].split() == list(map(str, runs))
    assert (second["n"], second[SEEDS]) == (0, ())
    assert pd.isna(second["ours"])
    found = frame(runs, preset, ("run", "accuracy", "seed"))
    assert found.to_numpy().tolist() == [[str(run), 80.0 + 3 * run.seed, run.seed] for run in runs]
    assert re.search("unknown column 'acuracy'.*did you mean 'accuracy'", message_of(frame, runs, preset, ["acuracy"]))
    assert "unknown column 'acuracy'" in message_of(shown, found, "acuracy")


def test_a_title_of_a_variant_is_what_figures_call_it():
    assert CONFIG.title("alpha01__leak_1") == "weight 0.1, leak 1"
    assert CONFIG.title("base") == "base"
    assert CONFIG.overlays("alpha01") == [{"attention": {"alpha": 0.1}}]  # a title is no setting


def drawn(**line):
    base = {"group": "VGG5", "series": "LaSNN", "ours": 83.0, "sd": 3.0, "n": 3, SEEDS: (80.0, 83.0, 86.0)}
    lines = pd.DataFrame([base | {"paper": None, "as_printed": True} | line])
    return dots([("accuracy, %", lines, ".1f")], {"LaSNN": style.OTHER})


def test_a_row_has_its_seeds_its_interval_and_its_n():
    (axes,) = drawn().axes
    assert [text.get_text() for text in axes.texts] == ["83.0 (3)"]
    assert sorted(axes.lines[0].get_xdata()) == [80, 83, 86]
    ends = sorted(float(x) for line in axes.lines[2:] for x in line.get_xdata())
    far = 4.302653 * 3 / 3**0.5  # Student's t at 97.5 % with two degrees of freedom
    assert ends == pytest.approx([83 - far, 83 + far], rel=1e-6)
    (axes,) = drawn(n=1, sd=None, **{SEEDS: (83.0,)}).axes
    assert [len(line.get_xdata()) for line in axes.lines] == [0, 1]  # one seed: a mark without a whisker
    for same, cross in ((True, "printed in the paper"), (False, "printed in the paper, at its full size")):
        assert drawn(paper=90.0, as_printed=same).legends[0].get_texts()[-1].get_text() == cross


def test_a_method_has_one_colour_whatever_its_variation():
    for method in METHOD_TITLES:
        looks = [style.look_of(method, variation) for variation in range(4)]
        assert {look.color for look in looks} == {style.METHOD_STYLE[method].color}
        assert [look.open for look in looks] == [False, True, True, True]
        assert len({(look.marker, look.dashes) for look in looks[1:]}) == 3
    looks = list(style.METHOD_STYLE.values())
    assert len({look.color for look in looks}) == len({(look.marker, look.dashes) for look in looks}) == len(looks)
    found = style.looks_of([("LaSNN", "lasnn_act"), ("LaSNN, T = 4", "lasnn_act"), ("hybrid", "hybrid")])
    assert [look.open for look in found.values()] == [False, True, False]
