"""Pairs of runs image by image, and the regime map by hand, from made-up metrics and predictions of 20 images."""

import numpy as np
import pytest
from made_up import finish, method_of, preset_in

from lasnn.report import EXHIBITS
from lasnn.report.crossed import crossed
from lasnn.report.paired import image_differences, percent_right

DIRECT = {"direct-T2": 2, "direct-T4": 4, "direct-T8": 8}


def written(folder, exhibit, scope, right, trained=lambda run: 0.0):
    """A preset whose runs behind an exhibit have `right(run)` of 20 images right, always the first ones."""
    preset = preset_in(folder, {"students": ["vgg5"], "seeds": [0, 1, 2], "steps": DIRECT} | scope)
    for run in preset.ancestors(EXHIBITS[exhibit].runs(preset)):
        metrics = {"ann_accuracy": 95.0, "teacher_accuracy": 97.0, "train_accuracy": trained(run)}
        metrics |= {"spikes": {"c1": {"total": 40, "neurons": 10, "images": 8}}, "sizes": {"weights": 1000}}
        metrics |= {"attention_share": {"low": 2.0, "mid": 0.5}} if method_of(run) == "lasnn_act" else {}
        finish(preset, run, 5.0 * right(run), **metrics)
    return preset


def test_all_encoder_seeds_of_a_pair_count(tmp_path):
    """One run is right with encoder seeds 1 and 2, the other with 0 alone; an ANN has one prediction: 12 right."""
    scope = {"ablations": ["lasnn_act+alpha01"], "steps": {"poisson-T100": 10}}
    preset = written(tmp_path, "table_s4", scope, lambda run: 12)
    first, *_, second = EXHIBITS["table_s4"].runs(preset)
    finish(preset, first, 60.0, right=[0, 20, 20])
    finish(preset, second, 60.0, right=[20, 0, 0])
    assert [one.tolist() for one in image_differences([(first, second)], preset)] == [[-1] * 20]
    found = percent_right([(first, second)], preset)
    assert [one.round(9).tolist() for one in found] == [[[round(share / 3, 9)] * 20] for share in (200, 100)]
    ann = preset.parents(preset.parents(second)[0])[0]
    assert percent_right([(ann, second)], preset)[0].tolist() == [[100] * 12 + [0] * 8]


def test_the_regime_map_by_hand(tmp_path):
    """Where hybrid training overfits (90 %, 60 %) LaSNN has two of 20 images more right, elsewhere 4, 3 and 2 less."""
    methods = ["conversion", "hybrid", "kd_label", "lasnn_act"]
    scope = {"corners": {"base": {}, "lr_1e4": {"hybrid": "leak_1", "lasnn_act": "alpha01"}}, "methods": methods}

    def right(run):
        if run.kind != "snn":
            return 15
        if "lr_1e4" not in run.variant:
            return {"conversion": 10, "hybrid": 16, "kd_label": 16, "lasnn_act": 12 + run.seed}[run.method]
        chosen = "alpha01" in run.variant or "leak_1" in run.variant
        return {"conversion": 11, "hybrid": 12, "kd_label": 13, "lasnn_act": 14}[run.method] + chosen

    def trained(run):
        return 90.0 if "lr_1e4" in run.variant else 79.0 + 3 * run.seed

    preset = written(tmp_path, "figure_regime", scope, right, trained)
    tidy = EXHIBITS["figure_regime"].tidy(preset).set_index(["corner", "rival"])
    shown = tidy[["hybrid", "ours", "difference", "gap", "conversion"]]
    assert {key: tuple(line) for key, line in shown.iterrows()} == {
        ("base", "kd_label"): (80, 80, 0, 2, 50),
        ("base", "lasnn_act"): (80, 65, -15, 2, 50),
        ("lr_1e4", "kd_label"): (65, 65, 0, 25, 55),  # beside the hybrid training that was chosen there
        ("lr_1e4", "lasnn_act"): (60, 70, 10, 30, 55),
        ("lr_1e4", "chosen"): (65, 75, 10, 25, 55),
    }
    line = tidy.loc[("base", "lasnn_act")]
    assert line[["share", "weights", "teacher", "ann"]].tolist() == [2.0, 1000, 97.0, 95.0]
    # Gaps of -1, 2 and 5; images 12 to 15 are wrong where hybrid training is right, in one, two, three and three seeds.
    d = -100.0 * np.array([[12 + seed <= image < 16 for image in range(20)] for seed in range(3)])
    assert line[["gap_se", "se"]].tolist() == pytest.approx([3**0.5, crossed([d]).se])
    assert tidy["p"].isna().all()  # three seeds are too few for a filled mark
    assert not tidy["decided"].any()
    assert set(tidy["n"]) == {3}


def test_marks_of_the_regime_map_are_filled_with_enough_seeds(tmp_path):
    """12 of 20 images right in every seed against 14 to 16: over the seeds 10, 15, 15, 20 and 20 points apart."""

    def right(run):
        return {"hybrid": 12, "lasnn_act": 14 + (run.seed + 1) // 2}.get(method_of(run), 12)

    scope = {"corners": {"base": {}}, "methods": ["conversion", "hybrid", "kd_label", "lasnn_act"]}
    preset = written(tmp_path, "figure_regime", scope | {"seeds": [0, 1, 2, 3, 4]}, right)
    tidy = EXHIBITS["figure_regime"].tidy(preset).set_index("rival")
    found = crossed([np.array([[100.0 * (12 <= i < 14 + (seed + 1) // 2) for i in range(20)] for seed in range(5)])])
    assert tidy.loc["lasnn_act", ["difference", "se"]].tolist() == pytest.approx([16, found.se])
    assert tidy.loc["lasnn_act", "p"] == pytest.approx(2 * found.p_not_above(0))
    assert tidy.loc["lasnn_act", "decided"] == (2 * found.p_not_above(0) < 0.05)  # alone, as label KD has no spread
    assert np.isnan(tidy.loc["kd_label", "p"])
