"""What settings change of a training, and what its log says of it."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from chains import ANN, CONVERTED, LASNN, TEACHER, training_log

import lasnn
from lasnn.datasets import load
from lasnn.storage import checkpoint, files
from lasnn.training.stages.student import STEPS


def test_the_training_log_tells_what_a_training_suffers_from(chain):
    """The last line's norms are those of the checkpoint's weights; silent maps are a share of the images shown."""
    for path in (ANN, LASNN):
        weights, _ = checkpoint.load(chain.folder(path) / "model.pt")
        last = training_log(chain, path)[-1]["weight_norms"]
        assert set(last) == {name for name in weights if name.endswith("weight")}
        assert all(last[name] == pytest.approx(weights[name].norm().item(), rel=1e-5) for name in last)
    assert all(set(line["silent_maps"]) == {"low", "mid", "high"} for line in training_log(chain, LASNN))
    maps = np.load(chain.folder(LASNN) / "predictions.npz")
    for level, share in training_log(chain, LASNN)[-1]["silent_maps"].items():
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
        ("raw_map", "lasnn_act"),
        ("high_and_labels", "lasnn_act"),
        ("every_step", "hybrid"),
        ("consistent", "hybrid"),
        ("train_offsets", "hybrid"),
        ("firing_penalty", "hybrid"),
        ("potential_half", "hybrid"),
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


@pytest.fixture(scope="module")
def direct(chain):
    """The chain with direct input at T = 4: converted, and calibrated."""
    chain.run("converted/digits/vgg5/direct/base/s0", "snn/digits/vgg5/calibration/direct-T4/none/base/s0")
    return chain


def test_a_training_may_start_from_the_calibrated_network(direct):
    """Without epochs it is that network: thresholds, offsets, accuracy; a training leaves the offsets."""
    calibrated = "snn/digits/vgg5/calibration/direct-T4/none/base/s0"
    untrained, trained = (
        f"snn/digits/vgg5/hybrid/direct-T4/none/{variant}/s0"
        for variant in ("calibrated_start__untrained__leak_1", "calibrated_start")
    )
    direct.run(untrained, trained)
    metrics = files.read_json(direct.folder(untrained) / "metrics.json")
    assert set(metrics["parents"]) == {ANN, calibrated}
    expected = files.read_json(direct.folder(calibrated) / "metrics.json")
    for key in ("accuracy", "accuracy_by_step", "spikes", "thresholds", "ann_accuracy"):
        assert metrics[key] == expected[key]
    start, _ = checkpoint.load(direct.folder(calibrated) / "model.pt")
    before, _ = checkpoint.load(direct.folder(untrained) / "model.pt")
    after, meta = checkpoint.load(direct.folder(trained) / "model.pt")
    assert start.keys() == before.keys() == after.keys()
    assert all(torch.equal(start[name], before[name]) for name in start)
    offsets = {name for name in start if name.endswith(".offset")}
    assert len(offsets) == 5
    assert all(torch.equal(start[name], after[name]) for name in offsets)
    assert not any(torch.equal(start[name], after[name]) for name in start if name.endswith(".weight"))
    assert meta["settings"]["spiking"]["init"] == "calibrated"


def test_a_quantised_ann_brings_its_thresholds_with_it(direct):
    """They are its learned clips, and the network of it starts at half of them; its ANN loads with its levels."""
    ann, converted = "ann/digits/vgg5/quantised/s0", "converted/digits/vgg5/direct/quantised/s0"
    snn = "snn/digits/vgg5/hybrid/direct-T4/none/quantised__every_step__untrained/s0"
    direct.run(ann, converted, snn)
    learned, _ = checkpoint.load(direct.folder(ann) / "model.pt")
    clips = [value.item() for name, value in learned.items() if name.endswith(".clip")]
    assert len(clips) == 5
    assert all(clip != 2.0 for clip in clips)  # where they began
    assert list(files.read_json(direct.folder(converted) / "metrics.json")["thresholds"].values()) == clips
    weights, _ = checkpoint.load(direct.folder(snn) / "model.pt")
    assert [weights[name].item() for name in weights if name.endswith(".initial")] == [clip / 2 for clip in clips]
    loaded = lasnn.load(direct.folder(ann))
    x = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    quarters = loaded.observe(x).stages["low"] / clips[0] * 4
    assert quarters.any()
    assert torch.allclose(quarters, quarters.round(), atol=1e-5)
    metrics = files.read_json(direct.folder(snn) / "metrics.json")
    assert set(metrics["parents"]) == {converted}


def test_the_log_says_how_much_attention_pulls(chain):
    """At the start and after each epoch; twice the weight pulls twice as hard."""
    twice = LASNN.replace("base", "alpha_twice", 1)
    chain.run(twice)
    for path in (LASNN, twice):
        for line in training_log(chain, path):
            assert set(line["attention_share"]) == {"low", "mid", "high"}
            assert all(value > 0 for value in line["attention_share"].values())
            assert all(len(pair) == 2 and min(pair) >= 0 for pair in line["map_norms"].values())
    one, two = (files.read_json(chain.folder(path) / "metrics.json")["attention_share"] for path in (LASNN, twice))
    assert two == {level: pytest.approx(2 * share, rel=1e-4) for level, share in one.items()}


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
    lines = training_log(chain, path)
    metrics = json.loads((chain.folder(path) / "metrics.json").read_text())
    assert lines[-1]["logit_std"] == pytest.approx(metrics["logit_std"] / 6)  # T = 6, logits: mean
    images = load(Path(yaml.safe_load(chain.config.read_text())["folders"]["data"]) / "digits.npz").test_images[:40]
    teacher = (
        lasnn.load(chain.folder(TEACHER))(torch.from_numpy(images).float() / 255).std(1, correction=0).mean().item()
    )
    assert [line["logit_std_teacher"] for line in lines] == pytest.approx([teacher] * 2, rel=1e-4)
