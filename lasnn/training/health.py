"""What tells that a training is ill: numbers that are not finite, layers that never spike or always do."""

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from lasnn.console import Console
from lasnn.errors import InputError
from lasnn.storage.marks import SATURATED

ADVICE = "try a lower lr, warmup_epochs or clip_norm"


def check_terms(terms: dict[str, float], epoch: int, batch: int) -> None:
    """InputError unless every loss term and the gradient norm of a batch are finite. Epoch and batch count from 1."""
    if not all(math.isfinite(value) for value in terms.values()):
        values = ", ".join(f"{name} {value:g}" for name, value in terms.items())
        raise InputError(
            f"training diverged in epoch {epoch}, batch {batch}: {values}; the last good state is kept; {ADVICE}"
        )


def check_finite(values: dict[str, Tensor], where: str) -> None:
    """InputError that names the first tensor with a value that is not finite: such weights are never saved.

    A network of spikes can hide them: a potential that is not a number never crosses its threshold, and the loss of
    a layer that is silent is finite.
    """
    floating = {name: value for name, value in values.items() if value.is_floating_point()}
    if not floating or all(bool(value.isfinite().all()) for value in floating.values()):
        return
    name = next(name for name, value in floating.items() if not value.isfinite().all())
    raise InputError(
        f"training diverged by the end of {where}: {name} holds values that are not finite; the last good state is "
        f"kept; {ADVICE}"
    )


def weight_norms(net: nn.Module) -> dict[str, float]:
    """The 2-norm of every weight tensor, by its name in the checkpoint: shows where weight decay outruns the loss."""
    norms = {name: weight.detach().norm() for name, weight in net.named_parameters() if name.endswith("weight")}
    return dict(zip(norms, torch.stack(list(norms.values())).tolist(), strict=True))


class Layers:
    """Warns when a layer falls silent or saturates, once until it changes again."""

    def __init__(self, console: Console):
        self.console = console
        self.ill: dict[str, str | None] = {}

    def look(self, rates: dict[str, float], epoch: int) -> None:
        """`rates`: spikes for each neuron and step, by layer, after this epoch (from 1)."""
        for name, rate in rates.items():
            found = state_of(rate)
            if found and found != self.ill.get(name):
                self.console.warn(f"layer {name} is {found} after epoch {epoch}: {rate:.3f} spikes per neuron and step")
            self.ill[name] = found

    def recall(self, lines: Iterable[dict]) -> None:
        """Take up what the training log's lines say, without warning of it again."""
        for line in lines:
            self.ill |= {name: state_of(rate) for name, rate in line.get("rates", {}).items()}


def state_of(rate: float) -> str | None:
    """`dead` at no spike at all, `saturated` close to one spike a step, else None."""
    if rate == 0:
        return "dead"
    return "saturated" if rate > SATURATED else None
