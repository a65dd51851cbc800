"""Handwritten digits, embedded in scikit-learn: a dataset that needs no connection."""

import numpy as np

from lasnn.datasets.arrays import Contents, in_order

SIDE = 16
TEST = 360


def contents() -> Contents:
    """1797 images of 8x8 values 0..16, enlarged to uint8 [3, 16, 16]; the last 360 by pixel hash are the test split."""
    from PIL import Image
    from sklearn.datasets import load_digits

    digits = load_digits()
    small = np.rint(digits.images * 255 / 16).astype(np.uint8)  # [1797, 8, 8]
    large = [np.asarray(Image.fromarray(each).resize((SIDE, SIDE), Image.Resampling.BILINEAR)) for each in small]
    images = np.repeat(np.stack(large)[:, None], 3, axis=1)  # [1797, 3, 16, 16]
    labels = digits.target.astype(np.int64)  # [1797]
    order = in_order(images, labels)
    train, test = order[:-TEST], order[-TEST:]
    return Contents(tuple("0123456789"), images[train], labels[train], images[test], labels[test])
