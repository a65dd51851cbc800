"""Initial weights: their spread by the rule, their values by the seed."""

import math
from itertools import product

import pytest
import torch
from torch import nn

from lasnn.networks import build, initialise
from lasnn.plan.vocabulary import NETWORKS, STUDENTS, TEACHERS


@pytest.mark.parametrize(("name", "rule"), [*product(STUDENTS, ["base", "he"]), *product(TEACHERS, ["base"])])
def test_initial_weights(name, rule):
    """By the rule, to five standard errors of a standard deviation and of a mean. A teacher's batch norms are where
    they start, and its readout is as torch's own.
    """
    net = initialise(build(name, 10, 16, width=0.25, fc=64), name, rule, torch.Generator().manual_seed(0))
    for module in net.modules():
        if isinstance(module, nn.Conv2d) or (name in STUDENTS and isinstance(module, nn.Linear)):
            count, std = module.weight.numel(), math.sqrt(2 / module.weight[0].numel())
            if rule == "base":
                conv = isinstance(module, nn.Conv2d)
                std = math.sqrt(2 / (module.kernel_size[0] ** 2 * module.out_channels)) if conv else 0.01
            assert module.weight.std().item() == pytest.approx(std, rel=5 / math.sqrt(2 * count))
            assert name in TEACHERS or abs(module.weight.mean().item()) < 5 * std / math.sqrt(count)
            assert module.bias is None or not module.bias.any()
        elif isinstance(module, nn.BatchNorm2d):
            assert (module.weight == 1).all()
            assert not module.bias.any()
    if name in TEACHERS:
        bound = 1 / math.sqrt(net.readout.in_features)
        assert 0.9 * bound < net.readout.weight.abs().max() <= bound
        assert net.readout.bias.any()


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("rule", ["base", "he"])
def test_initial_weights_follow_the_seed_alone(name, rule):
    def weights(seed):
        net = build(name, 4, 8, width=0.125, fc=8)  # with weights of torch's own, from its global generator
        return list(initialise(net, name, rule, torch.Generator().manual_seed(seed)).parameters())

    first, again, other = weights(0), weights(0), weights(1)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(first, other, strict=True) if a.dim() > 1)
