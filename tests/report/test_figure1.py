"""Figure 1 against the plan that it draws."""

import pytest
from made_up import CONFIG

from lasnn.plan.runs import ConvertedRun, SnnRun
from lasnn.report import EXHIBITS, runs_of_target
from lasnn.report.exhibits.figure1 import HIGH, node_of, placed


@pytest.mark.parametrize("name", ["quick", "small", "paper"])
def test_boxes_hold_every_run_and_arrows_every_parent(name):
    preset = CONFIG.preset(name)
    runs = runs_of_target(preset, "all")
    tidy = EXHIBITS["figure1"].tidy(preset)
    boxes = tidy[(tidy["what"] == "box") & (tidy["from"] != "images")]
    arrows = tidy[(tidy["what"] == "arrow") & (tidy["from"] != "images")]
    assert boxes["count"].sum() == len(runs)
    assert arrows["count"].sum() == sum(len(preset.parents(run)) for run in runs)
    converted = next(run for run in runs if isinstance(run, ConvertedRun) and run.encoder == "poisson")
    thresholds = node_of(converted, preset).name
    hybrid = [run for run in runs if isinstance(run, SnnRun) and run.method == "hybrid" and run.encoder == "poisson"]
    line = arrows[(arrows["from"] == thresholds) & (arrows["to"] == "hybrid training")]
    assert line["count"].tolist() == [len(hybrid)]


def test_no_box_lies_on_another():
    preset = CONFIG.preset("paper")
    nodes = {node.name: node for node in (node_of(run, preset) for run in runs_of_target(preset, "all"))}
    places = placed(nodes, 8)
    assert set(places) == set(nodes)
    for one, (x, y) in places.items():
        assert all(x != u or abs(y - v) > HIGH for other, (u, v) in places.items() if other != one)
