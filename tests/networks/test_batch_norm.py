"""Batch norm of a training student: its currents by hand, its start, and that folding it changes no spike."""

import pytest
import torch
from oracle import bright_input

from lasnn.networks import build
from lasnn.networks.batch_norm import convolutions, insert, insert_unchanged, take_statistics
from lasnn.networks.layers import Conv
from lasnn.networks.net import watched
from lasnn.spiking.conversion import neurons, set_thresholds, settle, spiking, start_at
from lasnn.spiking.neurons import Dynamics


def student(name, leak=0.8, reset="soft"):
    """A spiking student in double precision with random weights, whose hidden linear layers spike easily."""
    torch.manual_seed(0)
    net = spiking(build(name, 10, 8, width=0.125, fc=16, dropout_scale=0), Dynamics(leak, reset=reset)).double()
    set_thresholds(net, [0.05 if name.startswith("f") else 1.0 for name in neurons(net)])
    return net


def seen(net, encoded):
    """The spikes of every layer, and the logits, in evaluation mode."""
    names, found = {neuron: name for name, neuron in neurons(net).items()}, {}

    def see(neuron, current, spikes):
        found[names[neuron]] = spikes.clone()

    with torch.no_grad(), watched(names, see):
        logits = net.eval()(encoded).logits
    return found | {"logits": logits}


def trained_statistics(net):
    """Norms as a training may have left them, none of them at its start."""
    draws = torch.Generator().manual_seed(1)
    for conv, _ in convolutions(net):
        norm = conv.batch_norm
        for value, least in ((norm.weight, 0.5), (norm.running_var, 0.2), (norm.bias, -0.3), (norm.running_mean, -0.3)):
            value.data.uniform_(least, least + 1, generator=draws)
    return net


@pytest.mark.parametrize("steps", range(1, 7))
@pytest.mark.parametrize(
    ("name", "reset", "constants"),
    [
        ("vgg5", "soft", False),
        ("vgg5", "hard", False),
        ("resnet12", "soft", False),
        ("conv3fc2", "soft", False),
        ("vgg5", "soft", True),
    ],
)
def test_folding_changes_no_spike(name, reset, constants, steps):
    """Spikes of every layer are equal before and after, in evaluation mode, blocks with shortcuts too. The offset of a
    converted student is added behind the norm; v0 is as it was.
    """
    net = trained_statistics(insert(student(name, reset=reset)).double())
    if constants:
        start_at(net, 0.5)
        for conv, neuron in convolutions(net):
            neuron.offset = torch.linspace(-0.2, 0.2, conv.out_channels).double()
    encoded = bright_input(steps, 3).double()
    before = seen(net, encoded)
    after = seen(settle(net) or net, encoded)
    assert not any("batch_norm" in key for key in net.state_dict())
    assert before["c1" if "c1" in before else "p1"].any()
    for layer, spikes in before.items():
        torch.testing.assert_close(after[layer], spikes, rtol=0, atol=1e-9 if layer == "logits" else 0)


def test_currents_in_training_by_hand():
    """Mean and variance of a channel are over steps, images and pixels; γ is the gain, β 0."""
    conv = Conv(1, 8, 1)
    conv.weight.data.copy_(torch.arange(1.0, 9).view(8, 1, 1, 1))
    net = student("vgg5")
    first = next(iter(net.layers.values()))
    first.synapses = conv
    insert(net, gain=0.5)
    x = torch.tensor([[[[[0.0, 2.0]]]], [[[[4.0, 6.0]]]]])  # [T=2, B=1, 1, 1, 2]: mean 3, variance 5
    out = conv(x)
    for channel in range(8):
        scale = channel + 1
        wanted = [0.5 * scale * (value - 3) / (scale**2 * 5 + 1e-5) ** 0.5 for value in (0, 2, 4, 6)]
        assert out[:, 0, channel, 0].flatten().tolist() == pytest.approx(wanted, rel=1e-5)


def test_a_norm_that_begins_as_the_network_was():
    """γ and β are deviation and mean of the currents that were sent, so that logits in evaluation mode stay."""
    net, encoded = student("resnet12"), bright_input(6, 3).double()
    before = seen(net, encoded)
    net = insert_unchanged(net, lambda: net(encoded))
    current = next(iter(net.layers.values())).synapses
    norm, current.batch_norm = current.batch_norm, None
    values = current(encoded).detach()[:, :, 0]
    current.batch_norm = norm
    assert norm.running_mean[0].item() == pytest.approx(values.mean().item(), rel=1e-5)
    assert norm.running_var[0].item() == pytest.approx(values.var(correction=0).item(), rel=1e-5)
    assert norm.weight[0].item() == pytest.approx((values.var(correction=0).item() + 1e-5) ** 0.5, rel=1e-5)
    after = seen(net.double(), encoded)
    agree = [(after[name] == found).double().mean() for name, found in before.items() if name != "logits"]
    assert min(agree) > 0.99


def test_norms_behind_random_weights_begin_with_statistics():
    """In evaluation mode the images that they were taken of are normed by channel: the first current exactly, the last
    one up to the spikes that the corrected variance moves.
    """
    net, encoded = insert(student("resnet12").float()), bright_input(4, 5)
    take_statistics(net, lambda: net(encoded))
    currents, convs = [], [conv for conv, _ in convolutions(net)]
    for conv in (convs[0], convs[-1]):
        conv.register_forward_hook(lambda _, __, current: currents.append(current.transpose(0, 2).flatten(1)))
    with torch.no_grad():
        logits = net(encoded).logits
    assert not any(conv.training or conv.batch_norm.training for conv in convs)
    assert {conv.batch_norm.momentum for conv in convs} == {0.1}
    first, last = currents
    assert first.mean(1).abs().max() < 1e-5
    assert first.std(1).tolist() == pytest.approx([1] * len(first), rel=1e-3)
    assert last.std(1).median() == pytest.approx(1, abs=0.2)
    assert logits.any()
