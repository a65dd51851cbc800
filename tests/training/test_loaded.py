"""A loaded network gives its table's number, and what it says of an image doesn't depend on the image's batch."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from chains import ANN, CALIBRATED, CONVERTED, LASNN, TEACHER, Tiny
from tiny import message_of

import lasnn
from lasnn.errors import InputError
from lasnn.pipeline import notebooks
from lasnn.spiking.conversion import neurons
from lasnn.spiking.surrogates import surrogate

CONVERSION = "snn/digits/vgg5/conversion/poisson-T6/none/base/s0"
DIRECT = "snn/digits/vgg5/hybrid/direct-T4/none/base/s0"
RESIDUAL = "converted/digits/resnet12/poisson/base/s0"


@pytest.fixture(scope="module")
def chain(data, tmp_path_factory):
    """The chain with so much training that its networks spike to their ends and tell digits apart."""
    quick = {"data": {"train_images": 400}, "ann": {"epochs": 8}, "balancing": {"steps": 100}, "student": {"epochs": 3}}
    place = Tiny(data, tmp_path_factory.mktemp("lively"), presets={"quick": quick})
    place.run(ANN, TEACHER, CONVERTED, LASNN, CONVERSION, CALIBRATED)
    return place


@pytest.fixture
def net(chain):
    return lasnn.load(chain.folder(LASNN))


@pytest.fixture(scope="module")
def images(chain):
    """The first 40 test images [40, 3, 16, 16] in [0, 1], which these runs are judged by."""
    return chain.shown


@pytest.mark.parametrize("path", [LASNN, DIRECT, CALIBRATED, ANN, CONVERTED])
def test_evaluate_is_what_the_metrics_say(chain, path):
    """Of two encoder seeds, of direct input and of a calibrated network, which draw nothing; of what has no seeds."""
    if path == DIRECT:
        chain.run(CONVERTED.replace("poisson", "direct"), DIRECT)
    found, metrics = lasnn.load(chain.folder(path)).evaluate("test"), chain.metrics(path)
    assert found == metrics.get("accuracy_by_seed", {"0": metrics["accuracy"]})
    assert len(found) == (2 if path == LASNN else 1)
    assert path in (ANN, CONVERTED) or all(accuracy > 30 for accuracy in found.values()), found  # by chance 10


def test_a_converted_network_is_simulated_at_its_first_scale_with_its_blocks_folded(data, tmp_path):
    """ResNet12 with fresh weights and s = 0.7: unscaled or unfolded it fires another number of times."""
    changed = {"ann": {"epochs": 0}, "network": {"init": "he"}, "balancing": {"steps": 400}}
    changed |= {"curve": {"scales": [0.7], "steps": 60, "images": 8}}
    place = Tiny(data, tmp_path, presets={"quick": changed})
    place.run(RESIDUAL.replace("converted", "ann").replace("poisson/", ""), RESIDUAL)
    net, metrics = lasnn.load(place.folder(RESIDUAL)), place.metrics(RESIDUAL)
    assert net.evaluate() == {"0": metrics["accuracy"]}
    images = net._own_images("test")
    recorded = net.record(images[:][0], index=range(len(images)))
    counted = {name: layer["total"] for name, layer in metrics["curves"][0]["spikes"].items()}
    assert {name: one.spikes.sum().item() for name, one in recorded.items()} == counted
    assert any(counted.values())


def test_evaluate_takes_other_images_and_another_t(chain, net):
    assert net.evaluate(lasnn.dataset("digits").test.first(40)) == chain.metrics(LASNN)["accuracy_by_seed"]
    by_step = chain.metrics(LASNN)["accuracy_by_step"]
    assert net.evaluate(steps=3)["0"] == by_step[2]
    assert net.evaluate("train").keys() == net.evaluate("test").keys()


def test_the_places_of_images_give_the_predictions_of_evaluation(chain, net, images):
    with np.load(chain.folder(LASNN) / "predictions.npz") as kept:
        for row, seed in zip(kept["predicted"], kept["encoder_seeds"], strict=True):
            assert net(images, seed=int(seed), index=range(40)).argmax(1).tolist() == row.tolist()
            assert net(images[30:], seed=int(seed), index=range(30, 40)).argmax(1).tolist() == row[30:].tolist()


@pytest.mark.parametrize("call", ["forward", "encoded", "observe", "record"])
@pytest.mark.parametrize("count", [39, 41])
def test_places_of_other_images_are_one_line(net, images, call, count):
    with pytest.raises(InputError, match=f"index names {count} places of 40 images"):
        getattr(net, call)(images, index=range(count))


def test_an_images_logits_do_not_depend_on_its_batch(net, images):
    """Spikes are the same in any batch, so that logits are but for the order of a sum."""
    whole = net(images)
    assert torch.allclose(torch.cat([net(one[None]) for one in images]), whole, rtol=1e-5, atol=1e-5)
    assert torch.allclose(net(images.flip(0)).flip(0), whole, rtol=1e-5, atol=1e-5)
    assert torch.allclose(net(images.repeat(3, 1, 1, 1))[-40:], whole, rtol=1e-5, atol=1e-5)  # beyond one batch of 64
    assert not torch.allclose(net(images, seed=1), whole)
    recorded, alone = net.record(images), net.record(images[7:8])
    assert all(torch.equal(alone[layer].spikes[:, 0], one.spikes[:, 7]) for layer, one in recorded.items())


def test_what_is_recorded_is_what_the_network_does(chain, net, images):
    """Its spikes add up to those that metrics.json counts; its tapped layers' are those of `observe`."""
    as_evaluated = net.record(images, index=range(40))
    counted = {name: layer["total"] for name, layer in chain.metrics(LASNN)["spikes"].items()}
    assert {name: one.spikes.sum().item() for name, one in as_evaluated.items()} == counted
    recorded, output = net.record(images), net.observe(images)
    assert list(recorded) == list(net.thresholds) == ["c1", "c2", "c3", "f1", "f2"]
    for level, layer in net.net.taps.items():
        assert torch.equal(recorded[layer].spikes, output.stages[level])
    assert {name: one.threshold for name, one in recorded.items()} == net.thresholds


def test_its_neurons_learn_as_they_did_in_the_training(chain, net):
    """A training that goes on in a script has the run's surrogate gradient, γ and width included."""
    spiking = chain.metrics(LASNN)["settings"]["spiking"]
    trained = surrogate(spiking["surrogate"], spiking["gamma"], tuple(spiking["stdb"]), spiking.get("width", 1.0))
    assert {neuron.dynamics.surrogate for neuron in neurons(net.net).values()} == {trained}
    assert {neuron.dynamics.reset_grad for neuron in neurons(net.net).values()} == {spiking["reset_grad"]}


def test_classes_and_repr(chain, net):
    assert net.classes == tuple("0123456789")
    head, *layers = repr(net).splitlines()
    assert head == f"{LASNN}: vgg5, 10 classes, images 3 x 16 x 16, poisson input, T = 6, sync, soft reset"
    leak = chain.metrics(LASNN)["choices"]["leak"]
    for line, (name, threshold) in zip(layers, chain.metrics(LASNN)["thresholds"].items(), strict=True):
        assert line.split() == [name, "threshold", f"{threshold:.4g}", "leak", f"{leak:g}"]
    assert repr(lasnn.load(chain.folder(ANN))).endswith("images 3 x 16 x 16, analog")


def test_other_images_than_its_own_are_refused_and_an_ann_has_nothing_to_record(chain, images, tmp_path):
    """A run that was made from images that aren't prepared here any more can't give its table's number."""
    place = tmp_path / "results" / "quick" / LASNN
    shutil.copytree(chain.folder(LASNN), place)
    net = lasnn.load(place)
    net.meta["data"]["digest"] = "0" * 64
    assert "was made from the images 000000000000, here are cc29516aec2b" in message_of(net.evaluate)
    assert re.search(r"unknown images 'tset': .*did you mean 'test'", message_of(net.evaluate, "tset"))
    told = "is an ANN and has no spikes to record: load a spiking run, at no cost"
    assert told in message_of(lasnn.load(chain.folder(ANN)).record, images)


def outputs(executed):
    """What each cell of code gave: its text, or the kinds of its other outputs."""
    for cell in json.loads(executed.read_text())["cells"]:
        for output in cell.get("outputs", ()):
            yield "".join(output.get("text", output.get("data", {}).get("text/plain", ""))), set(output.get("data", ()))


def test_the_tutorial_runs_and_shows_the_tables_number_pictures_and_a_training(chain, tmp_path):
    """Each cell is executed; accuracies are those of metrics.json, and an epoch of either map changes the network."""
    executed = tmp_path / "tutorial.ipynb"
    notebooks.run(Path("notebooks/tutorial.ipynb"), str(chain.folder("")), executed, steps=6)
    texts, kinds = zip(*outputs(executed), strict=True)
    said = "\n".join(texts)
    lasnn, conversion = map(chain.metrics, (LASNN, CONVERSION))
    assert str(lasnn["accuracy_by_seed"]) in texts
    assert f"{LASNN}: vgg5, 10 classes" in said
    assert sum("image/svg+xml" in kind for kind in kinds) == 4
    found = re.findall(r"^(squares|absolute).* (\d+\.\d) % converted, +(\d+\.\d) % after 1 epoch", said, re.MULTILINE)
    assert [name for name, _, _ in found] == ["squares", "absolute"]
    for _, before, after in found:
        assert before == f"{conversion['accuracy_by_seed']['0']:.1f}"
        assert float(after) > 30  # by chance 10
