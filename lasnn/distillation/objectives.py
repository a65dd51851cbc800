"""What a method minimises: named loss terms of one batch; the total is their sum."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lasnn.datasets.batches import Batch
from lasnn.distillation.attention import VARIANTS, FiringRate, resized
from lasnn.networks import Output
from lasnn.networks.recorded import Frozen
from lasnn.plan.settings import SnnSettings
from lasnn.plan.vocabulary import given

Terms = dict[str, Tensor]


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

    @property
    def asked(self) -> Frozen:
        """The teacher, where the method has one."""
        if self.teacher is None:
            raise TypeError("this method has no teacher to ask")
        return self.teacher

    @property
    def judged(self) -> tuple[Tensor, Tensor]:
        """The logits that losses look at, with their labels: [B, K] and [B], or [T*B, K] and [T*B] step by step."""
        if self.by_step is None:
            return self.logits, self.batch.labels
        return self.by_step.flatten(0, 1), self.batch.labels.repeat(len(self.by_step))


Objective = Callable[[Step, SnnSettings], Terms]
Shapes = dict[str, tuple[int, ...]]  # level -> (C, H, W) of the layer that is tapped there


def cross_entropy(step: Step, settings: SnnSettings) -> Terms:
    """Hybrid training: cross-entropy alone (Rathi et al. 2020)."""
    return {"ce": F.cross_entropy(*step.judged)}


def label_distillation(step: Step, settings: SnnSettings) -> Terms:
    """(1-w) CE + w τ² KL(softmax(z_T/τ) || softmax(z/τ)).

    Form `sum`: CE + τ² KL (Takuya et al. 2021); form `added`: CE + w τ² KL (TWSNN, Yu et al. 2025).
    """
    kd, teacher, (logits, labels) = given(settings.label_kd), step.asked, step.judged
    with torch.no_grad():
        target = teacher(step.batch.x[None]).logits
    divergence = divergence_from(target.repeat(len(logits) // len(target), 1), logits, kd.temperature)
    ce, kl = {"mix": (1 - kd.weight, kd.weight), "sum": (1.0, 1.0), "added": (1.0, kd.weight)}[kd.form]
    return {"ce": ce * F.cross_entropy(logits, labels), "kd": kl * divergence}


def divergence_from(target: Tensor, logits: Tensor, temperature: float) -> Tensor:
    """τ² KL(softmax(target/τ) || softmax(logits/τ)), the mean over rows of two [N, K]."""
    wanted, found = F.log_softmax(target / temperature, 1), F.log_softmax(logits / temperature, 1)
    return temperature**2 * F.kl_div(found, wanted, reduction="batchmean", log_target=True)


def layer_wise(method: str) -> Objective:
    """LaSNN: L_ce + (α/2) L_at (Eq. 8, 13); with `attention.labels`, label distillation in place of L_ce."""
    variant = VARIANTS[method]

    def terms(step: Step, settings: SnnSettings) -> Terms:
        attention = given(settings.attention)
        alpha = attention.alpha * (1 - step.progress if attention.alpha_schedule == "linear_to_zero" else 1)
        maps = variant.of_teacher(step.asked, step.batch.x, step.batch.labels, attention)
        about_labels = label_distillation if attention.labels else cross_entropy
        return about_labels(step, settings) | {"attention": alpha / 2 * variant.loss(maps, step.output, attention)}

    return terms


def window_sums(spikes: Tensor, window: int, stride: int) -> Tensor:
    """U_j = sum of S^t over t = jh+1 .. jh+w, j = 0 .. (T-w)/h: spikes [T, B, K] to [J, B, K]."""
    return spikes.unfold(0, window, stride).sum(-1)


def spike_distillation(step: Step, settings: SnnSettings) -> Terms:
    """(1-a) CE + a mean_j mean_{b,k} (U_j^Ta - U_j^St)² / w² between output spikes; CE alone without a teacher.

    A reconstruction of spike-based KD (Kushawaha et al. 2020), whose code and text could not be read. The teacher, a
    spiking network too, sees the student's own input spikes.
    """
    ce, kd = cross_entropy(step, settings), given(settings.spike_kd)
    if step.teacher is None:
        return ce
    with torch.no_grad():
        target = window_sums(step.teacher(given(step.encoded)).currents, kd.window, kd.stride)
    apart = window_sums(step.output.currents, kd.window, kd.stride) - target
    return {"ce": (1 - kd.weight) * ce["ce"], "kd": kd.weight * apart.square().mean() / kd.window**2}


class Projected(nn.Module):
    """CE + w Σ_l mean (P_l(s_l) - A_l)²: firing rates of tapped layers, projected, against the teacher's activations.

    P_l is a 3x3 convolution to the teacher's channels and batch norm, trained with the student and left behind (hints
    of FitNet, Romero et al. 2015; as in SAKD, Qiu et al. 2024). The larger of both is brought to the smaller's side.
    """

    def __init__(self, student: Shapes, teacher: Shapes):
        super().__init__()
        self.projections = nn.ModuleDict(
            {
                level: nn.Sequential(
                    nn.Conv2d(shape[0], teacher[level][0], 3, padding=1, bias=False), nn.BatchNorm2d(teacher[level][0])
                )
                for level, shape in student.items()
            }
        )

    def forward(self, step: Step, settings: SnnSettings) -> Terms:
        features = given(settings.features)
        with torch.no_grad():
            wanted = step.asked(step.batch.x[None]).stages
        apart = []
        for level in features.levels:
            rate: Tensor = FiringRate.apply(step.output.stages[level])
            ours, theirs = self.projections[level](rate), wanted[level][0]
            side = min(ours.shape[-1], theirs.shape[-1])
            apart.append(F.mse_loss(scaled_to(ours, side), scaled_to(theirs, side)))
        return cross_entropy(step, settings) | {"features": features.weight * torch.stack(apart).sum()}


def scaled_to(maps: Tensor, side: int) -> Tensor:
    """[B, C, H, W] to [B, C, side, side], as attention maps are resized."""
    small: Tensor = resized(maps.flatten(0, 1), side).unflatten(0, maps.shape[:2])
    return small


# An objective is a function, or a module of weights that are trained with the student's and left behind.
OBJECTIVES: dict[str, Objective | type[nn.Module]] = {
    "hybrid": cross_entropy,
    "kd_label": label_distillation,
    "kd_spike": spike_distillation,
    "kd_features": Projected,
    **{method: layer_wise(method) for method in VARIANTS},
}


def objective_of(method: str, student: Shapes, teacher: Shapes) -> Objective:
    """A method's objective; one with weights is built for these tapped layers."""
    found = OBJECTIVES[method]
    return found(student, teacher) if isinstance(found, type) else found
