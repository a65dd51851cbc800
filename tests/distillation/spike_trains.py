"""Random maps and spike trains, and Eq. (11) as it is printed."""

import math

import numpy as np
import torch

from lasnn.distillation.attention import SpikeActivationMap

KAPPA = 1.0
D = math.exp(-KAPPA)


def random(*shape, seed=0, dtype=torch.float64):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def spike_train(*shape, rate=0.4, seed=0, dtype=torch.float64):
    return (random(*shape, seed=seed) < rate).to(dtype)


def softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def sam(spikes, kappa=KAPPA):
    return SpikeActivationMap.apply(spikes, kappa, False, False)


def double_sum(spikes, kappa):
    """Eq. (11) as printed, over all pairs t' < t."""
    total = torch.zeros_like(spikes[0])
    for t in range(len(spikes)):
        for earlier in range(t):
            total = total + math.exp(-kappa * (t - earlier)) * spikes[earlier] * spikes[t]
    return total.sum(1) / len(spikes)
