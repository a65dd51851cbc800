"""Input encoders: an image x [B, 3, H, W] in [-1, 1] to input spikes or currents [T, B, 3, H, W]."""

import operator
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from lasnn import seeding
from lasnn.compiled import draws, library
from lasnn.plan.vocabulary import ENCODERS as KNOWN
from lasnn.plan.vocabulary import pick

Noise = Callable[[int, torch.Size], Tensor]  # steps, image batch's shape -> uniform [T, B, 3, H, W] in [0, 1)


def batch_noise(generator: torch.Generator, start: int = 0, whole: int | None = None) -> Noise:
    """One stream for a whole batch: training, keyed by (seed, purpose, epoch, batch).

    Images `start` and following of a batch of `whole` get the numbers that they would get with the others, so that
    micro-batches change nothing. Successive calls go on where the last one ended. A GPU draws its own.
    """
    done = 0

    def draw(steps: int, shape: torch.Size) -> Tensor:
        nonlocal done
        batch, channels, height, width = shape
        if generator.device.type != "cpu":
            size = (steps, whole or batch, height, width, channels)
            uniform = torch.rand(size, generator=generator, device=generator.device)
            return uniform[:, start : start + batch].permute(0, 1, 4, 2, 3)
        uniform = torch.empty(steps, batch, height, width, channels)
        for t in range(steps):
            draws.fill(uniform[t].flatten(1), generator.initial_seed(), (done + t) * (whole or batch) + start)
        done += steps
        return uniform.permute(0, 1, 4, 2, 3)

    return draw


def image_noise(seed: int, images: Sequence[int], device: torch.device) -> Noise:
    """One stream for each image: evaluation, keyed by (eval seed, image index), so that batches don't matter.

    Successive calls go on where the last one ended.
    """
    keys, done = [seeding.key(seed, "evaluation encoder", operator.index(index)) for index in images], 0
    together = torch.tensor(keys, device=device) if torch.device(device).type == "cuda" else None

    def draw(steps: int, shape: torch.Size) -> Tensor:
        nonlocal done
        batch, channels, height, width = shape
        if together is not None:  # a few launches for all images
            rows = torch.arange(done, done + steps, device=device)
            done += steps
            drawn = draws.by_torch(together, height * width * channels, rows)  # [T, B, pixels]
            return drawn.view(steps, batch, height, width, channels).permute(0, 1, 4, 2, 3)
        uniform = torch.empty(steps, batch, height, width, channels, device=device)
        for image, key in enumerate(keys):
            draws.fill(uniform[:, image].flatten(1), key, done)
        done += steps
        return uniform.permute(0, 1, 4, 2, 3)

    return draw


def poisson(x: Tensor, steps: int, noise: Noise) -> Tensor:
    """Signed rate code: o^t = sign(x) with probability |x|, else 0, so that the mean over time is x."""
    uniform = noise(steps, x.shape)
    rows = uniform.permute(0, 1, 3, 4, 2)
    if uniform.device.type == "cpu" and rows.is_contiguous() and uniform.numel() and (loops := library()) is not None:
        pixels = x.permute(0, 2, 3, 1).to(torch.float32).contiguous()
        loops.rate_code(uniform, pixels, steps, pixels.numel(), 0, steps)
        return uniform
    return torch.le(uniform, x.abs(), out=uniform).mul_(x.sign())  # [T, B, 3, H, W]


def poisson_unsigned(x: Tensor, steps: int, noise: Noise) -> Tensor:
    """The rate code read literally: o^t = 1 with probability x, and never where x <= 0."""
    uniform = noise(steps, x.shape)
    return torch.lt(uniform, x, out=uniform)  # [T, B, 3, H, W]


def direct(x: Tensor, steps: int, noise: Noise) -> Tensor:
    """The analog image in every step; a view with stride 0 along T, which layers use to compute only once."""
    return x[None].expand(steps, *x.shape)  # [T, B, 3, H, W]


Encoding = Callable[[Tensor, int, Noise], Tensor]
ENCODERS: dict[str, Encoding] = {
    "poisson": poisson,
    "poisson_unsigned": poisson_unsigned,
    "direct": direct,
}
MEANS: dict[str, Callable[[Tensor], Tensor]] = {"poisson_unsigned": torch.relu}  # where the mean over time isn't x


def no_noise(steps: int, shape: torch.Size) -> Tensor:
    """In place of draws that were not given: for encoders that need none."""
    raise TypeError("this encoder draws, and was given nothing to draw from")


def encode(encoder: str, x: Tensor, steps: int, noise: Noise | None, gain: float = 1.0) -> Tensor:
    """Input [T, B, 3, H, W] of images x [B, 3, H, W]; `gain` g makes the mean of a rate code g x."""
    coded = pick(ENCODERS, encoder, "encoder (a name of `ENCODERS` in lasnn/spiking/encoders.py)")
    return coded(x if gain == 1 or KNOWN[encoder].analog else gain * x, steps, noise or no_noise)


def mean_input(encoder: str, x: Tensor, gain: float = 1.0) -> Tensor:
    """What `encode` gives on average over time and draws: [B, 3, H, W]."""
    mean = MEANS.get(encoder, torch.clone)(x)
    return mean if KNOWN[encoder].analog else gain * mean
