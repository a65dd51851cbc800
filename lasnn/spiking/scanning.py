"""The one door to the scan: a layer's current of all time steps to its spikes, by the backend that can.

    triton    one kernel for all steps, on a GPU
    numba     compiled loops, on a CPU in float32
    torch     its own operations: everything else

Each is a module with `fire`, without a gradient, which gives spikes and the potential after the last step, and `Scan`,
an autograd function. Spikes are the same bit for bit, gradients to rounding.
"""

import os
from dataclasses import dataclass, replace
from types import ModuleType

import torch
from torch import Tensor

from lasnn.compiled import library, reason
from lasnn.errors import InputError
from lasnn.networks.layers import Pool, written_out
from lasnn.spiking import kinds
from lasnn.spiking.dynamics import Dynamics
from lasnn.spiking.kernels import compiled_scan, torch_scan
from lasnn.spiking.kernels.trained_leak import TrainedLeak


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
    late, counts = dynamics.order == "delayed", None
    trained = leak is not None and leak.requires_grad and torch.is_grad_enabled()
    if start is not None and (trained or (torch.is_grad_enabled() and current.requires_grad)):
        raise InputError(
            "inside `streaming` potentials are carried from call to call without a gradient, and this call asks for "
            "one: make it under torch.no_grad(), or give all T steps in one call"
        )
    if dynamics.kind != "lif":
        spikes, state = _stepped(full(current), threshold, dynamics, start, leak, initial)
    else:
        chosen, _ = backend(current, dynamics)
        current = current if chosen == "triton" and not trained else full(current)
        kernels = triton(current) if chosen == "triton" else {"numba": compiled_scan, "torch": torch_scan}[chosen]
        assert kernels is not None  # as `backend` chose them
        taken = chosen == "numba" and not trained and not late and compiled_scan.poolable(current, dynamics, mask, pool)
        pool = None if taken else pool
        if trained:
            spikes, state = TrainedLeak.apply(current, leak, initial, threshold, dynamics, kernels.Scan), State()
        elif torch.is_grad_enabled() and current.requires_grad:
            folded, mask = (mask, None) if dynamics.foldable else (None, mask)
            spikes, state = kernels.Scan.apply(current, threshold, dynamics, folded, taken), State()
        else:
            counts = torch.zeros_like(current[0]) if told and chosen == "numba" and not late else None
            before = start.potential if start else None
            spikes, potential = kernels.fire(current, before, threshold, dynamics, counts, taken)
            state = State(potential)
    if late:
        last, spikes = spikes[-1], _late(spikes, start)
        state = replace(state, spikes=last.clone()) if state and start is not None else state
    seen = None if spikes.requires_grad else spikes if counts is None else counts[None]
    spikes = spikes if mask is None else spikes * mask
    return Scanned(spikes if pool is None else pool(spikes), state, seen)


def _stepped(
    current: Tensor,
    threshold: Tensor,
    dynamics: Dynamics,
    start: State | None,
    leak: Tensor | None,
    initial: Tensor | None,
) -> tuple[Tensor, State]:
    """A neuron of another kind, step by step."""
    own = dict(start.own) if start and start.own else {}
    if leak is not None and initial is not None and not own:  # the first current has λ v^0 already, as a constant
        current = torch.cat([current[:1] + (leak - leak.detach()) * initial, current[1:]])
    layer = kinds.Layer(threshold.item(), dynamics.leak if leak is None else leak, dynamics)
    return kinds.stepped(current, layer, own)[0], State(own=own)


def full(current: Tensor) -> Tensor:
    """The current in one piece, where all steps share one or there are gaps, and in float32, not bfloat16."""
    if not (current.is_contiguous() or (current.dim() == 5 and current.permute(0, 1, 3, 4, 2).is_contiguous())):
        current = written_out(current)
    return current.float() if current.dtype == torch.bfloat16 else current


def _late(spikes: Tensor, start: State | None) -> Tensor:
    """The spikes a step later: [T, B, ...], first those of the step before."""
    first = start.spikes if start and start.spikes is not None else torch.zeros_like(spikes[0])
    return torch.cat([first[None], spikes[:-1]])
