"""The spiking neuron, Eq. (1) and (2): one call takes all time steps, T first, and forgets its state.

    v^t = λ v^{t-1} + I^t - θ o^{t-1}        o^t = 1[v^t > θ]        v^0 = 0, o^0 = 0

Every order of update below is `v^t = u^{t-1} + I^t` with its own rule for what is carried, u:

    sync            u = λ v - θ o            the next layer sees o^t; the reset is not leaked (Eq. 1)
    delayed         u = λ v - θ o            the next layer sees o^{t-1}
    instant_reset   u = λ (v - θ o)          the reset is leaked
    hard reset      u = λ v (1 - o)          whatever the order
"""

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import ModuleType

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx

from lasnn.networks.layers import Neuron, Pool, along_channels, written_out
from lasnn.spiking.kernels import compiled_scan
from lasnn.spiking.surrogates import Bellec, Surrogate

# The scan walks over blocks of neurons so that the few rows it works on stay in the cache of a core.
BLOCK = 65536


@dataclass(frozen=True)
class Dynamics:
    """How a neuron moves: everything of Eq. (1), (2) and (15) but its threshold."""

    leak: float = 1.0
    order: str = "sync"
    reset: str = "soft"
    surrogate: Surrogate = field(default_factory=Bellec)
    reset_grad: bool = False

    @property
    def foldable(self) -> bool:
        """Whether the scan may take a dropout mask: not where the reset cuts the gradient, which asks for o itself."""
        return self.reset == "soft"

    def carry(self, v: Tensor, spikes: Tensor, threshold: float) -> Tensor:
        """Turn `v` in place into the potential that the next step starts from."""
        if self.reset == "hard":
            return v.addcmul_(v, spikes, value=-1).mul_(self.leak)
        if self.order == "instant_reset":
            return v.sub_(spikes, alpha=threshold).mul_(self.leak)
        if self.leak != 1:
            v.mul_(self.leak)
        return v.sub_(spikes, alpha=threshold)


def flat(x: Tensor) -> Tensor:
    """A view `[T, N]` of a dense `[T, B, ...]`, in the order of its memory; N may be expanded along T (stride 0)."""
    if x.dim() == 5 and not x[0].is_contiguous():
        x = x.permute(0, 1, 3, 4, 2)
    return x[:1].view(1, -1).expand(x.shape[0], -1) if x.stride(0) == 0 else x.view(x.shape[0], -1)


def alike(x: Tensor, layout: Tensor) -> Tensor:
    """`x` itself if its memory within a step is laid out like `layout`'s, else a copy that is."""
    if x.shape == layout.shape and (x.stride()[1:] == layout.stride()[1:] or x.shape[0] * x[0].numel() == 0):
        return x
    return torch.empty_like(layout).copy_(x)


def blocks(rows: Tensor) -> Iterator["slice[int, int, None]"]:
    """Slices over the N of `[T, N]`: one for each block of neurons that a core's cache holds."""
    size = BLOCK * torch.get_num_threads() if rows.device.type == "cpu" else max(rows.shape[1], 1)
    for start in range(0, rows.shape[1], size):
        yield slice(start, start + size)


def fire(current: Tensor, start: Tensor | None, threshold: float, dynamics: Dynamics) -> tuple[Tensor, Tensor]:
    """Spikes without a gradient: `current` [T, B, ...] is overwritten with them.

    `start` [B, ...] is the potential carried in; returns the spikes and the potential carried out.
    """
    rows = flat(current)
    end = torch.zeros_like(current[0]) if start is None else start.clone(memory_format=torch.preserve_format)
    carried = flat(alike(end[None], current[:1]))
    for block in blocks(rows):
        v = carried[0, block]
        for row in rows[:, block]:
            v.add_(row)
            torch.gt(v, threshold, out=row)
            dynamics.carry(v, row, threshold)
    return current, carried.view(-1).as_strided(current[0].shape, current[0].stride())


class ScanContext(FunctionCtx):
    """What the forward pass of `Scan` leaves for its backward pass."""

    psi: Tensor
    spikes: Tensor | None
    mask: Tensor | None  # [N]
    threshold: float
    dynamics: Dynamics
    spent: bool


class Scan(torch.autograd.Function):
    """Spikes with the surrogate gradient of backpropagation through time.

    The forward pass overwrites the input current with ψ, which is all that the backward pass needs; the backward pass
    overwrites ψ with δ = dL/dI. The operation that made the current must not need its own output for its backward
    pass (convolutions, products, sums and means don't).

    With a dropout `mask` [B, ...] the result is mask * o, and dL/do = mask g is formed row by row in the backward pass.
    It rounds as a product of its own after the scan would: a layer gives the same bits whether its spikes are asked
    for before the mask or not.
    """

    @staticmethod
    def forward(
        ctx: ScanContext, current: Tensor, threshold: float, dynamics: Dynamics, mask: Tensor | None = None
    ) -> Tensor:
        spikes = torch.empty_like(current)
        psi, out = flat(current.detach()), flat(spikes)
        kept = None if mask is None else flat(alike(mask[None], current[:1]))[0]
        surrogate = dynamics.surrogate
        for block in blocks(psi):
            v = torch.zeros_like(psi[0, block])
            since = torch.full_like(v, 1000.0) if surrogate.needs_history else None
            for row, o in zip(psi[:, block], out[:, block], strict=True):
                v.add_(row)
                torch.sub(v, threshold, out=row)
                torch.gt(row, 0, out=o)  # the sign of v - θ is that of the comparison; ties give 0
                surrogate(row, threshold, since=since)
                dynamics.carry(v, o, threshold)
                if since is not None:
                    since.add_(1).masked_fill_(o > 0, 1.0)
                if kept is not None:  # while the row is in the cache
                    o.mul_(kept[block])
        ctx.mask = kept
        ctx.threshold, ctx.dynamics, ctx.spent = threshold, dynamics, False
        ctx.psi = current.detach()
        ctx.spikes = spikes.detach() if dynamics.reset == "hard" else None
        return spikes

    @staticmethod
    def backward(ctx: ScanContext, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        if ctx.spent:
            raise RuntimeError("the scan's saved state was overwritten by an earlier backward pass: run forward again")
        ctx.spent = True
        dynamics, threshold = ctx.dynamics, ctx.threshold
        psi, g = flat(ctx.psi), flat(alike(gradient, ctx.psi))
        spikes = flat(ctx.spikes) if ctx.spikes is not None else None
        # Weight of the reset path: the reset is leaked too where it is instant.
        reset = threshold * (dynamics.leak if dynamics.order == "instant_reset" else 1.0)
        for block in blocks(psi):
            delta: Tensor | None = None  # δ^{t+1}
            masked = torch.empty_like(psi[0, block]) if ctx.mask is not None else None
            for t in reversed(range(psi.shape[0])):
                row, upstream = psi[t, block], g[t, block]
                if masked is not None and ctx.mask is not None:
                    upstream = torch.mul(upstream, ctx.mask[block], out=masked)
                if delta is None:
                    row.mul_(upstream)
                elif dynamics.reset_grad:
                    row.mul_(torch.sub(upstream, delta, alpha=reset)).add_(delta, alpha=dynamics.leak)
                else:
                    row.mul_(upstream).add_(delta, alpha=dynamics.leak)
                    if spikes is not None:
                        row.addcmul_(delta, spikes[t, block], value=-dynamics.leak)
                delta = row
        return ctx.psi, None, None, None


class LIF(Neuron):
    """A layer of leaky integrate-and-fire neurons with one threshold: current [T, B, ...] to spikes of the same shape.

    The current is overwritten. Outside of `streaming` every call starts at rest, or at the potential `initial` [C, H,
    W] or [F] where a layer has that; `offset` [C] or [F] is a current of every step. Both are in the state dict of
    those layers only that have them. A trained threshold is θ e^-`log_gain`: the current is multiplied by e^`log_gain`,
    which gives the same spikes; a trained offset is `offset` + `offset_change`. With a dropout `mask` [B, ...] each
    step's spikes are multiplied by it on their way out: what is reset and carried over knows nothing of it. With a
    `pool` they are pooled by it, which the compiled scan does without writing them down. A `tally` is told the spikes
    of calls without a gradient.
    """

    threshold: Tensor
    offset: Tensor | None
    initial: Tensor | None
    log_gain: nn.Parameter | None
    offset_change: nn.Parameter | None

    def __init__(self, threshold: float = 1.0, dynamics: Dynamics | None = None):
        super().__init__()
        self.register_buffer("threshold", torch.tensor(float(threshold)))
        self.register_buffer("offset", None)
        self.register_buffer("initial", None)
        self.register_parameter("log_gain", None)
        self.register_parameter("offset_change", None)
        self.dynamics = dynamics or Dynamics()
        self.carried: dict[str, Tensor] | None = None
        self.tally: Callable[[Tensor], None] | None = None

    def forward(self, current: Tensor, mask: Tensor | None = None, pool: Pool | None = None) -> Tensor:
        start = self.carried.get("potential") if self.carried else None
        current = self.with_constants(current, first=start is None)
        if self.log_gain is not None or self.offset_change is not None:
            current = self.with_trained(current)
        fused = kernels(current, self.dynamics)
        if not fused:
            if current.stride(0) == 0 and current.shape[0] > 1:  # the same current in each step: direct encoding
                current = written_out(current)
            if current.dtype == torch.bfloat16:  # products may be in bfloat16, potentials never
                current = current.float()
        loops = not fused and compiled_scan.available(current, self.dynamics)
        averages = loops and pool is not None and pool.average and self._plain(mask) and compiled_scan.poolable(current)
        if torch.is_grad_enabled() and current.requires_grad:
            folded = mask if self.dynamics.foldable else None
            mask = None if self.dynamics.foldable else mask
            if fused:  # the kernels read any layout and type, and θ where it is; spikes have the type of the products
                scanned = current, self.threshold, self.dynamics, current.dtype, torch.bfloat16, folded
                spikes = fused.FusedScan.apply(*scanned)
            elif loops:
                folded = None if folded is None else alike(folded[None], current[:1])[0]
                spikes = compiled_scan.CompiledScan.apply(
                    current, self.threshold.item(), self.dynamics, folded, averages
                )
            else:
                spikes = Scan.apply(current, self.threshold.item(), self.dynamics, folded)
        else:
            spikes = self._fire(current, start, fused, loops, averages)
        spikes = self._delayed(spikes) if self.dynamics.order == "delayed" else spikes
        spikes = spikes if mask is None else spikes * mask
        return spikes if pool is None or averages else pool(spikes)

    def _plain(self, mask: Tensor | None) -> bool:
        """Whether the spikes that the scan makes are those that are pooled."""
        return self.dynamics.order != "delayed" and self.dynamics.reset == "soft" and mask is None

    def _fire(self, current: Tensor, start: Tensor | None, fused: ModuleType | None, loops: bool, pool: bool) -> Tensor:
        """Spikes without a gradient; the potential is carried on and the spikes are counted where that is wanted."""
        threshold, dynamics, counts = self.threshold, self.dynamics, None
        if loops:
            counts = torch.zeros_like(current[0]) if self.tally and dynamics.order != "delayed" else None
            spikes, potential = compiled_scan.compiled_fire(current, start, threshold.item(), dynamics, counts, pool)
        elif fused:
            spikes, potential = fused.fused_fire(current, start, threshold, dynamics)
        else:
            spikes, potential = fire(current, start, threshold.item(), dynamics)
        if self.carried is not None:
            self.carried["potential"] = potential
        if self.tally and dynamics.order != "delayed":
            self.tally(spikes if counts is None else counts[None])
        return spikes

    def with_constants(self, current: Tensor, first: bool) -> Tensor:
        """The current with the offset; the initial potential, leaked, is part of the first step's: the same v¹.

        Both are constants, so autograd, which would copy what it is told of, need not know.
        """
        if self.offset is not None:
            offset = self.offset.view(-1, *(1,) * (current.dim() - 3))  # [C, 1, 1] or [F]
            (current.data[:1] if current.stride(0) == 0 else current.data).add_(offset)
        if self.initial is not None and first:
            if current.stride(0) == 0:
                current = written_out(current)
            current.data[0].add_(self.initial, alpha=self.dynamics.leak)
        return current

    def with_trained(self, current: Tensor) -> Tensor:
        """The current with the constants that are being trained; written once where all steps are the same."""
        same = current.stride(0) == 0
        changed = current[:1] if same else current
        if self.offset_change is not None:
            changed = changed + along_channels(self.offset_change, changed)
        if self.log_gain is not None:
            changed = changed * self.log_gain.exp()
        return changed.expand_as(current) if same else changed

    def _load_from_state_dict(self, state: dict[str, Tensor], prefix: str, *rest: object) -> None:
        """As always, after making room for the constants that the saved layer had."""
        for name in ("offset", "initial"):
            saved = state.get(prefix + name)
            setattr(self, name, None if saved is None else torch.empty_like(saved, device=self.threshold.device))
        super()._load_from_state_dict(state, prefix, *rest)

    def _delayed(self, spikes: Tensor) -> Tensor:
        last = self.carried.get("spikes") if self.carried else None
        first = torch.zeros_like(spikes[0]) if last is None else last
        if self.carried is not None:
            self.carried["spikes"] = spikes[-1].clone()
        delayed = torch.cat([first[None], spikes[:-1]])  # [T, B, ...]
        if self.tally:
            self.tally(delayed)
        return delayed


def kernels(current: Tensor, dynamics: Dynamics) -> ModuleType | None:
    """The fused kernels, where they can take this current; loaded only there, since a CPU can't use them."""
    if not current.is_cuda and os.environ.get("TRITON_INTERPRET") != "1":
        return None
    from lasnn.spiking.kernels import triton_scan

    return triton_scan if triton_scan.available(current, dynamics) else None


@contextlib.contextmanager
def streaming(net: nn.Module) -> Iterator[None]:
    """Inside: potentials are carried from one call of `net` to the next. On leaving they are forgotten."""
    neurons = [module for module in net.modules() if isinstance(module, LIF)]
    for neuron in neurons:
        neuron.carried = {}
    try:
        yield
    finally:
        for neuron in neurons:
            neuron.carried = None
