"""Data-based normalisation (Diehl et al. 2015) and its robust form: thresholds from the ANN's own activations.

The original divides weights, W_l <- W_l λ_{l-1}/λ_l, and leaves thresholds at 1; λ_l is the largest activation of layer
l, λ_0 = 1. Thresholds θ_l = λ_l/λ_{l-1} with the weights as they are give the same spikes, so the rest of the pipeline
sees no difference to balanced thresholds. In a residual block with input λ_in, θ_a = λ_a/λ_in and θ_b = λ_b/λ_in; the
fold W_2 <- θ_a W_2 of `scale_thresholds` brings its branches to one unit.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lasnn.errors import InputError
from lasnn.networks.net import Net, relus, watched
from lasnn.spiking.conversion import neurons, set_thresholds, thresholds

ABOVE = {"max": 0.0, "robust": 0.001}  # share of a layer's non-zero activations that may exceed λ


@torch.no_grad()
def normalise(net: Net, ann: Net, x: Tensor, norm: str, rows: int = 512) -> dict[str, float]:
    """Thresholds (unscaled) of every layer of `net`, the spiking copy of `ann`, also written into its neurons.

    x [N, 3, H, W] are calibration images, of which `rows` are in memory at once. A layer that is never active is an
    InputError.
    """
    names = list(neurons(net))
    largest = largest_activations(ann, x, ABOVE[norm], rows)
    for name, unit in zip(names, largest, strict=True):
        if not unit > 0:
            raise InputError(
                f"data-based normalisation: layer {name} is never active in {len(x)} calibration images: the ANN is "
                "dead there; train it longer, or use network.init: he"
            )
    return set_units(net, largest)


def set_units(net: Net, units: Sequence[float]) -> dict[str, float]:
    """Thresholds with which a spike of each layer is worth its λ in the ANN's activations, also written into them."""
    found = [
        unit / (1.0 if source is None else units[source]) for unit, source in zip(units, _sources(net), strict=True)
    ]
    set_thresholds(net, found)
    return dict(zip(neurons(net), found, strict=True))


def units(net: Net) -> list[float]:
    """λ of each spiking layer of a network whose thresholds are unscaled."""
    found: list[float] = []
    for threshold, source in zip(thresholds(net).values(), _sources(net), strict=False):  # a readout may spike
        found.append(threshold * (1.0 if source is None else found[source]))
    return found


def _sources(net: Net) -> list[int | None]:
    """For each spiking layer the place of the one whose spikes reach its layer, also through pools; None: the image."""
    found: list[int | None] = []
    source = None
    for layer in net.layers.values():
        found += [source] * len(neurons(layer))
        source = len(found) - 1
    return found


@torch.no_grad()
def largest_activations(ann: Net, x: Tensor, above: float, rows: int) -> list[float]:
    """λ of each ReLU in forward order: its non-zero activations' nearest-rank quantile 1 - `above`; 0 if it has none.

    Exact: only as many of the largest values are kept as can lie above it.
    """
    units: list[nn.Module] = [*relus(ann).values()]
    top = {unit: x.new_empty(0) for unit in units}  # in falling order
    active = dict.fromkeys(units, 0)

    def keep(unit: nn.Module, current: Tensor, activation: Tensor) -> None:
        positive = activation[activation > 0]
        active[unit] += positive.numel()
        values = torch.cat([top[unit], positive])
        most = math.ceil(above * activation[0, 0].numel() * len(x)) + 1
        top[unit] = values.topk(min(most, len(values))).values

    with watched(units, keep):
        ann.eval()
        for part in x.split(rows):
            ann(part[None])
    ranks = {unit: max(1, round((1 - above) * count)) for unit, count in active.items()}
    return [top[unit][active[unit] - ranks[unit]].item() if active[unit] else 0.0 for unit in units]
