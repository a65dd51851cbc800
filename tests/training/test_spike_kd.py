"""Spiking networks with spiking readouts, each taught by the one before it."""

import json
from pathlib import Path

import pytest
import torch
import yaml
from chains import ANN, CONVERTED, HEAD, TAUGHT

import lasnn
from lasnn.plan.config import read


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
        loaded = lasnn.load(spike_chain.folder(path))
        assert loaded.thresholds == metrics["thresholds"]
        counts = loaded(digits.float() / 255)
        total = metrics["spikes"]["readout"]["total"]
        assert total > 50
        assert counts.sum().item() == pytest.approx(total, rel=0.3)  # with other noise
        assert torch.equal(counts, counts.round().clamp(0, 6))


def test_the_readout_is_balanced_as_one_more_layer(spike_chain):
    """The largest current of the readout, from its features, in the very images and steps that balance the others."""
    from lasnn.spiking.neurons import streaming
    from lasnn.training.device import device_of
    from lasnn.training.reading import read as task_of
    from lasnn.training.stages.converted import calibration

    device = device_of("auto")  # that of the chain, whose draws are those of its device
    converted = lasnn.load(spike_chain.folder(CONVERTED)).net.to(device)
    config = read(spike_chain.config)
    preset, run = config.locate(f"{spike_chain.results}/quick/{HEAD}")
    settings = preset.settings(run)
    task, _ = task_of(preset, run, settings, device)
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
    assert "makes it" in line
    assert "kd_spike/poisson-T6/none" in line
    assert not (spike_chain.folder(path) / "metrics.json").exists()
