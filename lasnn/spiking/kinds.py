"""Neuron models, one object each: simulated step by step in torch's own operations, with autograd's gradient.

A new one is a class with `step` here, an entry of `KINDS`, and its name in `Spiking.kind` of `lasnn/plan/settings.py`.
Everything else follows: training, evaluation, recording, loading. The LIF has scans of its own, which are faster and
give the same spikes.
"""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

from lasnn.spiking.dynamics import Dynamics
from lasnn.spiking.surrogates import Surrogate

State = dict[str, Tensor]  # what a layer carries from step to step, each [B, ...]; empty at rest


class SpikeContext(FunctionCtx):
    """What the forward pass of `Spike` leaves for its backward pass."""

    psi: Tensor


class Spike(torch.autograd.Function):
    """o = 1[excess > 0] with the surrogate ψ as its derivative by the excess v - θ."""

    @staticmethod
    def forward(ctx: SpikeContext, excess: Tensor, threshold: float, surrogate: Surrogate, since: Tensor) -> Tensor:
        spikes = (excess > 0).to(excess.dtype)
        ctx.psi = surrogate(excess.clone(), threshold, since=since)
        return spikes

    @staticmethod
    def backward(ctx: SpikeContext, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        return ctx.psi * gradient, None, None, None


@dataclass(frozen=True)
class Layer:
    """The neurons of a layer as a model sees them: one threshold θ, and a leak λ that may be trained."""

    threshold: float
    leak: float | Tensor
    dynamics: Dynamics

    def spike(self, excess: Tensor, state: State) -> Tensor:
        """Spikes where the potential is above its threshold; the surrogate may ask when each neuron spiked last."""
        since = state.get("since", torch.full_like(excess, 1000.0))
        spikes: Tensor = Spike.apply(excess, self.threshold, self.dynamics.surrogate, since)
        if self.dynamics.surrogate.needs_history:
            state["since"] = torch.where(spikes.detach() > 0, 1.0, since + 1)
        return spikes

    def carried(self, v: Tensor, spikes: Tensor, reset: float | Tensor) -> Tensor:
        """u, to which the next step's current is added, after a reset by so much (`lasnn.spiking.dynamics`)."""
        spikes = spikes if self.dynamics.reset_grad else spikes.detach()
        if self.dynamics.rule == "hard":
            return self.leak * (v * (1 - spikes))
        if self.dynamics.rule == "instant":
            return self.leak * (v - reset * spikes)
        return self.leak * v - reset * spikes


class Kind(Protocol):
    """What a neuron model must offer."""

    def step(self, layer: Layer, state: State, current: Tensor) -> Tensor:
        """Spikes [B, ...] for one step's current; `state` is left as the next step needs it, with the potential v."""


class Leaky:
    """v^t = u^{t-1} + I^t, o^t = 1[v^t > θ]: Eq. (1) and (2)."""

    def step(self, layer: Layer, state: State, current: Tensor) -> Tensor:
        v = state["v"] = current + state.get("u", 0.0)
        spikes = layer.spike(v - layer.threshold, state)
        state["u"] = layer.carried(v, spikes, layer.threshold)
        return spikes


class Adaptive:
    """A threshold that rises with a neuron's own spikes (Bellec et al. 2018): θ^t = θ (1 + β b^t).

    b^t = ρ b^{t-1} + (1 - ρ) o^{t-1}, b^1 = 0; the reset subtracts θ^t. β, ρ: `Dynamics.adaptation`.
    """

    def step(self, layer: Layer, state: State, current: Tensor) -> Tensor:
        beta, rho = layer.dynamics.adaptation
        v = state["v"] = current + state.get("u", 0.0)
        b = state.get("b", torch.zeros_like(v))
        threshold = layer.threshold * (1 + beta * b)
        spikes = layer.spike(v - threshold, state)
        state["u"] = layer.carried(v, spikes, threshold)
        state["b"] = rho * b + (1 - rho) * spikes
        return spikes


KINDS: dict[str, Kind] = {
    "lif": Leaky(),
    "alif": Adaptive(),
}


def stepped(current: Tensor, layer: Layer, state: State) -> tuple[Tensor, Tensor]:
    """Spikes and potentials before the reset, both [T, B, ...], of a current; `state` is carried on."""
    kind = KINDS[layer.dynamics.kind]
    spikes, potentials = [], []
    for now in current:
        spikes.append(kind.step(layer, state, now))
        potentials.append(state["v"])
    return torch.stack(spikes), torch.stack(potentials)
