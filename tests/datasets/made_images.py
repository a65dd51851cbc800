"""Small images on a disk, and the one line of what is refused."""

import hashlib

import numpy as np
from PIL import Image
from tiny import message_of

from lasnn import datasets


def md5(content):
    return hashlib.md5(content).hexdigest()


def image_tree(root, splits=("train", "test"), classes=("cat", "dog"), ending="png", side=8, count=2):
    random = np.random.default_rng(1)
    for split in splits:
        for each in classes:
            (root / split / each).mkdir(parents=True)
            for index in range(count):
                pixels = random.integers(0, 256, (side, side, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(root / split / each / f"{index}.{ending}", lossless=True)
    return root


def refused(place, name="pets", side=8):
    """Why these images of a user's own can't be prepared; nothing is left of it."""
    out = place.parent / "out"
    message = message_of(datasets.prepare, name, out / f"{name}.npz", folder=str(place), side=side)
    assert not list(out.glob("*"))
    return message
