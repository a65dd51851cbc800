"""What an objective sees of one batch, and the two terms that most are made of."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional as F

from lasnn.datasets.batches import Batch
from lasnn.networks import Output
from lasnn.networks.recorded import Frozen
from lasnn.plan.settings import SnnSettings

Terms = dict[str, Tensor]
Objective = Callable[["Step", SnnSettings], Terms]
FEATURES = "features"  # what a readout sees
Shapes = dict[str, tuple[int, ...]]  # level -> (C, H, W) of the layer that is tapped there; FEATURES -> (F,)


@dataclass(frozen=True)
class Step:
    """What an objective sees of one batch."""

    batch: Batch
    output: Output  # of the student
    logits: Tensor  # [B, K], summed or averaged over T
    teacher: Frozen | None
    progress: float  # share of the epochs that is over, 0 <= progress < 1
    encoded: Tensor | None = None  # [T, B, 3, H, W], what the student saw
    by_step: Tensor | None = None  # [T, B, K], logits of each step, whose mean is `logits`: where they are judged

    draw: Callable[[str, int], Tensor] | None = None  # (purpose, n) to uniform numbers [B, n], the same in any batch

    @property
    def asked(self) -> Frozen:
        """The teacher, where the method has one."""
        if self.teacher is None:
            raise TypeError("this method has no teacher to ask")
        return self.teacher

    @cached_property
    def above(self) -> Output:
        """What the teacher makes of the images (T = 1), without a gradient."""
        with torch.no_grad():
            output: Output = self.asked(self.batch.x[None])
            return output

    @property
    def judged(self) -> tuple[Tensor, Tensor]:
        """The logits that losses look at, with their labels: [B, K] and [B], or [T*B, K] and [T*B] step by step."""
        if self.by_step is None:
            return self.logits, self.batch.labels
        return self.by_step.flatten(0, 1), self.batch.labels.repeat(len(self.by_step))


def cross_entropy(step: Step, settings: SnnSettings) -> Terms:
    """Hybrid training: cross-entropy alone (Rathi et al. 2020)."""
    return {"ce": F.cross_entropy(*step.judged)}


def divergence_from(target: Tensor, logits: Tensor, temperature: float) -> Tensor:
    """τ² KL(softmax(target/τ) || softmax(logits/τ)), the mean over rows of two [N, K]."""
    wanted, found = F.log_softmax(target / temperature, 1), F.log_softmax(logits / temperature, 1)
    return temperature**2 * F.kl_div(found, wanted, reduction="batchmean", log_target=True)
