"""Images: scaling and augmentation by hand, shuffling keyed by seed and epoch."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from oracle import settings_of
from tiny import message_of

from lasnn.datasets.batches import Batch, Images, augmented, plain_batches, scaled, sizes, split, training_batches
from lasnn.results.scores import judged_by


def data(padding=0, flip=False):
    return settings_of().data.model_copy(update={"crop_padding": padding, "flip": flip})


def pictures(count=6, side=4, seed=0):
    """Pixels from 1 to 255, so that 0 only ever is padding; labels and ids 0, 1, 2, ..."""
    draws = torch.Generator().manual_seed(seed)
    pixels = torch.randint(1, 256, (count, 3, side, side), generator=draws, dtype=torch.uint8)
    return Images(pixels, torch.arange(count), torch.arange(count))


def test_scaled_pixels_by_hand():
    x = scaled(torch.tensor([0, 51, 102, 255], dtype=torch.uint8).view(1, 1, 2, 2).expand(2, 3, 2, 2))
    assert x[0, 0].flatten().tolist() == pytest.approx([-1.0, -0.6, -0.2, 1.0])
    everything = scaled(torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16))
    assert (everything.min(), everything.max()) == (-1, 1)
    assert (everything.flatten().diff() > 0).all()
    assert x.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("padding", [0, 1, 2, 4])
def test_crop_and_flip_by_hand(padding, flip):
    """Drawn are the offsets of rows and columns, then the flips."""
    pixels, side, draws = pictures(40).pixels, 4, torch.Generator().manual_seed(3)
    found = augmented(pixels, data(padding, flip), torch.Generator().manual_seed(3))
    rows, columns = torch.randint(0, 2 * padding + 1, (2, 40), generator=draws)
    flips = torch.rand(40, generator=draws) < 0.5
    assert found.shape == pixels.shape
    for index in range(40):
        for row in range(side):
            for column in range(side):
                seen = side - 1 - column if flip and flips[index] else column
                r, c = row + rows[index] - padding, seen + columns[index] - padding
                inside = 0 <= r < side and 0 <= c < side
                expected = pixels[index, :, r, c].tolist() if inside else [0, 0, 0]  # black around the image
                assert found[index, :, row, column].tolist() == expected
    if padding:
        assert set(rows.tolist()) == set(columns.tolist()) == set(range(2 * padding + 1))
    assert 0.2 < flips.float().mean() < 0.8


def test_order_depends_on_seed_and_epoch_only():
    """Each image once, with its label."""
    images = pictures(20)

    def order(seed, epoch, size=3, **augmentation):
        batches = list(training_batches(images, size, data(**augmentation), seed, epoch))
        assert [len(batch) for batch in batches] == [len(part) for part in torch.arange(20).split(size)]
        assert augmentation or all(torch.equal(one.x, scaled(images.pixels[one.labels])) for one in batches)
        return torch.cat([batch.labels for batch in batches]).tolist()

    first = order(0, 0)
    assert sorted(first) == list(range(20))
    assert first == order(0, 0) == order(0, 0, padding=2, flip=True) == order(0, 0, size=7)
    assert len({tuple(order(seed, epoch)) for seed in (0, 1) for epoch in (0, 1)}) == 4


def test_augmentation_depends_on_seed_epoch_and_batch():
    same = Images(pictures(1).pixels.expand(12, -1, -1, -1), torch.arange(12), torch.arange(12))

    def drawn(seed, epoch):
        return [batch.x for batch in training_batches(same, 6, data(2, True), seed, epoch)]

    first, second = drawn(0, 0)
    assert torch.equal(first, drawn(0, 0)[0])
    assert not any(torch.equal(first, other) for other in (second, drawn(0, 1)[0], drawn(1, 0)[0]))


def test_parts_of_images_and_batches():
    images = pictures(7)
    assert images.first(3).ids.tolist() == [0, 1, 2]
    assert images.first(None).ids.tolist() == images.last(99).ids.tolist() == list(range(7))
    assert images.last(2).ids.tolist() == [5, 6]
    batch = Batch(scaled(images.pixels), images.labels)
    assert torch.equal(batch.part(2, 5).x, batch.x[2:5])
    assert batch.part(2, 5).labels.tolist() == [2, 3, 4]
    batches = list(plain_batches(images, 3))  # all images in order
    assert [len(batch) for batch in batches] == [3, 3, 1]
    assert torch.equal(torch.cat([batch.x for batch in batches]), scaled(images.pixels))
    assert torch.equal(torch.cat([batch.labels for batch in batches]), images.labels)


@pytest.mark.parametrize(
    ("images", "size", "least", "expected"),
    [
        (9, 4, 2, [4, 5]),
        (9, 4, 1, [4, 4, 1]),
        (10, 4, 2, [4, 4, 2]),
        (5, 2, 2, [2, 3]),
        (1, 4, 2, [1]),
        (8, 4, 2, [4, 4]),
        (4, 1, 2, [1, 1, 2]),
    ],
)
def test_one_image_left_over_joins_the_batch_before(images, size, least, expected):
    assert sizes(images, size, least) == expected
    if images > 1:
        made = list(training_batches(pictures(images), size, data(), 0, 0, least=least))
        assert [len(batch) for batch in made] == expected


@pytest.mark.parametrize(("assess", "places"), [("test", [100, 101, 102]), ("held_out", [6, 7])])
def test_metrics_say_which_images_a_run_was_judged_by(assess, places):
    """By hand: 8 of 10 training images are taken, the last 2 of them held out; 3 of 5 test images.

    Held-out images that judge may not be all.
    """
    parts, arrays = {"train": np.arange(10), "test": np.arange(100, 105)}, {}
    for name, ids in parts.items():
        images = np.zeros((len(ids), 3, 2, 2), np.uint8)
        arrays |= {f"{name}_ids": ids, f"{name}_labels": ids, f"{name}_images": images}

    def parted(held_out):
        limits = {"train_images": 8, "held_out": held_out, "test_images": 3, "assess": assess}
        return split(SimpleNamespace(**arrays), data().model_copy(update=limits), torch.device("cpu"))

    train, judging = parted(2)
    said = {"train_images": len(train), "test_images": len(judging), "assessed": assess}
    name, where = judged_by(said)
    assert parts[name][where].tolist() == judging.ids.tolist() == places
    if assess == "held_out":
        assert "takes 8 of 8 training images and leaves none" in message_of(parted, 8)
