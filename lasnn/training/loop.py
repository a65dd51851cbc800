"""The loop that trains teachers, intermediate ANNs and students alike; it never learns which."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from lasnn import seeding, stopping
from lasnn.console import Progress
from lasnn.datasets.batches import Batch, Images, sizes, training_batches
from lasnn.errors import InputError
from lasnn.networks.layers import Dropout
from lasnn.optimizers import eager
from lasnn.plan.settings import Data, Training
from lasnn.stopping import Stopped
from lasnn.training import health
from lasnn.training.resume import Position, Resume, Saves
from lasnn.training.training_log import write


@dataclass(frozen=True)
class Moment:
    """The place in a training: what its random draws are keyed by."""

    seed: int
    epoch: int
    batch: int
    progress: float  # share of the epochs that is over

    def draws(self, purpose: str, device: torch.device | str = "cpu") -> torch.Generator:
        """A generator for one purpose in this batch."""
        return seeding.generator(self.seed, purpose, self.epoch, self.batch, device=device)


@dataclass(frozen=True)
class Part:
    """A micro-batch: some images of a batch, and their place in it."""

    batch: Batch
    start: int
    whole: int  # images of the whole batch


# Named loss terms, each a mean over the part's images.
Losses = Callable[[Part, Moment], dict[str, Tensor]]
Terms = Callable[[], dict[str, float]]  # of an update that is under way


@dataclass(frozen=True)
class Job:
    """Everything about a training but the network and its loss."""

    recipe: Training
    data: Data
    seed: int
    micro_batch: int
    saves: Saves


def learning_rate(recipe: Training, epoch: int) -> float:
    """The rate of an epoch: a linear rise in the warm-up, then steps or a cosine."""
    if epoch < recipe.warmup_epochs:
        return recipe.lr * (epoch + 1) / (recipe.warmup_epochs + 1)
    if recipe.schedule == "cosine":
        return recipe.lr * 0.5 * (1 + math.cos(math.pi * epoch / recipe.epochs))
    passed = sum(epoch >= max(1, round(milestone * recipe.epochs)) for milestone in recipe.milestones)
    return recipe.lr * recipe.decay**passed


def optimizer(net: nn.Module, recipe: Training) -> torch.optim.Optimizer:
    """Fused SGD or Adam; weight decay is added to the gradient (`l2`) or applied apart (`decoupled`).

    Leaks have none: it would pull σ(w) to a half, under Adam at the full rate wherever their own gradient is small. Nor
    has a student's batch norm, whose γ and β play the part of thresholds and constant currents. Trained thresholds and
    offsets have it: it pulls them back to those of the start.
    """
    trained = {name: parameter for name, parameter in net.named_parameters() if parameter.requires_grad}
    free = [parameter for name, parameter in trained.items() if _undecayed(name)]
    parameters = [parameter for name, parameter in trained.items() if not _undecayed(name)]
    groups: list[dict[str, object]] = [{"params": parameters}]
    if free:
        groups.append({"params": free, "weight_decay": 0.0})
    decay = recipe.weight_decay
    if recipe.optimizer == "adam":
        adam = eager(torch.optim.AdamW if recipe.wd_mode == "decoupled" else torch.optim.Adam)
        optim: torch.optim.Optimizer = adam(
            groups, lr=recipe.lr, betas=recipe.betas, weight_decay=decay, amsgrad=recipe.amsgrad, fused=True
        )
    else:
        sgd = eager(torch.optim.SGD)
        optim = sgd(groups, lr=recipe.lr, momentum=recipe.momentum, weight_decay=decay, fused=True)
    in_memory_order(optim, parameters)
    return optim


def _undecayed(name: str) -> bool:
    return name.endswith("leak_logit") or ".batch_norm." in name


def in_memory_order(optim: torch.optim.Optimizer, parameters: list[nn.Parameter]) -> None:
    """Show `optim` the weights in the order of their memory, if they are on a CPU.

    Its fused kernels copy whatever they are shown in another order, several times a step.
    """
    orders = {}
    for parameter in parameters:
        strides = parameter.stride()
        order = [axis for _, axis in sorted((-stride, axis) for axis, stride in enumerate(strides))]
        apart = parameter.device.type == "cpu" and not parameter.is_contiguous()
        if apart and parameter.detach().permute(order).is_contiguous():
            orders[parameter] = order, [order.index(axis) for axis in range(parameter.dim())]

    def turned(which: int) -> Callable[..., None]:
        def turn(*_: object) -> None:
            for parameter, both in orders.items():
                gradient, parameter.grad = parameter.grad, None
                parameter.data = parameter.data.permute(both[which])
                parameter.grad = None if gradient is None else gradient.permute(both[which])

        return turn

    optim.register_step_pre_hook(turned(0))
    optim.register_step_post_hook(turned(1))


def fit(
    net: nn.Module, losses: Losses, images: Images, job: Job, watch: Callable[[int], dict] | None = None
) -> list[dict]:
    """Train `net` in place for all epochs of the recipe; an interrupted run goes on where it was last saved.

    It is saved after every epoch, within one every `job.saves.minutes`, and when the process is told to stop.
    `watch(epoch)` may add entries to the epoch's line in the training log. A loss or gradient that is not finite is an
    InputError, raised before it reaches the saved state.
    """
    recipe, saves, console = job.recipe, job.saves, job.saves.console
    optim = optimizer(net, recipe)
    resume, log = Resume(saves, net, optim), saves.folder / "log.jsonl"
    at = resume.take_up()
    write(log, at.lines)
    least = least_batch(net)
    if len(images) < least:
        raise InputError("one image to train on is too few for batch norm: set more data.train_images")
    batches = len(sizes(len(images), recipe.batch, least))
    with console.progress(recipe.epochs * batches, "training") as progress:
        progress.skip(at.epochs * batches + at.batches)
        for epoch in range(at.epochs, recipe.epochs):
            began, rate = time.monotonic() - at.seconds, learning_rate(recipe, epoch)
            shown = f"epoch {epoch + 1}/{recipe.epochs}"
            for group in optim.param_groups:
                group["lr"] = rate
            net.train()
            try:
                with stopping.held():
                    launched, waiting = at.batches, None
                    for batch in training_batches(images, recipe.batch, job.data, job.seed, epoch, at.batches, least):
                        moment = Moment(job.seed, epoch, launched, epoch / recipe.epochs)
                        now, launched = (update(net, losses, batch, moment, optim, job), len(batch)), launched + 1
                        if waiting:
                            take_in(*waiting, at, began, progress, shown)
                        waiting = now
                        if stopping.told() or resume.age() > saves.minutes:
                            take_in(*waiting, at, began, progress, shown)
                            waiting = None
                            if stopping.told():
                                break
                            resume.save(at)
                    if waiting:
                        take_in(*waiting, at, began, progress, shown)
                seen = watch(epoch) if watch else {}
                means = {name: value / len(images) for name, value in at.sums.items()}
                means["gradient_norm"] = at.sums["gradient_norm"] / batches
                entry = means | {"epoch": epoch + 1, "lr": rate, "seconds": time.monotonic() - began} | seen
                with stopping.held():
                    at = Position(epoch + 1, lines=[*at.lines, entry])
                    write(log, at.lines)
                    resume.save(at)
            except Stopped as stopped:
                if stopped.urgent:
                    raise
                resume.save(at)
                raise Stopped(stopped.signal, kept=f"saved after {at}, where the same command goes on") from None
            health.warn_of_layers(at.lines, console)
    return at.lines


def least_batch(net: nn.Module) -> int:
    """The fewest images of which batch norm can make a deviation: two where an activation has one pixel."""
    normed = any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in net.modules())
    return 2 if normed and min(getattr(net, "sides", {}).values(), default=1) == 1 else 1


def take_in(read: Terms, images: int, at: Position, began: float, progress: Progress, shown: str) -> None:
    """Count a batch of so many images as done."""
    terms = read()
    for name, value in terms.items():
        weight = 1 if name == "gradient_norm" else images
        at.sums[name] = at.sums.get(name, 0.0) + value * weight
    at.batches, at.seconds = at.batches + 1, time.monotonic() - began
    progress.step(note=f"{shown} loss {terms['loss']:.3f}")


def update(
    net: nn.Module, losses: Losses, batch: Batch, moment: Moment, optim: torch.optim.Optimizer, job: Job
) -> Terms:
    """One update; gradients of micro-batches add up to the whole batch's, as every loss is a mean over images.

    Returns what reads its loss terms and gradient norm, with an InputError if one is not finite. On a GPU `fit` calls
    that when the next update has been launched, so that it never waits for the CPU.
    """
    optim.zero_grad(set_to_none=True)
    whole, seen = len(batch), []
    names: list[tuple[str, float]] = []
    size = whole if job.micro_batch >= job.recipe.batch else job.micro_batch  # a joined batch stays in one piece
    for start in range(0, whole, size):
        part = Part(batch.part(start, min(start + size, whole)), start, whole)
        _draw_masks(net, moment, part)
        terms = losses(part, moment)
        share = len(part.batch) / whole
        loss = cast(Tensor, sum(terms.values())) * share  # of one term at least
        loss.backward()
        for name, value in {**terms, "loss": loss / share}.items():
            names.append((name, share))
            seen.append(value.detach().double())
    parameters = [parameter for group in optim.param_groups for parameter in group["params"]]
    if job.recipe.clip_norm:
        norm = nn.utils.clip_grad_norm_(parameters, job.recipe.clip_norm)
    else:
        norm = nn.utils.get_total_norm([parameter.grad for parameter in parameters if parameter.grad is not None])
    values = arriving(torch.stack([*seen, norm.double()]))
    optim.step()

    def read() -> dict[str, float]:
        *numbers, gradient_norm = values()
        total: dict[str, float] = {}
        for (name, share), value in zip(names, numbers, strict=True):
            total[name] = total.get(name, 0.0) + value * share
        total["gradient_norm"] = gradient_norm
        health.check_terms(total, moment.epoch + 1, moment.batch + 1)
        return total

    return read


def arriving(values: Tensor) -> Callable[[], list[float]]:
    """The numbers of a tensor, which are on their way from the device; only the call waits for them."""
    if not values.is_cuda:
        return values.tolist
    host, there = values.to("cpu", non_blocking=True), torch.cuda.Event()
    there.record()

    def read() -> list[float]:
        there.synchronize()
        return host.tolist()

    return read


def _draw_masks(net: nn.Module, moment: Moment, part: Part) -> None:
    for name, module in net.named_modules():
        if isinstance(module, Dropout) and module.rate > 0:
            device = next(net.parameters()).device
            module.draw_from(moment.draws(f"dropout {name}", device), part.start, part.whole)
