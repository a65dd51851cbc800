"""Decoding of image files to pixel arrays."""

import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lasnn.datasets.archives import Tree
from lasnn.datasets.arrays import Contents
from lasnn.errors import InputError

ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
FORMATS = ("PNG", "JPEG", "WEBP", "BMP")
EIGHT_BIT_MODES = {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"}


@dataclass(frozen=True)
class Listing:
    """Which file of a tree belongs to which class, before any image is decoded."""

    classes: tuple[str, ...]
    train: tuple[tuple[str, int], ...]  # (file, label)
    test: tuple[tuple[str, int], ...]


def decoded(tree: Tree, listing: Listing, side: int, resize: bool = False) -> Contents:
    """All images of the listing, each side x side pixels; `resize` as in `decode`."""
    return Contents(
        listing.classes,
        _pixels(tree, listing.train, side, "training", resize),
        np.array([label for _, label in listing.train], dtype=np.int64),
        _pixels(tree, listing.test, side, "test", resize),
        np.array([label for _, label in listing.test], dtype=np.int64),
    )


def decode(content: bytes, side: int, where: str, resize: bool = False) -> np.ndarray:
    """uint8 [3, side, side] of one image file; grey becomes RGB, transparency is dropped. `where` names it.

    With `resize` an image of another size is scaled until its shorter edge has `side` pixels (bilinear, with
    antialiasing), and what its longer edge has beyond that is cut off on both sides alike. InputError without it.
    """
    from PIL import Image, ImageOps

    try:
        image = Image.open(io.BytesIO(content), formats=FORMATS)
        deep = image.format == "PNG" and content[24] == 16  # Pillow cuts coloured ones to 8 bits without a word
        frames = getattr(image, "n_frames", 1)
        if (resize or image.size == (side, side)) and image.mode in EIGHT_BIT_MODES and not deep and frames == 1:
            whole = image.convert("RGB")
            if image.size != (side, side):
                whole = ImageOps.fit(whole, (side, side), Image.Resampling.BILINEAR)
            return np.asarray(whole).transpose(2, 0, 1)  # [3, side, side]
    except Exception as error:  # decoders raise whatever the broken bytes lead them to
        raise InputError(f"image {where} cannot be read ({type(error).__name__}); replace or remove it") from error
    if image.size != (side, side) and not resize:
        width, height = image.size
        raise InputError(
            f"image {where} has {width}x{height} pixels, expected {side}x{side}; set resize: true or resize all images"
        )
    if frames > 1:
        raise InputError(f"image {where} holds {frames} pictures, expected one; save the one that is meant")
    found = "16 bits per channel" if deep else f"pixels of mode {image.mode}"
    raise InputError(f"image {where} has {found}, expected 8 bits per channel; convert it")


def _pixels(tree: Tree, entries: Sequence[tuple[str, int]], side: int, split: str, resize: bool) -> np.ndarray:
    """uint8 [N, 3, side, side]"""
    from PIL import Image
    from tqdm import tqdm

    images = np.empty((len(entries), 3, side, side), dtype=np.uint8)
    with warnings.catch_warnings():
        # Pillow only warns between one and two times its pixel limit
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        for index, (file, _) in enumerate(tqdm(entries, desc=f"{split} images", unit="", disable=None)):
            images[index] = decode(tree.read(file), side, f"{file} of {tree.label}", resize)
    return images
