"""What a distillation loss compares and how hard it pulls, on the first test images: before, in and after training."""

import copy
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from lasnn.datasets.batches import Batch, Images, plain_batches
from lasnn.distillation.attention import VARIANTS, as_compared
from lasnn.distillation.objectives import objective_of
from lasnn.distillation.step import Step
from lasnn.errors import InputError
from lasnn.networks import Net, Output
from lasnn.plan.vocabulary import given
from lasnn.spiking.encoders import encode, image_noise
from lasnn.training.loop import Losses, Moment, Part
from lasnn.training.task import Student

IMAGES = 8
IMAGES_FOR_ALPHA = 64


@torch.no_grad()
def maps_at_the_end(task: Student, net: Net, teacher: Net) -> dict[str, np.ndarray]:
    """Unit maps [8, h, w] of teacher and student at each level."""
    maps = {}
    for level, of_teacher, of_student in compared_maps(task, net, teacher, task.test):
        pair = as_compared(of_teacher, of_student)
        maps[f"maps_teacher_{level}"], maps[f"maps_student_{level}"] = (map_.cpu().numpy() for map_ in pair)
    return maps


def compared_maps(task: Student, net: Net, teacher: Net, test: Images) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Each level with the teacher's and the student's maps [8, H, W] there; of maps for each step the last."""
    output, batch = shown_to(task, net, test)
    variant, attention = VARIANTS[task.run.method], given(task.settings.attention)
    of_teacher = variant.of_teacher(teacher, batch.x, batch.labels, attention)
    for level, spikes in output.stages.items():
        yield level, of_teacher[level], variant.of_student(spikes, attention)[-len(batch) :]


@torch.no_grad()
def watched_maps(task: Student, net: Net, teacher: Net) -> dict[str, dict]:
    """By level: the share of these images whose map is zero throughout, where the loss pulls at nothing, and the mean
    L2 norms of the teacher's and the student's maps, which are in units of their own.
    """
    silent, norms = {}, {}
    for level, *both in compared_maps(task, net, teacher, task.watched):
        of_teacher, of_student = (map_.flatten(1) for map_ in both)
        silent[level] = float((of_student == 0).all(1).double().mean())
        norms[level] = [float(each.double().norm(dim=1).mean()) for each in (of_teacher, of_student)]
    return {"silent_maps": silent, "map_norms": norms}


def gradient_share(
    task: Student, net: Net, teacher: Net, images: Images, logit_scale: str, count: int = IMAGES
) -> dict[str, float]:
    """||dL_at/do|| / ||dL_rest/do|| by level, of the spikes o [T, B, C, H, W] that are tapped there, on these images.

    L_rest is cross-entropy, or label distillation in its place, of the logits over all steps (also where
    `spiking.loss` is every_step). Both as the training begins with them, without dropout,
    over T steps;
    each through its own pass, as one pass serves one gradient. A level that L_rest does not pull at, as below a dead
    layer, is left out.
    """
    run, norms = task.run, []
    for of_maps in (True, False):
        with torch.enable_grad():
            output, batch = shown_to(task, net, images, count)
            step = Step(batch, output, output.logits / (run.steps if logit_scale == "mean" else 1), teacher, 0.0)
            terms = objective_of(run.method, {}, {})(step, task.settings)
            loss = torch.stack([term for name, term in terms.items() if (name == "attention") == of_maps]).sum()
            pulls = torch.autograd.grad(loss, list(output.stages.values()), allow_unused=True)
        norms.append([0.0 if pull is None else float(pull.double().norm()) for pull in pulls])
    return {level: attention / rest for level, attention, rest in zip(output.stages, *norms, strict=True) if rest}


def added_share(net: Net, losses: Losses, images: Images, seed: int) -> float | None:
    """||dL_added/dW|| / ||dL_ce/dW|| of a student's weights W on these images; None without both terms.

    L_ce is the method's cross-entropy, with its weight in the loss; L_added is all that is added to it. Dropout is off,
    and batch norm as in evaluation; a module of the method's own, such as a projector, is as in training. The random
    draws are those of the first update.
    """
    batch = next(plain_batches(images.first(IMAGES), IMAGES))
    named = net.eval().named_parameters()
    weights = [weight for name, weight in named if weight.requires_grad and not name.startswith("objective.")]
    own = nn.Module() if net.objective is None else net.objective.train()
    before, norms = copy.deepcopy(own.state_dict()), []
    for of_ce in (False, True):
        with torch.enable_grad():
            terms = losses(Part(batch, 0, len(batch)), Moment(seed, 0, 0, 0.0))
            chosen = [term for name, term in terms.items() if (name == "ce") == of_ce]
            if not chosen:
                return None
            pulls = torch.autograd.grad(torch.stack(chosen).sum(), weights, allow_unused=True)
        norms.append(sum(float(pull.double().square().sum()) for pull in pulls if pull is not None) ** 0.5)
    own.load_state_dict(before)
    return norms[0] / norms[1] if norms[1] else None


def with_alpha(task: Student, net: Net, teacher: Net, logit_scale: str) -> Student:
    """`task` with the α that gives the attention loss its `attention.share` of the gradient, if it asks for one.

    The share is proportional to α. It is that of the level where it is largest, on held-out training images, of the
    network as the training begins with it. InputError if the attention loss has no gradient there.
    """
    attention = given(task.settings.attention)
    if attention.share is None:
        return task

    def weighted(alpha: float) -> Student:
        update = {"attention": attention.model_copy(update={"alpha": alpha})}
        return replace(task, settings=task.settings.model_copy(update=update))

    images = task.held_out.first(IMAGES_FOR_ALPHA)
    of_one = gradient_share(weighted(1.0), net, teacher, images, logit_scale, IMAGES_FOR_ALPHA)
    if not max(of_one.values(), default=0.0) > 0:
        raise InputError(
            f"attention.share is {attention.share:g}, but before the first update the attention loss has no gradient "
            f"at any level of {task.run.student}: set attention.alpha, or choose other attention.levels"
        )
    return weighted(attention.share / max(of_one.values()))


def shown_to(task: Student, net: Net, images: Images, count: int = IMAGES) -> tuple[Output, Batch]:
    """What a student makes of the first `count`, under the first encoder seed of evaluation."""
    run, settings, batch = task.run, task.settings, next(plain_batches(images.first(count), count))
    noise = image_noise(settings.evaluation.seeds[0], range(len(batch)), batch.x.device)
    return net.eval()(encode(run.encoder, batch.x, run.steps, noise, settings.encoder.gain)), batch
