"""Terms that any method may add for the sake of few time steps; all are off in the paper."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from lasnn.distillation.step import Step, Terms, divergence_from
from lasnn.networks.net import is_neuron
from lasnn.plan.settings import Spiking


def consistency(step: Step, settings: Spiking) -> Tensor:
    """b τ² mean_t KL(softmax(m/τ) || softmax(z^t/τ)): each step's logits against a target m, held constant (TWSNN).

    m is the mean of all steps' logits (its paper), or of those steps' that classify the image rightly (its code), which
    is 0, a uniform target, where none does. With the targets `strongest` and `weakest` the most confident step teaches
    the least confident one, or the reverse (Strong2Weak, Weak2Strong; Ding et al. 2025): b τ² KL of these two alone.
    """
    if step.by_step is None:
        raise TypeError("consistency compares the logits of single steps")
    b, hotter = settings.consistency, settings.consistency_temperature
    if settings.consistency_target in ("strongest", "weakest"):
        confidence = step.by_step.detach().softmax(2).amax(2).mean(1)  # [T], over the batch
        strongest, weakest = step.by_step[confidence.argmax()], step.by_step[confidence.argmin()]
        pair = (strongest, weakest) if settings.consistency_target == "strongest" else (weakest, strongest)
        return b * divergence_from(pair[0].detach(), pair[1], hotter)
    target = step.logits.detach()
    if settings.consistency_target == "correct":
        steps = step.by_step.detach()
        right = (steps.argmax(2) == step.batch.labels).to(steps.dtype)  # [T, B]
        target = (right[..., None] * steps).sum(0) / right.sum(0).clamp_min(1)[:, None]
    target = target.repeat(len(step.by_step), 1)
    return b * divergence_from(target, step.by_step.flatten(0, 1), hotter)


def added_terms(step: Step, rate: Tensor | None, settings: Spiking) -> Terms:
    """The terms that are switched on; `rate` is the batch's mean firing rate where it was watched.

    The firing penalty is ρ times the rate (HTA-KL 2025): maps push rates up, this pays for it.
    """
    terms = {"consistency": consistency(step, settings)} if settings.consistency else {}
    return terms | ({} if rate is None else {"firing": settings.firing_penalty * rate})


@contextmanager
def mean_rate(net: nn.Module, watched: bool) -> Iterator[Callable[[], Tensor | None]]:
    """Inside: the mean firing rate of all neurons, steps and images of a call of `net`, with its gradient.

    Under dropout it is that of the masked spikes [T, B, ...] where no layer is tapped, whose expectation is the same. A
    spiking readout doesn't count. Not `watched`: None.
    """
    seen: list[Tensor] = []

    def see(module: nn.Module, inputs: tuple[Tensor, ...], spikes: Tensor) -> None:
        seen.append(spikes)

    handles = [module.register_forward_hook(see) for module in net.modules() if watched and is_neuron(module)]
    try:
        yield lambda: torch.stack([s.sum() for s in seen]).sum() / sum(s.numel() for s in seen) if seen else None
    finally:
        for handle in handles:
            handle.remove()
