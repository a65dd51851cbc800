"""The chain on real digits, tiny: files of a run, equal bytes from equal commands, curves, and networks that load."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from chains import ANN, CONVERTED, HASHED, LASNN, TEACHER

import lasnn
from lasnn.storage import checkpoint, files


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
        made = json.loads((folder / "provenance.json").read_text())
        assert made["seconds"] > 0
        log = folder / "log.jsonl"
        epochs = [json.loads(line)["seconds"] for line in log.read_text().splitlines()] if log.exists() else []
        assert made.get("training_seconds", 0) == sum(epochs) < made["seconds"]
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


def test_other_methods_and_automatic_choices_run(chain):
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


def test_conversion_has_one_curve_for_each_scale(chain):
    metrics = json.loads((chain.folder(CONVERTED) / "metrics.json").read_text())
    assert [curve["scale"] for curve in metrics["curves"]] == [1.0, 0.7]
    assert set(metrics["curves"][0]["accuracy"]) == {"10", "20"}
    assert all(threshold > 0 for threshold in metrics["thresholds"].values())


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
        assert (logits.argmax(1).numpy() == predictions["predicted"]).mean() > 0.95  # bar ties within rounding
    snn = lasnn.load(str(chain.folder(LASNN)))
    assert (snn.run.steps, snn.encoder) == (6, "poisson")
    output = snn.observe(torch.rand(2, 3, 16, 16))
    assert output.logits.shape == (2, 10)
    assert set(output.stages) == {"low", "mid", "high"}
    assert set(output.stages["low"].unique().tolist()) <= {0.0, 1.0}


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
        assert (logits.argmax(1).numpy() == predictions["predicted"]).mean() > 0.95
    ann, _ = checkpoint.load(chain.folder(ANN) / "model.pt")
    same = torch.equal(ann["layers.c1.synapses.weight"], weights["layers.c1.synapses.weight"])
    assert same == (form != "advanced_weights")
