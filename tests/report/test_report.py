"""Exhibits: the paper's numbers, the runs behind each cell, and tables that never show what no run made."""

import csv
import math
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from made_up import CONFIG, DATA, NOTHING, finish, preset_in

from lasnn.errors import InputError
from lasnn.plan.cells import KEYS, Cell, focus_cell, paper_cells, runs_of
from lasnn.plan.runs import BASE, AnnRun, SnnRun
from lasnn.plan.vocabulary import METHODS
from lasnn.report import EXHIBITS, PAPER, runs_of_target
from lasnn.report.columns import number
from lasnn.report.exhibit import Table
from lasnn.report.exhibits.variants import changes, compared
from lasnn.report.frame import as_printed, of_cells

LASNN = SnnRun("digits", "vgg5", "lasnn_act", "poisson", 10, "vgg16bn")


@pytest.fixture
def preset(tmp_path):
    return preset_in(tmp_path, {"seeds": [0, 1]})


def test_the_papers_numbers_parse_and_their_nine_keys_are_unique():
    with open(PAPER, newline="") as file:
        rows = list(csv.DictReader(file))
    assert set(Counter(tuple(row[key] for key in KEYS) for row in rows).values()) == {1}
    assert all(math.isfinite(float(row["value"] or 0)) for row in rows if row["metric"] != "timesteps")


PRINTED = {"table1": ("Table I", 5), "table2": ("Table II", 28), "table3": ("Table III", 4), "table4": ("Table IV", 18)}


def test_every_printed_number_of_a_table_is_shown_as_the_papers():
    for name, (title, count) in PRINTED.items():
        shown = Counter(EXHIBITS[name].arrange(EXHIBITS[name].tidy(NOTHING)).filter(like="paper").to_numpy().ravel())
        printed = Counter(f"{cell.paper:.2f}" for cell in paper_cells(title) if cell.paper is not None)
        assert printed.total() == count
        assert shown - Counter({"-": shown["-"]}) == printed


HYBRID = Cell("", "", "CIFAR-10", "VGG5", "", "hybrid", "poisson", "100", "top1")
TAUGHT = {"method": "lasnn_act", "teacher": "unspecified"}
CHAINED = {"method": "kd_spike", "student": "3Conv2Linear"}
EVERY_METHOD = preset_in(Path(), {"seeds": [0, 1], "methods": list(METHODS)})


@pytest.mark.parametrize(
    ("changes", "runs"),
    [
        ({}, "snn/digits/vgg5/hybrid/poisson-T10/none/base"),
        ({"timesteps": ""}, "snn/digits/vgg5/hybrid/poisson-T10/none/base"),
        ({"timesteps": "30"}, "snn/digits/vgg5/hybrid/poisson-T5/none/base"),
        ({"timesteps": "31"}, None),
        ({"encoding": "direct", "timesteps": "50"}, "snn/digits/vgg5/hybrid/direct-T8/none/base"),
        ({"variant": "leak_1"}, "snn/digits/vgg5/hybrid/poisson-T10/none/leak_1"),
        ({"student": "3Conv2Linear"}, "snn/digits/conv3fc2/hybrid/poisson-T10/none/base"),
        ({"student": "VGG9"}, None),
        ({"dataset": "CIFAR-100"}, None),
        ({"note": "literature value quoted"}, None),
        (TAUGHT, "snn/digits/vgg5/lasnn_act/poisson-T10/vgg16bn/base"),
        (TAUGHT | {"teacher": "ResNet20"}, "snn/digits/vgg5/lasnn_act/poisson-T10/resnet20/base"),
        (TAUGHT | {"teacher": "DenseNet121"}, None),
        ({"method": "calibration"}, None),
        ({"method": "calibration", "encoding": "direct"}, "snn/digits/vgg5/calibration/direct-T16/none/base"),
        ({"method": "ann", "encoding": "analog", "timesteps": ""}, "ann/digits/vgg5/base"),
        ({"method": "ann_teacher", "student": "", "teacher": "VGG16"}, "ann/digits/vgg16bn/base"),
        ({"method": "ann_teacher", "student": "", "teacher": "DenseNet121"}, None),
        ({"method": "kd_spike"}, "snn/digits/vgg5/kd_spike/poisson-T10/none/base"),
        (CHAINED, None),  # it is not the head of the chain
        (CHAINED | {"teacher": "VGG5 SNN"}, "snn/digits/conv3fc2/kd_spike/poisson-T10/snn_vgg5/base"),
        (CHAINED | {"teacher": "3Conv2Linear SNN"}, "snn/digits/conv3fc2/kd_spike/poisson-T10/snn_conv3fc2/base"),
        (CHAINED | {"teacher": "unspecified"}, "snn/digits/conv3fc2/kd_spike/poisson-T10/snn_conv3fc2/base"),
        (CHAINED | {"teacher": "VGG9 SNN"}, None),
    ],
)
def test_runs_behind_a_cell(changes, runs):
    """One for each seed; none where the preset leaves out what the cell names. The last of a chain is its student."""
    expected = [f"{runs}/s{seed}" for seed in (0, 1)] if runs else []
    assert list(map(str, runs_of(replace(HYBRID, **changes), EVERY_METHOD))) == expected


AT_FULL_SIZE = SnnRun("cifar10", "vgg5", "hybrid", "poisson", 100)


@pytest.mark.parametrize(
    ("cell", "run", "size", "printed"),
    [
        ({}, AT_FULL_SIZE, {}, True),
        ({"timesteps": ""}, replace(AT_FULL_SIZE, steps=16), {}, True),
        ({"method": "ann"}, AnnRun("cifar10", "vgg5"), {}, True),
        ({}, replace(AT_FULL_SIZE, steps=16), {}, False),
        ({}, replace(AT_FULL_SIZE, encoder="direct"), {}, False),
        ({"dataset": "CIFAR-100"}, AT_FULL_SIZE, {}, False),
        ({}, AT_FULL_SIZE, {"width": 0.125}, False),
        ({}, AT_FULL_SIZE, {"fc": 64}, False),
        ({}, AT_FULL_SIZE, {"train_images": 10_000}, False),
        ({}, AT_FULL_SIZE, {"test_images": 2_000}, False),
    ],
)
def test_only_the_papers_own_size_counts_as_printed(cell, run, size, printed):
    """The network's width, all images of the cell's dataset, and the input and T that the cell names."""
    whole = {"width": 1.0, "fc": None, "train_images": 50_000, "test_images": 10_000} | size
    metrics = {"data": whole, "settings": {"network": whole}}
    assert as_printed(replace(HYBRID, **cell), run, metrics) is printed


def test_the_paper_preset_holds_every_training_that_the_paper_reports():
    """The job list behind the paper's exhibits, for one seed; knob ablations come on top."""
    preset = CONFIG.preset("paper")
    runs = [run for run in runs_of_target(preset, "all") if isinstance(run, SnnRun)]
    trained = [run for run in runs if run.seed == preset.scope.seeds[0] and METHODS[run.method].trained]
    base = Counter(run.method for run in trained if run.variant == BASE and run.encoder == "poisson")
    assert base["hybrid"] == base["kd_label"] == 7
    assert base["lasnn_act"] == 7 + 6  # Table II, and two more teachers for each of three students in Table IV
    assert base["lasnn_grad"] == 3 * 2  # three students at two T
    assert base["kd_spike"] == 3
    direct = Counter(run.method for run in trained if run.variant == BASE and run.encoder == "direct")
    assert direct["lasnn_act"] == 3 * 2
    scratch = Counter(run.method for run in trained if run.variant == "scratch")
    assert scratch == {"hybrid": 1, "lasnn_act": 1, "kd_spike": 3}  # of the last, none is the paper's
    assert base.total() + direct["lasnn_act"] + scratch["hybrid"] + scratch["lasnn_act"] == 44
    for exhibit in ("Table II", "Table IV"):
        assert all(len(runs_of(cell, preset)) == 3 for cell in paper_cells(exhibit))


def test_what_numbers_rest_on_is_said_below_them(preset):
    """Images, a weak teacher, a part of a dataset."""
    methods = ("hybrid", "kd_label", "lasnn_act")
    cells = [c for c in paper_cells("Table II") if c.student == "VGG5" and c.method in methods]
    for run in (run for cell in cells for run in runs_of(cell, preset)):
        weaker = run.method == "lasnn_act" and run.seed == 1
        finish(preset, run, 90.0, data=DATA | {"subset": run.method == "hybrid"}, teacher_weaker=weaker)
    notes = " ".join(EXHIBITS["table2"].remarks(of_cells(cells, preset), preset))
    for words in ("does not rank methods", "n_train 1437, n_test 20", "teacher is weaker", "holds only a part"):
        assert words in notes


def test_a_variant_is_compared_with_the_base_runs_of_its_seeds(tmp_path):
    preset = preset_in(tmp_path, {"seeds": [0, 1], "repeated": ["lasnn_act"]})  # the variant has the first seed alone
    finish(preset, LASNN, 90.0)
    finish(preset, replace(LASNN, seed=1), 80.0)
    finish(preset, replace(LASNN, variant="alpha01"), 91.0)
    lines = [("lasnn_act", BASE), ("lasnn_act", "alpha01"), ("calibration", BASE)]  # the last is not run: Poisson input
    found = compared([focus_cell(preset, "", *line) for line in lines], preset)["difference"]
    assert found[:2].tolist() == [0, 1]  # 91 - 90, not 91 - 85
    assert pd.isna(found[2])


def test_of_what_a_variant_changes_for_methods_a_line_says_its_own(preset):
    lines = [("bf16", "hybrid"), ("bf16_grad", "lasnn_act"), ("random_teacher", "lasnn_act"), ("alpha01", "hybrid")]
    expected = ["compute.amp: bf16", "compute.amp: bf16_grad", "for.vgg16bn.teacher.epochs: 0", "attention.alpha: 0.1"]
    assert [changes(*line, preset) for line in lines] == expected


def test_of_what_each_seed_chose_for_itself_a_line_shows_the_first_ones(preset):
    (cell,) = [c for c in paper_cells("Table II") if c.student == "VGG5" and c.method == "hybrid"][:1]
    for run, scale, leak in zip(runs_of(cell, preset), (0.5, 0.7), (0.99, 1.0), strict=True):
        finish(preset, run, 50.0, choices={"scale": scale, "leak": leak, "logit_scale": "mean" if leak < 1 else "sum"})
    (line,) = of_cells([cell], preset).to_dict("records")
    assert (line["n"], line["scale"], line["leak"], line["logit_scale"]) == (2, 0.5, 0.99, "mean")


def test_a_cell_without_a_run_shows_a_dash_and_a_missing_run_is_an_error(preset):
    cell = Cell(*[""] * 4, teacher="", method="hybrid", encoding="poisson", timesteps="100", metric="top1")
    table = Table("nothing", lambda preset: [cell], "ours")
    assert pd.isna(table.tidy(preset).iloc[0]["ours"])
    assert number(None) == number(float("nan")) == "-"
    assert number(91.0, 1.414, 2) == "91.00 ± 1.41 (n=2)"
    assert number(91.0, None, 1) == number(91.0, float("nan"), 1) == "91.00 (n=1)"
    with pytest.raises(InputError, match=r"metrics\.json: `snakemake --cores 1 .*` makes it"):
        EXHIBITS["table2"].tidy(preset)
