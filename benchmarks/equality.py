"""Nothing is timed before it computes the same: spikes of each layer, logits and gradients beside ours."""

from dataclasses import dataclass

import torch
from torch import Tensor

from lasnn.errors import InputError

# The weights are such that potentials are exact without a leak (case.py): no spike may differ. Logits and gradients are
# sums of products in another order: relative distances.
SPIKES, LOGITS, GRADIENTS = 0.0, 1e-4, 1e-3
GRADIENTS_GPU = 1e-2  # there ours are those of pseudo-derivatives in bfloat16, off by at most 2^-8 each
STEPS, IMAGES = 16, 4  # twice the steps where each layer is one step behind the one before


@dataclass
class Seen:
    """What an implementation made of an input: spikes [T, B, ...] of each layer, logits [B, K], gradients."""

    spikes: list[Tensor]
    logits: Tensor
    gradients: list[Tensor]


@dataclass(frozen=True)
class Distance:
    """The worst layer's or weight's distance from ours, and the share of spikes in all neurons and steps."""

    spikes: float
    logits: float
    gradients: float
    rate: float

    @property
    def close(self) -> bool:
        return self.within(GRADIENTS)

    def within(self, gradients: float) -> bool:
        """Whether all is close, gradients as close as this."""
        return self.spikes <= SPIKES and self.logits <= LOGITS and self.gradients <= gradients and self.rate > 0


def relative(found: Tensor, expected: Tensor) -> float:
    return ((found - expected).norm() / expected.norm().clamp(min=1e-30)).item()


def distance(found: Seen, expected: Seen) -> Distance:
    """Of `found` from `expected`."""
    for name in ("spikes", "gradients"):
        ours, theirs = ([tuple(x.shape) for x in getattr(seen, name)] for seen in (expected, found))
        if ours != theirs:
            raise InputError(
                f"{name} have other shapes: expected {ours}, found {theirs}; the networks are not the same"
            )
    spikes = max((a != b).float().mean().item() for a, b in zip(found.spikes, expected.spikes, strict=True))
    gradients = max(relative(a, b) for a, b in zip(found.gradients, expected.gradients, strict=True))
    rate = min(a.float().mean().item() for a in expected.spikes)
    return Distance(spikes, relative(found.logits, expected.logits), gradients, rate)


def check(peer, ours) -> Distance:
    """The distance of `peer` from ours in the peer's own dynamics; an InputError if it is too large."""
    subject = ours.subject
    batch = subject.batch.part(0, min(IMAGES, subject.case.batch))
    spikes = subject.encoded(batch.x, STEPS * (2 if peer.dynamics["order"] == "delayed" else 1))
    with torch.enable_grad():
        found = distance(peer.see(spikes, batch.labels), ours.see(spikes, batch.labels, **peer.dynamics))
    limit = GRADIENTS_GPU if subject.case.device == "cuda" else GRADIENTS
    if not found.within(limit):
        raise InputError(
            f"{peer.name} is not timed, it computes something else in {subject.case.network}: share of other spikes "
            f"{found.spikes:.1e} (at most {SPIKES:g}), logits {found.logits:.1e} ({LOGITS:g}), gradients "
            f"{found.gradients:.1e} ({limit:g}), lowest spike rate of a layer {found.rate:.1e} (above 0)"
        )
    return found
