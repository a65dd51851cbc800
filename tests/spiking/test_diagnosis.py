"""What a diagnosis says of networks that are good, dead, saturated and leaky, each made so by its thresholds."""

import json
from dataclasses import replace

import pytest
import torch

from lasnn.datasets.batches import Images
from lasnn.networks import build, initialise
from lasnn.networks.layers import Pool
from lasnn.spiking.calibration import activations
from lasnn.spiking.conversion import balance, neurons, scale_thresholds, spiking, with_leaks
from lasnn.spiking.diagnosis import FACTORS, advice, analog_limit, best_factor, cause, diagnose, rescaled, words
from lasnn.spiking.evaluation import evaluate
from lasnn.spiking.neurons import Dynamics

STEPS = 40
PIXELS = torch.randint(0, 256, (24, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def converted():
    """An ANN with random weights, its balanced network, and images that the ANN is always right about."""
    ann = initialise(build("conv3fc2", 10, 16, width=0.5), "conv3fc2", "he", torch.Generator().manual_seed(13)).eval()
    x = PIXELS.float() / 127.5 - 1
    with torch.no_grad():
        labels = ann(x[None]).logits.argmax(1)
    net = spiking(ann, Dynamics()).eval()
    balance(net, lambda: [x[None].expand(20, *x.shape)])
    return ann, net, Images(PIXELS, labels, torch.arange(len(x)))


def seen(net, images, steps=STEPS):
    return diagnose(net, images, "direct", steps)


@pytest.mark.parametrize(
    ("scale", "leak", "steps", "first"), [(30, 1.0, STEPS, "lower"), (30, 0.99, STEPS, "leak"), (1.0, 0.5, 100, "leak")]
)
def test_only_a_network_that_leaks_is_told_to_leak_less(converted, scale, leak, steps, first):
    """With high thresholds, or with a leak that eats the current."""
    _, balanced, images = converted
    found = seen(with_leaks(scale_thresholds(balanced, scale), leak), images, steps)
    assert scale == 1 or cause(found) in ("dead", "leaking")
    assert advice(found, trained=False, rebalance=False)[0] == first
    assert found.layers[0].leak == leak


@torch.no_grad()
def test_the_analog_limit_of_a_converted_network_is_its_ann(converted):
    ann, balanced, images = converted
    limit = analog_limit(scale_thresholds(balanced, 0.5))
    x = images.pixels.float() / 127.5 - 1
    assert torch.equal(limit(x[None]).logits.argmax(1), ann(x[None]).logits.argmax(1))
    rates = limit.layers["c1"](x[None])[0][0]
    theta = 0.5 * balanced.layers["c1"].activation.threshold
    torch.testing.assert_close(rates * theta, activations(ann, x)["c1"])
    current = torch.rand(1, 2, 3, 4, 4)
    rate = limit.layers["c1"].activation
    assert torch.equal(rate(current, pool=Pool()), Pool()(rate(current)))


def test_a_good_network_has_no_layer_that_goes_wrong(converted):
    _, balanced, images = converted
    found = seen(scale_thresholds(balanced, 1.0), images, 400)
    assert cause(found) == "none"
    assert found.limit_accuracy == 100.0
    assert "no layer goes wrong" in words(found)
    assert advice(found, trained=False, rebalance=True) == []


@pytest.mark.parametrize(("scale", "why", "direction"), [(30, "dead", "lower"), (0.02, "saturated", "higher")])
def test_the_first_layer_that_goes_wrong_is_named_and_the_advice_is_right(converted, scale, why, direction):
    _, balanced, images = converted
    net = scale_thresholds(balanced, scale)
    found = seen(net, images)
    assert (cause(found), found.first.name) == (why, "c1")
    assert "layer c1 is the first" in words(found)
    assert direction in advice(found, trained=False, rebalance=False)
    factor, after = best_factor(net, direction, lambda other: evaluate(other, images, "direct", STEPS).accuracy)
    assert (factor < 1) == (direction == "lower")
    assert after > found.accuracy + 30


@pytest.mark.parametrize("scale", [0.5, 0.02])
@torch.no_grad()
def test_shares_are_those_of_the_spikes(converted, scale):
    """And `certain` that of the images with saturated logits."""
    _, balanced, images = converted
    net = scale_thresholds(balanced, scale)
    found, spent = seen(net, images), evaluate(net, images, "direct", STEPS)
    assert found.accuracy == pytest.approx(spent.accuracy)
    assert found.cross_entropy == pytest.approx(spent.cross_entropy, rel=1e-4)
    for layer in found.layers:
        assert layer.rate == pytest.approx(spent.spikes[layer.name].per_neuron / STEPS)
        assert layer.silent == pytest.approx(spent.spikes[layer.name].silent / spent.spikes[layer.name].neurons)
    certain = (torch.as_tensor(spent.logits).softmax(1).max(1).values > 0.999).double().mean().item()
    assert found.certain == pytest.approx(certain)
    assert scale == 0.5 or certain > 0
    assert json.loads(json.dumps(found.json()))["layers"][0]["name"] == "c1"


def test_rows_bound_what_is_simulated_at_once(converted):
    """Images times steps, of 24 images: all in few steps, or fewer in one; the numbers are the same."""
    _, balanced, images = converted
    found = []
    for rows, batches in ((48, [24]), (10, [10, 10, 4])):
        at_once, counted = [], []
        watch = balanced.register_forward_pre_hook(lambda _, given, kept=at_once: kept.append(given[0].shape[:2]))
        found.append(diagnose(balanced, images, "direct", 4, rows=rows, step=counted.append))
        watch.remove()
        assert counted == batches
        assert max(steps * count for steps, count in at_once) <= rows
    few, fewer = found
    assert [layer.rate for layer in few.layers] == pytest.approx([layer.rate for layer in fewer.layers])
    assert few.accuracy == fewer.accuracy


@pytest.mark.parametrize("name", ["conv3fc2", "resnet12"])
def test_a_rescaled_network_is_the_one_converted_at_that_scale(name):
    net = spiking(build(name, 10, 16, width=0.125, fc=16), Dynamics())
    for index, neuron in enumerate(neurons(net).values()):
        neuron.threshold.fill_(1 + index / 4)
        neuron.offset = torch.ones(1) * index
    one, other = rescaled(scale_thresholds(net, 0.5), 0.5), scale_thresholds(net, 0.25)
    for key, value in one.state_dict().items():
        torch.testing.assert_close(value, other.state_dict()[key])


@pytest.mark.parametrize(
    ("changed", "accuracy", "why"),
    [
        ({"error": 0.5}, 50.0, "none"),  # half of a layer's activity may be wrong
        ({"error": 0.51}, 58.0, "none"),  # and 2 points of accuracy
        ({"error": 0.51, "lost": 0.99, "clipped": 0.24}, 50.0, "starved"),
        ({"error": 0.51, "lost": 0.991, "clipped": 0.9}, 50.0, "dead"),
        ({"error": 0.51, "lost": 0.9, "clipped": 0.26}, 50.0, "saturated"),
        ({"error": 0.51, "lost": 0.26, "clipped": 0.25}, 50.0, "starved"),
        ({"error": 0.51, "lost": 0.26, "leak": 0.9, "expected": 0.026}, 50.0, "leaking"),  # 1.04 spikes in 40 steps
        ({"error": 0.51, "lost": 0.26, "leak": 0.9, "expected": 0.024}, 50.0, "starved"),
        ({"error": 0.51, "lost": 0.25, "clipped": 0.25}, 50.0, "noisy"),
    ],
)
def test_causes_by_hand(converted, changed, accuracy, why):
    _, balanced, images = converted
    found = seen(balanced, images)
    sick = replace(found.layers[0], **{"lost": 0.0, "clipped": 0.0, "leak": 1.0} | changed)
    assert cause(replace(found, accuracy=accuracy, limit_accuracy=60.0, layers=(sick,))) == why


@pytest.mark.parametrize("direction", FACTORS)
def test_each_factor_of_the_scale_is_tried_and_of_equals_the_nearest_to_one_taken(converted, direction):
    _, balanced, _ = converted
    before = balanced.layers["c1"].activation.threshold.item()
    factors = {"lower": [0.7, 0.5, 0.35, 0.25, 0.1, 0.05], "higher": [1.4, 2, 4, 10, 30, 50, 100]}[direction]
    for best in factors:

        def judge(net, best=best):
            return 60.0 if net.layers["c1"].activation.threshold.item() == pytest.approx(best * before) else 50.0

        assert best_factor(balanced, direction, judge) == (best, 60.0)
    assert best_factor(balanced, direction, lambda net: 50.0) == (factors[0], 50.0)
