"""Spikes and energy of one image, from the counts in a run's metrics.json. Memory traffic and membrane updates are left
out, as is customary; every exhibit says so.

    E_SNN = AC · SynOps + MAC · MAC_1        MAC_1 only where the input is analog, as under direct encoding
    E_ANN = MAC · MACs
"""

from collections.abc import Mapping
from dataclasses import dataclass

from lasnn.plan.cells import Energy
from lasnn.plan.vocabulary import ENCODERS

LEFT_OUT = "Energy counts operations alone: memory traffic and membrane updates are left out."


def ann_joules(operations: Mapping[str, float], energy: Energy) -> float:
    """One pass of the analog network of the same shape."""
    return operations["macs"] * energy.mac_pj * 1e-12


def snn_joules(operations: Mapping[str, float], encoder: str, steps: int, energy: Energy, each: bool = False) -> float:
    """One image in T steps. Under direct encoding the first layer's current is constant and computed once, or
    pessimistically in `each` step; an analog input that is another in every step is multiplied in every step.
    """
    known = ENCODERS[encoder]
    passes = steps if each and known.analog else known.passes(steps)
    analog = passes * operations["macs_first"]
    return (operations["synops"] * energy.ac_pj + analog * energy.mac_pj) * 1e-12


@dataclass(frozen=True)
class Averages:
    """The four readings of "average spikes" (docs/choices.md): c_l spikes and n_l neurons of layer l, N images."""

    by_layer: dict[str, float]  # S_l = c_l / (N n_l), at most T
    network: float  # S_net = Σ c_l / (N Σ n_l), at most T
    layers_added: float  # S_sum = Σ S_l, may exceed T
    batch_added: float  # S_bat = batch · S_net: what one gets by forgetting to divide by the batch
    per_image: float  # Σ c_l / N


def averages(spikes: Mapping[str, Mapping[str, float]], batch: int) -> Averages:
    """From `spikes` of metrics.json: for each spiking layer `total`, `neurons` and `images`."""
    layers = spikes.values()
    by_layer = {name: one["total"] / (one["images"] * one["neurons"]) for name, one in spikes.items()}
    per_image = sum(one["total"] / one["images"] for one in layers)
    network = per_image / sum(one["neurons"] for one in layers)
    return Averages(by_layer, network, sum(by_layer.values()), batch * network, per_image)
