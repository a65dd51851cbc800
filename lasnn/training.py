"""The loop that trains teachers, intermediate ANNs and students alike; it never learns which."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from lasnn import checkpoint, seeding
from lasnn.errors import InputError
from lasnn.images import Batch, Images, training_batches
from lasnn.journal import Console, Journal
from lasnn.networks.layers import Dropout
from lasnn.settings import Data, Training


@dataclass(frozen=True)
class Moment:
    """Where a training stands: what its random draws are keyed by."""

    seed: int
    epoch: int
    batch: int
    progress: float  # share of the epochs that is over

    def draws(self, purpose: str, device: torch.device | str = "cpu") -> torch.Generator:
        """A generator for one purpose in this batch."""
        return seeding.generator(self.seed, purpose, self.epoch, self.batch, device=device)


@dataclass(frozen=True)
class Part:
    """A micro-batch: some images of a batch, and where they stand in it."""

    batch: Batch
    start: int
    whole: int  # images of the whole batch


# Named loss terms, each a mean over the part's images.
Losses = Callable[[Part, Moment], dict[str, Tensor]]


@dataclass(frozen=True)
class Job:
    """Everything about a training but the network and its loss."""

    recipe: Training
    data: Data
    seed: int
    micro_batch: int
    folder: Path
    tag: str  # digest of the run, its settings and its parents: a resume file of another tag is not taken up
    console: Console


def learning_rate(recipe: Training, epoch: int) -> float:
    """The rate of an epoch: a linear rise in the warm-up, then steps or a cosine."""
    if epoch < recipe.warmup_epochs:
        return recipe.lr * (epoch + 1) / (recipe.warmup_epochs + 1)
    if recipe.schedule == "cosine":
        return recipe.lr * 0.5 * (1 + math.cos(math.pi * epoch / recipe.epochs))
    passed = sum(epoch >= max(1, round(milestone * recipe.epochs)) for milestone in recipe.milestones)
    return recipe.lr * recipe.decay**passed


def optimizer(net: nn.Module, recipe: Training) -> torch.optim.Optimizer:
    """Fused SGD or Adam; weight decay is added to the gradient (`l2`) or applied apart (`decoupled`)."""
    parameters = [parameter for parameter in net.parameters() if parameter.requires_grad]
    decay = recipe.weight_decay
    if recipe.optimizer == "adam":
        adam = torch.optim.AdamW if recipe.wd_mode == "decoupled" else torch.optim.Adam
        return adam(parameters, lr=recipe.lr, betas=recipe.betas, weight_decay=decay, fused=True)
    return torch.optim.SGD(parameters, lr=recipe.lr, momentum=recipe.momentum, weight_decay=decay, fused=True)


def fit(
    net: nn.Module, losses: Losses, images: Images, job: Job, watch: Callable[[int], dict] | None = None
) -> Journal:
    """Train `net` in place for all epochs of the recipe; an interrupted run goes on after its last whole epoch.

    `watch(epoch)` may add entries to the epoch's line in the journal. A loss or gradient that is not finite is an
    InputError, raised before it reaches the saved state.
    """
    recipe, console = job.recipe, job.console
    optim = optimizer(net, recipe)
    resume_file, journal = job.folder / "resume.pt", Journal(job.folder / "log.jsonl")
    first = _resume(resume_file, job, net, optim, journal)
    batches = math.ceil(len(images) / recipe.batch)
    with console.progress(recipe.epochs * batches, "training") as progress:
        if first:
            progress.skip(first * batches)
            console.say(f"goes on after epoch {first} of {recipe.epochs}")
        for epoch in range(first, recipe.epochs):
            began, rate = time.monotonic(), learning_rate(recipe, epoch)
            for group in optim.param_groups:
                group["lr"] = rate
            net.train()
            sums: dict[str, float] = {}
            for index, batch in enumerate(training_batches(images, recipe.batch, job.data, job.seed, epoch)):
                moment = Moment(job.seed, epoch, index, epoch / recipe.epochs)
                terms = _step(net, losses, batch, moment, optim, job)
                for name, value in terms.items():
                    sums[name] = sums.get(name, 0.0) + value * (len(batch) if name != "gradient_norm" else 1)
                progress.step(note=f"epoch {epoch + 1}/{recipe.epochs} loss {terms['loss']:.3f}")
            norm = sums.pop("gradient_norm") / batches
            entry = {name: value / len(images) for name, value in sums.items()}
            entry |= {"epoch": epoch + 1, "lr": rate, "gradient_norm": norm, "seconds": time.monotonic() - began}
            entry |= watch(epoch) if watch else {}
            journal.add(entry)
            state = {"tag": job.tag, "epochs": epoch + 1, "weights": net.state_dict(), "optimizer": optim.state_dict()}
            checkpoint.write(resume_file, state)
    return journal


def _step(
    net: nn.Module, losses: Losses, batch: Batch, moment: Moment, optim: torch.optim.Optimizer, job: Job
) -> dict[str, float]:
    """One update; gradients of micro-batches add up to the whole batch's, as every loss is a mean over images."""
    optim.zero_grad(set_to_none=True)
    whole, total = len(batch), {}
    for start in range(0, whole, job.micro_batch):
        part = Part(batch.part(start, min(start + job.micro_batch, whole)), start, whole)
        _draw_masks(net, moment, part)
        terms = losses(part, moment)
        share = len(part.batch) / whole
        loss = sum(terms.values()) * share
        loss.backward()
        for name, value in {**terms, "loss": loss / share}.items():
            total[name] = total.get(name, 0.0) + value.item() * share
    parameters = [parameter for group in optim.param_groups for parameter in group["params"]]
    if job.recipe.clip_norm:
        total["gradient_norm"] = nn.utils.clip_grad_norm_(parameters, job.recipe.clip_norm).item()
    else:
        total["gradient_norm"] = nn.utils.get_total_norm(
            [parameter.grad for parameter in parameters if parameter.grad is not None]
        ).item()
    if not all(math.isfinite(value) for value in total.values()):
        raise InputError(
            f"training diverged in epoch {moment.epoch + 1}, batch {moment.batch + 1}: "
            + ", ".join(f"{name} {value:g}" for name, value in total.items())
            + "; the last good state is kept; try a lower lr, warmup_epochs or clip_norm"
        )
    optim.step()
    return total


def _draw_masks(net: nn.Module, moment: Moment, part: Part) -> None:
    for name, module in net.named_modules():
        if isinstance(module, Dropout) and module.rate > 0:
            device = next(net.parameters()).device
            module.draw_from(moment.draws(f"dropout {name}", device), part.start, part.whole)


def _resume(path: Path, job: Job, net: nn.Module, optim: torch.optim.Optimizer, journal: Journal) -> int:
    """Epochs that an earlier process finished; their weights and optimizer state are put in place."""
    if not path.exists():
        return 0
    try:
        state = checkpoint.read(path)
    except InputError as error:
        job.console.warn(f"starts anew: {error}")
        return 0
    if state.get("tag") != job.tag:
        job.console.warn(f"starts anew: {path.name} belongs to other settings or other parents")
        return 0
    net.load_state_dict(state["weights"])
    optim.load_state_dict(state["optimizer"])
    journal.resume(state["epochs"])
    return state["epochs"]
