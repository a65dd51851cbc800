"""The gradient of a leak that is trained, beside that of the current, for whichever scan makes the spikes.

With q what is leaked, u = λ q or u = λ q - θ o (`lasnn.spiking.dynamics`),

    dL/dλ = Σ_t Σ_neurons δ^t q^{t-1}        δ = dL/dI

δ is what every scan gives, and q follows from the currents, which are kept for it, and the spikes.
"""

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

from lasnn.spiking.dynamics import Dynamics


class LeakContext(FunctionCtx):
    """What the forward pass of `TrainedLeak` leaves for its backward pass."""

    scanned: tuple[Tensor, Tensor]  # the current that the scan has overwritten, and its spikes, with their graph
    current: Tensor
    initial: Tensor | None
    threshold: Tensor
    dynamics: Dynamics
    leak: Tensor


class TrainedLeak(torch.autograd.Function):
    """Spikes of a backend's `scan`, whose λ, `dynamics.leak`, is the value of the scalar `leak`.

    q^0 is `initial` [B, ...], which is part of the first step's current already, or 0.
    """

    @staticmethod
    def forward(
        ctx: LeakContext,
        current: Tensor,
        leak: Tensor,
        initial: Tensor | None,
        threshold: Tensor,
        dynamics: Dynamics,
        scan: type[torch.autograd.Function],
    ) -> Tensor:
        ctx.current = current.detach().clone(memory_format=torch.preserve_format)
        with torch.enable_grad():
            taken = current.detach().requires_grad_()
            spikes: Tensor = scan.apply(taken, threshold, dynamics, None, False, True)
        ctx.scanned, ctx.initial, ctx.threshold = (taken, spikes), initial, threshold
        ctx.dynamics, ctx.leak = dynamics, leak.detach()
        return spikes.detach()

    @staticmethod
    def backward(ctx: LeakContext, gradient: Tensor) -> tuple[Tensor, Tensor, None, None, None, None]:
        taken, spikes = ctx.scanned
        (delta,) = torch.autograd.grad(spikes, taken, gradient)
        total = torch.zeros((), dtype=torch.float64, device=delta.device)
        leaked = None if ctx.initial is None else ctx.initial.detach().expand_as(delta[0])
        carried: Tensor | float = 0.0
        for row, current, fired in zip(delta, ctx.current, spikes.detach(), strict=True):
            if leaked is not None:
                total += (row * leaked).sum(dtype=torch.float64)
            leaked, carried = _step(current + carried, fired, ctx.threshold, ctx.dynamics)
        return delta, total.to(ctx.leak.dtype), None, None, None, None


def _step(v: Tensor, fired: Tensor, threshold: Tensor, dynamics: Dynamics) -> tuple[Tensor, Tensor]:
    """q of a potential that fired or not, and what is carried over."""
    if dynamics.rule == "hard":
        leaked = v * (1 - fired)
    elif dynamics.rule == "instant":
        leaked = v - threshold * fired
    else:
        return v, dynamics.leak * v - threshold * fired
    return leaked, dynamics.leak * leaked
