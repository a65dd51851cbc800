"""Figure 1 against the plan that it draws; Figure 6 from written metrics and journals, by hand."""

import pytest
from made_up import CONFIG, finish, preset_in

from lasnn.plan.runs import ConvertedRun, SnnRun
from lasnn.report import EXHIBITS, runs_of_target
from lasnn.report.exhibits.figure1 import HIGH, node_of, placed
from lasnn.report.exhibits.printed import ACCURACY, EQUAL, SIMILAR, first_reaching


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


# Test accuracy and rates of two layers (30 and 10 neurons) after each epoch; T as in the preset.
EPOCHS = {
    ("poisson", 10): [(70, 0.1, 0.2), (80, 0.2, 0.2), (95, 0.3, 0.5)],
    ("direct", 8): [(79, 0.5, 0.5), (79.8, 0.25, 0.5), (90, 0.5, 0.5)],
    ("direct", 4): [(60, 0.5, 0.5), (79, 0.5, 0.5), (80, 0.5, 0.25)],
}
NEURONS = {"c1": 30, "f1": 10}


def test_first_reaching():
    assert first_reaching([50, 80, 70, 90], 70) == 2
    assert first_reaching([50, 80], 50) == 1
    assert first_reaching([90, 80], 79.7) == 1


def test_both_protocols_by_hand(tmp_path):
    found = preset_in(tmp_path, {"students": ["vgg5"]})
    for run in EXHIBITS["figure6"].runs(found):
        epochs = EPOCHS[run.encoder, run.steps]
        last = dict(zip(NEURONS, epochs[-1][1:], strict=True))
        spikes = {
            name: {"neurons": count, "images": 20, "total": round(20 * count * last[name] * run.steps)}
            for name, count in NEURONS.items()
        }
        log = [{"test_accuracy": at, "rates": {"c1": c1, "f1": f1}} for at, c1, f1 in epochs]
        finish(found, run, epochs[-1][0], log=log, spikes=spikes)
    tidy = EXHIBITS["figure6"].tidy(found)
    ran = tidy.query("n > 0").set_index(["panel", "encoding", "ran_steps"]).sort_index()
    assert ran.loc[ACCURACY]["ours"].to_dict() == {("poisson", 10): 95, ("direct", 8): 90, ("direct", 4): 80}
    # T (30 r1 + 10 r2) / 40 with the rates of the last epoch: 10 · 14 / 40, 8 · 20 / 40, 4 · 17.5 / 40.
    equal = {("poisson", 10): 3.5, ("direct", 8): 4, ("direct", 4): 1.75}
    assert ran.loc[EQUAL]["ours"].to_dict() == pytest.approx(equal)
    # The weakest ends at 80, so 79.7 is near: epochs 2, 2 and 3. 10 · 8 / 40, 8 · 12.5 / 40, 4 · 17.5 / 40.
    similar = {("poisson", 10): 2, ("direct", 8): 2.5, ("direct", 4): 1.75}
    assert ran.loc[SIMILAR]["ours"].to_dict() == pytest.approx(similar)
    assert ran.loc[SIMILAR]["epoch"].to_dict() == {("poisson", 10): 2, ("direct", 8): 2, ("direct", 4): 3}
    notes = EXHIBITS["figure6"].notes(tidy, found)
    assert "here epochs VGG5 2 (80.0 %), 2 (79.8 %), 3 (80.0 %)." in " ".join(notes)
    assert "images, which training watched" not in " ".join(notes)
    tidy.loc[tidy["panel"] == SIMILAR, "_watched"] = 10.0  # of 20 that judge
    watched = "less 0.3 points, on the first 10 test images, which training watched, here epochs VGG5 2 (80.0 %)"
    assert watched in " ".join(EXHIBITS["figure6"].notes(tidy, found))
    # Printed numbers are where the paper has them.
    vgg5 = tidy[tidy["student"] == "VGG5"]
    assert vgg5[(vgg5["panel"] == SIMILAR) & (vgg5["encoding"] == "poisson")]["paper"].tolist() == [111.25]
    assert vgg5[(vgg5["panel"] == ACCURACY) & (vgg5["encoding"] == "direct")]["paper"].tolist() == [88.55, 88.55]
    assert vgg5[vgg5["panel"] == EQUAL]["paper"].isna().all()


def test_a_converted_network_behind_several_methods_counts_once_over_t(tmp_path):
    """Hybrid training takes both seeds, LaSNN the first: the networks of 60 and 80 % have 70 on average."""
    scope = {"students": ["vgg5"], "methods": ["lasnn_act", "hybrid"], "seeds": [0, 1], "repeated": ["hybrid"]}
    found = preset_in(tmp_path, scope)
    for run in EXHIBITS["figure_steps"].runs(found):
        if isinstance(run, ConvertedRun):
            curve = {"scale": 1.0, "accuracy": {"10": 60.0 + 20 * run.seed}}
            finish(found, run, 0.0, curves=[curve], curve_images=18, curve_ann_accuracy=90.0 + run.seed)
        else:
            finish(found, run, 50.0, accuracy_by_step=[50.0 + run.seed])
    tidy = EXHIBITS["figure_steps"].tidy(found).query("panel == 'VGG5, Digits, Poisson input' and accuracy > 0")
    lines = tidy.set_index("series")[["accuracy", "n"]].drop_duplicates()
    assert lines.T.to_dict("list") == {
        "hybrid training": [50.5, 2],
        "LaSNN": [50, 1],
        "converted, s = 1": [70, 2],
        "ANN": [90.5, 2],
    }
    assert tidy.set_index("series")["runs"]["converted, s = 1"].split()[1].endswith("/s1")
