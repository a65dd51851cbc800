"""Every setting that no run reads, `scope`, `energy` and `claims`: change it, and what it is for changes."""

import re
from pathlib import Path

import pandas as pd
import pytest
from made_up import CONFIG, CONTENT, preset_in
from tiny import config_with

from lasnn.plan.cells import Energy, Scope, regime_cells
from lasnn.plan.runs import SnnRun
from lasnn.report import EXHIBITS, frame, runs_of_target

BASE = {
    "seeds": [0, 1],
    "methods": ["conversion", "hybrid", "kd_label", "lasnn_act", "lasnn_grad", "kd_spike", "calibration"],
    "repeated": ["hybrid"],
    "repeated_inputs": ["poisson"],
    "ablations": ["lasnn_act+alpha01"],
    "low_t": ["lasnn_act+alpha01"],
    "steps": {"direct-T4": 4, "direct-T8": 8},
    "corners": {"n2500": {"lasnn_act": "alpha01"}},
}
N2500, ALPHA03, CALIBRATION = r"\w+/n2500", ["lasnn_act+alpha03"], "(conversion|calibration)/direct.*"
READ = "(conversion|hybrid|kd_label|lasnn_act|lasnn_grad)"
CORNER = {"claims": ["lasnn_where_overfitting"]}
# A key, another value, and two patterns: of all runs that are no longer planned then, and of all new ones.
PLANNED = [
    ("datasets", {"cifar10": None, "cifar100": "digits"}, {}, ".*", ""),  # made-up images stand for CIFAR-10 alone
    ("students", ["vgg5"], {}, ".*(/conv3fc2/|/kd_spike/).*", ""),  # the chain has both
    ("teachers", ["vgg16bn"], {}, ".*resnet20.*", ""),
    ("teacher_of", {"conv3fc2": "resnet20"}, {}, r"snn/\w+/conv3fc2/.*/vgg16bn/.*", r".*(/conv3fc2/.*)?/resnet20/.*"),
    ("methods", [*BASE["methods"][:-1]], {}, r"snn/.*/calibration/.*", ""),
    ("focus", "conv3fc2", {}, f".*/(vgg5/.*(alpha01|direct|calibration|T10)|{N2500}).*", f".*/(conv3fc2/|{N2500}).*"),
    ("ablations", ALPHA03, {}, ".*/lasnn_act/poisson-.*/alpha01/.*", ".*/lasnn_act/poisson-.*/alpha03/.*"),
    ("own", {"hybrid": "scale_04"}, {}, "", r"snn/.*/vgg5/hybrid/.*/scale_04/s[01]"),
    ("low_t", ALPHA03, {}, ".*/lasnn_act/direct-T4/.*/alpha01/.*", ".*/lasnn_act/direct-T4/.*/alpha03/.*"),
    ("recipes", ["hybrid+alpha03"], {}, "", f".*/(direct/base|{CALIBRATION}|hybrid/direct.*/alpha03)/s[01]"),
    ("corners", {}, CORNER, ".*/n2500(__alpha01)?/.*", ""),
    ("corners_once", ["n2500"], CORNER, ".*/n2500(__alpha01)?/s1", ""),
    ("spike_chain", ["conv3fc2", "vgg5"], {}, ".*/kd_spike/.*", ".*/(conv3fc2/kd_spike/.*/none|.*/snn_conv3fc2)/.*"),
    ("readings", {"sum": "logit_sum", "mean": "base"}, {}, "", f".*/{READ}/poisson-T10/.*/logit_sum/s[01]"),
    ("steps", BASE["steps"] | {"poisson-T100": 12}, {}, ".*/poisson-T10/.*", ".*/poisson-T12/.*"),
    ("seeds", [0, 2], {}, ".*/s1", ".*/s2"),
    ("repeated", ["kd_label"], {}, ".*/hybrid/.*/s1", ".*/kd_label/.*/s1"),
    ("repeated_inputs", ["direct"], {}, ".*poisson.*/s1", ".*direct.*/s1"),
    ("inputs", {"poisson": "direct"}, {}, ".*/poisson.*", ".*/direct.*"),
    (
        "benchmark",
        {"rows": {"untaught": ["hybrid"], "reset": ["hybrid+reset_grad"]}, "steps": [1], "trials": "quick"},
        {},
        "",
        ".*/hybrid/poisson-T10/none/reset_grad/s[01]",
    ),
    ("claims", ["lasnn_where_overfitting"], {}, "", ".*(/n2500(__alpha01)?/|/vgg16bn/base/).*"),
]


PLANS: dict[tuple[str, str], set[str]] = {}  # each is made once


def planned(scope, target="all"):
    """Every run behind a target, by name."""
    key = repr(scope), target
    if key not in PLANS:
        PLANS[key] = set(map(str, runs_of_target(preset_in(Path(), BASE | scope), target)))
    return PLANS[key]


@pytest.mark.parametrize(("key", "value", "where", "gone", "new"), PLANNED, ids=[row[0] for row in PLANNED])
def test_a_key_of_the_scope_plans_its_runs_alone(key, value, where, gone, new):
    target = "claims" if key == "claims" else "all"
    before, after = (planned(where | changed, target) for changed in ({}, {key: value}))
    assert (bool(before - after), bool(after - before)) == (bool(gone), bool(new))
    assert [run for run in before - after if not re.fullmatch(gone, run)] == []
    assert [run for run in after - before if not re.fullmatch(new, run)] == []


def test_the_scopes_note_is_printed_under_every_exhibit_and_plans_nothing(tmp_path):
    columns = ["n", "ran_dataset", "train_images", "test_images", "assessed", "subset"]
    preset = preset_in(tmp_path, {"note": "Of made-up numbers."})
    noted = EXHIBITS["table1"].basis(pd.DataFrame(columns=columns), preset)
    assert noted[1:] == ["Of made-up numbers."]
    assert planned({"note": "other"}) == planned({})


def test_without_corners_the_regime_map_has_hybrid_training_alone(tmp_path):
    (cell,) = regime_cells(preset_in(tmp_path, {"corners": {}}))
    assert (cell.method, cell.variant, cell.encoding) == ("hybrid", "base", "direct")


def test_every_key_has_a_row():
    assert {row[0] for row in PLANNED} | {"note"} == set(Scope.model_fields)
    assert set(ENERGY) == set(Energy.model_fields)


RUN = SnnRun("digits", "vgg5", "hybrid", "direct", 4)
COUNTS = {"synops": 1000.0, "macs": 500, "macs_first": 100}
SPIKES = {"c1": {"total": 60, "neurons": 10, "images": 2}}  # 3 spikes for each neuron and image
ENERGY = {  # joules of one image, of T analog first layers, and of the ANN; what a sum over a batch makes of 3 spikes
    "mac_pj": (10.0, {"joules": 1900, "joules_pessimistic": 4900, "ann_joules": 5000, "batch_added": 48}),
    "ac_pj": (2.0, {"joules": 2460, "joules_pessimistic": 3840, "ann_joules": 2300, "batch_added": 48}),
    "batch": (4, {"joules": 1360, "joules_pessimistic": 2740, "ann_joules": 2300, "batch_added": 12}),
}


@pytest.mark.parametrize("key", ENERGY)
def test_energy_by_hand(tmp_path, monkeypatch, key):
    """A multiply-add 4.6 pJ, an addition 0.9 pJ, a batch of 16; one of them changed: in pJ, direct input, T = 4."""
    monkeypatch.setattr(frame, "metrics_of", lambda run, preset: {"operations": COUNTS, "spikes": SPIKES})
    value, expected = ENERGY[key]
    names = ("joules", "joules_pessimistic", "ann_joules", "batch_added", "spikes", "spikes_per_image", "synops")
    found = frame.frame([RUN], preset_in(tmp_path, {}, energy={key: value}), names).iloc[0]
    picojoules = {name: found[name] * (1 if name == "batch_added" else 1e12) for name in expected}
    assert picojoules == pytest.approx(expected)
    assert (found["spikes"], found["spikes_per_image"], found["synops"]) == (3, 30, 1000)


def test_an_exhibit_rests_on_the_titles_that_it_shows():
    """Of variants where their titles are shown, of own networks everywhere; on nothing where there are none."""

    def plans(**overlay):
        preset = config_with(**overlay).preset("quick")
        return {name: EXHIBITS[name].plan(preset) for name in ("figure_ablations", "table_s4", "table_s1")}

    before = plans()
    assert before["table_s4"] == config_with().preset("quick").scope.model_dump_json()
    after = plans(variants={"scratch": {"title": "weights drawn anew"}})
    assert {name for name in before if before[name] != after[name]} == {"figure_ablations"}
    own = {"family": "plain", "features": [32, "A", 64, "A"], "hidden": 1, "fc": 128}
    scope = {
        "presets": {"quick": {"scope": {"students": ["conv3fc2", "vgg5", "mine"], "teacher_of": {"mine": "vgg16bn"}}}}
    }
    one, other = (plans(architectures={"mine": own | {"title": title}}, **scope) for title in ("Mine", "My own"))
    assert one["table_s1"] != other["table_s1"]


def test_table_s10_rests_on_the_trials_that_it_counts():
    """Of the preset that made them; what else that preset has changes nothing."""

    def plan(**scope):
        return EXHIBITS["table_s10"].plan(
            config_with(presets={"tuning_benchmark": {"scope": scope}}).preset("benchmark")
        )

    rows = CONTENT["presets"]["tuning_benchmark"]["scope"]["benchmark"]["rows"]
    fewer = {"rows": rows | {"label KD": ["kd_label"]}, "steps": [1, 2, 3], "trials": "tuning_benchmark"}
    assert plan() == plan(note="another note")
    assert plan() != plan(benchmark=fewer)


def test_what_shows_seconds_or_memory_rests_on_provenance():
    """All runs, those of Figure 5, and both sides of the claim on memory; no other."""
    preset = CONFIG.preset("small")
    found = {
        name: [path for path in exhibit.made_from(preset) if path.endswith("/provenance.json")]
        for name, exhibit in EXHIBITS.items()
    }
    assert {name for name, paths in found.items() if paths} == {"claims", "figure5", "runs"}
    assert {path.split("/")[5] for path in found["claims"]} == {"lasnn_act", "lasnn_grad"}
    assert len(found["runs"]) == len(EXHIBITS["runs"].runs(preset))
