"""The SNN itself: neurons, surrogate gradients, encoders, conversion with threshold balancing, calibration, evaluation.

The engine alone: it knows no run, no preset and no method of training, and writes no file.

    net = spiking(build("vgg5", classes=10, side=32), Dynamics())
    balance(net, encoded)                        # thresholds from the largest currents
    evaluate(net, images, "poisson", steps=100)  # accuracy after each step, spikes of each layer
"""

from lasnn.spiking.conversion import (
    balance,
    scale_thresholds,
    set_thresholds,
    spiking,
    thresholds,
    with_leaks,
)
from lasnn.spiking.encoders import ENCODERS, batch_noise, encode, image_noise
from lasnn.spiking.evaluation import Evaluation, LayerSpikes, evaluate
from lasnn.spiking.neurons import LIF, Dynamics, streaming
from lasnn.spiking.normalisation import normalise
from lasnn.spiking.surrogates import Surrogate, surrogate

__all__ = [
    "ENCODERS",
    "LIF",
    "Dynamics",
    "Evaluation",
    "LayerSpikes",
    "Surrogate",
    "balance",
    "batch_noise",
    "encode",
    "evaluate",
    "image_noise",
    "normalise",
    "scale_thresholds",
    "set_thresholds",
    "spiking",
    "streaming",
    "surrogate",
    "thresholds",
    "with_leaks",
]
