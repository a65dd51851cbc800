"""The chain on real digits, tiny: files of a run, equal bytes from equal commands, resume, and the command line."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

import lasnn
from lasnn.__main__ import main
from lasnn.console import Console
from lasnn.plan.config import merged, read
from lasnn.storage import checkpoint, files
from lasnn.storage.locks import only_writer
from lasnn.training.stages.student import STEPS

CONTENT = yaml.safe_load(Path("config.yaml").read_text())
TINY = {
    "presets": {
        "quick": {
            "data": {"train_images": 96, "test_images": 40, "held_out": 32},
            "teacher": {"epochs": 1},
            "ann": {"epochs": 3},
            "balancing": {"steps": 30, "images": 16},
            "curve": {"steps": 20, "grid": [10, 20], "images": 20},
            "choices": {"images": 16},
            "student": {"epochs": 2},
            "calibration": {"images": 32, "batches": 2, "weights": {"images": 32, "steps": 3}},
            "evaluation": {"seeds": [0, 1]},
            "for": {"kd_spike": {"spiking": {"scale": 0.3}}},  # else so small a network hardly spikes
        }
    },
    "variants": {
        "auto": {"spiking": {"scale": "search", "logit_scale": "auto"}},
        "sam_knobs": {"attention": {"sam_include_self": True, "sam_detach_trace": True}},
        "alpha_0": {"attention": {"alpha": 0.0}},
        "half_gain": {"encoder": {"gain": 0.5}},
    },
}
ANN = "ann/digits/vgg5/base/s0"
TEACHER = "ann/digits/vgg16bn/base/s0"
CONVERTED = "converted/digits/vgg5/poisson/base/s0"
LASNN = "snn/digits/vgg5/lasnn_act/poisson-T6/vgg16bn/base/s0"
HEAD = "snn/digits/vgg5/kd_spike/poisson-T6/none/base/s0"
TAUGHT = "snn/digits/conv3fc2/kd_spike/poisson-T6/snn_vgg5/base/s0"
CALIBRATED = "snn/digits/vgg5/calibration/direct-T4/none/calibration_weights/s0"
HASHED = ("model.pt", "metrics.json", "predictions.npz")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Prepared digits."""
    from lasnn.datasets import prepare

    path = tmp_path_factory.mktemp("data")
    prepare("digits", path / "digits.npz")
    return path


@pytest.fixture
def place(data, tmp_path):
    """Runs verbs of the command line on a tiny configuration in a folder of its own."""
    return Tiny(data, tmp_path)


class Tiny:
    def __init__(self, data, folder, **overlay):
        self.results = folder / "results"
        content = merged(merged(CONTENT, TINY), {"folders": {"results": str(self.results), "data": str(data)}})
        self.config = folder / "config.yaml"
        self.config.write_text(yaml.safe_dump(merged(content, overlay)))

    def __call__(self, verb, *words):
        return main([verb, *words, "--config", str(self.config)])

    def run(self, *paths):
        for path in paths:
            assert self(path.split("/")[0], f"{self.results}/quick/{path}") == 0

    def folder(self, path):
        return self.results / "quick" / path


@pytest.fixture(scope="module")
def chain(data, tmp_path_factory):
    """The whole chain, made once."""
    place = Tiny(data, tmp_path_factory.mktemp("chain"))
    place.run(ANN, TEACHER, CONVERTED, LASNN, CALIBRATED)
    return place


def test_a_run_leaves_its_files_and_no_resume_state(chain):
    for path in (ANN, TEACHER, CONVERTED, LASNN):
        folder = chain.folder(path)
        names = {entry.name for entry in folder.iterdir()}
        assert {*HASHED, "provenance.json"} <= names
        assert "resume.pt" not in names
        metrics = json.loads((folder / "metrics.json").read_text())
        assert metrics["format"] == 1
        assert metrics["run"]["path"] == path
        assert metrics["data"]["train_images"] == 96
        assert json.loads((folder / "provenance.json").read_text())["seconds"] > 0
        with np.load(folder / "predictions.npz") as predictions:
            assert int(predictions["format"]) == 1
            assert len(predictions["image_ids"]) == 40
    lines = (chain.folder(LASNN) / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [1, 2]


def test_parents_and_data_are_named_by_digest(chain):
    metrics = json.loads((chain.folder(LASNN) / "metrics.json").read_text())
    expected = {path: files.sha256(chain.folder(path) / "model.pt") for path in (CONVERTED, TEACHER)}
    assert metrics["parents"] == expected
    assert len(metrics["data"]["digest"]) == 64


def test_metrics_agree_with_the_predictions(chain):
    from lasnn.datasets import load

    metrics = json.loads((chain.folder(LASNN) / "metrics.json").read_text())
    with np.load(chain.folder(LASNN) / "predictions.npz") as predictions:
        predicted, ids, labels = (predictions[name] for name in ("predicted", "image_ids", "labels"))
    prepared = load(Path(yaml.safe_load(chain.config.read_text())["folders"]["data"]) / "digits.npz")
    assert (ids == prepared.test_ids[:40]).all()
    assert (labels == prepared.test_labels[:40]).all()
    accuracies = 100 * (predicted == prepared.test_labels[:40]).mean(1)
    assert list(metrics["accuracy_by_seed"].values()) == pytest.approx(accuracies.tolist())
    assert metrics["accuracy"] == pytest.approx(accuracies.mean())
    assert metrics["accuracy_by_step"][-1] == pytest.approx(accuracies[0])


def test_attention_maps_are_what_the_loss_compares(chain):
    """Of VGG5 on 16x16 images: sides 16, 8 and 4 (the student's third layer has 8x8), and each image a unit vector."""
    with np.load(chain.folder(LASNN) / "predictions.npz") as predictions:
        for level, side in {"low": 16, "mid": 8, "high": 4}.items():
            teacher, student = (predictions[f"maps_{name}_{level}"] for name in ("teacher", "student"))
            assert teacher.shape == student.shape == (8, side, side)
            for maps in (teacher, student):
                norms = np.linalg.norm(maps.reshape(8, -1), axis=1)
                assert np.isclose(norms, 1, atol=1e-5).all() or set(norms[~np.isclose(norms, 1, atol=1e-5)]) == {0}
            assert not np.allclose(teacher, student)


def test_the_same_commands_give_the_same_bytes(chain, place):
    place.run(ANN, TEACHER, CONVERTED, LASNN)
    for path in (ANN, TEACHER, CONVERTED, LASNN):
        for name in HASHED:
            assert files.sha256(place.folder(path) / name) == files.sha256(chain.folder(path) / name), (path, name)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("path", [ANN, CONVERTED, LASNN, CALIBRATED])
def test_an_interrupted_run_ends_in_the_same_bytes(chain, place, monkeypatch, capsys, path, number):
    """The signal comes right after the first save: an epoch, the balancing of a conversion, a calibrated layer."""
    parents = {ANN: [], CONVERTED: [ANN], LASNN: [TEACHER, ANN, CONVERTED], CALIBRATED: [ANN]}[path]
    place.run(*parents)
    real, calls = checkpoint.write_sealed, []

    def stop_after_the_first(file, state):
        real(file, state)
        calls.append(file)
        if len(calls) == 1:
            os.kill(os.getpid(), number)

    monkeypatch.setattr(checkpoint, "write_sealed", stop_after_the_first)
    capsys.readouterr()
    assert place(path.split("/")[0], str(place.folder(path))) == 128 + number
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert f"stopped by {number.name}; " in line
    assert {entry.name for entry in place.folder(path).iterdir()} - {"log.jsonl"} == {"resume.pt"}
    monkeypatch.undo()
    place.run(path)
    kept = {CONVERTED: "balancing: done before", CALIBRATED: "weights of c1: done before"}
    assert kept.get(path, "goes on after epoch 1") in capsys.readouterr().err
    for name in HASHED:
        assert files.sha256(place.folder(path) / name) == files.sha256(chain.folder(path) / name)


def test_a_second_writer_of_a_run_is_refused_and_changes_nothing(chain, place, capsys):
    place.folder(ANN).mkdir(parents=True)
    with only_writer(place.folder(ANN) / ".lock", "the run"):
        assert place("ann", str(place.folder(ANN))) == 2
        said = capsys.readouterr().err
    assert f"the run {ANN} is being made by another process (number {os.getpid()})" in said
    assert len(said.splitlines()) == 1
    assert list(place.folder(ANN).iterdir()) == []


def test_a_second_writer_of_a_dataset_is_refused_and_changes_nothing(tmp_path, capsys):
    place = Tiny(tmp_path / "data", tmp_path)
    with only_writer(tmp_path / "data" / ".digits.npz.lock", "the dataset"):
        assert place("data", "digits") == 2
    assert "dataset 'digits' is being made by another process" in capsys.readouterr().err
    assert not list((tmp_path / "data").iterdir())
    assert place("data", "digits") == 0
    assert [entry.name for entry in (tmp_path / "data").iterdir()] == ["digits.npz"]


def test_other_methods_and_automatic_choices_run(chain, capsys):
    for path in (
        "snn/digits/vgg5/conversion/poisson-T6/none/base/s0",
        "snn/digits/vgg5/hybrid/poisson-T6/none/auto/s0",
        "snn/digits/vgg5/hybrid/poisson-T6/none/scratch/s0",
        "snn/digits/vgg5/lasnn_grad/poisson-T6/vgg16bn/base/s0",
        "snn/digits/vgg5/kd_label/poisson-T6/vgg16bn/base/s0",
    ):
        chain.run(path)
        metrics = json.loads((chain.folder(path) / "metrics.json").read_text())
        assert 0 <= metrics["accuracy"] <= 100
    auto = json.loads((chain.folder("snn/digits/vgg5/hybrid/poisson-T6/none/auto/s0") / "metrics.json").read_text())
    choices = auto["choices"]
    best = max(choices["accuracy_by_scale"].values())
    assert choices["scale"] == max(float(s) for s, accuracy in choices["accuracy_by_scale"].items() if accuracy == best)
    entropies = choices["start_cross_entropy_of"]
    assert choices["logit_scale"] == min(entropies, key=entropies.get)
    scratch = json.loads(
        (chain.folder("snn/digits/vgg5/hybrid/poisson-T6/none/scratch/s0") / "metrics.json").read_text()
    )
    assert set(scratch["thresholds"].values()) == {1.0}
    said = capsys.readouterr().err
    assert "spikes per neuron and step: c1" in said
    assert "the teacher is the weaker" in said or "teacher vgg16bn" in said


def test_conversion_has_one_curve_for_each_scale(chain):
    metrics = json.loads((chain.folder(CONVERTED) / "metrics.json").read_text())
    assert [curve["scale"] for curve in metrics["curves"]] == [1.0, 0.7]
    assert set(metrics["curves"][0]["accuracy"]) == {"10", "20"}
    assert all(threshold > 0 for threshold in metrics["thresholds"].values())


def journal(chain, path):
    return [json.loads(line) for line in (chain.folder(path) / "log.jsonl").read_text().splitlines()]


def test_the_journal_tells_what_a_training_suffers_from(chain):
    """The last line's norms are those of the checkpoint's weights; silent maps are a share of the images shown."""
    for path in (ANN, LASNN):
        weights, _ = checkpoint.load(chain.folder(path) / "model.pt")
        last = journal(chain, path)[-1]["weight_norms"]
        assert set(last) == {name for name in weights if name.endswith("weight")}
        assert all(last[name] == pytest.approx(weights[name].norm().item(), rel=1e-5) for name in last)
    assert all(set(line["silent_maps"]) == {"low", "mid", "high"} for line in journal(chain, LASNN))
    maps = np.load(chain.folder(LASNN) / "predictions.npz")
    for level, share in journal(chain, LASNN)[-1]["silent_maps"].items():
        assert share == (maps[f"maps_student_{level}"] == 0).all((1, 2)).mean()


@pytest.mark.parametrize(
    ("variant", "method"),
    [
        ("per_step", "lasnn_act"),
        ("raw_gradient", "lasnn_grad"),
        ("logit_gradient", "lasnn_grad"),
        ("sam_knobs", "lasnn_grad"),
        ("half_gain", "hybrid"),
        ("train_thresholds", "hybrid"),
        ("double_first", "hybrid"),
    ],
)
def test_knobs_reach_the_training(chain, variant, method):
    """Each gives other weights than the base run of its method; both start from their own parents."""
    teacher, weights = ("none" if method == "hybrid" else "vgg16bn"), {}
    if variant == "half_gain":  # another input, so other thresholds
        chain.run(f"converted/digits/vgg5/poisson/{variant}/s0")
    for name in ("base", variant):
        path = f"snn/digits/vgg5/{method}/poisson-T6/{teacher}/{name}/s0"
        if not chain.folder(path).exists():
            chain.run(path)
        weights[name] = checkpoint.load(chain.folder(path) / "model.pt")[0]
    assert any(not torch.equal(value, weights["base"][name]) for name, value in weights[variant].items())


def test_trained_thresholds_are_those_of_the_checkpoint(chain):
    """They differ from the start's, and the network that is loaded spikes as the metrics say."""
    path = "snn/digits/vgg5/hybrid/poisson-T6/none/train_thresholds/s0"
    if not chain.folder(path).exists():
        chain.run(path)
    metrics = files.read_json(chain.folder(path) / "metrics.json")
    start = files.read_json(chain.folder(CONVERTED) / "metrics.json")["thresholds"]
    scale = metrics["choices"]["scale"]
    assert all(metrics["thresholds"][name] != pytest.approx(scale * value, rel=1e-6) for name, value in start.items())
    assert lasnn.load(chain.folder(path)).thresholds == metrics["thresholds"]


def test_steps_over_the_epochs():
    assert [STEPS["double_first"](6, progress) for progress in (0, 0.25, 0.5, 0.75)] == [12, 12, 6, 6]


def test_a_teacher_with_statistics_of_its_dataset(chain, data):
    """Those of the 96 training images, in [-1, 1]; they travel in its checkpoint; other parents are shared."""
    path = "ann/digits/vgg16bn/teacher_stats/s0"
    chain.run(path, "snn/digits/vgg5/lasnn_act/poisson-T6/vgg16bn/teacher_stats/s0")
    weights, _ = checkpoint.load(chain.folder(path) / "model.pt")
    pixels = np.load(data / "digits.npz")["train_images"][:96] / 127.5 - 1
    assert weights["standardise.mean"].tolist() == pytest.approx(pixels.mean((0, 2, 3)), rel=1e-5)
    assert weights["standardise.std"].tolist() == pytest.approx(pixels.std((0, 2, 3)), rel=1e-5)
    assert not chain.folder("ann/digits/vgg5/teacher_stats/s0").exists()
    assert lasnn.load(chain.folder(path)).net.standardise.std.tolist() == weights["standardise.std"].tolist()


@pytest.mark.parametrize("method", ["lasnn_act", "lasnn_grad"])
def test_a_training_with_alpha_zero_is_hybrid_bit_for_bit(chain, method):
    """Two epochs with dropout, encoder noise and augmentation: the teacher changes no draw and no bit."""
    weights = []
    for path in (
        "snn/digits/vgg5/hybrid/poisson-T6/none/base/s0",
        f"snn/digits/vgg5/{method}/poisson-T6/vgg16bn/alpha_0/s0",
    ):
        if not chain.folder(path).exists():
            chain.run(path)
        weights.append(checkpoint.load(chain.folder(path) / "model.pt")[0])
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())


def test_label_kd_notes_the_spread_of_both_logits(chain):
    path = "snn/digits/vgg5/kd_label/poisson-T6/vgg16bn/base/s0"
    if not chain.folder(path).exists():
        chain.run(path)
    lines = journal(chain, path)
    metrics = json.loads((chain.folder(path) / "metrics.json").read_text())
    assert lines[-1]["logit_std"] == pytest.approx(metrics["logit_std"] / 6)  # T = 6, logits: mean
    teacher = np.load(chain.folder(TEACHER) / "predictions.npz")["logits"].std(1).mean()
    assert all(line["logit_std_teacher"] == pytest.approx(teacher, rel=1e-5) for line in lines)


def test_the_unsigned_code_runs_from_its_own_thresholds(chain):
    path = "converted/digits/vgg5/poisson_unsigned/base/s0"
    chain.run(path, "snn/digits/vgg5/conversion/poisson_unsigned-T6/none/base/s0")
    own, signed = (json.loads((chain.folder(name) / "metrics.json").read_text()) for name in (path, CONVERTED))
    assert own["thresholds"] != signed["thresholds"]


@pytest.mark.parametrize("variant", ["norm_max", "norm_robust"])
def test_thresholds_by_normalisation_are_those_of_the_loaded_ann(chain, variant):
    """Of all 96 images, less than the 2,048 that are asked for; the runs after it start from them."""
    path = f"converted/digits/vgg5/poisson/{variant}/s0"
    chain.run(path, f"snn/digits/vgg5/conversion/poisson-T6/none/{variant}/s0")
    metrics, balanced = (json.loads((chain.folder(name) / "metrics.json").read_text()) for name in (path, CONVERTED))
    assert metrics["thresholds"].keys() == balanced["thresholds"].keys()
    assert all(value > 0 for value in metrics["thresholds"].values())
    assert metrics["thresholds_by_batch"] == [pytest.approx(list(metrics["thresholds"].values()))]
    assert metrics["thresholds"] != balanced["thresholds"]


def test_a_loaded_network_is_the_one_that_was_evaluated(chain):
    net = lasnn.load(str(chain.folder(ANN)))
    from lasnn.datasets import load

    prepared = load(Path(yaml.safe_load(chain.config.read_text())["folders"]["data"]) / "digits.npz")
    logits = net(torch.from_numpy(prepared.test_images[:40]).float() / 255)
    with np.load(chain.folder(ANN) / "predictions.npz") as predictions:
        assert np.allclose(logits.numpy(), predictions["logits"], atol=1e-4)
    snn = lasnn.load(str(chain.folder(LASNN)))
    assert (snn.run.steps, snn.encoder) == (6, "poisson")
    output = snn.observe(torch.rand(2, 3, 16, 16))
    assert output.logits.shape == (2, 10)
    assert set(output.stages) == {"low", "mid", "high"}
    assert set(output.stages["low"].unique().tolist()) <= {0.0, 1.0}


@pytest.fixture(scope="module")
def spike_chain(chain):
    """Two spiking networks with spiking readouts, the second taught by the first."""
    chain.run(HEAD, *(path.replace("vgg5", "conv3fc2") for path in (ANN, CONVERTED)), TAUGHT)
    return chain


def test_spike_kd_along_its_chain(spike_chain):
    from lasnn.datasets import load

    prepared = load(Path(yaml.safe_load(spike_chain.config.read_text())["folders"]["data"]) / "digits.npz")
    digits = torch.from_numpy(prepared.test_images[:40])
    head, taught = (json.loads((spike_chain.folder(path) / "metrics.json").read_text()) for path in (HEAD, TAUGHT))
    assert HEAD in taught["parents"]
    assert taught["teacher_accuracy"] == head["accuracy"]
    assert head["teacher_accuracy"] is None
    for path, metrics in {HEAD: head, TAUGHT: taught}.items():
        assert metrics["choices"]["logit_scale"] == "sum"
        assert list(metrics["spikes"])[-1] == "readout"
        assert "readout" not in metrics["operations"]["synops_by_layer"]
        lines = [json.loads(line) for line in (spike_chain.folder(path) / "log.jsonl").read_text().splitlines()]
        assert all(("kd" in line) == (path == TAUGHT) for line in lines)
        with np.load(spike_chain.folder(path) / "predictions.npz") as predictions:
            logits = predictions["logits"]
        assert ((logits >= 0) & (logits <= 6) & (logits == logits.round())).all()  # spike counts
        assert logits.sum() == metrics["spikes"]["readout"]["total"]
        loaded = lasnn.load(spike_chain.folder(path))
        assert loaded.thresholds == metrics["thresholds"]
        counts = loaded(digits.float() / 255)
        assert logits.sum() > 50
        assert counts.sum().item() == pytest.approx(logits.sum(), rel=0.3)  # with other noise
        assert torch.equal(counts, counts.round().clamp(0, 6))


def test_the_readout_is_balanced_as_one_more_layer(spike_chain):
    """The largest current of the readout, from its features, in the very images and steps that balance the others."""
    from lasnn.spiking.neurons import streaming
    from lasnn.training.reading import read as task_of
    from lasnn.training.stages.converted import calibration

    converted = lasnn.load(spike_chain.folder(CONVERTED)).net
    config = read(spike_chain.config)
    preset, run = config.locate(f"{spike_chain.results}/quick/{HEAD}")
    settings = preset.settings(run)
    task, _ = task_of(preset, run, settings, torch.device("cpu"))
    with torch.no_grad(), streaming(converted):
        largest = max(converted(chunk).currents.max().item() for chunk in calibration(task.train, run, settings, 0)())
    scale = settings.spiking.scale
    found = json.loads((spike_chain.folder(HEAD) / "metrics.json").read_text())["thresholds"]["readout"]
    assert found == pytest.approx(scale * largest, rel=1e-5)


def test_spike_kd_without_its_teacher_is_one_line(spike_chain, capsys):
    (spike_chain.folder(HEAD) / "model.pt").rename(spike_chain.folder(HEAD) / "elsewhere.pt")
    path = TAUGHT.replace("/base/", "/leak_1/")
    assert spike_chain("snn", str(spike_chain.folder(path))) == 2
    (spike_chain.folder(HEAD) / "elsewhere.pt").rename(spike_chain.folder(HEAD) / "model.pt")
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "make it first" in line
    assert "kd_spike/poisson-T6/none" in line
    assert not (spike_chain.folder(path) / "metrics.json").exists()


@pytest.mark.parametrize("form", ["none", "light", "advanced_potential", "advanced_weights"])
def test_calibration_leaves_what_a_spiking_run_leaves_and_loads(chain, form):
    variant = {"light": "base", "none": "calibration_none", "advanced_potential": "calibration_potential"}
    path = f"snn/digits/vgg5/calibration/direct-T4/none/{variant.get(form, 'calibration_weights')}/s0"
    chain.run(path)
    metrics = json.loads((chain.folder(path) / "metrics.json").read_text())
    assert list(metrics["parents"]) == [ANN]
    assert metrics["calibration"]["form"] == form
    assert set(metrics["spikes"]) == set(metrics["calibration"]["amplitudes"])
    assert metrics["operations"]["encoder_spikes"] == 0
    for before, *after in metrics["calibration"]["mean_error"].values():
        assert len(after) == (form != "none")
        assert all(abs(left) <= abs(before) + 0.02 for left in after)
    weights, _ = checkpoint.load(chain.folder(path) / "model.pt")
    assert ("layers.c1.activation.initial" in weights) == form.startswith("advanced")
    from lasnn.datasets import load

    prepared = load(Path(yaml.safe_load(chain.config.read_text())["folders"]["data"]) / "digits.npz")
    logits = lasnn.load(chain.folder(path))(torch.from_numpy(prepared.test_images[:40]).float() / 255)
    with np.load(chain.folder(path) / "predictions.npz") as predictions:
        assert np.allclose(logits.numpy(), predictions["logits"], atol=1e-3)
    ann, _ = checkpoint.load(chain.folder(ANN) / "model.pt")
    same = torch.equal(ann["layers.c1.synapses.weight"], weights["layers.c1.synapses.weight"])
    assert same == (form != "advanced_weights")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["snn", "{}/quick/snn/digits/vgg5/calibration/poisson-T6/none/base/s0"], "takes direct input only"),
        (["snn", "{}/quick/snn/digits/vgg5/calibration/direct-T6/vgg16bn/base/s0"], "needs no teacher (none)"),
        (["snn", "{}/quick/snn/digits/vgg5/calibration/direct-T6/snn_vgg5/base/s0"], "needs no teacher (none)"),
        (["snn", "{}/quick/snn/digits/vgg5/kd_label/poisson-T6/snn_vgg9/base/s0"], "needs a teacher (densenet121"),
        (["snn", "{}/quick/snn/digits/vgg5/kd_spike/poisson-T6/vgg16bn/base/s0"], "follows scope.spike_chain: vgg5"),
        (["snn", "{}/quick/snn/digits/vgg9/kd_spike/poisson-T6/none/base/s0"], "follows scope.spike_chain: vgg5"),
        (["snn", "{}/quick/snn/digits/vgg5/kd_spike/poisson-T3/none/base/s0"], "spike_kd.window is 4, but"),
        (["snn", "{}/quick/" + LASNN], "which is missing: make it first"),
        (["ann", "{}/quick/" + LASNN], "use `python -m lasnn snn`"),
        (["ann", "{}/quick/ann/digits/vgg6/base/s0"], "unknown network 'vgg6'"),
        (["ann", "{}/quick/" + ANN, "--settings", "{{}}"], "--settings: key 'revision' is missing"),
        (["ann", "{}/quick/" + ANN, "--settings", "not json"], "--settings"),
        (["ann", "nowhere"], "not the folder of a run"),
        (["data", "mnist"], "unknown dataset 'mnist'"),
        (["exhibit", "{}/quick/exhibits/table9.csv"], "unknown exhibit 'table9'"),
        (["exhibit", "{}/quick/exhibits/table2.pdf"], "unknown ending"),
        (["exhibit", "{}/quick/exhibits/table2.csv"], "make it first"),
        (["plan", "tabels"], "unknown target 'tabels'"),
        (["plan", "tables", "--preset", "papr"], "unknown preset 'papr'"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(place, capsys, words, message):
    assert place(*[word.format(place.results) for word in words]) == 2
    said = capsys.readouterr().err
    assert len(said.strip().splitlines()) == 1
    assert "error: " in said
    assert message in said
    assert not [path for path in place.results.rglob("*") if path.is_file()]


def test_out_of_memory_says_which_knob_to_turn(place, capsys, monkeypatch):
    from lasnn.training.stages import ann

    def greedy(net):
        torch.empty(1 << 50)  # a petabyte: torch's own error, from its own allocator

    monkeypatch.setattr(ann, "census", greedy)
    assert place("ann", str(place.folder(ANN))) == 3
    said = capsys.readouterr().err
    assert "out of memory" in said
    assert "compute.micro_batch" in said
    assert (place.folder(ANN) / "resume.pt").exists()  # all three epochs


def test_a_folder_that_cannot_be_written_is_one_line(data, tmp_path, capsys):
    place = Tiny(data, tmp_path)
    place.results.write_text("a file where the results folder should be")
    assert place("ann", str(place.folder(ANN))) == 4
    said = capsys.readouterr().err
    assert len(said.strip().splitlines()) == 1
    assert "error: " in said
    assert str(place.results) in said


def test_amp_without_a_device_that_has_it(data, tmp_path, capsys):
    place = Tiny(data, tmp_path, protocol={"compute": {"amp": "bf16"}})
    assert place("ann", str(place.folder(ANN)), "--device", "cpu") == 2
    assert "compute.amp bf16" in capsys.readouterr().err


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_without_a_device(place, capsys):
    assert place("ann", str(place.folder(ANN)), "--device", "cuda") == 2
    assert "no CUDA device" in capsys.readouterr().err


def test_a_damaged_parent_is_refused_by_name(place, capsys):
    place.run(ANN)
    model = place.folder(ANN) / "model.pt"
    model.write_bytes(model.read_bytes()[:-2000])
    capsys.readouterr()
    assert place("converted", str(place.folder(CONVERTED))) == 2
    assert str(model) in capsys.readouterr().err


def test_missing_images_say_how_to_make_them(tmp_path, capsys):
    place = Tiny(tmp_path / "no_data", tmp_path)
    assert place("ann", str(place.folder(ANN))) == 2
    assert "python -m lasnn data digits" in capsys.readouterr().err


def test_the_plan_counts_and_estimates(place, capsys):
    assert place("plan", "tables") == 0
    said = capsys.readouterr().out
    assert re.search(r" (\d+) runs, \1 of them to do", said)
    assert "all, one after another" in said


def test_a_log_keeps_what_was_said(tmp_path, capsys):
    console = Console("a run", tmp_path / "console.log")
    console.say("hello")
    with console.progress(3, "training") as progress:
        progress.INTERVAL = 0
        progress.step(note="epoch 1")
    assert "a run: hello" in (tmp_path / "console.log").read_text()
    assert "training 1/3" in (tmp_path / "console.log").read_text()
    assert "a run: hello" in capsys.readouterr().err


def test_a_reader_that_has_seen_enough_ends_the_command_silently():
    """`python -m lasnn plan all | head -1`: the rest of the lines finds no reader."""
    command = [sys.executable, "-m", "lasnn", "plan", "all", "--quick"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode in (0, 128 + signal.SIGPIPE)
