"""Tables S6 and S9 by hand: change over the last fifth of the epochs, shares before training and after each epoch."""

import math

import pytest
from made_up import CONFIG, CONTENT, finish, preset_in

from lasnn.plan.cells import runs_of
from lasnn.plan.runs import as_snn
from lasnn.report import EXHIBITS
from lasnn.report.exhibits.training import shown_epochs
from lasnn.report.finished import metrics_of
from lasnn.report.readings import change, level

SHARES = EXHIBITS["table_s9"]


def test_means_over_seeds_of_both_readings_by_hand(tmp_path):
    """VGG5 with two seeds; the share at the low level is 0.1 to start with, and 0.2 and 0.3 more after each epoch."""
    scope = {"students": ["vgg5"], "teachers": ["vgg16bn"], "methods": ["hybrid", "kd_label", "lasnn_act"]}
    scope |= {"seeds": [0, 1], "ablations": [], "readings": {"sum": "logit_sum", "mean": "base"}}
    scope["steps"] = dict.fromkeys(CONTENT["protocol"]["scope"]["steps"]) | {"poisson-T100": 10}
    found = preset_in(tmp_path, scope, student={"epochs": 2})
    for run in SHARES.runs(found):
        part, step = (0.1 if run.variant == "logit_sum" else 1.0), 0.2 + 0.1 * run.seed
        shares = [{"low": part * epoch * step, "high": part * 0.5} for epoch in (1, 2)]
        before = {"low": part * (0.1 + 0.2 * run.seed), "mid": part * 0.05}
        finish(found, run, 50.0, log=[{"attention_share": one} for one in shares], attention_share=before)
    tidy = SHARES.tidy(found)
    assert {(run.variant, run.seed) for run in SHARES.runs(found)} == {
        (variant, seed) for variant in ("base", "logit_sum") for seed in (0, 1)
    }
    assert set(zip(tidy["variant"], tidy["reading"], strict=True)) == {("base", "mean"), ("logit_sum", "sum")}
    lines = tidy.set_index(["reading", "level"])
    columns = ["start", "epoch_1", "epoch_2"]
    assert lines.loc[("mean", "low"), columns].tolist() == pytest.approx([0.2, 0.25, 0.5])
    assert lines.loc[("sum", "low"), columns].tolist() == pytest.approx([0.02, 0.025, 0.05])
    assert lines.loc[("mean", "mid"), columns].isna().tolist() == [False, True, True]
    assert set(tidy["n"]) == {2}
    shown = SHARES.arrange(tidy)
    assert shown["level"].tolist() == ["low", "mid", "low", "mid"]  # none without a share at the start
    assert shown.loc[shown["level"] == "low", "epoch 2"].tolist() == ["0.5000", "0.0500"]
    assert "±" not in " ".join(SHARES.notes(tidy, found))


def test_the_reading_of_a_line_is_that_of_its_runs(tmp_path):
    """Where an entry `for` the method says another than the preset."""
    scope = {"students": ["vgg5"], "teachers": ["vgg16bn"], "methods": ["hybrid", "lasnn_act"], "ablations": []}
    found = preset_in(tmp_path, scope, **{"for": {"lasnn_act": {"spiking": {"logit_scale": "sum"}}}})
    for run in SHARES.runs(found):
        finish(found, run, 50.0, attention_share={"low": 0.1})
    assert set(SHARES.tidy(found)["reading"]) == {"sum"}


@pytest.mark.parametrize(
    ("epochs", "shown"),
    [(3, [1, 2, 3]), (10, [*range(1, 11)]), (30, [1, *range(3, 31, 3)]), (100, [1, *range(10, 101, 10)])],
)
def test_epochs_that_are_shown(epochs, shown):
    assert shown_epochs(epochs) == shown


@pytest.mark.parametrize(
    "name", ["quick", "small", "verdicts", "shares", "levels", "corner", "difficulty", "regime", "few_steps", "paper"]
)
def test_it_needs_no_run_beside_those_of_other_exhibits(name):
    preset = CONFIG.preset(name)
    others = {run for other, exhibit in EXHIBITS.items() if other != "table_s9" for run in exhibit.runs(preset)}
    runs = SHARES.runs(preset)
    assert runs
    assert set(runs) <= others
    assert {run for run in others if getattr(run, "method", "").startswith("lasnn")} == set(runs)
    shown = [runs_of(cell, preset)[0] for cell in SHARES.cells(preset)]
    assert len(shown) == len(set(shown))  # one line each, though another exhibit may look at its first seed alone


@pytest.mark.parametrize(
    ("accuracies", "before"),
    [
        ([10.0, 20, 30, 40, 50, 60, 70, 80, 90, 80], 80),  # ten epochs: after the eighth
        ([10.0, 20, 30, 40, 80], 40),  # five: after the fourth
        ([70.0, 80], 70),  # fewer than five: the one before the last
        ([10.0, 20, 30, 40, 50, 60, 80], 50),  # seven: a fifth is 1.4 epochs, so two
    ],
)
def test_change_by_hand(accuracies, before):
    found = change(accuracies, images=100)
    assert (found["before"], found["end"]) == (before, 80)
    assert found["standard_error"] == pytest.approx(100 * math.sqrt(0.8 * 0.2 / 100))  # 4 points


@pytest.mark.parametrize(("watched", "images"), [(None, 20), (5, 5), (100, 20)])
def test_the_standard_error_is_that_of_the_images_watched(tmp_path, watched, images):
    """The training log's accuracies are of the first `data.watched` test images; 20 were judged at the end."""
    found = preset_in(tmp_path, {"students": ["vgg5"], "methods": ["hybrid"]}, data={"watched": watched})
    run = as_snn(EXHIBITS["table_s6"].runs(found)[0])
    finish(found, run, 50.0, log=[{"test_accuracy": accuracy} for accuracy in (40.0, 80.0)])
    error = level("standard_error")(run, metrics_of(run, found), found)
    assert error == pytest.approx(100 * math.sqrt(0.8 * 0.2 / images))
