"""Pseudo-derivatives ψ = ∂o/∂v of the spike o = 1[v > θ] (Eq. 14, 15 and what they must have meant).

Each is a frozen value whose fields are its parameters and whose call overwrites the excess v - θ with ψ. All tensors
have the same shape; `since` counts the steps since the neuron's last spike and is given only where `needs_history`.
"""

from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from torch import Tensor


class Surrogate(Protocol):
    """What a surrogate gradient must offer."""

    needs_history: ClassVar[bool]

    def __call__(self, excess: Tensor, threshold: float, since: Tensor | None = None) -> Tensor:
        """ψ where the membrane potential is `excess` above the threshold, written over it."""


@dataclass(frozen=True)
class Bellec:
    """ψ = (γ/θ) max(0, 1 - |v/θ - 1| / w): a triangle, non-zero within wθ of the threshold (Bellec et al. 2018: w = 1).

    With `by_threshold=False` the factor 1/θ of the chain rule through v/θ is dropped.
    """

    gamma: float = 0.3
    by_threshold: bool = True
    width: float = 1.0
    needs_history: ClassVar[bool] = False

    def __call__(self, excess: Tensor, threshold: float, since: Tensor | None = None) -> Tensor:
        peak = self.gamma / threshold if self.by_threshold else self.gamma
        return excess.abs_().mul_(-peak / (threshold * self.width)).add_(peak).relu_()


@dataclass(frozen=True)
class Literal:
    """ψ = γ max(0, 1 - |θ|): Eq. (15) as printed. No membrane in it, and zero in every layer with θ >= 1."""

    gamma: float = 0.3
    needs_history: ClassVar[bool] = False

    def __call__(self, excess: Tensor, threshold: float, since: Tensor | None = None) -> Tensor:
        return excess.fill_(self.gamma * max(0.0, 1 - abs(threshold)))


@dataclass(frozen=True)
class Stdb:
    """ψ = (a/θ) exp(-b (t - t_last)), t_last the neuron's last spike strictly before t (Rathi et al. 2020).

    A neuron that has not fired yet counts as having fired 1000 steps ago.
    """

    a: float = 0.3
    b: float = 0.01
    needs_history: ClassVar[bool] = True

    def __call__(self, excess: Tensor, threshold: float, since: Tensor | None = None) -> Tensor:
        assert since is not None  # as `needs_history` asks for it
        return torch.mul(since, -self.b, out=excess).exp_().mul_(self.a / threshold)


def surrogate(name: str, gamma: float, stdb: tuple[float, float], width: float = 1.0) -> Surrogate:
    """The surrogate that config.yaml calls `name`."""
    known: dict[str, Surrogate] = {
        "bellec": Bellec(gamma, width=width),
        "bellec_noscale": Bellec(gamma, by_threshold=False, width=width),
        "literal": Literal(gamma),
        "stdb": Stdb(*stdb),
    }
    return known[name]
