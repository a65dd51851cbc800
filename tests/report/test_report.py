"""Exhibits: the paper's numbers, the runs behind each cell, and tables that never show what no run made."""

import csv
import json
import math
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import yaml
from tiny import answering

from lasnn.errors import InputError
from lasnn.plan.config import Config, identity, merged, read
from lasnn.plan.runs import BASE, AnnRun, SnnRun
from lasnn.plan.vocabulary import METHODS
from lasnn.report import EXHIBITS, PAPER, exhibits_of, runs_of_target
from lasnn.report.cells import KEYS, Cell, paper_cells, runs_of
from lasnn.report.context import with_context
from lasnn.report.exhibit import Table
from lasnn.report.exhibits.table_s4 import compared
from lasnn.report.rows import number, table

CONTENT = yaml.safe_load(Path("config.yaml").read_text())
LASNN = SnnRun("digits", "vgg5", "lasnn_act", "poisson", 10, "vgg16bn")


@pytest.fixture
def preset(tmp_path):
    """`quick` with two seeds in a folder of its own, where nothing has run."""
    folders = {"results": str(tmp_path / "results"), "data": str(tmp_path / "data")}  # not where images may lie already
    overlay = {"folders": folders, "presets": {"quick": {"scope": {"seeds": [0, 1]}}}}
    return Config(merged(CONTENT, overlay)).preset("quick")


def pretend(preset, run, accuracy, **more):
    """A finished run's metrics, as a run leaves them."""
    metrics = {
        "accuracy": accuracy,
        "run": identity(run),
        "revision": 1,
        "data": {"title": "Digits", "subset": False, "train_images": 1437, "test_images": 360, "assessed": "test"},
        "choices": {"scale": 0.7, "leak": 1.0, "logit_scale": "mean", "start_accuracy": 60.0},
    }
    folder = Path(preset.folder(run))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metrics.json").write_text(json.dumps(answering(preset, run, metrics | more)))


def rows_of_paper():
    with open(PAPER, newline="") as file:
        return list(csv.DictReader(file))


def test_the_papers_numbers_parse_and_their_nine_keys_are_unique():
    rows = rows_of_paper()
    assert len(rows) == 193
    assert max(Counter(tuple(row[key] for key in KEYS) for row in rows).values()) == 1
    for row in rows:
        assert row["value"] == "" or row["metric"] in ("timesteps",) or float(row["value"]) is not None
    assert max(Counter((row["exhibit"], row["row_label"], row["metric"]) for row in rows).values()) > 1


@pytest.mark.parametrize(
    "name", ["Table I", "Table II", "Table III", "Table IV", "Fig 3", "Fig 4", "Fig 5a", "Fig 6", "Fig 7"]
)
def test_every_exhibit_of_the_paper_has_rows(name):
    assert paper_cells(name) or any(row["exhibit"].startswith(name) for row in rows_of_paper())


@pytest.mark.parametrize(
    ("exhibit", "count", "value"),
    [("Table I", 5, 83.27), ("Table II", 28, 80.38), ("Table III", 4, 42.38), ("Table IV", 18, 95.84)],
)
def test_cells_of_the_tables(exhibit, count, value):
    cells = paper_cells(exhibit)
    assert len(cells) == count
    assert value in [cell.paper for cell in cells]


NOTHING = {"presets": {"quick": {"scope": {"datasets": {"cifar10": None}}}}}
PAPERS = {  # what is printed together, and what shows it
    "table1": ["Table I"],
    "table2": ["Table II"],
    "table3": ["Table III"],
    "table4": ["Table IV"],
    "figure3": ["Fig 3"],
    "figure4": ["Fig 4"],
    "figure5": ["Fig 5a", "Fig 5b"],
}


def joins(ours, paper):
    """Whether two rows agree in the nine keys; what the paper leaves open agrees with everything."""
    opened = {"teacher": ("", "unspecified"), "encoding": ("", "unspecified"), "timesteps": ("", "unspecified")}
    return all(ours[key] == paper[key] or paper[key] in opened.get(key, ()) for key in KEYS)


@pytest.mark.parametrize("name", PAPERS)
def test_every_row_of_the_paper_joins_a_produced_one(preset, name):
    produced = [{key: getattr(cell, key) for key in KEYS} for cell in EXHIBITS[name].cells(preset)]
    printed = [row for row in rows_of_paper() if row["exhibit"].split(" / ")[0] in PAPERS[name]]
    assert printed
    for row in printed:
        assert any(joins(one, row) for one in produced), row
    if name.startswith("table"):  # and nothing else is in it
        more = [one["row_label"] for one in produced if not any(joins(one, row) for row in printed)]
        assert all(label.startswith("reconstruction, ") for label in more)
        assert len(more) == (6 if name == "table3" else 0)  # three networks from two starts


@pytest.mark.parametrize("name", ["table1", "table2", "table3", "table4"])
def test_every_printed_number_of_a_table_is_shown(name):
    """With nothing run, so that no number of ours is mistaken for one."""
    preset = Config(merged(CONTENT, NOTHING)).preset("quick")
    exhibit = EXHIBITS[name]
    shown = Counter(str(value) for value in exhibit.arrange(exhibit.tidy(preset)).to_numpy().ravel())
    printed = Counter(f"{cell.paper:.2f}" for cell in paper_cells(*PAPERS[name]) if cell.paper is not None)
    assert sum(printed.values()) == {"table1": 5, "table2": 28, "table3": 4, "table4": 18}[name]
    assert {value: count for value, count in shown.items() if value in printed} == dict(printed)


def test_only_ours_is_called_a_reconstruction(preset):
    exhibit = EXHIBITS["table3"]
    shown = exhibit.arrange(exhibit.tidy(Config(merged(CONTENT, NOTHING)).preset("quick")))
    ours = shown["work"].str.startswith("reconstruction")
    assert ours.sum() == 6
    assert (shown["method"].str.contains("reconstruction") == ours).all()
    assert (shown.loc[ours, "paper, %"] == "-").all()
    assert shown.loc[shown["paper, %"] == "42.38", "method"].tolist() == ["spike KD"]


def test_runs_behind_cells(preset):
    cell = next(c for c in paper_cells("Table II") if (c.student, c.method) == ("VGG5", "lasnn_act"))
    assert runs_of(cell, preset) == [LASNN, SnnRun("digits", "vgg5", "lasnn_act", "poisson", 10, "vgg16bn", seed=1)]
    assert runs_of(next(c for c in paper_cells("Table II") if c.dataset == "CIFAR-100"), preset) == []
    assert runs_of(next(c for c in paper_cells("Table I") if c.quoted), preset) == []
    teacher = next(c for c in paper_cells("Table IV") if c.row_label == "teacher VGG16")
    assert runs_of(teacher, preset) == [AnnRun("digits", "vgg16bn", seed=seed) for seed in (0, 1)]
    without = next(c for c in paper_cells("Table IV") if (c.student, c.method) == ("VGG5", "conversion"))
    assert runs_of(without, preset)[0] == SnnRun("digits", "vgg5", "conversion", "poisson", 10)


def test_the_paper_preset_runs_every_cell_of_tables_2_and_4():
    preset = read().preset("paper")
    for exhibit in ("Table II", "Table IV"):
        assert all(len(runs_of(cell, preset)) == 3 for cell in paper_cells(exhibit))


def trainings(name):
    """Spiking networks that a preset trains for its first seed: (method, encoding, variant) of each."""
    preset = read().preset(name)
    runs = [run for run in runs_of_target(preset, "all") if isinstance(run, SnnRun)]
    return [run for run in runs if run.seed == preset.scope.seeds[0] and METHODS[run.method].trained]


def test_the_paper_preset_holds_every_training_that_the_paper_reports():
    """The job list behind the paper's exhibits, for one seed; knob ablations come on top."""
    base = Counter(run.method for run in trainings("paper") if run.variant == BASE and run.encoder == "poisson")
    assert base["hybrid"] == base["kd_label"] == 7
    assert base["lasnn_act"] == 7 + 6  # Table II, and two more teachers for each of three students in Table IV
    assert base["lasnn_grad"] == 3 * 2  # three students at two T
    assert base["kd_spike"] == 3
    direct = Counter(run.method for run in trainings("paper") if run.variant == BASE and run.encoder == "direct")
    assert direct["lasnn_act"] == 3 * 2
    scratch = Counter(run.method for run in trainings("paper") if run.variant == "scratch")
    assert scratch == {"hybrid": 1, "lasnn_act": 1, "kd_spike": 3}  # of the last, none is the paper's
    assert base.total() + direct["lasnn_act"] + scratch["hybrid"] + scratch["lasnn_act"] == 44


def test_mean_and_deviation_over_seeds_and_the_paper_beside_them(preset):
    other = SnnRun("digits", "vgg5", "lasnn_act", "poisson", 10, "vgg16bn", seed=1)
    pretend(preset, LASNN, 90.0)
    pretend(preset, other, 92.0, teacher_weaker=True)
    cell = next(c for c in paper_cells("Table II") if (c.student, c.method) == ("VGG5", "lasnn_act"))
    table = Table("one cell", lambda preset: [cell], lambda tidy: tidy[["ours", "paper"]])
    tidy = table.tidy(preset)
    line = tidy.iloc[0]
    assert (line["ours"], line["n"], line["paper"], line["ran_dataset"], line["ran_steps"]) == (
        91.0,
        2,
        86.68,
        "Digits",
        10,
    )
    assert line["sd"] == pytest.approx(2**0.5)
    assert line["runs"].split() == [str(LASNN), str(other)]
    from lasnn.report.exhibit import remarks

    notes = " ".join(remarks(tidy, preset))
    for words in ("does not rank methods", "n_train 1437, n_test 360", "teacher is weaker"):
        assert words in notes


def test_company_is_a_mean_over_the_seeds_of_a_cell(preset):
    few, many = ({"1": {"total": total, "neurons": 10, "images": 2}} for total in (20, 40))
    base = next(c for c in paper_cells("Table II") if (c.student, c.method) == ("VGG5", "lasnn_act"))
    for variant, start in ((BASE, 60.0), ("scratch", math.nan)):
        first = replace(LASNN, variant=variant)
        pretend(preset, first, 90.0, spikes=few, ann_accuracy=95.0, teacher_accuracy=97.0)
        pretend(preset, replace(first, seed=1), 92.0, spikes=many, ann_accuracy=96.0)
        line = with_context(table([replace(base, variant=variant)], preset), preset).iloc[0]
        assert (line["ann"], line["teacher_accuracy"]) == (95.5, 97.0)  # where there is one
        assert line["start"] == pytest.approx(start, nan_ok=True)  # from scratch there is none
        assert line["spikes"] == 1.5  # one and two for each neuron and image
        assert pd.isna(line["scale"]) == (variant == "scratch")  # and no balanced thresholds


def test_a_variant_is_compared_with_the_base_runs_of_its_seeds(preset):
    pretend(preset, LASNN, 90.0)
    pretend(preset, replace(LASNN, seed=1), 80.0)
    pretend(preset, replace(LASNN, variant="alpha01"), 91.0)
    of = {"lasnn_act": f"{LASNN} {replace(LASNN, seed=1)}", "hybrid": None}
    lines = [("lasnn_act", BASE), ("lasnn_act", "alpha01"), ("hybrid", BASE)]
    tidy = pd.DataFrame(lines, columns=["method", "variant"])
    tidy["runs"] = [of["lasnn_act"], str(replace(LASNN, variant="alpha01")), None]
    found = compared(tidy, preset)["difference"]
    assert found[:2].tolist() == [0, 1]  # 91 - 90, not 91 - 85
    assert pd.isna(found[2])


def test_of_what_a_variant_changes_for_methods_a_line_says_its_own(preset):
    lines = [("hybrid", "bf16"), ("lasnn_act", "bf16_grad"), ("lasnn_act", "random_teacher"), ("hybrid", "alpha01")]
    tidy = pd.DataFrame(lines, columns=["method", "variant"]).assign(runs=None)
    expected = ["compute.amp: bf16", "compute.amp: bf16_grad", "for.vgg16bn.teacher.epochs: 0", "attention.alpha: 0.1"]
    assert compared(tidy, preset)["changes"].tolist() == expected


def test_mixed_revisions_and_subsets_are_said(preset):
    from lasnn.report.exhibit import remarks
    from lasnn.report.rows import table

    cells = [c for c in paper_cells("Table II") if c.student == "VGG5" and c.method in ("hybrid", "kd_label")]
    for cell, revision in zip(cells, (1, 2), strict=True):
        for run in runs_of(cell, preset):
            data = {"title": "Digits", "subset": True, "train_images": 10, "test_images": 5, "assessed": "test"}
            pretend(preset, run, 50.0, revision=revision, data=data)
    notes = " ".join(remarks(table(cells, preset), preset))
    assert "revisions of the code are mixed: snn1, snn2" in notes
    assert "holds only a part" in notes


def test_a_cell_without_a_run_shows_a_dash_and_a_missing_run_is_an_error(preset):
    cell = Cell(*[""] * 4, teacher="", method="hybrid", encoding="poisson", timesteps="100", metric="top1")
    table = Table("nothing", lambda preset: [cell], lambda tidy: tidy[["ours"]])
    assert pd.isna(table.tidy(preset).iloc[0]["ours"])
    assert number(None) == "-"
    with pytest.raises(InputError, match=r"metrics\.json: `snakemake --cores 1 .*` makes it"):
        EXHIBITS["table2"].tidy(preset)


def test_numbers_as_tables_show_them():
    assert number(91.0, 1.414, 2) == "91.00 ± 1.41 (n=2)"
    assert number(91.0, None, 1) == "91.00 (n=1)"
    assert number(float("nan")) == "-"


def test_unknown_targets_name_the_known_ones():
    assert exhibits_of("table2") == ["table2"]
    with pytest.raises(InputError, match="tables"):
        exhibits_of("tabels")
