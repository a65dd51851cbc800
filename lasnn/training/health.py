"""What tells that a training is ill: numbers that are not finite, layers that never spike or always do."""

import math

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


def warn_of_layers(log: list[dict], console: Console) -> None:
    """Name each layer that fell silent or saturated in the last epoch of a training log, and wasn't so before."""
    before, now = [{}, *log][-2:]
    was = before.get("rates", {})  # spikes for each neuron and step, by layer
    for name, rate in now.get("rates", {}).items():
        if (found := state_of(rate)) and (name not in was or state_of(was[name]) != found):
            console.warn(f"layer {name} is {found} after epoch {now['epoch']}: {rate:.3f} spikes per neuron and step")


def state_of(rate: float) -> str | None:
    """`dead` at no spike at all, `saturated` close to one spike a step, else None."""
    if rate == 0:
        return "dead"
    return "saturated" if rate > SATURATED else None
