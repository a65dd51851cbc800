"""Images that a script gives: checked in one line each, and the ids by which their noise is keyed."""

import contextlib
import operator

import torch
from torch import Tensor

from lasnn.datasets.arrays import ids, pixel_hashes
from lasnn.errors import InputError


def ids_of(images: Tensor) -> list[int]:
    """The ids of images [B, 3, H, W] in [0, 1], as a prepared file has them: by their pixels in 256 levels."""
    pixels = (images.detach() * 255).round().to("cpu", torch.uint8)
    return [int(one) for one in ids(pixel_hashes(pixels.numpy()))]


def check_steps(steps: object) -> int:
    """T, if it is a whole number above 0; else InputError in one line."""
    with contextlib.suppress(TypeError):
        if not isinstance(steps, bool) and (found := operator.index(steps)) > 0:  # type: ignore[arg-type]
            return found
    raise InputError(f"steps is {steps!r}, a whole number above 0 was expected: leave it out for the run's own T")


def check_images(images: Tensor, side: int) -> None:
    """InputError, in one line, unless images are float [B, 3, side, side] with values in [0, 1]."""
    wanted = f"images [B, 3, {side}, {side}] in [0, 1] were expected"
    if not isinstance(images, Tensor):
        raise InputError(f"{wanted}, found {type(images).__name__}: use torch.as_tensor")
    if images.ndim != 4 or tuple(images.shape[1:]) != (3, side, side) or not len(images):
        hint = "images[None] makes a batch of one" if images.ndim == 3 else f"resize them to {side} x {side}, in RGB"
        raise InputError(f"{wanted}, found {list(images.shape)}: {hint}")
    if not images.is_floating_point():
        raise InputError(f"{wanted}, found {images.dtype}: images.float() / 255 if they are bytes")
    low, high = float(images.min()), float(images.max())
    if not 0 <= low <= high <= 1:  # NaN as well
        raise InputError(f"{wanted}, found {low:g} to {high:g}: divide bytes by 255, undo any standardisation")
