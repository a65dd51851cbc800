"""Images as tensors on the device, shuffled and augmented in batches; no worker processes."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from lasnn import seeding
from lasnn.datasets.arrays import SPLITS, Prepared

if TYPE_CHECKING:
    from lasnn.plan.settings import Data


@dataclass(frozen=True)
class Images:
    """Pixels uint8 [N, 3, H, W] and labels [N] on one device, in canonical order; `ids` [N] name the images."""

    pixels: Tensor
    labels: Tensor
    ids: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, which: int | slice | Tensor) -> tuple[Tensor, Tensor]:
        """Images [..., 3, H, W] in [0, 1] and labels [...]: of one, of a slice, of a list of places."""
        return self.pixels[which].float() / 255, self.labels[which]

    def first(self, count: int | None) -> "Images":
        """The first `count` images (all if None): a prefix of the canonical order mixes the classes."""
        return Images(self.pixels[:count], self.labels[:count], self.ids[:count])

    def last(self, count: int) -> "Images":
        """The last `count` images, or all if there are fewer."""
        return Images(self.pixels[-count:], self.labels[-count:], self.ids[-count:])


def whole_split(prepared: Prepared, name: str, device: torch.device | str = "cpu") -> Images:
    """All images of `train` or `test`."""
    pixels, labels, ids = (
        torch.from_numpy(getattr(prepared, f"{name}_{part}")) for part in ("images", "labels", "ids")
    )
    return Images(pixels.to(device), labels.to(device), ids)


def split(prepared: Prepared, data: "Data", device: torch.device) -> tuple[Images, Images]:
    """The images that a run trains on, and those that it is judged by.

    Those are test images, or, with `assess: held_out`, the last `held_out` training images, which are then left out of
    training.
    """
    train, test = (whole_split(prepared, name, device) for name in SPLITS)
    train = train.first(data.train_images)
    trained_on = train.first(data.trained_on(len(train)))
    return trained_on, test.first(data.test_images) if data.assess == "test" else train.last(data.held_out)


@dataclass(frozen=True)
class Batch:
    """x [B, 3, H, W] in [-1, 1], channels last, and labels [B]."""

    x: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def part(self, start: int, stop: int) -> "Batch":
        """Some of its images."""
        return Batch(self.x[start:stop], self.labels[start:stop])


def scaled(pixels: Tensor) -> Tensor:
    """uint8 pixels [B, 3, H, W] to x in [-1, 1] (Sec. III-A1), channels last."""
    return pixels.to(torch.float32).div_(127.5).sub_(1).contiguous(memory_format=torch.channels_last)


def plain_batches(images: Images, size: int) -> Iterator[Batch]:
    """All images in order, as they are."""
    for start in range(0, len(images), size):
        yield Batch(scaled(images.pixels[start : start + size]), images.labels[start : start + size])


def training_batches(
    images: Images, size: int, data: "Data", seed: int, epoch: int, first: int = 0, least: int = 1
) -> Iterator[Batch]:
    """One epoch, shuffled and augmented, from batch `first` on.

    The last batch may be smaller; one of fewer than `least` images is joined to the batch before it.
    """
    order = torch.randperm(len(images), generator=seeding.generator(seed, "shuffle", epoch)).to(images.labels.device)
    for index, chosen in list(enumerate(order.split(sizes(len(images), size, least))))[first:]:
        draws = seeding.generator(seed, "augmentation", epoch, index)
        yield Batch(scaled(augmented(images.pixels[chosen], data, draws)), images.labels[chosen])


def sizes(images: int, size: int, least: int = 1) -> list[int]:
    """How many images each batch of an epoch takes."""
    found = [min(size, images - start) for start in range(0, images, size)]
    if len(found) > 1 and found[-1] < least:
        found[-2:] = [found[-2] + found[-1]]
    return found


def augmented(pixels: Tensor, data: "Data", draws: torch.Generator) -> Tensor:
    """A random crop of the image padded with black, and a horizontal flip for half of them: [B, 3, H, W]."""
    batch, _, side, _ = pixels.shape
    padding = data.crop_padding
    shifts = torch.randint(0, 2 * padding + 1, (2, batch), generator=draws).to(pixels.device)
    flips = torch.rand(batch, generator=draws).to(pixels.device) < 0.5
    if padding == 0 and not data.flip:
        return pixels
    rows = shifts[0, :, None] + torch.arange(side, device=pixels.device)  # [B, H]
    columns = shifts[1, :, None] + torch.arange(side, device=pixels.device)  # [B, W]
    if data.flip:
        columns = torch.where(flips[:, None], columns.flip(1), columns)
    padded = F.pad(pixels, (padding,) * 4)
    image = torch.arange(batch, device=pixels.device)[:, None, None]
    return padded[image, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
