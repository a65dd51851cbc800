"""The spiking neuron, Eq. (1) and (2): one call takes all time steps, T first, and forgets its state."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn

from lasnn.networks.layers import Neuron, Pool, along_channels, written_out
from lasnn.spiking.dynamics import Dynamics
from lasnn.spiking.scanning import State, scan

__all__ = ["LIF", "Dynamics", "streaming"]


class LIF(Neuron):
    """A layer of leaky integrate-and-fire neurons with one threshold: current [T, B, ...] to spikes of the same shape.

    The current is overwritten. Outside of `streaming` every call starts at rest, or at the potential `initial` [C,
    H, W] or [F] where a layer has that; `offset` [C] or [F] is a current of every step. Both are in the state dict
    of those layers only that have them. A trained threshold is θ e^-`log_gain`, one a layer or a channel: the
    current is multiplied by e^`log_gain`, which gives the same spikes; a trained offset is `offset` +
    `offset_change`; a trained leak is σ(`leak_logit`), in place of that of the dynamics. With a dropout `mask` [B,
    ...] each step's spikes are multiplied by it on their way out: what is reset and carried over knows nothing of
    it. With a `pool` they are pooled by it, which the compiled scan does without writing them down. A `tally` is
    told the spikes of calls without a gradient.
    """

    threshold: Tensor
    offset: Tensor | None
    initial: Tensor | None
    constants = ("offset", "initial")
    log_gain: nn.Parameter | None
    leak_logit: nn.Parameter | None
    offset_change: nn.Parameter | None

    def __init__(self, threshold: float = 1.0, dynamics: Dynamics | None = None):
        super().__init__()
        self.register_buffer("threshold", torch.tensor(float(threshold)))
        self.register_buffer("offset", None)
        self.register_buffer("initial", None)
        self.register_parameter("log_gain", None)
        self.register_parameter("offset_change", None)
        self.register_parameter("leak_logit", None)
        self.dynamics = dynamics or Dynamics()
        self.carried: State | None = None
        self.tally: Callable[[Tensor], None] | None = None

    def forward(self, current: Tensor, mask: Tensor | None = None, pool: Pool | None = None) -> Tensor:
        leak, told = None if self.leak_logit is None else self.leak_logit.sigmoid(), self.tally is not None
        dynamics = self.dynamics if leak is None else replace(self.dynamics, leak=leak.item())
        current = self.with_trained(self.with_constants(current, dynamics.leak))
        scanned = scan(current, self.threshold, dynamics, mask, self.carried, pool, told, leak, self._first(current))
        if self.carried is not None:
            self.carried = scanned.state
        if self.tally and scanned.told is not None:
            self.tally(scanned.told)
        return scanned.out

    def gain(self, current: Tensor) -> Tensor:
        """What a current [T, B, ...] is multiplied by: a number, [C, 1, 1] or [F]."""
        assert self.log_gain is not None
        gain = self.log_gain.exp()
        return along_channels(gain, current) if gain.dim() else gain

    def _first(self, current: Tensor) -> Tensor | None:
        """v^0 in the unit of the current that the scan sees."""
        return self.initial if self.initial is None or self.log_gain is None else self.initial * self.gain(current)

    def with_constants(self, current: Tensor, leak: float) -> Tensor:
        """The current with the offset; the initial potential, leaked, is part of the first step's: the same v¹.

        Both are constants, so the gradient is that of the current itself. Autograd isn't told here: it would refuse any
        further view of the current. The scan, which overwrites all of it, tells.
        """
        if self.offset is not None:
            written = current.data[:1] if current.stride(0) == 0 else current.data
            written.add_(along_channels(self.offset, current))
        if self.initial is not None and not self.carried:
            if current.stride(0) == 0:
                current = written_out(current)
            current.data[0].add_(self.initial, alpha=leak)
        return current

    def with_trained(self, current: Tensor) -> Tensor:
        """The current with the constants that are being trained; written once where all steps are the same."""
        if self.log_gain is None and self.offset_change is None:
            return current
        same = current.stride(0) == 0
        changed = current[:1] if same else current
        if self.offset_change is not None:
            changed = changed + along_channels(self.offset_change, changed)
        if self.log_gain is not None:
            changed = changed * self.gain(changed)
        return changed.expand_as(current) if same else changed


@contextlib.contextmanager
def streaming(net: nn.Module) -> Iterator[None]:
    """Inside: potentials are carried from one call of `net` to the next. On leaving they are forgotten."""
    neurons = [module for module in net.modules() if isinstance(module, LIF)]
    for neuron in neurons:
        neuron.carried = State()
    try:
        yield
    finally:
        for neuron in neurons:
            neuron.carried = None
