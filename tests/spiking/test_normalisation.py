"""Data-based normalisation: by hand, and against weights that are rescaled as the method says, thresholds all 1."""

import pytest
import torch
from oracle import bright_input, pixels, simulate, small, two_layers
from torch import nn

from lasnn.errors import InputError
from lasnn.networks.layers import Conv
from lasnn.networks.residual import Block
from lasnn.spiking.conversion import neurons, scale_thresholds, set_thresholds, spiking, thresholds
from lasnn.spiking.neurons import Dynamics
from lasnn.spiking.normalisation import largest_activations, normalise


def test_thresholds_by_hand():
    """Activations 2x: λ_1 = 2; of the second 3 times that: λ_2 = 6, so θ = 2 and 6/2 = 3."""
    ann = two_layers(2.0, 3.0)
    net = spiking(ann, Dynamics())
    assert normalise(net, ann, pixels(0.5, 1.0, -1.0), "max") == {"f1": 2.0, "f2": 3.0}
    assert thresholds(net) == {"f1": 2.0, "f2": 3.0}


@pytest.mark.parametrize("rows", [7, 1000, 4000])
def test_robust_is_the_nearest_rank_of_what_is_not_zero(rows):
    """1, 2, ..., 2000 and as many zeros: the 1998th of 2000, by few images or many at once; of few the largest."""
    x = pixels(*range(-1999, 2001))[torch.randperm(4000, generator=torch.Generator().manual_seed(0))]
    for share, shown, largest in ((0.001, x, 1998.0), (0.0, x, 2000.0), (0.001, pixels(3.0, 1.0, 2.0), 3.0)):
        assert largest_activations(two_layers(1.0, 1.0), shown, share, rows) == [largest, largest]


def test_a_layer_that_is_never_active_is_named():
    ann = two_layers(1.0, -1.0)
    with pytest.raises(InputError, match=r"layer f2 is never active in 2 calibration images"):
        normalise(spiking(ann, Dynamics()), ann, pixels(1.0, 2.0), "robust")


@torch.no_grad()
def rescaled(ann, largest):
    """`ann` as a spiking network in the words of the method: weights divided, thresholds 1, the identity a gain."""
    net, before, largest = spiking(ann, Dynamics()), 1.0, iter(largest)
    for layer in net.layers.values():
        if isinstance(layer, Block):
            inner, now = next(largest), next(largest)
            if isinstance(layer.shortcut, nn.Identity):
                channels = layer.conv2.in_channels
                layer.shortcut = Conv(channels, channels, 1).to(layer.conv2.weight.dtype)
                layer.shortcut.weight.copy_(torch.eye(channels)[:, :, None, None])
            layer.conv1.weight.mul_(before / inner)
            layer.conv2.weight.mul_(inner / now)
            layer.shortcut.weight.mul_(before / now)
        else:
            now = next(largest)
            layer.synapses.weight.mul_(before / now)
        before = now
    net.readout.weight.mul_(before)
    set_thresholds(net, [1.0] * len(neurons(net)))
    return net.eval()


@pytest.mark.parametrize("norm", ["max", "robust"])
@pytest.mark.parametrize("name", ["vgg5", "resnet12"])
def test_thresholds_give_the_spikes_of_rescaled_weights(name, norm):
    """In float64, off the ties that rounding would break; and the readout's scale turns z/T into the ANN's logits."""
    ann, x = small(name, seed=3).double(), bright_input(1, 5)[0].double()
    largest = largest_activations(ann, x, {"max": 0.0, "robust": 0.001}[norm], 2)
    net = spiking(ann, Dynamics()).double()
    found = normalise(net, ann, x, norm, rows=2)
    assert list(found) == list(neurons(net))
    train = (0.997 * x).expand(60, *x.shape)  # x itself would sit on the largest threshold
    with torch.no_grad():
        ours, expected = (simulate(one, train) for one in (scale_thresholds(net, 1.0), rescaled(ann, largest)))
    for layer, spikes in ours.spikes.items():
        assert spikes.any(), layer
        assert torch.equal(spikes, expected.spikes[layer]), layer
    assert torch.allclose(ours.logits * largest[-1], expected.logits, rtol=1e-9, atol=1e-12)
