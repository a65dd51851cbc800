"""The one door to the scan: a layer's current of all time steps to its spikes, by the backend that can.

    triton    one kernel for all steps, on a GPU
    numba     compiled loops, on a CPU in float32
    torch     its own operations: everything else

Each has a function without a gradient, which gives spikes and the potential after the last step, and an autograd
function. Spikes are the same bit for bit, gradients to rounding.
"""

import os
from dataclasses import dataclass
from functools import partial
from types import ModuleType

import torch
from torch import Tensor

from lasnn.compiled import library, reason
from lasnn.networks.layers import Pool, written_out
from lasnn.spiking import kinds
from lasnn.spiking.dynamics import Dynamics
from lasnn.spiking.kernels import compiled_scan, torch_scan
from lasnn.spiking.kernels.rows import rows
from lasnn.spiking.kernels.trained_leak import TrainedLeak

SAVED = torch.bfloat16  # type in which a GPU keeps ψ for the backward pass


@dataclass(frozen=True)
class State:
    """What a layer carries from one call to the next: nothing at rest."""

    potential: Tensor | None = None  # [B, ...]
    spikes: Tensor | None = None  # of the last step, where the next layer sees them a step late
    own: kinds.State | None = None  # of a neuron that is no LIF

    def __bool__(self) -> bool:
        return self.potential is not None or bool(self.own)


@dataclass(frozen=True)
class Scanned:
    """What a scan gives."""

    out: Tensor  # [T, B, ...]: what the next layer sees, masked and pooled
    state: State  # after the last step; at rest with a gradient
    told: Tensor | None  # spikes [T, B, ...] before mask and pool, or their sum [1, B, ...]; None with a gradient


def backend(current: Tensor, dynamics: Dynamics) -> tuple[str, str]:
    """The scan that takes this current [T, B, ...], and why: triton, numba or torch."""
    if (kernels := triton(current)) and kernels.available(current, dynamics):
        return "triton", "a GPU, or triton's interpreter"
    if current.device.type != "cpu":
        return "torch", f"triton can't take {current.dtype} or this surrogate"
    if not compiled_scan.available(current, dynamics):
        return "torch", f"the compiled loops can't take {current.dtype}, this surrogate or gaps in memory"
    if library() is None:
        return "torch", f"no compiled loops: {reason()}"
    return "numba", "float32 on a CPU"


def triton(current: Tensor) -> ModuleType | None:
    """The kernels of a GPU; loaded only where they may be of use, since a CPU can't use them."""
    if not current.is_cuda and os.environ.get("TRITON_INTERPRET") != "1":
        return None
    from lasnn.spiking.kernels import triton_scan

    return triton_scan


def scan(
    current: Tensor,
    threshold: Tensor,
    dynamics: Dynamics,
    mask: Tensor | None = None,
    start: State | None = None,
    pool: Pool | None = None,
    told: bool = False,
    leak: Tensor | None = None,
    initial: Tensor | None = None,
) -> Scanned:
    """Spikes of a current [T, B, ...], which is overwritten; `threshold` is a scalar, `start` the state carried in.

    A dropout `mask` [B, ...] multiplies each step's spikes on their way out, and a `pool` averages them: what is reset
    and carried over knows nothing of either. `told` asks for the spikes themselves, of calls without a gradient. `leak`
    is one that is trained, `dynamics.leak` its value. `initial` is what is part of the first step's current as λ v^0.
    """
    if dynamics.kind != "lif":
        return _stepped(full(current), threshold, dynamics, mask, start, pool, leak, initial)
    trained = leak is not None and leak.requires_grad and torch.is_grad_enabled()
    chosen, _ = backend(current, dynamics)
    current = current if chosen == "triton" and not trained else full(current)
    late, poolable = dynamics.order == "delayed", chosen == "numba" and not trained
    taken = pool if poolable and not late and compiled_scan.poolable(current, dynamics, mask, pool) else None
    rest = None if pool is taken else pool
    if torch.is_grad_enabled() and (current.requires_grad or trained):
        spikes: Tensor
        folded, mask = (mask, None) if dynamics.foldable and not trained else (None, mask)
        if trained:
            ours = partial(_with_gradient, chosen, threshold=threshold, dynamics=dynamics, exact=True)
            spikes = TrainedLeak.apply(current, leak, initial, threshold, dynamics, ours)
        else:
            spikes = _with_gradient(chosen, current, threshold, dynamics, folded, taken is not None)
        return Scanned(_out(_late(spikes, start) if late else spikes, mask, rest), State(), None)
    counts = torch.zeros_like(current[0]) if told and chosen == "numba" and not late else None
    before = start.potential if start else None
    spikes, potential = _fire(chosen, current, before, threshold, dynamics, counts, taken is not None)
    state = State(potential, spikes[-1].clone() if late and start is not None else None)
    spikes = _late(spikes, start) if late else spikes
    return Scanned(_out(spikes, mask, rest), state, spikes if counts is None else counts[None])


def _stepped(
    current: Tensor,
    threshold: Tensor,
    dynamics: Dynamics,
    mask: Tensor | None,
    start: State | None,
    pool: Pool | None,
    leak: Tensor | None,
    initial: Tensor | None,
) -> Scanned:
    """A neuron of another kind, step by step."""
    state = dict(start.own) if start and start.own else {}
    if leak is not None and initial is not None and not state:  # the first current has λ v^0 already, as a constant
        current = torch.cat([current[:1] + (leak - leak.detach()) * initial, current[1:]])
    layer = kinds.Layer(threshold.item(), dynamics.leak if leak is None else leak, dynamics)
    spikes, _ = kinds.stepped(current, layer, state)
    late = dynamics.order == "delayed"
    seen = _late(spikes, start) if late else spikes
    carried = State(spikes=spikes[-1].clone() if late else None, own=state) if start is not None else State()
    return Scanned(_out(seen, mask, pool), carried, None if seen.requires_grad else seen)


def full(current: Tensor) -> Tensor:
    """The current written out, where all steps share one as in direct encoding, and in float32, not bfloat16."""
    if current.stride(0) == 0 and current.shape[0] > 1:
        current = written_out(current)
    return current.float() if current.dtype == torch.bfloat16 else current


def _with_gradient(
    chosen: str,
    current: Tensor,
    threshold: Tensor,
    dynamics: Dynamics,
    mask: Tensor | None = None,
    pool: bool = False,
    exact: bool = False,
) -> Tensor:
    """Spikes with a gradient; `exact`: a GPU keeps ψ in float32, too."""
    spikes: Tensor
    if (kernels := triton(current)) and chosen == "triton":
        # They read any layout and type, and θ where it is; spikes have the type of the products.
        spikes = kernels.FusedScan.apply(current, threshold, dynamics, torch.float32 if exact else SAVED, mask)
        return spikes
    if chosen == "numba":
        mask = None if mask is None else rows(mask[None], current.stride()[1:])[0]
        spikes = compiled_scan.CompiledScan.apply(current, threshold.item(), dynamics, mask, pool)
        return spikes
    spikes = torch_scan.Scan.apply(current, threshold.item(), dynamics, mask)
    return spikes


def _fire(
    chosen: str,
    current: Tensor,
    start: Tensor | None,
    threshold: Tensor,
    dynamics: Dynamics,
    counts: Tensor | None,
    pool: bool,
) -> tuple[Tensor, Tensor]:
    found: tuple[Tensor, Tensor]
    if (kernels := triton(current)) and chosen == "triton":
        found = kernels.fused_fire(current, start, threshold, dynamics)
        return found
    if chosen == "numba":
        return compiled_scan.compiled_fire(current, start, threshold.item(), dynamics, counts, pool)
    return torch_scan.fire(current, start, threshold.item(), dynamics)


def _late(spikes: Tensor, start: State | None) -> Tensor:
    """The spikes a step later: [T, B, ...], first those of the step before."""
    first = start.spikes if start and start.spikes is not None else torch.zeros_like(spikes[0])
    return torch.cat([first[None], spikes[:-1]])


def _out(spikes: Tensor, mask: Tensor | None, pool: Pool | None) -> Tensor:
    spikes = spikes if mask is None else spikes * mask
    return spikes if pool is None else pool(spikes)
