"""The chain on real digits, tiny: files of a run, equal bytes from equal commands, curves, and networks that load."""

import io
import json
from itertools import pairwise

import numpy as np
import pytest
import torch
from chains import ANN, CONVERTED, HASHED, HEAD, LASNN, TEACHER, training_log

import lasnn
from lasnn.plan.config import read
from lasnn.results.scores import judged_on
from lasnn.spiking.neurons import streaming
from lasnn.storage import checkpoint, files
from lasnn.training.device import device_of
from lasnn.training.leaving import packed
from lasnn.training.reading import read as task_of
from lasnn.training.stages.converted import calibration
from lasnn.training.stages.student import STEPS


def test_a_run_leaves_its_files_and_no_resume_state(chain):
    for path in (ANN, TEACHER, CONVERTED, LASNN):
        folder = chain.folder(path)
        names = {entry.name for entry in folder.iterdir()}
        assert {*HASHED, "provenance.json"} <= names
        assert "resume.pt" not in names
        metrics = chain.metrics(path)
        assert metrics["format"] == 1
        assert metrics["run"]["path"] == path
        assert metrics["data"]["train_images"] == 96
        made = json.loads((folder / "provenance.json").read_text())
        assert made["seconds"] > 0
        epochs = [line["seconds"] for line in training_log(chain, path)] if path != CONVERTED else []
        assert made.get("training_seconds", 0) == sum(epochs) < made["seconds"]
        with np.load(folder / "predictions.npz") as predictions:
            assert int(predictions["format"]) == 1
            assert predictions["predicted"].shape[-1] == (20 if path == CONVERTED else 40)  # of a curve, fewer
        assert len(metrics["data"]["digest"]) == 64
    parents = {path: files.sha256(chain.folder(path) / "model.pt") for path in (CONVERTED, TEACHER)}
    assert chain.metrics(LASNN)["parents"] == parents
    assert [line["epoch"] for line in training_log(chain, LASNN)] == [1, 2]


def test_what_an_accuracy_is_of(chain):
    """The first curve's last point is of its 20 images and 20 steps; a student's of all 40 test images."""
    assert judged_on(chain.metrics(CONVERTED)) == "20 test images, T = 20, s = 1"
    assert judged_on(chain.metrics(LASNN)) == judged_on(chain.metrics(ANN)) == "40 test images"


def test_metrics_agree_with_the_predictions(chain):
    metrics = chain.metrics(LASNN)
    with np.load(chain.folder(LASNN) / "predictions.npz") as predictions:
        predicted, labels, seeds = (predictions[name] for name in ("predicted", "labels", "encoder_seeds"))
    assert (labels == chain.images.test_labels[:40]).all()
    assert seeds.tolist() == [int(seed) for seed in metrics["accuracy_by_seed"]] == [0, 1]
    accuracies = 100 * (predicted == labels).mean(1)
    assert list(metrics["accuracy_by_seed"].values()) == pytest.approx(accuracies.tolist())
    assert metrics["accuracy"] == pytest.approx(accuracies.mean())
    assert metrics["accuracy_by_step"][-1] == pytest.approx(accuracies[0])


def test_attention_maps_are_what_the_loss_compares(chain):
    """Of VGG5 on 16x16 images: sides 16, 8 and 4 (the student's third layer has 8x8), and each image a unit vector."""
    with np.load(chain.folder(LASNN) / "predictions.npz") as predictions:
        for level, side in {"low": 16, "mid": 8, "high": 4}.items():
            teacher, student = (predictions[f"maps_{name}_{level}"] for name in ("teacher", "student"))
            assert teacher.shape == student.shape == (8, side, side)
            norms = np.linalg.norm(np.concatenate([teacher, student]).reshape(16, -1), axis=1)
            assert (np.isclose(norms, 1, atol=1e-5) | (norms == 0)).all()
            assert not np.allclose(teacher, student)


def test_a_quantised_ann_brings_its_thresholds_with_it(chain):
    """Clip over the clip before it; the network of it starts at half of them; its ANN loads with its levels."""
    ann, converted = "ann/digits/vgg5/quantised/s0", "converted/digits/vgg5/direct/quantised/s0"
    snn = "snn/digits/vgg5/hybrid/direct-T4/none/quantised__every_step__untrained/s0"
    chain.run(ann, converted, snn)
    learned, _ = checkpoint.load(chain.folder(ann) / "model.pt")
    clips = [value.item() for name, value in learned.items() if name.endswith(".clip")]
    assert len(clips) == 5
    assert all(clip != 2.0 for clip in clips)  # where they began
    found = [clip / before for before, clip in pairwise([1.0, *clips])]
    assert list(chain.metrics(converted)["thresholds"].values()) == pytest.approx(found)
    weights, _ = checkpoint.load(chain.folder(snn) / "model.pt")
    starts = [weights[name].item() for name in weights if name.endswith(".initial")]
    assert starts == pytest.approx([threshold / 2 for threshold in found])
    shown = chain.metrics(snn)["choices"]
    net = lasnn.load(chain.folder(ann)).net  # the student's ANN is the one that was trained, its clips read back
    device = device_of("auto")
    preset, run = read(chain.config).locate(f"{chain.results}/quick/{snn}")
    task, _ = task_of(preset, run, preset.settings(run), device)
    assert task.analog(net.to(device), task.held_out.first(shown["images"])).accuracy == shown["ann_accuracy"]
    x = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    quarters = lasnn.load(chain.folder(ann)).observe(x).stages["low"] / clips[0] * 4
    assert quarters.any()
    assert torch.allclose(quarters, quarters.round(), atol=1e-5)


def test_a_spiking_readout_counts_and_is_balanced_as_one_more_layer(chain):
    """Its threshold is the scale times its largest current, in the very images and steps that balance the others."""
    chain.run(HEAD)
    metrics, loaded = chain.metrics(HEAD), lasnn.load(chain.folder(HEAD))
    assert metrics["choices"]["logit_scale"] == "sum"
    assert list(metrics["spikes"])[-1] == "readout"
    assert "readout" not in metrics["operations"]["synops_by_layer"]
    assert loaded.thresholds == metrics["thresholds"]
    counts, total = loaded(chain.shown), metrics["spikes"]["readout"]["total"]
    assert total > 50
    assert counts.sum().item() == pytest.approx(total, rel=0.3)  # with other noise
    assert torch.equal(counts, counts.round().clamp(0, 6))
    device = device_of("auto")  # that of the chain, whose draws are those of its device
    net = lasnn.load(chain.folder(CONVERTED)).net.to(device)
    preset, run = read(chain.config).locate(f"{chain.results}/quick/{HEAD}")
    settings = preset.settings(run)
    task, _ = task_of(preset, run, settings, device)
    with torch.no_grad(), streaming(net):
        largest = max(net(chunk).currents.max().item() for chunk in calibration(task, 0)())
    assert metrics["thresholds"]["readout"] == pytest.approx(settings.spiking.scale * largest, rel=1e-5)


def test_the_training_log_tells_what_a_training_suffers_from(chain):
    """Norms of the checkpoint's weights; maps that are silent in a share of the images; how hard attention pulls."""
    for path in (ANN, LASNN):
        weights, _ = checkpoint.load(chain.folder(path) / "model.pt")
        last = training_log(chain, path)[-1]["weight_norms"]
        assert set(last) == {name for name in weights if name.endswith("weight")}
        assert all(last[name] == pytest.approx(weights[name].norm().item(), rel=1e-5) for name in last)
    for line in training_log(chain, LASNN):
        assert set(line["silent_maps"]) == set(line["attention_share"]) == {"low", "mid", "high"}
        assert all(value > 0 for value in line["attention_share"].values())
        assert all(len(pair) == 2 and min(pair) >= 0 for pair in line["map_norms"].values())
    maps = np.load(chain.folder(LASNN) / "predictions.npz")
    for level, share in line["silent_maps"].items():
        assert share == (maps[f"maps_student_{level}"] == 0).all((1, 2)).mean()
    chain.run(twice := LASNN.replace("base", "alpha_twice", 1))
    one, two = (chain.metrics(path)["attention_share"] for path in (LASNN, twice))
    assert two == {level: pytest.approx(2 * share, rel=1e-4) for level, share in one.items()}
    one, two = (chain.metrics(path)["added_share"] for path in (LASNN, twice))
    assert two["start"] == pytest.approx(2 * one["start"], rel=1e-4)
    assert one["end"] == training_log(chain, LASNN)[-1]["added_share"] > 0


def test_label_kd_notes_the_spread_of_both_logits(chain):
    """Standard deviations over the classes, means over images; T = 6, and the student's logits are means."""
    chain.run(path := "snn/digits/vgg5/kd_label/poisson-T6/vgg16bn/base/s0")
    lines = training_log(chain, path)
    assert lines[-1]["logit_std"] == pytest.approx(chain.metrics(path)["logit_std"] / 6)
    teacher = lasnn.load(chain.folder(TEACHER))(chain.shown).std(1, correction=0).mean().item()
    assert [line["logit_std_teacher"] for line in lines] == pytest.approx([teacher] * 2, rel=1e-4)


def test_steps_over_the_epochs():
    """Twice T in the first half of them."""
    assert [STEPS["double_first"](6, progress) for progress in (0, 0.25, 0.5, 0.75)] == [12, 12, 6, 6]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([0, 255], "uint8"),
        ([-128, -1], "int8"),
        ([-1, 255], "int16"),
        ([3, 2**63 - 1], "uint64"),
        ([-(2**63), 2**63 - 1], "int64"),  # no type of 64 bits but their own holds both
        ([-5, 2**53 + 1], "int64"),
    ],
)
def test_integers_are_kept_to_the_last_bit(values, kind):
    """In the narrowest type that holds them, never as floating point, which rounds from 2^53 on."""
    with np.load(io.BytesIO(packed({"labels": np.array(values, np.int64)}))) as kept:
        assert kept["labels"].tolist() == values
        assert kept["labels"].dtype == kind
