"""Random maps and spike trains."""

import numpy as np
import torch

from lasnn.distillation.attention import SpikeActivationMap


def random(*shape, seed=0, dtype=torch.float64):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def spike_train(*shape, rate=0.4, seed=0, dtype=torch.float64):
    return (random(*shape, seed=seed) < rate).to(dtype)


def softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def sam(spikes, kappa=1.0):
    return SpikeActivationMap.apply(spikes, kappa, False, False)
