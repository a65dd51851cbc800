"""LaSNN: layer-wise ANN-to-SNN distillation, from images to tables.

`lasnn.load(folder)` gives the network of a finished run, ready for use in a script.
"""

from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from lasnn.loading import Loaded


def load(folder: str) -> "Loaded":
    """The network in `folder` (results/<preset>/<run>): call it with images [B, 3, H, W] in [0, 1] for its logits."""
    from lasnn.loading import load as load_network  # torch is loaded only here

    return load_network(folder)
