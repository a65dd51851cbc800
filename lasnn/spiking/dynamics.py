"""How a neuron moves, Eq. (1), (2) and (15): what every backend of the scan is told.

    v^t = λ v^{t-1} + I^t - θ o^{t-1}        o^t = 1[v^t > θ]        v^0 = 0, o^0 = 0

Every order of update is `v^t = u^{t-1} + I^t` with its own rule for what is carried, u:

    sync            u = λ v - θ o            the next layer sees o^t; the reset is not leaked (Eq. 1)
    delayed         u = λ v - θ o            the next layer sees o^{t-1}
    instant_reset   u = λ (v - θ o)          the reset is leaked
    hard reset      u = λ v (1 - o)          whatever the order
"""

from dataclasses import dataclass, field

from lasnn.errors import InputError
from lasnn.plan.vocabulary import known
from lasnn.spiking.surrogates import Bellec, Surrogate


@dataclass(frozen=True)
class Dynamics:
    """Everything of a layer's neurons but their threshold."""

    leak: float = 1.0
    order: str = "sync"
    reset: str = "soft"
    surrogate: Surrogate = field(default_factory=Bellec)
    reset_grad: bool = False
    kind: str = "lif"  # of `lasnn.spiking.kinds`
    adaptation: tuple[float, float] = (1.8, 0.9)  # β, ρ of the kind alif

    def __post_init__(self) -> None:
        known(("sync", "delayed", "instant_reset"), self.order, "order of the update")
        known(("soft", "hard"), self.reset, "reset")
        if self.reset == "hard" and self.reset_grad:
            raise InputError(
                "reset_grad: a hard reset has no gradient of its own here; use reset: soft, or leave it out"
            )

    @property
    def rule(self) -> str:
        """What is carried over: plain, instant or hard."""
        if self.reset == "hard":
            return "hard"
        return "instant" if self.order == "instant_reset" else "plain"

    @property
    def foldable(self) -> bool:
        """Whether the scan may take a dropout mask: not where the reset cuts the gradient, which asks for o itself."""
        return self.reset == "soft"
