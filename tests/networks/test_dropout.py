"""Dropout: one mask for each image and all steps, also inside a network."""

import functools

import pytest
import torch
from oracle import close, dyadic_input, simulate, small_snn
from torch.nn import functional as F

from lasnn.networks import build
from lasnn.networks.layers import Dropout
from lasnn.spiking.neurons import Dynamics


def mask_of(dropout, shape, seed=0, start=0, whole=None):
    """What the layer does to ones [T, B, ...]."""
    dropout.draw_from(torch.Generator().manual_seed(seed), start, whole or shape[1])
    return dropout(torch.ones(shape))


def test_dropout_mask():
    dropout = Dropout(0.25).train()
    masked = mask_of(dropout, (5, 4, 3, 8, 8))
    assert masked.unique().tolist() == pytest.approx([0, 1 / 0.75])
    assert all(torch.equal(step, masked[0]) for step in masked)  # one mask for all steps
    assert not torch.equal(masked[0, 0], masked[0, 1])  # another for each image, channel and position
    assert not torch.equal(masked[0, 0, 0], masked[0, 0, 1])
    assert not torch.equal(masked[0, 0, 0, 0], masked[0, 0, 0, 1])
    assert torch.equal(mask_of(dropout, (5, 4, 3, 8, 8)), masked)
    assert not torch.equal(mask_of(dropout, (5, 4, 3, 8, 8), seed=1), masked)
    kept = (mask_of(dropout, (1, 100, 1000), seed=2) > 0).double().mean()
    assert kept.item() == pytest.approx(0.75, abs=0.005)  # 1e5 draws: 3.7 standard errors


def test_dropout_is_off_in_evaluation_and_its_rate_must_leave_something():
    x = torch.ones(2, 3, 4)
    assert mask_of(Dropout(0.5).eval(), (2, 3, 4)).equal(x)
    assert mask_of(Dropout(0.0).train(), (2, 3, 4)).equal(x)
    assert not mask_of(Dropout(0.5).train(), (2, 3, 4)).equal(x)
    for rate in (-0.1, 1.0, 1.5):
        with pytest.raises(ValueError, match="expected 0 <= rate < 1"):
            Dropout(rate)


@pytest.mark.parametrize(("start", "stop"), [(0, 2), (2, 6), (5, 6)])
def test_dropout_of_a_micro_batch_is_the_slice_of_the_whole(start, stop):
    whole = mask_of(Dropout(0.5).train(), (2, 6, 3, 4, 4))
    part = mask_of(Dropout(0.5).train(), (2, stop - start, 3, 4, 4), start=start, whole=6)
    assert torch.equal(part, whole[:, start:stop])


def test_dropout_rates_of_the_networks():
    """A convolution that is pooled has none; hidden linear layers 0.5; stem convs 1, 2 and the inner ones 0.2."""

    def rates(name, scale=1.0):
        net = build(name, 10, 16, width=0.125, fc=8, dropout_scale=scale)
        return [round(module.rate, 10) for module in net.modules() if isinstance(module, Dropout)]

    assert rates("conv3fc2") == [0.2]
    assert rates("vgg5") == [0.2, 0.5, 0.5]  # c1 and c3 are pooled
    assert rates("vgg9") == [0.2, 0.2, 0.2, 0.5, 0.5]  # of seven convolutions four are pooled
    assert rates("vgg16") == [0.2] * 9 + [0.5] * 2  # of thirteen four are pooled
    assert rates("resnet12") == [0.2] * 6
    assert rates("vgg5", 0.5) == [0.1, 0.25, 0.25]


@pytest.mark.parametrize("tapped", [True, False])
@pytest.mark.parametrize("dynamics", [Dynamics(0.5), Dynamics(0.5, "delayed"), Dynamics(reset="hard")])
@pytest.mark.parametrize("name", ["vgg5", "resnet12"])
def test_dropout_inside_a_network_equals_the_oracle_with_the_same_masks(name, dynamics, tapped):
    """Logits, tapped spikes and all gradients, wherever the masks are multiplied."""
    net, x = small_snn(name, dynamics).train(), dyadic_input(12, 2)  # masks of 1/0.8 and 1/0.5 keep sums exact
    net.taps = net.taps if tapped else {}
    shapes, masks = {}, {}

    def noted(mask, module, x):
        shapes[module] = x.shape
        return mask(x)

    dropouts = [module for module in net.modules() if isinstance(module, Dropout)]
    for seed, module in enumerate(dropouts):
        module.mask = functools.partial(noted, module.mask, module)
        module.draw_from(torch.Generator().manual_seed(seed), 0, 2)
    output = net(x)
    for seed, module in enumerate(dropouts):
        masks[module] = mask_of(Dropout(module.rate).train(), shapes[module], seed)[0]
    expected = simulate(net, x, masks=masks)
    assert torch.equal(output.logits, expected.logits)
    assert not torch.equal(output.logits, simulate(net, x).logits)
    for level, spikes in output.stages.items():
        assert torch.equal(spikes, expected.stages[level])
    assert len(output.stages) == (3 if tapped else 0)
    labels = torch.tensor([0, 1])
    found, wanted = (
        torch.autograd.grad(F.cross_entropy(logits / 12, labels), list(net.parameters()))
        for logits in (output.logits, expected.logits)
    )
    for (weight, _), one, other in zip(net.named_parameters(), found, wanted, strict=True):
        assert close(one, other, 1e-5), weight
