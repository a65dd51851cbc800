"""Distillation of features: objectives with weights, which are trained with the student's and left behind."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lasnn.distillation.attention import FiringRate, resized
from lasnn.distillation.step import FEATURES, Shapes, Step, Terms, cross_entropy
from lasnn.plan.settings import SnnSettings
from lasnn.plan.vocabulary import given


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
                if level != FEATURES
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


class Blurred(nn.Module):
    """BKDSNN, mixed (Xu et al. 2024): CE + w mean (G(m s) - A)² + v τ² mean_b u_b H(softmax(q/τ), softmax(z/τ)).

    s are the firing rates of the highest tapped layer, aligned by a 1x1 convolution where channels differ, m sets whole
    channels of an image to zero with probability `blur`, and G are two 3x3 convolutions that restore the teacher's A.
    H is the cross-entropy of teacher and student, u_b = 1 - exp(-CE(z_b) / CE(q_b)) what the student has still to learn
    of image b, held constant. The authors sum squares over a map where this takes their mean.
    """

    def __init__(self, student: Shapes, teacher: Shapes):
        super().__init__()
        narrow, wide = student["high"][0], teacher["high"][0]
        self.align = nn.Identity() if narrow == wide else nn.Conv2d(narrow, wide, 1)
        self.restore = nn.Sequential(
            nn.Conv2d(wide, wide, 3, padding=1), nn.ReLU(), nn.Conv2d(wide, wide, 3, padding=1)
        )

    def forward(self, step: Step, settings: SnnSettings) -> Terms:
        kd, labels = given(settings.blurred), step.batch.labels
        with torch.no_grad():
            above = step.asked(step.batch.x[None])
            q, wanted = above.logits, above.stages["high"][0]
        rate: Tensor = self.align(FiringRate.apply(step.output.stages["high"]))
        kept = given(step.draw)("blur", rate.shape[1]) >= kd.blur  # [B, C]
        restored = self.restore(rate * kept[:, :, None, None].to(rate.dtype))
        side = min(restored.shape[-1], wanted.shape[-1])
        apart = F.mse_loss(scaled_to(restored, side), scaled_to(wanted, side))
        z, hotter = step.logits, kd.temperature
        with torch.no_grad():
            entropies = (F.cross_entropy(logits, labels, reduction="none") for logits in (z, q))
            unlearned = 1 - torch.exp(-next(entropies) / next(entropies).clamp_min(1e-12))
        by_image = F.cross_entropy(z / hotter, (q / hotter).softmax(1).to(z.dtype), reduction="none")
        soft = kd.logits * hotter**2 * (unlearned * by_image).mean()
        return cross_entropy(step, settings) | {"features": kd.weight * apart, "kd": soft}
